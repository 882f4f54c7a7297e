"""Moments in a member's life, and whether something may still be done about them: each moment once, whenever and however often one asks."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.community import DAY_US
from models.features import ANY
from models.once import Once
from models.snapshots import Activity

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.interventions import ContactHistory
    from models.member_columns import MemberColumns, Zones
    from models.rules import Scene
    from models.snapshots import Snapshots

HOUR_US = 3_600_000_000
NEVER_US = -(1 << 62)
SLACK_DAYS = 1
"""An assignment may be logged with its date alone: one from so long before the moment counts as made for it."""


def open_scenes(
    community: Community,
    events: EventArrays,
    snapshots: Snapshots,
    columns: MemberColumns,
    zones: Zones,
    contacts: ContactHistory,
    as_of_us: int,
) -> dict[str, Flags]:
    """For each scene that an intervention names whether it is open for each snapshot: shape (n,).

    It is where moment <= as_of < moment + within and none of the interventions that name the scene was assigned since the moment. Events
    after `as_of` change nothing, nor do members beside each other. The `contacts` are told as of `as_of_us`, and each snapshot by its own.
    """
    meant = _meant(community)
    seen = _Seen(community, events, snapshots, columns, zones)
    since = {name: as_of_us - contacts.last_assigned(ids, len(snapshots), as_of_us) for name, ids in meant.items()}
    return {scene.name: _is_open(scene, seen, since[scene.name]) for scene in community.scenes if scene.name in meant}


@Once
def _meant(community: Community) -> dict[str, tuple[str, ...]]:
    """The interventions that name each scene."""
    named: dict[str, tuple[str, ...]] = {}
    for intervention in community.interventions:
        for name in intervention.eligibility.scenes or ():
            named[name] = (*named.get(name, ()), intervention.id)
    return named


def _is_open(scene: Scene, seen: _Seen, since_assigned_us: Integers) -> Flags:
    """since_assigned_us (n,): from the last assignment for the scene to `as_of`."""
    age_us = seen.snapshots.as_of_us - moments(scene, seen)
    is_open: Flags = (age_us >= 0) & (age_us < scene.open_hours * HOUR_US) & (since_assigned_us > age_us + SLACK_DAYS * DAY_US)
    return is_open


def moments(scene: Scene, seen: _Seen) -> Integers:
    """The last moment of the scene up to `as_of`, or one to come if nothing changes; NEVER_US where there is none. Shape (n,)."""
    return next(of(seen, getattr(scene, key)) for key, of in _MOMENTS.items() if getattr(scene, key) is not None)


@dataclass(frozen=True)
class _Seen:
    """What is known of the members of the snapshots."""

    community: Community
    events: EventArrays
    snapshots: Snapshots
    columns: MemberColumns
    zones: Zones
    _held: dict[str, _Acts] = field(default_factory=dict)

    def acts(self, signal: str) -> _Acts:
        """Events of one signal, or of all qualifying ones; touches, the last code where there are any, are neither."""
        if signal not in self._held:
            activity = Activity.of(self.events, _flags(self.community)[signal])
            self._held[signal] = _Acts(activity, activity.first_from(self.snapshots.member, self.snapshots.as_of_us))
        return self._held[signal]


@Once
def _flags(community: Community) -> dict[str, Flags]:
    """By the name of a signal, or ANY, one flag for each signal code."""
    names = [signal.name for signal in community.signals]
    qualifying = np.array([*(signal.qualifying for signal in community.signals), False])
    return {ANY: qualifying} | {name: np.array([*(other == name for other in names), False]) for name in names}


@dataclass(frozen=True)
class _Acts:
    """`before` (n,): position of each member's first event at or after `as_of`."""

    activity: Activity
    before: Integers


def _first_event(seen: _Seen, signal: str) -> Integers:
    acts = seen.acts(signal)
    first = acts.activity.offsets[seen.snapshots.member]
    return np.where(acts.before > first, _at(acts.activity, first), NEVER_US)


def _end_of_patience(seen: _Seen, days: int) -> Integers:
    """So many days after the last qualifying event before `as_of`, after joining where there was none."""
    acts = seen.acts(ANY)
    first = acts.activity.offsets[seen.snapshots.member]
    last = np.where(acts.before > first, _at(acts.activity, acts.before - 1), seen.snapshots.joined_us)
    return last + days * DAY_US


def _at(activity: Activity, position: Integers) -> Integers:
    """Times at positions that may lie outside; what is taken there means nothing."""
    if len(activity.timestamp_us) == 0:
        return np.full(len(position), NEVER_US)
    at: Integers = activity.timestamp_us.take(position, mode="clip")
    return at


def _ascent(seen: _Seen, tiers: tuple[str, ...]) -> Integers:
    """The last event before `as_of` that lifted the member into one of the tiers from below it."""
    acts = seen.acts(ANY)
    offsets, at = acts.activity.offsets, acts.activity.timestamp_us
    begin = np.repeat(offsets[:-1], offsets[1:] - offsets[:-1])
    lifting = np.zeros(len(at), dtype=np.bool_)
    for tier in seen.community.lifecycle.tiers:
        if tier.name in tiers:
            _mark_ascents(lifting, begin, at, tier.min_contributions, seen.community.windows_days[-1] * DAY_US)
    place = lifting.nonzero()[0]
    found = place.searchsorted(acts.before) - 1
    last = place.take(found, mode="clip") if len(place) else found
    return np.where((found >= 0) & (last >= offsets[seen.snapshots.member]), _at(acts.activity, last), NEVER_US)


def _mark_ascents(lifting: Flags, begin: Integers, at: Integers, floor: int, window_us: int) -> None:
    """With w the window, event i lifts over a floor of m where t[i - m + 1] > t[i] - w and not t[i - m] >= t[i] - w.

    `begin`: of each event the position of its member's first; `lifting` is set where one lifts.
    """
    if floor > len(at):
        return
    since, order = at[floor - 1 :] - window_us, np.arange(len(at) - floor + 1)
    enough = (at[: len(order)] > since) & (order >= begin[floor - 1 :])
    enough[1:] &= (at[: len(order) - 1] < since[1:]) | (order[:-1] < begin[floor:])
    lifting[floor - 1 :] |= enough


def _anniversary(seen: _Seen, column: str) -> Integers:
    """Midnight by the member's clock of the last day of the year that is that of the date."""
    days, zones = seen.columns.days_of_year(column), seen.zones
    asked = np.column_stack([seen.snapshots.as_of_us, zones.code, days.month, days.day])
    distinct, kind = np.unique(asked, axis=0, return_inverse=True)
    begun = (_last_begun(as_of_us, zones.zones[zone], month, day) for as_of_us, zone, month, day in distinct.tolist())
    last: Integers = np.fromiter(begun, dtype=np.int64)[kind.ravel()]
    return last


def _last_begun(as_of_us: int, zone: ZoneInfo, month: int, day: int) -> int:
    """Microseconds since 1970; month 0 is no date."""
    if month == 0:
        return NEVER_US
    year = datetime.fromtimestamp(as_of_us // 1_000_000, tz=zone).year
    begun = (_midnight(each, month, day, zone) for each in (year, year - 1))
    return next(at for at in begun if at <= as_of_us)


def _midnight(year: int, month: int, day: int, zone: ZoneInfo) -> int:
    shown = 28 if (month, day) == (2, 29) and not isleap(year) else day
    return round(datetime(year, month, shown, tzinfo=zone).timestamp()) * 1_000_000


_MOMENTS: dict[str, Callable[[_Seen, Any], Integers]] = {
    "after_first": _first_event,
    "after_silence_days": _end_of_patience,
    "on_date": _anniversary,
    "on_tiers": _ascent,
}

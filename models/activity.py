"""How lively a community is and how long its members stay, counted member by member: counts of parts of it can be added."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.community import DAY_US
from models.events import NEVER_US
from models.moments import microseconds
from models.stage_paths import StagePaths, stage_paths, stages_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.events import EventArrays

DAYS_SHOWN = 60
MONTH_DAYS = 30
MONTHS_SHOWN = 12
COHORTS_SHOWN = 12
MONTH_US = MONTH_DAYS * DAY_US


@dataclass(frozen=True)
class Liveliness:
    """`daily`: members with a qualifying event on each of the last days, oldest first. `monthly`: within the last 30 days.

    `weekly_events`: qualifying events a week of those members.
    """

    first_day: str
    daily: tuple[int, ...]
    monthly: int
    weekly_events: float

    @property
    def stickiness(self) -> float | None:
        """Mean of the last 30 days' active members over those of the month (DAU/MAU); None where nobody was active."""
        return float(np.mean(self.daily[-MONTH_DAYS:])) / self.monthly if self.monthly else None


@dataclass(frozen=True)
class Cohort:
    """Members who joined in one month, and of them the share with a qualifying event in each 30 days after joining that is over."""

    month: str
    members: int
    kept: tuple[float, ...]


@dataclass(frozen=True)
class Joined:
    """Members who joined in one month, from the first to the last of them; seen (MONTHS_SHOWN,): how many were, in each 30 days since."""

    members: int
    first_us: int
    last_us: int
    seen: Integers

    def __add__(self, other: Joined) -> Joined:
        bounds = min(self.first_us, other.first_us), max(self.last_us, other.last_us)
        return Joined(self.members + other.members, *bounds, self.seen + other.seen)

    def cohort(self, month: str, as_of_us: int) -> Cohort:
        over = (as_of_us - self.last_us) // MONTH_US
        return Cohort(month, self.members, tuple((self.seen / self.members)[: min(over, MONTHS_SHOWN)].tolist()))


@dataclass(frozen=True)
class Activity:
    """Counts of some members up to `as_of`, which is told by the community's clock.

    daily (DAYS_SHOWN,): active members by day, oldest first; `month_events`: qualifying events of the last 30 days; `first_us`: of the
    first qualifying event, `last_us` of the last event of any signal; `joined` by month of joining. `heard`: members whose last qualifying
    event, or joining, lies less than the goals' `silence_days` back; `paths` from `since` on.
    """

    as_of: datetime
    since: datetime
    daily: Integers = field(default_factory=lambda: np.zeros(DAYS_SHOWN, dtype=np.int64))
    monthly: int = 0
    month_events: int = 0
    first_us: int = NEVER_US
    last_us: int = 0
    joined: Mapping[str, Joined] = field(default_factory=dict)
    heard: int = 0
    paths: StagePaths = field(default_factory=StagePaths.nobodys)

    @classmethod
    def nobodys(cls, community: Community, as_of: datetime) -> Self:
        return cls(as_of.astimezone(community.zone), _horizon_before(community, as_of))

    @classmethod
    def of(cls, community: Community, events: EventArrays, as_of: datetime, since: datetime | None = None) -> Self:
        """Days are of 24 hours, counted back from `as_of`. `since` is one churn horizon earlier, unless given."""
        earlier = _horizon_before(community, as_of) if since is None else since
        as_of_us, before = microseconds(as_of), events.timestamp_us < microseconds(as_of)
        qualifying = np.array([*(signal.qualifying for signal in community.signals), *[False] * 256])
        kept = np.flatnonzero(qualifying[events.signal] & before)
        member = np.searchsorted(events.offsets, kept, side="right") - 1
        at_us = events.timestamp_us[kept]
        age = (as_of_us - 1 - at_us) // DAY_US
        shown, of_month = age < DAYS_SHOWN, age < MONTH_DAYS
        pairs = np.unique(member[shown].astype(np.int64) * DAYS_SHOWN + age[shown])
        return cls(
            as_of.astimezone(community.zone),
            earlier,
            daily=np.bincount(pairs % DAYS_SHOWN, minlength=DAYS_SHOWN)[::-1],
            monthly=len(np.unique(member[of_month])),
            month_events=int(of_month.sum()),
            first_us=int(at_us.min(initial=NEVER_US)),
            last_us=int(events.timestamp_us[before & (events.signal < len(community.signals))].max(initial=0)),
            joined=_joined(events.joined_us, member, at_us, as_of.astimezone(community.zone)),
            heard=_heard(events.joined_us, member, at_us, as_of_us, community.goals.silence_days),
            paths=stage_paths(*(stages_at(community, events, moment_us) for moment_us in (microseconds(earlier), as_of_us))),
        )

    def __add__(self, other: Activity) -> Activity:
        both = dict(self.joined)
        for month, members in other.joined.items():
            both[month] = both[month] + members if month in both else members
        return Activity(
            self.as_of,
            self.since,
            self.daily + other.daily,
            self.monthly + other.monthly,
            self.month_events + other.month_events,
            min(self.first_us, other.first_us),
            max(self.last_us, other.last_us),
            both,
            self.heard + other.heard,
            self.paths + other.paths,
        )

    def to_json(self) -> str:
        """All but the moments, which `from_json` is given."""
        joined = {month: [one.members, one.first_us, one.last_us, one.seen.tolist()] for month, one in self.joined.items()}
        counts = {name: getattr(self, name) for name in ("monthly", "month_events", "first_us", "last_us", "heard")}
        return json.dumps(counts | {"daily": self.daily.tolist(), "joined": joined, "paths": self.paths.counts.tolist()})

    @classmethod
    def from_json(cls, text: str, nobodys: Activity) -> Activity:
        told = json.loads(text)
        joined = {month: Joined(members, first, last, np.array(seen)) for month, (members, first, last, seen) in told["joined"].items()}
        arrays = {"daily": np.array(told["daily"], np.int64), "paths": StagePaths(np.array(told["paths"], np.int64))}
        return replace(nobodys, **told | arrays | {"joined": joined})

    @property
    def members(self) -> int:
        """Those who had joined."""
        return sum(members.members for members in self.joined.values())

    def liveliness(self) -> Liveliness:
        weekly = self.month_events * 7 / MONTH_DAYS / self.monthly if self.monthly else 0.0
        first = (self.as_of - timedelta(days=DAYS_SHOWN)).date()
        return Liveliness(first.isoformat(), tuple(self.daily.tolist()), self.monthly, weekly)

    def cohorts(self, known_from_us: int = 0) -> tuple[Cohort, ...]:
        """The last of those that joined after the log began, oldest first; shares end where they are not over for the last member.

        Where events before `known_from_us` are no longer there, the log begins then.
        """
        if self.first_us == NEVER_US:
            return ()
        begins = max(self.first_us, known_from_us)
        names = sorted(month for month, members in self.joined.items() if members.first_us >= begins)[-COHORTS_SHOWN:]
        return tuple(self.joined[name].cohort(name, microseconds(self.as_of)) for name in names)


def _horizon_before(community: Community, as_of: datetime) -> datetime:
    return as_of - timedelta(days=community.churn.horizon_days)


def _heard(joined_us: Integers, member: Integers, at_us: Integers, as_of_us: int, silence_days: int) -> int:
    """member, at_us (n_events,) as for `_joined`."""
    last = joined_us.copy()
    np.maximum.at(last, member, at_us)
    there = joined_us < as_of_us
    return int((as_of_us - last[there] < silence_days * DAY_US).sum())


def _joined(joined_us: Integers, member: Integers, at_us: Integers, as_of: datetime) -> dict[str, Joined]:
    """member, at_us (n_events,): whose each qualifying event is, and when. Members who had not joined count nowhere."""
    there = np.flatnonzero(joined_us < microseconds(as_of))
    zoned = pl.Series(joined_us[there]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(str(as_of.tzinfo))
    names, month = np.unique(zoned.dt.strftime("%Y-%m").to_numpy().astype(str), return_inverse=True)
    seen = _seen(joined_us, member, at_us)[there]
    told = {}
    for position, name in enumerate(names.tolist()):
        own = month == position
        at = joined_us[there][own]
        told[name] = Joined(int(own.sum()), int(at.min()), int(at.max()), seen[own].sum(axis=0))
    return told


def _seen(joined_us: Integers, member: Integers, at_us: Integers) -> Flags:
    """Whether each member had an event in each 30 days after joining. Shape (n_members, MONTHS_SHOWN)."""
    age = (at_us - joined_us[member]) // MONTH_US
    seen = np.zeros((len(joined_us), MONTHS_SHOWN), dtype=np.bool_)
    shown = (age >= 0) & (age < MONTHS_SHOWN)
    seen[member[shown], age[shown]] = True
    return seen

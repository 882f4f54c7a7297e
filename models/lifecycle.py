"""Where a member stands: stage, tier and tags, from the same feature matrix that the models read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from models.declared import STAGES, TAGS

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.community import Lifecycle
    from models.declared import Stage, Tag
    from models.features import FeatureSpec

MIN_EVENTS_BEFORE = 4
MIN_SERVICE_CONTACTS = 2


@dataclass(frozen=True)
class Lifecycles:
    """stage (n,): positions in STAGES; tier (n,): positions in `tiers`; tags (n, n_tags) bool, columns as TAGS.

    silence_days (n,): since the last qualifying event, since joining for members who have none in the lookback; tenure_days (n,).
    """

    stage: Integers
    tier: Integers
    tags: Flags
    silence_days: Floats
    tenure_days: Floats
    tiers: tuple[str, ...]

    def stage_of(self, row: int) -> Stage:
        return STAGES[self._rows[row][0]]

    def tier_of(self, row: int) -> str:
        return self.tiers[self._rows[row][1]]

    def tags_of(self, row: int) -> tuple[Tag, ...]:
        return tuple(compress(TAGS, self._rows[row][2]))

    @cached_property
    def _rows(self) -> list[tuple[int, int, list[bool]]]:
        return list(zip(self.stage.tolist(), self.tier.tolist(), self.tags.tolist(), strict=True))


def lifecycle_of(features: Floats, spec: FeatureSpec, lifecycle: Lifecycle, value: Floats) -> Lifecycles:
    """Rows of the feature matrix, and value (n,) in money over the community's `value_days`; each row depends on itself alone."""
    behaviour = _Behaviour(features, spec, lifecycle, value)
    floors = [tier.min_contributions for tier in lifecycle.tiers]
    return Lifecycles(
        stage=_stage(behaviour),
        tier=np.searchsorted(floors, behaviour.contributions, side="right") - 1,
        tags=np.array([TAG_RULES[tag](behaviour) for tag in TAGS]).T,
        silence_days=behaviour.silence,
        tenure_days=behaviour.tenure,
        tiers=tuple(tier.name for tier in lifecycle.tiers),
    )


def _stage(behaviour: _Behaviour) -> Integers:
    """The first whose rule holds."""
    stage = np.zeros(len(behaviour.features), dtype=np.int8)
    for name, holds in reversed(STAGE_RULES):
        stage[holds(behaviour)] = STAGES.index(name)
    return stage


@dataclass(frozen=True)
class _Trend:
    """The last `recent_days` against the time before them, which reaches back to `earlier_days` (n,) earlier or to the member's joining.

    `known` is False for a member who has not been there for at least half as long before as after.
    """

    recent: Floats
    earlier: Floats
    recent_days: int
    earlier_days: Floats

    @property
    def known(self) -> Flags:
        return self.earlier_days >= self.recent_days / 2

    @property
    def recent_weekly(self) -> Floats:
        return self.recent * 7 / self.recent_days

    @property
    def earlier_weekly(self) -> Floats:
        return self.earlier * 7 / np.maximum(self.earlier_days, 1)


@dataclass(frozen=True)
class _Behaviour:
    """Rows of the feature matrix, read by the names of what they hold; all properties have shape (n,)."""

    features: Floats
    spec: FeatureSpec
    bounds: Lifecycle
    value: Floats

    def column(self, name: str) -> Floats:
        return self.features[:, self.spec.position(name)]

    @cached_property
    def tenure(self) -> Floats:
        return np.fmax(self.column("tenure_days"), self.column("first_seen_days"))

    @cached_property
    def silence(self) -> Floats:
        return self.since("any")

    @cached_property
    def contributions(self) -> Floats:
        return self.column(f"any_count_{self.spec.windows_days[-1]}d")

    @cached_property
    def activity(self) -> _Trend:
        """Of qualifying events."""
        return self._trend(("any",))

    @cached_property
    def engagement(self) -> _Trend:
        """Of all that members do on their own account, reading included; contacts with the service and ratings are none of it."""
        apart = {*self.bounds.service_signals, *self.bounds.satisfaction_signals}
        return self._trend(tuple(use.name for use in self.spec.signals if use.name not in apart))

    @cached_property
    def service(self) -> _Trend:
        return self._trend(self.bounds.service_signals)

    def since(self, *signals: str) -> Floats:
        """Days since the last event of any of these, since joining where there is none."""
        last: Floats = np.fmin.reduce(self.features[:, self.spec.columns_of("days_since_{}", signals)], axis=1)
        return np.where(np.isnan(last), self.tenure, last)

    def _trend(self, signals: tuple[str, ...]) -> _Trend:
        short, long = self._windows
        both, recent = self._count(signals, long), self._count(signals, short)
        return _Trend(recent, both - recent, short, np.minimum(self.tenure, long) - short)

    def _count(self, signals: tuple[str, ...], days: int) -> Floats:
        total: Floats = self.features[:, self.spec.columns_of(f"{{}}_count_{days}d", signals)].sum(axis=1, dtype=np.float64)
        return total

    @cached_property
    def _windows(self) -> tuple[int, int]:
        """The window nearest to `trend_days`, and the shortest of at least twice its length, else the longest of all."""
        windows = self.spec.windows
        short = min(windows, key=lambda days: (abs(days - self.bounds.trend_days), days))
        return short, next((days for days in windows if days >= 2 * short), windows[-1])


def _is_lost(member: _Behaviour) -> Flags:
    return member.silence >= member.bounds.lost_days


def _is_silent(member: _Behaviour) -> Flags:
    return member.silence >= member.bounds.silent_days


def _is_new(member: _Behaviour) -> Flags:
    return member.tenure < member.bounds.new_days


def _is_growing(member: _Behaviour) -> Flags:
    """The recent rate is at least growing_ratio times the earlier, on at least MIN_EVENTS_BEFORE events in all."""
    trend = member.activity
    enough = trend.recent + trend.earlier >= MIN_EVENTS_BEFORE
    return trend.known & enough & (trend.recent_weekly >= member.bounds.growing_ratio * trend.earlier_weekly)


def _is_stable(member: _Behaviour) -> Flags:
    return (member.tenure >= member.bounds.stable_days) & ~_fades(member.activity, member.bounds)


def _is_active(member: _Behaviour) -> Flags:
    return np.ones(len(member.features), dtype=bool)


def _newcomer_at_risk(member: _Behaviour) -> Flags:
    """Joined at most `newcomer_hours` ago, and nothing qualifying in the last `newcomer_silent_hours`."""
    return (member.tenure * 24 <= member.bounds.newcomer_hours) & (member.silence * 24 >= member.bounds.newcomer_silent_hours)


def _interest_decay(member: _Behaviour) -> Flags:
    """Reading and interaction fall, and something of them is left."""
    return _fades(member.engagement, member.bounds) & ~_estrangement(member)


def _demand_mismatch(member: _Behaviour) -> Flags:
    """Contacts with the service rise by `growing_ratio`, or the last rating falls to `fading_ratio` of the member's mean."""
    contacts = member.service
    rise = (contacts.recent >= MIN_SERVICE_CONTACTS) & (contacts.recent_weekly >= member.bounds.growing_ratio * contacts.earlier_weekly)
    for rating in member.bounds.satisfaction_signals:
        fresh = member.column(f"days_since_{rating}") <= contacts.recent_days
        rise |= fresh & (member.column(f"{rating}_value_last") <= member.bounds.fading_ratio * member.column(f"{rating}_value_mean"))
    return rise


def _estrangement(member: _Behaviour) -> Flags:
    """No event of any signal for `silent_days`, not even reading."""
    return member.since(*(use.name for use in member.spec.signals)) >= member.bounds.silent_days


def _win_back_candidate(member: _Behaviour) -> Flags:
    """Silent or lost, with at least `win_back_contributions` qualifying events within the lookback."""
    once = member.column(f"any_count_{member.spec.windows[-1]}d")
    return _is_silent(member) & (once >= member.bounds.win_back_contributions)


def _high_value(member: _Behaviour) -> Flags:
    """At least `high_value`; with no such bound and one tier nobody is."""
    tiers = member.bounds.tiers
    bound = member.bounds.high_value
    if bound is None:
        bound = tiers[-1].value if len(tiers) > 1 else np.inf
    return (member.value >= bound) & (member.value > 0)


def _fades(trend: _Trend, bounds: Lifecycle) -> Flags:
    """The rate fell to at most `fading_ratio` of what it was, or from `high_weekly_events` or more to below `low_weekly_events`."""
    halved = trend.recent_weekly <= bounds.fading_ratio * trend.earlier_weekly
    crossed = (trend.earlier_weekly >= bounds.high_weekly_events) & (trend.recent_weekly < bounds.low_weekly_events)
    return trend.known & (trend.earlier >= MIN_EVENTS_BEFORE) & (halved | crossed)


STAGE_RULES: tuple[tuple[Stage, Callable[[_Behaviour], Flags]], ...] = (
    ("lost", _is_lost),
    ("silent", _is_silent),
    ("new", _is_new),
    ("growing", _is_growing),
    ("stable", _is_stable),
    ("active", _is_active),
)

TAG_RULES: dict[Tag, Callable[[_Behaviour], Flags]] = {
    "newcomer_at_risk": _newcomer_at_risk,
    "interest_decay": _interest_decay,
    "demand_mismatch": _demand_mismatch,
    "estrangement": _estrangement,
    "win_back_candidate": _win_back_candidate,
    "high_value": _high_value,
}

"""Where a member stands: stage, tier and tags, from the same feature matrix that the models read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.declared import STAGES, TAGS
from models.features import ANY
from models.once import Once

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
    reading = _reading(spec, lifecycle)
    behaviour = _Behaviour(features, spec, reading, lifecycle, value)
    return Lifecycles(
        stage=_stage(behaviour),
        tier=reading.floors.searchsorted(behaviour.contributions, side="right") - 1,
        tags=np.array([TAG_RULES[tag](behaviour) for tag in TAGS]).T,
        silence_days=behaviour.silence,
        tenure_days=behaviour.tenure,
        tiers=reading.tiers,
    )


def _stage(behaviour: _Behaviour) -> Integers:
    """The first whose rule holds."""
    first = np.array([holds(behaviour) for _, holds in STAGE_RULES]).argmax(axis=0)
    stage: Integers = _STAGE_OF_RULE[first]
    return stage


class _Reading(NamedTuple):
    """Which columns of the feature matrix are read for the trends, and what the tiers ask.

    counted (2 m,): of m signals the counts of the last `recent_days`, then those of the last `both_days`; of_trend (m, 3): how often each
    signal counts in the trends ACTIVITY, ENGAGEMENT and SERVICE.
    """

    recent_days: int
    both_days: int
    counted: Integers
    of_trend: Floats
    floors: Integers
    tiers: tuple[str, ...]


ACTIVITY, ENGAGEMENT, SERVICE = range(3)


@Once
def _reading(spec: FeatureSpec, bounds: Lifecycle) -> _Reading:
    """Activity are the qualifying events, engagement is all that members do on their own account.

    Reading is included in it; contacts with the service and ratings are not. The recent days are the window nearest to `trend_days`, and
    both together the shortest of at least twice its length, else the longest of all.
    """
    apart = {*bounds.service_signals, *bounds.satisfaction_signals}
    signals = (ANY, *(use.name for use in spec.signals))
    trends = ((ANY,), tuple(use.name for use in spec.signals if use.name not in apart), bounds.service_signals)
    short = min(spec.windows, key=lambda days: (abs(days - bounds.trend_days), days))
    long = next((days for days in spec.windows if days >= 2 * short), spec.windows[-1])
    return _Reading(
        recent_days=short,
        both_days=long,
        counted=np.concatenate([spec.columns_of(f"{{}}_count_{days}d", signals) for days in (short, long)]),
        of_trend=np.array([[trend.count(signal) for trend in trends] for signal in signals], dtype=np.float64),
        floors=np.array([tier.min_contributions for tier in bounds.tiers]),
        tiers=tuple(tier.name for tier in bounds.tiers),
    )


@dataclass(frozen=True)
class _Trends:
    """The last `recent_days` against the time before them, which reaches back to `earlier_days` earlier or to the member's joining.

    recent, earlier: counts of events, shape (n, 3) as all others but `known` (n, 1), which is False for a member who has not been there
    for at least half as long before as after. rises: the recent rate is at least `growing_ratio` times the earlier. fades: it fell to at
    most `fading_ratio` of what it was, or from `high_weekly_events` or more to below `low_weekly_events`.
    """

    recent: Floats
    earlier: Floats
    known: Flags
    rises: Flags
    fades: Flags

    @classmethod
    def of(cls, features: Floats, tenure: Floats, reading: _Reading, bounds: Lifecycle) -> Self:
        both_ways = features.take(reading.counted, axis=1).reshape(-1, len(reading.of_trend)).astype(np.float64)
        of_trend = reading.of_trend.shape[1]
        recent, both = (both_ways @ reading.of_trend).reshape(len(features), 2, of_trend).swapaxes(0, 1)
        earlier = both - recent
        earlier_days = (np.minimum(tenure, reading.both_days) - reading.recent_days)[:, None]
        weekly, before = recent * 7 / reading.recent_days, earlier * 7 / np.maximum(earlier_days, 1)
        known = earlier_days >= reading.recent_days / 2
        crossed = (before >= bounds.high_weekly_events) & (weekly < bounds.low_weekly_events)
        fades = known & (earlier >= MIN_EVENTS_BEFORE) & ((weekly <= bounds.fading_ratio * before) | crossed)
        return cls(recent, earlier, known, weekly >= bounds.growing_ratio * before, fades)


@dataclass(frozen=True)
class _Behaviour:
    """Rows of the feature matrix, read by the names of what they hold; all properties but `trends` have shape (n,)."""

    features: Floats
    spec: FeatureSpec
    reading: _Reading
    bounds: Lifecycle
    value: Floats

    def column(self, name: str) -> Floats:
        return self.features[:, self.spec.position(name)]

    @cached_property
    def tenure(self) -> Floats:
        return np.fmax(self.column("tenure_days"), self.column("first_seen_days"))

    @cached_property
    def silence(self) -> Floats:
        return self.since(ANY)

    @cached_property
    def contributions(self) -> Floats:
        return self.column(f"any_count_{self.spec.windows_days[-1]}d")

    @cached_property
    def trends(self) -> _Trends:
        return _Trends.of(self.features, self.tenure, self.reading, self.bounds)

    @cached_property
    def silent(self) -> Flags:
        return self.silence >= self.bounds.silent_days

    @cached_property
    def estranged(self) -> Flags:
        """No event of any signal for `silent_days`, not even reading."""
        return self.since(*(use.name for use in self.spec.signals)) >= self.bounds.silent_days

    def since(self, *signals: str) -> Floats:
        """Days since the last event of any of these, since joining where there is none."""
        last: Floats = np.fmin.reduce(self.features[:, self.spec.columns_of("days_since_{}", signals)], axis=1)
        return np.where(np.isnan(last), self.tenure, last)


def _is_lost(member: _Behaviour) -> Flags:
    return member.silence >= member.bounds.lost_days


def _is_silent(member: _Behaviour) -> Flags:
    return member.silent


def _is_new(member: _Behaviour) -> Flags:
    return member.tenure < member.bounds.new_days


def _is_growing(member: _Behaviour) -> Flags:
    """It rises, on at least MIN_EVENTS_BEFORE events in all."""
    trends = member.trends
    enough = trends.recent[:, ACTIVITY] + trends.earlier[:, ACTIVITY] >= MIN_EVENTS_BEFORE
    return trends.known[:, 0] & enough & trends.rises[:, ACTIVITY]


def _is_stable(member: _Behaviour) -> Flags:
    return (member.tenure >= member.bounds.stable_days) & ~member.trends.fades[:, ACTIVITY]


def _is_active(member: _Behaviour) -> Flags:
    return np.ones(len(member.features), dtype=bool)


def _newcomer_at_risk(member: _Behaviour) -> Flags:
    """Joined at most `newcomer_hours` ago, and nothing qualifying in the last `newcomer_silent_hours`."""
    return (member.tenure * 24 <= member.bounds.newcomer_hours) & (member.silence * 24 >= member.bounds.newcomer_silent_hours)


def _interest_decay(member: _Behaviour) -> Flags:
    """Reading and interaction fall, and something of them is left."""
    return member.trends.fades[:, ENGAGEMENT] & ~member.estranged


def _demand_mismatch(member: _Behaviour) -> Flags:
    """Contacts with the service rise by `growing_ratio`, or the last rating falls to `fading_ratio` of the member's mean."""
    rise = (member.trends.recent[:, SERVICE] >= MIN_SERVICE_CONTACTS) & member.trends.rises[:, SERVICE]
    for rating in member.bounds.satisfaction_signals:
        fresh = member.column(f"days_since_{rating}") <= member.reading.recent_days
        rise |= fresh & (member.column(f"{rating}_value_last") <= member.bounds.fading_ratio * member.column(f"{rating}_value_mean"))
    return rise


def _estrangement(member: _Behaviour) -> Flags:
    return member.estranged


def _win_back_candidate(member: _Behaviour) -> Flags:
    """Silent or lost, with at least `win_back_contributions` qualifying events within the lookback."""
    once = member.column(f"any_count_{member.spec.windows[-1]}d")
    return member.silent & (once >= member.bounds.win_back_contributions)


def _high_value(member: _Behaviour) -> Flags:
    """At least `high_value`; with no such bound and one tier nobody is."""
    tiers = member.bounds.tiers
    bound = member.bounds.high_value
    if bound is None:
        bound = tiers[-1].value if len(tiers) > 1 else np.inf
    return (member.value >= bound) & (member.value > 0)


STAGE_RULES: tuple[tuple[Stage, Callable[[_Behaviour], Flags]], ...] = (
    ("lost", _is_lost),
    ("silent", _is_silent),
    ("new", _is_new),
    ("growing", _is_growing),
    ("stable", _is_stable),
    ("active", _is_active),
)
_STAGE_OF_RULE = np.array([STAGES.index(name) for name, _ in STAGE_RULES], dtype=np.int8)

TAG_RULES: dict[Tag, Callable[[_Behaviour], Flags]] = {
    "newcomer_at_risk": _newcomer_at_risk,
    "interest_decay": _interest_decay,
    "demand_mismatch": _demand_mismatch,
    "estrangement": _estrangement,
    "win_back_candidate": _win_back_candidate,
    "high_value": _high_value,
}

"""A second implementation of every feature: plain Python on one member, one `as_of` at a time, written from the table of definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from models.features import FeatureSpec

DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAN = math.nan


@dataclass(frozen=True)
class Event:
    """`value` is NaN where the row has none; the signal `touch` is a delivered touch."""

    at: int
    signal: str
    value: float = NAN


@dataclass(frozen=True)
class _Case:
    spec: FeatureSpec
    past: list[Event]
    as_of: int
    joined: int

    def of(self, signal: str, days: int | None = None) -> list[Event]:
        """Events of a signal (`any`: of all qualifying ones) in the window."""
        names = {use.name for use in self.spec.signals if use.qualifying} if signal == "any" else {signal}
        since = self.as_of - (days or self.spec.lookback_days) * DAY
        return [event for event in self.past if event.signal in names and event.at >= since]

    def day(self, event: Event) -> int:
        """0 for the last 24 h: as_of - (k + 1) d <= at < as_of - k d gives k."""
        k = 0
        while event.at < self.as_of - (k + 1) * DAY:
            k += 1
        return k

    def days(self, signal: str, days: int | None = None) -> set[int]:
        return {self.day(event) for event in self.of(signal, days)}


def reference_features(spec: FeatureSpec, events: list[Event], as_of: int, joined: int) -> dict[str, float]:
    """Name -> value, from one member's events in the order of the log."""
    past = [event for event in events if as_of - spec.lookback_days * DAY <= event.at < as_of]
    case = _Case(spec, past, as_of, joined)
    found = _rhythm(case) | _timing(case) | _tenure(case)
    names = [use.name for use in spec.signals] + (["touch"] if spec.touches else [])
    for name in names:
        found |= _counts(case, name)
        found[f"{name}_share"] = _divide(len(case.of(name)), len(past))
    for use in spec.signals:
        if use.valued:
            found |= _values(case, use.name)
    found |= _counts(case, "any") | _variety(case)
    if spec.touches:
        found |= _answers(case)
    return found


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else NAN


def _counts(case: _Case, name: str) -> dict[str, float]:
    windows = case.spec.windows
    found: dict[str, float] = {f"{name}_count_{w}d": len(case.of(name, w)) for w in windows}
    found |= {f"{name}_active_days_{w}d": len(case.days(name, w)) for w in windows}
    found[f"days_since_{name}"] = min(((case.as_of - event.at) / DAY for event in case.of(name)), default=NAN)
    for w in windows:
        if 2 * w in windows:
            recent = len(case.of(name, w))
            before = len([event for event in case.of(name, 2 * w) if event.at < case.as_of - w * DAY])
            found[f"{name}_trend_{w}d"] = math.log((1 + recent) / (1 + before))
    return found


def _values(case: _Case, name: str) -> dict[str, float]:
    def values(days: int | None = None) -> list[float]:
        return [event.value for event in case.of(name, days) if not math.isnan(event.value)]

    found = {f"{name}_sum_{w}d": math.fsum(values(w)) for w in case.spec.windows}
    found[f"{name}_value_mean"] = _divide(math.fsum(values()), len(values()))
    found[f"{name}_value_last"] = values()[-1] if values() else NAN
    return found


def _seen_days(case: _Case) -> float:
    return min(max((case.as_of - case.joined) / DAY, 1), case.spec.lookback_days)


def _tenure(case: _Case) -> dict[str, float]:
    acts = case.of("any")
    silent = (case.as_of - acts[-1].at) / DAY if acts else NAN
    return {
        "tenure_days": max((case.as_of - case.joined) / DAY, 0),
        "any_per_week": 7 * len(acts) / _seen_days(case),
        "silent_share_of_tenure": silent / _seen_days(case),
        "first_seen_days": (case.as_of - acts[0].at) / DAY if acts else NAN,
    }


def _rhythm(case: _Case) -> dict[str, float]:
    days = sorted(case.days("any"))
    gaps = [later - earlier for earlier, later in pairwise(days)]
    mean = _divide(sum(gaps), len(gaps))
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) if gaps else NAN
    silent = min(((case.as_of - event.at) / DAY for event in case.of("any")), default=NAN)
    weeks = {day // 7 for day in days}
    streak = 0
    while streak in weeks:
        streak += 1
    return {
        "gap_mean": mean,
        "gap_sd": spread,
        "gap_max": max(gaps, default=NAN),
        "gap_now_to_usual": silent / mean,
        "gap_now_z": (silent - mean) / (spread + 1),
        "regularity": mean / (mean + spread),
        "active_weeks": len(weeks),
        "active_weeks_share": len(weeks) / math.ceil(_seen_days(case) / 7),
        "week_streak": streak,
    }


def _variety(case: _Case) -> dict[str, float]:
    qualifying = [use.name for use in case.spec.signals if use.qualifying]
    used = {f"signals_used_{w}d": sum(bool(case.of(name, w)) for name in qualifying) for w in case.spec.windows}
    shares = [_divide(len(case.of(name)), len(case.of("any"))) for name in qualifying]
    entropy = sum(share * math.log(1 / share) for share in shares if share > 0) if case.of("any") else NAN
    return {**used, "signal_entropy": entropy}


def _timing(case: _Case) -> dict[str, float]:
    offset = (EPOCH + timedelta(microseconds=case.as_of)).astimezone(ZoneInfo(case.spec.timezone)).utcoffset()
    assert offset is not None
    clock = [EPOCH + timedelta(microseconds=event.at) + offset for event in case.of("any")]
    quarters = {"night": range(6), "morning": range(6, 12), "afternoon": range(12, 18), "evening": range(18, 24)}
    found = {f"{name}_share": _divide(sum(at.hour in hours for at in clock), len(clock)) for name, hours in quarters.items()}
    found["weekend_share"] = _divide(sum(at.isoweekday() > 5 for at in clock), len(clock))
    return found


def _answers(case: _Case) -> dict[str, float]:
    old = [event for event in case.of("touch") if case.as_of - event.at >= 3 * DAY]
    answered = [touch for touch in old if any(touch.at < act.at <= touch.at + 3 * DAY for act in case.of("any"))]
    return {"touches_answered": len(answered), "touches_answered_share": _divide(len(answered), len(old))}


def reference_row(spec: FeatureSpec, events: list[Event], as_of: int, joined: int) -> np.ndarray:
    """As a row of the matrix, float64; KeyError for a declared feature that the reference does not know."""
    found = reference_features(spec, events, as_of, joined)
    assert set(found) == set(spec.names), sorted(set(found) ^ set(spec.names))
    return np.array([found[name] for name in spec.names])

"""Days on which a log holds far fewer events than its neighbours: usually a stopped export, not a silent community."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

NEIGHBOURS = 8
LEAST_SPREADS, MOST_SHARE = 4.5, 0.3
BUSY_DAY = 5.0


@dataclass(frozen=True)
class Hole:
    """From `first` to `last`, both inclusive: `found` events where about `usual` would be expected."""

    first: date
    last: date
    found: int
    usual: float


def holes(daily: Mapping[date, int]) -> tuple[Hole, ...]:
    """`daily`: events by day, days without any left out.

    Periods are days, or weeks where a usual day has fewer than 5 events; the first and the last day are not whole and left out.

    A period is compared with the 8 before and the 8 after it that are not empty, a day with those of the same day of the week. It is a
    hole where n is under 30 % of their median and its 2 sqrt(n + 3/8), whose spread is 1 for Poisson counts (Anscombe 1948), lies 4.5
    robust spreads below it. That spread is 1.4826 times the median step between neighbours over sqrt 2, at least 1, so that growth and
    decline do not widen it. Neighbouring holes are one.
    """
    first, last = min(daily), max(daily)
    days_told = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
    counts = np.array([daily.get(day, 0) for day in days_told], dtype=np.float64)[1:-1]
    if not len(counts):
        return ()
    busy = float(np.median(counts)) >= BUSY_DAY
    days = 1 if busy else 7
    whole = len(counts) // days * days
    periods = counts[:whole].reshape(-1, days).sum(axis=1)
    usual = _usual(periods, season=7 if busy else 1)
    return tuple(_runs(periods, usual, days_told[1], days))


@dataclass(frozen=True)
class _Usual:
    """Of each period: the median of its neighbours, and how many robust spreads it lies below it. Shape (n_periods,)."""

    count: np.ndarray
    spreads_below: np.ndarray


def _usual(counts: np.ndarray, season: int) -> _Usual:
    root = 2 * np.sqrt(counts + 0.375)
    median, spread = np.full(len(counts), np.nan), np.ones(len(counts))
    for start in range(season):
        phase = np.arange(start, len(counts), season)
        filled = phase[counts[phase] > 0]
        for position in phase:
            at = np.searchsorted(filled, position)
            near = np.concatenate([filled[max(0, at - NEIGHBOURS) : at], filled[at + (position in filled[at : at + 1]) :][:NEIGHBOURS]])
            if len(near) >= 3:
                median[position] = np.median(root[near])
                spread[position] = max(1.0, 1.4826 * np.median(np.abs(np.diff(root[near]))) / np.sqrt(2))
    return _Usual((median / 2) ** 2 - 0.375, (median - root) / spread)


def _runs(counts: np.ndarray, usual: _Usual, start: date, days: int) -> list[Hole]:
    flagged = (usual.spreads_below >= LEAST_SPREADS) & (counts < MOST_SHARE * usual.count)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flagged, [False]])))
    return [
        Hole(
            start + timedelta(days=int(low) * days),
            start + timedelta(days=int(high) * days - 1),
            int(counts[low:high].sum()),
            float(usual.count[low:high].sum()),
        )
        for low, high in zip(edges[::2], edges[1::2], strict=True)
    ]

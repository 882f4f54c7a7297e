"""Days on which a log holds far fewer events than its neighbours: usually a stopped export, not a silent community."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Floats, Integers

NEIGHBOURS = 8
FEWEST_NEIGHBOURS = 3
LEAST_SPREADS, MOST_SHARE = 4.5, 0.3
BUSY_DAY = 5.0
ONE_WAY = 0.75


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
    hole where n is under 30 % of what is usual there and its 2 sqrt(n + 3/8), whose spread is 1 for Poisson counts (Anscombe 1948), lies
    4.5 robust spreads below it, that of one count around a trend (`_spread`). Usual is their median, and in a log that grows no more than
    what had been reached by then (`_expected`): an empty day is likely among its first ones, however busy those are that follow.
    Neighbouring holes are one.
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
    """Of each period: what its neighbours lead to expect, and how many robust spreads it lies below it. Shape (n_periods,)."""

    count: np.ndarray
    spreads_below: np.ndarray


@dataclass(frozen=True)
class _Around:
    """Positions of the periods with events that are nearest to one, rising."""

    before: Integers
    after: Integers

    @classmethod
    def of(cls, filled: Integers, position: int, most: int) -> Self:
        at = int(np.searchsorted(filled, position))
        beyond = at + int(position in filled[at : at + 1])
        return cls(filled[max(0, at - most) : at], filled[beyond : beyond + most])

    @property
    def both(self) -> Integers:
        return np.concatenate([self.before, self.after])


def _usual(counts: Floats, season: int) -> _Usual:
    root = 2 * np.sqrt(counts + 0.375)
    usual, spread = np.full(len(counts), np.nan), np.ones(len(counts))
    filled = np.flatnonzero(counts > 0)
    for position in range(len(counts)):
        same = _Around.of(filled[filled % season == position % season], position, NEIGHBOURS)
        if len(same.both) >= FEWEST_NEIGHBOURS:
            usual[position] = _expected(root, position, same, _Around.of(filled, position, FEWEST_NEIGHBOURS))
            spread[position] = _spread(root, same)
    return _Usual((usual / 2) ** 2 - 0.375, (usual - root) / spread)


def _spread(root: Floats, same: _Around) -> float:
    """1.4826 times the median step between neighbours over sqrt 2, at least 1.

    Where three steps in four go one way, as in a log that grows fast, steps are growth rather than noise: then of the steps between steps
    over sqrt 6, unless there are too few, or too few from before.
    """
    steps, over = np.diff(root[same.both]), 2.0
    enough = len(same.before) >= FEWEST_NEIGHBOURS and len(same.both) >= 2 * FEWEST_NEIGHBOURS
    if enough and max((steps > 0).mean(), (steps < 0).mean()) >= ONE_WAY:
        steps, over = np.diff(steps), 6.0
    return max(1.0, 1.4826 * float(np.median(np.abs(steps))) / float(np.sqrt(over)))


def _expected(root: Floats, position: int, same: _Around, days: _Around) -> float:
    """The median of `same`; where they rise, no more than their line says of this time, and no more than had been reached by then."""
    line = _Line.of(root, same.both, position)
    return max(0.0, min(float(np.median(root[same.both])), line.there if line.slope > 0 else np.inf, _reached(root, position, same, days)))


class _Line(NamedTuple):
    slope: float
    there: float

    @classmethod
    def of(cls, root: Floats, near: Integers, position: int) -> Self:
        """What periods `near` say of `position`: their line has the median of all slopes between two of them (Theil 1950, Sen 1968)."""
        one, other = np.triu_indices(len(near), k=1)
        slope = float(np.median((root[near[other]] - root[near[one]]) / (near[other] - near[one])))
        return cls(slope, float(np.median(root[near] - slope * (near - position))))


def _reached(root: Floats, position: int, same: _Around, days: _Around) -> float:
    """The highest of the upper quartile of those before, the last three, and what the line of those before says of this time.

    Where there are not three before, no more than the days beside it.
    """
    if len(same.before) >= FEWEST_NEIGHBOURS:
        highest = float(root[same.before[-FEWEST_NEIGHBOURS:]].max())
        return max(float(np.quantile(root[same.before], 0.75)), highest, _Line.of(root, same.before, position).there)
    beside = days.before if len(days.before) == FEWEST_NEIGHBOURS else days.after
    return min(float(root[beside].max()), float(root[same.before].max()) if len(same.before) else np.inf)


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

"""Arms of an experiment of which one is small: when a comparison may rest on normal means, and what is told where it may not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, isinf
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from models.intervals import Estimate
from models.measured import symmetric, unskewed
from models.score_interval import Shares, score_interval, score_p
from models.two_arms import ALPHA, REACH, Compared, compare_arms

if TYPE_CHECKING:
    from models.arrays import Flags, Floats
    from models.two_arms import Measure

HARDLY_SKEWED, MOST_SKEWED = 0.3, 0.5
"""Skewness of a difference: up to which that of shares is as good as normal, and up to which that of means can be corrected for."""
FEWEST = 50.0
"""Members of equal weight on a side from whom on the spread that is seen is near enough to the true one.

`python -m tests.benchmarks small_arms` measures what these three lead to.
"""
TENS = 10


class SmallArm(NamedTuple):
    """Too few to say: the interval of the difference would not hold. `needed`: about so many of the smaller arm would do."""

    mean: float
    control_mean: float
    needed: int


class Shape(NamedTuple):
    """Of a difference of means: its skewness, and the degrees of freedom of its variance."""

    skewness: float
    degrees: float


@dataclass(frozen=True)
class Balance:
    """members, control_members: as many of equal weight would be worth as much.

    The `shape` of the difference, if both arms vary as both together do, and `as_seen`, if each varies as its own members do.
    """

    members: float
    control_members: float
    shape: Shape
    as_seen: Shape

    @classmethod
    def of(cls, weight: Floats, control_weight: Floats, residual: Floats, control_residual: Floats) -> Self:
        """Weights by member of each arm, any sum; residuals: outcomes less the mean of their arm. Each of shape (its number,)."""
        arms, both = (weight / weight.sum(), control_weight / control_weight.sum()), np.concatenate([residual, control_residual])
        own, control_own, together = (float(seen.std()) for seen in (residual, control_residual, both))
        members = _worth(weight), _worth(control_weight)
        if together == 0:
            return cls(*members, Shape(0.0, inf), Shape(0.0, inf))
        third, fourth = (float((both**power).mean()) / together**power for power in (3, 4))
        alike, different = (_shape(arms, spreads, third, fourth) for spreads in ((together, together), (own, control_own)))
        return cls(*members, alike, different)

    @property
    def fewest(self) -> float:
        return min(self.members, self.control_members)

    @property
    def most(self) -> float:
        return max(abs(self.shape.skewness), abs(self.as_seen.skewness))

    @property
    def degrees(self) -> float:
        return min(self.shape.degrees, self.as_seen.degrees)

    def bears(self, skewness: float, members: float) -> bool:
        return self.fewest >= members and self.most <= skewness

    def needed(self, members: int, least: float) -> int:
        """Of an arm that has so many: with n times as many the skewness is about 1 / sqrt(n) of what it is."""
        times = max((self.most / MOST_SKEWED) ** 2, least / self.fewest)
        return ceil(members * times / TENS) * TENS


def compare_members(measure: Measure, treated: Flags, control: Flags) -> Compared | SmallArm | None:
    """As `compare_arms`, but by what an interval of small arms can rest on.

    A share of few by the score interval, without what members did before; means and ratios with their skewness taken out (Hall 1992, as in
    `Measured`), which is that of all residuals and not of the few; too skewed for so few, not at all.
    """
    found = compare_arms(measure, treated, control)
    if found is None:
        return None
    sizes = int(treated.sum()), int(control.sum())
    balance = Balance.of(np.ones(sizes[0]), np.ones(sizes[1]), _residual(measure, treated), _residual(measure, control))
    if is_share(measure) and not balance.bears(HARDLY_SKEWED, FEWEST):
        return of_shares(Shares(found.mean, sizes[0], found.control_mean, sizes[1]), found.members)
    if balance.bears(MOST_SKEWED, 0):
        return _symmetric(found, balance)
    return SmallArm(found.mean, found.control_mean, balance.needed(min(sizes), 0))


def _symmetric(found: Compared, balance: Balance) -> Compared:
    value, error = found.lift.value, (found.lift.upper - found.lift.value) / _reach(found.degrees)
    degrees, skewness = min(found.degrees, balance.degrees), balance.shape.skewness
    reach, pivot = _reach(degrees), -abs(symmetric(value / error, skewness))
    below, above = (value - error * unskewed(side, skewness) for side in (reach, -reach))
    p = 2 * float(ndtr(pivot) if isinf(degrees) else stdtr(degrees, pivot))
    return replace(found, lift=Estimate(value, below, above), p=p, degrees=degrees)


def _reach(degrees: float) -> float:
    return REACH if isinf(degrees) else float(stdtrit(degrees, 1 - ALPHA / 2))


def is_share(measure: Measure) -> bool:
    return measure.kind == "retention" and measure.per is None


def of_shares(shares: Shares, members: int) -> Compared:
    """Without the relative lift, of which this interval says nothing."""
    return Compared(members, shares.share, shares.other, score_interval(shares, 1 - ALPHA), None, score_p(shares))


def _residual(measure: Measure, rows: Flags) -> Floats:
    """Of a ratio its numerator less the ratio of the arm times the denominator."""
    value = measure.value[rows]
    per = np.ones(len(value)) if measure.per is None else measure.per[rows]
    return np.asarray(value - value.sum() / per.sum() * per)


def _shape(arms: tuple[Floats, Floats], spreads: tuple[float, float], third: float, fourth: float) -> Shape:
    """Of outcomes of these spreads s and t, and of skewness g and kurtosis k; the weights w and v of the arms add up to 1 each.

    Skewness: g (s^3 sum w^3 - t^3 sum v^3) / (s^2 sum w^2 + t^2 sum v^2)^(3/2). Degrees, after Satterthwaite, of whom k is 3:
    2 (s^2 sum w^2 + t^2 sum v^2)^2 / ((k - 1) (s^4 sum w^4 + t^4 sum v^4)).
    """
    one, other = (spread * weight for spread, weight in zip(spreads, arms, strict=True))
    squares, cubes, fourths = (float((one**power).sum() + sign * (other**power).sum()) for power, sign in ((2, 1), (3, -1), (4, 1)))
    return Shape(third * cubes / squares**1.5, 2 * squares**2 / ((fourth - 1) * fourths) if fourth > 1 else inf)


def _worth(weight: Floats) -> float:
    """So many members of equal weight (Kish 1965, section 11.7)."""
    return float(weight.sum() ** 2 / (weight**2).sum())

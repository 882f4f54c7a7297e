"""Figures with what each member contributed to them: their errors, and those of their differences, follow without drawing again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from scipy.special import stdtr, stdtrit

from models.errors import NotEnoughData
from models.intervals import Estimate

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.intervals import Members

FEWEST_DEGREES = 2.0
FORESEEN = 3.0
"""A predicted variance counts as much as this many squared residuals: the z^2 of Agresti and Coull (1998) at a level of 0.9 is 2.7."""


@dataclass(frozen=True)
class Swings:
    """What the outcome of each row, 1 or 0, decides, all of shape (n_rows,).

    `swing`: what an outcome of 1 instead of 0 adds to a figure; `chance`: of 1, as predicted without the row's member; `seen`: the outcome.
    """

    swing: Floats
    chance: Floats
    seen: Floats

    def __sub__(self, other: Swings) -> Self:
        return replace(self, swing=self.swing - other.swing)

    def __mul__(self, factor: float) -> Self:
        return replace(self, swing=self.swing * factor)

    @property
    def unseen(self) -> float:
        """Variance that the predictions foresee and the residuals do not show, never negative.

        M - O, of M = sum swing^2 p (1 - p) and O = sum swing^2 (y - p)^2, with the credibility k / (k + m) of M beside O, which is worth
        m = M^2 / var(O) squared residuals; k is FORESEEN. Where few rows with large swings meet a rare outcome, m is small, and they often
        show nothing of it; where rows are many, this vanishes.
        """
        squares, doubt = np.square(self.swing), self.chance * (1 - self.chance)
        foreseen = float((squares * doubt).sum())
        missed = foreseen - float((squares * np.square(self.seen - self.chance)).sum())
        if missed <= 0:
            return 0.0
        noise = float((np.square(squares * (1 - 2 * self.chance)) * doubt).sum())
        return missed * FORESEEN * noise / (FORESEEN * noise + foreseen**2)


@dataclass(frozen=True)
class Measured:
    """`value` minus its truth is, up to smaller terms, the sum of `influence`, shape (n_members,), whose entries are independent.

    Figures of the same members may be subtracted and scaled; what they share cancels in the interval. `swings`, where they are told: what
    the outcomes of the rows decide in it, so that outcomes too rare to be among them are reckoned with.
    """

    value: float
    influence: Floats
    swings: Swings | None = None

    def __sub__(self, other: Measured) -> Measured:
        swings = None if self.swings is None or other.swings is None else self.swings - other.swings
        return Measured(self.value - other.value, self.influence - other.influence, swings)

    def __mul__(self, factor: float) -> Measured:
        return Measured(self.value * factor, self.influence * factor, None if self.swings is None else self.swings * factor)

    @property
    def standard_error(self) -> float:
        """sqrt(G / (G - 1) sum_g influence_g^2 + what is unseen) over G members, whose rows may depend on each other."""
        n = len(self.influence)
        unseen = 0.0 if self.swings is None else self.swings.unseen
        return float(np.sqrt(n / (n - 1) * np.square(self.influence).sum() + unseen))

    def interval(self, level: float) -> Estimate:
        """Student's t of the effective degrees of freedom on the scale on which the skewness is gone.

        With s the skewness of the influences over sqrt(G), Hall (1992, J. R. Statist. Soc. B 54, 221-228) turns the pivot T into
        T + s T^2 / 3 + s^2 T^3 / 27 + s / 6, which is monotone and symmetric to second order; both ends of the interval are
        mapped back: money and weights are skewed, and a symmetric interval would be passed on one side six times as often. The degrees of
        freedom 2 G / (kurtosis - 1), at most G - 1, are those of the variance itself (Satterthwaite): few heavy members, wide interval.
        """
        if self.standard_error == 0:
            return Estimate(self.value, self.value, self.value)
        pivot, error = self._pivot, self.standard_error
        reach = float(stdtrit(pivot.degrees, (1 + level) / 2))
        ends = (self.value - error * unskewed(side, pivot.skewness) for side in (reach, -reach))
        return Estimate(self.value, *ends)

    @property
    def p(self) -> float:
        """Of a truth of 0, on both sides: below 1 - level where the interval of that level leaves 0 out. 1 where nothing varies."""
        if self.standard_error == 0:
            return 1.0
        pivot = self._pivot
        return float(2 * stdtr(pivot.degrees, -abs(symmetric(self.value / self.standard_error, pivot.skewness))))

    @property
    def _pivot(self) -> _Pivot:
        n = len(self.influence)
        spread = float(np.sqrt(np.square(self.influence).sum()))
        if spread == 0:
            return _Pivot(0.0, n - 1)
        shape = self.influence / spread
        kurtosis = n * float((shape**4).sum())
        skewness = float((shape**3).sum()) * (np.sqrt(n / (n - 1)) * spread / self.standard_error) ** 3
        return _Pivot(skewness, float(np.clip(2 * n / max(kurtosis - 1, 1e-9), min(FEWEST_DEGREES, n - 1), n - 1)))


def ratio_of(numerator: Floats, denominator: Floats, members: Members) -> Measured:
    """sum(numerator) / sum(denominator) of rows, each of shape (n,); the denominator is nowhere negative.

    The influence of a member is (G - 1) / G times what leaving its rows out changes (the jackknife of Quenouille and Tukey), exact for
    a ratio, and larger than the linear one for a member of much weight. Raises NotEnoughData where one member holds all of the denominator.
    """
    above, below = members.sums(numerator), members.sums(denominator)
    others = below.sum() - below
    if members.n < 2 or others.min() <= 1e-12 * below.sum():
        raise NotEnoughData("interval: one member or group holds all the weight; at least two that matter are needed")
    value = float(above.sum() / below.sum())
    left_out = (above.sum() - above) / others
    return Measured(value, (members.n - 1) / members.n * (value - left_out))


def mean_of(per_row: Floats, members: Members) -> Measured:
    """The mean over rows; raises NotEnoughData on a single member."""
    return ratio_of(per_row, np.ones(len(per_row)), members)


class _Pivot(NamedTuple):
    """`skewness` of the influences over sqrt(G), and the degrees of freedom of their variance."""

    skewness: float
    degrees: float


def symmetric(pivot: float, skewness: float) -> float:
    """Hall's transformation."""
    return pivot + skewness * pivot**2 / 3 + skewness**2 * pivot**3 / 27 + skewness / 6


def unskewed(pivot: float, skewness: float) -> float:
    """The inverse of Hall's transformation: 3 / s ((1 + s (y - s / 6))^(1/3) - 1)."""
    if abs(skewness) < 1e-6:
        return pivot
    return float(3 / skewness * (np.cbrt(1 + skewness * (pivot - skewness / 6)) - 1))

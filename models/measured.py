"""Figures with what each member contributed to them: their errors, and those of their differences, follow without drawing again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from models.errors import NotEnoughData
from models.intervals import Estimate

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.intervals import Members

FEWEST_DEGREES = 2.0


@dataclass(frozen=True)
class Measured:
    """`value` minus its truth is, up to smaller terms, the sum of `influence`, shape (n_members,), whose entries are independent.

    Figures of the same members may be subtracted and scaled; what they share cancels in the interval.
    """

    value: float
    influence: Floats

    def __sub__(self, other: Measured) -> Measured:
        return Measured(self.value - other.value, self.influence - other.influence)

    def __mul__(self, factor: float) -> Measured:
        return Measured(self.value * factor, self.influence * factor)

    @property
    def standard_error(self) -> float:
        """sqrt(G / (G - 1) sum_g influence_g^2) over G members: the sandwich, which lets the rows of a member depend on each other."""
        n = len(self.influence)
        return float(np.sqrt(n / (n - 1) * np.square(self.influence).sum()))

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
        ends = (self.value - error * _unskewed(side, pivot.skewness) for side in (reach, -reach))
        return Estimate(self.value, *ends)

    @property
    def p(self) -> float:
        """Of a truth of 0, on both sides: below 1 - level where the interval of that level leaves 0 out. 1 where nothing varies."""
        if self.standard_error == 0:
            return 1.0
        pivot = self._pivot
        return float(2 * stdtr(pivot.degrees, -abs(_symmetric(self.value / self.standard_error, pivot.skewness))))

    @property
    def _pivot(self) -> _Pivot:
        n = len(self.influence)
        shape = self.influence / np.sqrt(np.square(self.influence).mean())
        skewness, kurtosis = float((shape**3).mean()) / np.sqrt(n), float((shape**4).mean())
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


def _symmetric(pivot: float, skewness: float) -> float:
    """Hall's transformation."""
    return pivot + skewness * pivot**2 / 3 + skewness**2 * pivot**3 / 27 + skewness / 6


def _unskewed(pivot: float, skewness: float) -> float:
    """The inverse of Hall's transformation: 3 / s ((1 + s (y - s / 6))^(1/3) - 1)."""
    if abs(skewness) < 1e-6:
        return pivot
    return float(3 / skewness * (np.cbrt(1 + skewness * (pivot - skewness / 6)) - 1))

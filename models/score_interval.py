"""The difference of two shares by the score test turned around: an interval that holds for few members and for shares near 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from scipy.special import ndtr, ndtri

from models.intervals import Estimate

EDGE = 1e-9
PRECISION = 1e-10
HAIR = 1e-12
USUAL_REACH = float(ndtri(0.975))


class Shares(NamedTuple):
    """Of `members` and `other_members`, which need not be whole: those that carry unequal weights count as fewer equal ones would."""

    share: float
    members: float
    other: float
    other_members: float

    @property
    def difference(self) -> float:
        return self.share - self.other


def score_interval(shares: Shares, level: float) -> Estimate:
    """All differences that the test does not reject at 1 - level.

    Score intervals (Miettinen and Nurminen 1985, Statistics in Medicine 4, 213-226) with the skewness taken out (Gart and Nam 1990,
    Biometrics 46, 637-643; Laud 2017, Pharmaceutical Statistics 16, 334-348), so that they miss the truth equally often on both sides
    where one of the two is small.
    """
    at, reach = shares.difference, float(ndtri((1 + level) / 2))
    lower, upper = EDGE - 1, 1 - EDGE
    low = -1.0 if score(shares, lower) <= reach else _root(lambda given: score(shares, given) - reach, lower, at, PRECISION)
    high = 1.0 if score(shares, upper) >= -reach else _root(lambda given: score(shares, given) + reach, at, upper, PRECISION)
    return Estimate(at, float(low), float(high))


def score_p(shares: Shares) -> float:
    """Of no difference, on both sides: below 1 - level where the interval of that level leaves 0 out."""
    return float(2 * ndtr(-abs(score(shares, 0.0))))


def score(shares: Shares, given: float) -> float:
    """The difference less the `given` one in standard errors, normal where the given one is true.

    With the likeliest shares p + given and p of such a difference, variance V = (sum of p (1 - p) / n) N / (N - 1), third moment mu of
    the difference and a = mu / (6 V^(3/2)), it is the z with z + a (z^2 - 1) = (difference - given) / sqrt(V) (Laud 2017, section 2.3).
    """
    apart = shares.difference - given
    if abs(apart) < PRECISION:
        return 0.0
    other = _likeliest(shares, given)
    one, n, m = other + given, shares.members, shares.other_members
    variance, other_variance = one * (1 - one), other * (1 - other)
    spread = sqrt(max(variance / n + other_variance / m, EDGE**2) * (n + m) / (n + m - 1))
    third = variance * (1 - 2 * one) / n**2 - other_variance * (1 - 2 * other) / m**2
    plain, skewness = apart / spread, third / (6 * spread**3)
    root = 1 + 4 * skewness * (plain + skewness)
    if abs(skewness) < EDGE:
        return plain
    return (sqrt(root) - 1) / (2 * skewness) if root >= 0 else plain - skewness * (USUAL_REACH**2 - 1)


def _likeliest(shares: Shares, given: float) -> float:
    """The share of the other for which what was seen is likeliest, where the first is larger by `given`.

    The slope of the log-likelihood falls, and is 0 there.
    """
    least, most = max(0.0, -given), min(1.0, 1 - given)
    counts = (shares.share * shares.members, (1 - shares.share) * shares.members)
    others = (shares.other * shares.other_members, (1 - shares.other) * shares.other_members)

    def slope(other: float) -> float:
        one = other + given
        parts = ((counts[0], one), (-counts[1], 1 - one), (others[0], other), (-others[1], 1 - other))
        return sum(number / share for number, share in parts if number)

    low, high = least + HAIR, most - HAIR
    if high <= low or slope(low) <= 0:
        return least
    return most if slope(high) >= 0 else _root(slope, low, high, HAIR / 10)


def _root(function: Callable[[float], float], low: float, high: float, within: float) -> float:
    from scipy.optimize import brentq  # noqa: PLC0415 - half a second that only the reading of experiments needs

    return float(brentq(function, low, high, xtol=within))

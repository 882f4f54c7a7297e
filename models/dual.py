"""Prices that balance a demand with what there is: the Lagrangian dual, minimised from sums over members alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.errors import InputError

if TYPE_CHECKING:
    from models.arrays import Flags, Floats

TOLERANCE = 1e-7
MOST_STEPS = 400
_FIRST_RADIUS = 1.0
_RADIUS_FROM_A_START = 0.05
_WORTH_A_MOVE = 0.1


@dataclass(frozen=True)
class Demand:
    """What members would take at given prices: their surplus after paying, and what of each resource they would use, shape (r,).

    Demands of parts of the members add up to that of all.
    """

    surplus: float
    use: Floats

    def __add__(self, other: Demand) -> Demand:
        return Demand(self.surplus + other.surplus, self.use + other.use)


@dataclass(frozen=True)
class Quote:
    """One set of prices, shape (r,), and the share of the members who are to choose by it."""

    prices: Floats
    share: float


class Known(NamedTuple):
    """A demand that was asked for before, at these prices."""

    prices: Floats
    demand: Demand


@dataclass(frozen=True)
class Dual:
    """Prices (r,), 0 where `limits` are infinite; `bound`: no assignment within the limits is worth more.

    `quotes`: the shares add up to 1; members who choose by them use, all together, what the limits allow (the linear programme's own
    mixture, which single prices cannot express where many members are tied).
    """

    prices: Floats
    bound: float
    quotes: tuple[Quote, ...]


def minimise_dual(
    demand: Callable[[Floats], Demand],
    limits: Floats,
    *,
    start: Floats | None = None,
    known: Sequence[Known] = (),
    tolerance: float = TOLERANCE,
) -> Dual:
    """Prices >= 0 of the least D = surplus(prices) + prices . limits, to a relative `tolerance`; limits (r,), infinite where none.

    D is convex and piecewise linear with the slope limits - use. Each evaluation adds its tangent to a model from below; the next point
    minimises the model within a box around the best so far, a linear programme with one variable for each finite limit (bundle method
    with a box as trust region: Hiriart-Urruty and Lemaréchal 1993, chapter XV). `start` saves steps and changes nothing else;
    so does what is `known`, for a demand does not depend on limits and is a tangent under any.
    """
    free = demand(np.zeros_like(limits))
    bound = np.isfinite(limits)
    if (free.use[bound] <= limits[bound]).all():
        return _without_prices(free, limits)
    tangents = _Tangents.around(free, limits, bound)
    tangents.add(np.zeros_like(limits), free)
    radius = _FIRST_RADIUS
    if start is not None:
        tangents.add(start, demand(start))
        radius = _RADIUS_FROM_A_START
    for before in known:
        tangents.add(*before)
    if known:
        radius = _RADIUS_FROM_A_START
    for _ in range(MOST_STEPS):
        step = tangents.step(radius)
        if step.promised <= tolerance:
            if not step.at_edge:
                return tangents.dual(step)
            radius *= 4
            continue
        prices = tangents.prices(step.point)
        gained = tangents.add(prices, demand(prices))
        radius *= _stretch(gained / step.promised, at_edge=step.at_edge)
    return tangents.dual(tangents.step(np.inf))


def _without_prices(free: Demand, limits: Floats) -> Dual:
    nothing = np.zeros_like(limits)
    return Dual(nothing, free.surplus, (Quote(nothing, 1.0),))


def _stretch(ratio: float, *, at_edge: bool) -> float:
    """How the box changes after a step that gained `ratio` of what the model promised."""
    if ratio >= _WORTH_A_MOVE:
        return 3.0 if at_edge else 1.0
    return 0.5 if ratio < -1 else 1.0


@dataclass(frozen=True)
class _Step:
    """point (m,); `promised`: how far below the best the model lies there; shares (n_tangents,) of its linear programme."""

    point: Floats
    promised: float
    at_edge: bool
    shares: Floats


class _Tangents:
    """Tangents of D in units in which prices and values are about 1: `unit` (m,) of the prices, `worth` of D; `kept` (r,) has m."""

    def __init__(self, kept: Flags, limits: Floats, unit: Floats, worth: float) -> None:
        self._kept, self._limits, self._unit, self._worth = kept, limits, unit, worth
        self._points = np.empty((0, len(unit)))
        self._values = np.empty(0)
        self._slopes = np.empty((0, len(unit)))

    @classmethod
    def around(cls, free: Demand, limits: Floats, kept: Flags) -> Self:
        """A unit of a price is the surplus at no prices over what is used of the resource then, or else over its limit."""
        scale = np.where(free.use > 0, free.use, np.where(limits > 0, limits, 1.0))[kept]
        return cls(kept, limits[kept], free.surplus / scale, free.surplus)

    def add(self, prices: Floats, demand: Demand) -> float:
        """How far D lies there below the best so far."""
        point = prices[self._kept] / self._unit
        value = (demand.surplus + float(prices[self._kept] @ self._limits)) / self._worth
        slope = (self._limits - demand.use[self._kept]) * self._unit / self._worth
        gained = float(self._values.min(initial=np.inf) - value)
        self._points = np.vstack([self._points, point])
        self._values = np.append(self._values, value)
        self._slopes = np.vstack([self._slopes, slope])
        return gained

    def prices(self, point: Floats) -> Floats:
        prices = np.zeros(len(self._kept))
        prices[self._kept] = point * self._unit
        return prices

    def step(self, radius: float) -> _Step:
        """Minimise t over t >= value + slope . (p - point) and |p - best| <= radius, p >= 0."""
        from scipy.optimize import linprog  # noqa: PLC0415 - half a second that only planning needs

        best = int(np.argmin(self._values))
        centre = self._points[best]
        lowest, highest = np.maximum(centre - radius, 0), centre + radius
        tangents = np.column_stack([self._slopes, -np.ones(len(self._values))])
        heights = np.einsum("jm,jm->j", self._slopes, self._points) - self._values
        solved = linprog(
            [*np.zeros(len(centre)), 1.0],
            A_ub=tangents,
            b_ub=heights,
            bounds=[*zip(lowest, highest, strict=True), (None, None)],
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if solved.x is None:
            raise InputError(f"allocation: the prices cannot be found ({solved.message}); are values or costs of very different sizes?")
        point = np.clip(solved.x[:-1], lowest, highest)
        at_edge = bool((point >= highest - 1e-9 * radius).any() or ((point <= lowest + 1e-9 * radius) & (lowest > 0)).any())
        return _Step(point, float(self._values[best] - solved.x[-1]), at_edge, -solved.ineqlin.marginals)

    def dual(self, step: _Step) -> Dual:
        best = int(np.argmin(self._values))
        shares = np.maximum(step.shares, 0) / np.maximum(step.shares, 0).sum()
        quotes = tuple(Quote(self.prices(self._points[at]), float(shares[at])) for at in np.flatnonzero(shares > TOLERANCE))
        return Dual(self.prices(self._points[best]), float(self._values[best]) * self._worth, quotes)

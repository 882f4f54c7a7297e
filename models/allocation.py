"""Who gets what under a budget and capacities: a plan, how far from the best it can be at most, and the prices that go with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.dual import minimise_dual
from models.errors import InputError
from models.exact_core import refine
from models.offers import NOBODY, Offers
from models.rationing import with_slack
from models.rounding import rounded
from models.shadow_prices import ShadowPrices

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.arrays import Floats, Integers

SAMPLE = 20_000


@dataclass(frozen=True)
class Used:
    """interventions (k,), channels (n_channels,): the members who take of each, by their weight."""

    interventions: Floats
    channels: Floats


@dataclass(frozen=True)
class Plan:
    """choice (n_members,): position of the intervention, -1 for none. `value` is its net value, `bound` one that no plan exceeds."""

    choice: Integers
    value: float
    bound: float
    shadow_prices: ShadowPrices
    spend: float
    used: Used

    @property
    def gap(self) -> float:
        """(bound - value) / bound: the share that a better plan could add at most; 0 where nothing can be gained."""
        return (self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def allocate(
    net_value: npt.ArrayLike,
    cost: npt.ArrayLike,
    budget: float | None = None,
    capacity: npt.ArrayLike | None = None,
    *,
    channel: npt.ArrayLike | None = None,
    channel_capacity: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
) -> Plan:
    """Maximise the sum of net values over plans of one intervention a member or none, within the budget and all capacities.

    net_value (n, k): -inf or NaN where not allowed; what is not above 0 is never chosen. cost, >= 0: (n, k) or (k,). capacity (k,) and
    channel_capacity (n_channels,) count members, inf where there is none; channel: positions in the latter, (n, k) or (k,). weight (n,)
    in [0, 1], the probability that the choice is carried out, multiplies value, cost and use. A limit is kept to a relative 1e-9, what
    sums of money round to.

    The Lagrangian dual, which takes only sums over members, gives the prices and the bound. Members choose by the prices and are admitted
    while there is room; what is left is handed out; then the closest calls, in a small problem all, are decided again by branch and bound.
    Raises InputError for shapes and numbers that cannot be used.
    """
    limits = _limits(np.shape(net_value), budget, capacity, channel_capacity)
    offers = _offers(net_value, cost, channel, len(limits), weight)
    return plan_of(offers, limits)


def plan_of(offers: Offers, limits: Floats) -> Plan:
    """The plan of `offers` within `limits`, shape (r,), in the order that Offers names; infinite where there is none."""
    feasible = _feasible(offers, limits)
    if not (feasible.value > -np.inf).any():
        return _plan(feasible, np.full(offers.n_members, NOBODY), 0.0, np.zeros_like(limits))
    dual = minimise_dual(feasible.demand, limits, start=_start(feasible, limits))
    refined = refine(feasible, rounded(feasible, dual, limits), with_slack(limits), dual)
    return _plan(feasible, refined.choice, refined.bound, dual.prices)


def _plan(offers: Offers, choice: Integers, bound: float, prices: Floats) -> Plan:
    used, value = offers.used(choice), offers.worth(choice)
    spend, interventions, channels = np.split(used, [1, 1 + offers.n_interventions])
    return Plan(
        choice=choice,
        value=value,
        bound=max(bound, value),
        shadow_prices=ShadowPrices.of(prices, offers.n_interventions),
        spend=float(spend[0]),
        used=Used(interventions, channels),
    )


def _feasible(offers: Offers, limits: Floats) -> Offers:
    """Without the candidates that exceed a limit alone: no plan has them, so that without them the bound is closer."""
    value = offers.value.copy()
    for chunk in offers.chunks():
        value[:, chunk][~offers.of_members(chunk).fits(with_slack(limits))] = -np.inf
    return replace(offers, value=value)


def _start(offers: Offers, limits: Floats) -> Floats | None:
    """The prices of every so-manieth member with as many times less of everything: most of the way in passes over few members."""
    every = offers.n_members // SAMPLE
    if every < 2:
        return None
    sample = offers.of_members(np.arange(every // 2, offers.n_members, every))
    return minimise_dual(sample.demand, limits * (sample.n_members / offers.n_members)).prices


def _limits(shape: tuple[int, ...], budget: float | None, capacity: npt.ArrayLike | None, channel_capacity: npt.ArrayLike | None) -> Floats:
    if len(shape) != 2:
        raise InputError(f"allocate: net_value has the shape {shape}; give a row for each member and a column for each intervention")
    interventions = np.full(shape[1], np.inf) if capacity is None else np.asarray(capacity, dtype=np.float64)
    channels = np.empty(0) if channel_capacity is None else np.asarray(channel_capacity, dtype=np.float64)
    if interventions.shape != shape[1:] or channels.ndim != 1:
        raise InputError(f"allocate: {interventions.shape} capacities for {shape[1]} interventions; give one each, inf where there is none")
    limits = np.concatenate([[np.inf if budget is None else budget], interventions, channels])
    if not (limits >= 0).all():
        raise InputError(
            f"allocate: a limit is {limits[~(limits >= 0)][0]:g}; a budget and a capacity are 0 or more, inf where there is none"
        )
    return limits


def _offers(
    net_value: npt.ArrayLike, cost: npt.ArrayLike, channel: npt.ArrayLike | None, n_resources: int, weight: npt.ArrayLike | None
) -> Offers:
    value = np.asarray(net_value, dtype=np.float64)
    worth_it = value > 0
    costs = np.where(worth_it, np.asarray(cost, dtype=np.float64), 0.0)
    n_channels = n_resources - 1 - value.shape[1]
    weights = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=np.float64)
    _refuse_what_cannot_be(value, costs, weights)
    return Offers(
        value=np.ascontiguousarray(np.where(worth_it, value, -np.inf).T),
        cost=np.ascontiguousarray(costs.T),
        weight=weights,
        channel=_channels(channel, value.shape, n_channels) if n_channels else None,
        n_channels=n_channels,
    )


def _refuse_what_cannot_be(value: Floats, cost: Floats, weight: Floats) -> None:
    if (value == np.inf).any():
        raise InputError("allocate: a net value is infinite; give a number, or -inf where the intervention is not allowed")
    if not ((cost >= 0) & (cost < np.inf)).all():
        raise InputError("allocate: a cost is negative, infinite or missing; give 0 or more wherever an intervention is allowed")
    if weight.shape != value.shape[:1] or not ((weight >= 0) & (weight <= 1)).all():
        raise InputError(f"allocate: weights of shape {weight.shape} for {len(value)} members; give one each, from 0 to 1")


def _channels(channel: npt.ArrayLike | None, shape: tuple[int, ...], n_channels: int) -> Integers:
    if channel is None:
        raise InputError("allocate: channel_capacity without channel; say over which channel each intervention goes")
    positions = np.asarray(channel)
    if positions.size and not (positions.min() >= 0 and positions.max() < n_channels):
        raise InputError(f"allocate: channels {positions.min()} to {positions.max()}; {n_channels} have a capacity, counted from 0")
    return np.ascontiguousarray(np.broadcast_to(positions, shape).T)

"""One plan for members who lie in parts: prices from sums over the parts, close calls decided together, and turns found by halves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.allocation import plan_of
from models.dual import Demand, minimise_dual
from models.offers import Offers
from models.plan_parts import CLOSENESS, AskCalls, AskDemand, AskMargins, AskNumbers, AskSent, Calls, Terms, ids_of, sorted_by
from models.plan_turns import AskKeys, Followed, sought_turns
from models.planning import exploration_of
from models.rationing import with_slack
from models.shadow_prices import ShadowPrices

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.arrays import Floats, Integers
    from models.dual import Dual
    from models.plan_parts import Answer, Everyone, PlanPart
    from models.supply import Supply

CLOSE_CALLS = 20_000
"""So many members, those whose choice matters least, are decided on together; beyond, prices alone decide."""
BINS = 4_096
_KEYS = np.array([0, (1 << 64) - 1], dtype=np.uint64)
"""Before and after the turns of all."""


@dataclass(frozen=True)
class PartedPlan:
    """`value` is the plan's net value, `bound` one that no plan exceeds; `followed` tells each part what comes of it."""

    followed: Followed
    value: float
    bound: float
    shadow_prices: ShadowPrices
    exploration: float

    @property
    def gap(self) -> float:
        return (self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def plan_in_parts(everyone: Everyone, supply: Supply, exploration: float, costs: Floats) -> PartedPlan:
    """As `plan_jointly` and `settle` of one table, within the gap that it tells. costs (k,): what one of each intervention takes.

    Members who want the same of what is short are dealt out by their lots. Each evaluation of the dual is one look at all parts.
    """
    sent = _sum(everyone, AskSent(len(supply.channels)), "use")
    limits = np.maximum(supply.limits - sent, 0.0)
    by_number = _sum(everyone, AskNumbers(Terms(supply, limits, 0.0)), "use")
    least = exploration_of(by_number.sum(axis=0), limits, supply.exploration_share, exploration)
    floor = np.minimum(least, 1 / np.maximum(np.arange(len(by_number)), 1))
    rest, terms = np.maximum(limits - floor @ by_number, 0.0), Terms(supply, limits, least)
    dual = minimise_dual(lambda prices: _demand(everyone, AskDemand(terms, rest, prices)), rest)
    decided = _decided(everyone, Calls(terms, rest, dual.prices, dual.quotes), dual)
    choices = dict(zip(decided.ids, decided.choice.tolist(), strict=True))
    first = Followed(decided.calls, choices, np.zeros(1, np.uint64), with_slack(limits)[None])
    members = int(_sum(everyone, AskMargins(decided.calls), "members").sum())
    keys = np.sort(np.concatenate([told["keys"] for told in everyone.over(AskKeys(first, min(1.0, 8 * BINS / max(members, 1))))]))
    edges = np.unique(np.concatenate([_KEYS[:1], keys[:: max(1, len(keys) // BINS)], _KEYS[1:]]))
    followed = sought_turns(everyone, first, costs, edges)
    return PartedPlan(followed, decided.value, decided.bound, ShadowPrices.of(dual.prices, len(costs)), least)


class _Decided(NamedTuple):
    """The close calls: ids, and choices."""

    calls: Calls
    ids: list[str]
    choice: Integers
    value: float
    bound: float


def _decided(everyone: Everyone, calls: Calls, dual: Dual) -> _Decided:
    """More calls are decided together where the others leave less than nothing of something."""
    members, most = _sum(everyone, AskMargins(calls), "members"), CLOSE_CALLS
    while True:
        narrowed = _narrowed(calls, members, most)
        told = list(everyone.over(AskCalls(narrowed)))
        left = calls.rest - sum(one["used"] for one in told)
        if (left >= -1e-9 * calls.rest).all() or narrowed.closeness == np.inf:
            break
        most *= 8
    worth = float(sum(one["worth"] for one in told))
    ids = [each for one in told for each in ids_of(one["ids"])]
    order = sorted_by(ids)
    plan = plan_of(_together(told).of_members(order), np.maximum(left, 0.0))
    bound = worth + plan.bound if narrowed.closeness == np.inf else dual.bound
    value = worth + plan.value
    return _Decided(narrowed, [ids[row] for row in order.tolist()], plan.choice, value, max(min(bound, dual.bound), value))


def _narrowed(calls: Calls, members: Integers, most: int) -> Calls:
    """So close that no more than `most` members are; of those whose calls are all equal the share that is so many."""
    reached = np.cumsum(members)
    if reached[-1] <= most:
        return replace(calls, closeness=np.inf, dealt=1.0)
    within = int((reached <= most).sum())
    if within == 0:
        return replace(calls, closeness=float(CLOSENESS[1]), dealt=most / int(members[0]))
    return replace(calls, closeness=float(CLOSENESS[within]), dealt=1.0)


def _together(told: list[Answer]) -> Offers:
    columns = {name: np.concatenate([one[name] for one in told], axis=-1) for name in ("value", "cost", "weight")}
    channel = np.concatenate([one["channel"] for one in told], axis=1) if "channel" in told[0] else None
    n_channels = 0 if channel is None else len(told[0]["used"]) - 1 - len(columns["value"])
    return Offers(columns["value"], columns["cost"], columns["weight"], channel, n_channels)


def _sum(everyone: Everyone, ask: Callable[[PlanPart], Answer], name: str) -> np.ndarray:
    return everyone.total(ask)[name]


def _demand(everyone: Everyone, ask: AskDemand) -> Demand:
    told = everyone.total(ask)
    return Demand(float(told["surplus"]), told["use"])

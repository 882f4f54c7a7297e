"""A campaign asked about beforehand: who would get what, what that costs and brings, and what stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from models.audience import Counted
from models.audience_filter import AudienceFilter
from models.errors import InputError
from models.expected_plan import COARSE, ExpectedPlan, Planner
from models.intervals import Estimate
from models.plan_figures import Outlook, outlook
from models.quotas import left_of, limits_of
from models.supply import Capacity, Supply

if TYPE_CHECKING:
    from models.arrays import Integers
    from models.plan_ground import Crowd, Terms
    from models.strata import Strata

EVERYONE = AudienceFilter()
NOTHING_ASKED = Capacity()
NOTHING_USED: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Question:
    """`capacity` are the most members by intervention and channel, its budget the money; both at most as declared where that is asked for.

    `only`: the interventions that may be used, None for all. `hold_out`: the share of the audience that gets nothing, drawn at random.
    `points`: budgets of the frontier.
    """

    capacity: Capacity = NOTHING_ASKED
    only: tuple[str, ...] | None = None
    hold_out: float = 0.0
    points: int = 8

    def within(self, declared: Capacity, terms: Terms) -> Capacity:
        """Of what is asked for and what is declared the smaller; nothing of interventions that may not be used."""
        budgets = [money for money in (self.capacity.budget, declared.budget) if money is not None]
        closed = {} if self.only is None else {arm.id: 0 for arm in terms.arms if arm.id not in self.only}
        return declared.model_copy(
            update={
                "budget": min(budgets, default=None),
                "interventions": _least(declared.interventions, self.capacity.interventions) | closed,
                "channels": _least(declared.channels, self.capacity.channels),
            }
        )


def _least(declared: Mapping[str, int], asked: Mapping[str, int]) -> dict[str, int]:
    return {name: min(limits[name] for limits in (declared, asked) if name in limits) for name in {**declared, **asked}}


@dataclass(frozen=True)
class Limit:
    """One capacity: `used` in expectation, and what one place more would bring."""

    limit: float
    used: float
    shadow_price: float


@dataclass(frozen=True)
class Blocked:
    """Members with a risk from whom a rule kept an intervention."""

    intervention_id: str
    stage: str
    rule: str
    members: int


@dataclass(frozen=True)
class Simulated:
    """`before`: members of the audience with a risk, how many are expected to go, and the value at risk, held-out members among them.

    `outlook` for the budget that was asked for; `frontier` by rising budget, the last without one; `limits` by what they limit.
    `used_in_period`: what earlier decisions took of what is declared for a period, by resource as in Quotas; it is taken off.
    rows (s,): the positions on the ground of the `strata` whose shares `plan` tells.
    """

    terms: Terms
    members: int
    held_out: float
    before: Counted
    outlook: Outlook
    frontier: tuple[Outlook, ...]
    budget_price: float
    limits: dict[str, Limit]
    blocked: tuple[Blocked, ...]
    used_in_period: dict[str, float]
    plan: ExpectedPlan = field(repr=False, compare=False)
    strata: Strata = field(repr=False, compare=False)
    rows: Integers = field(repr=False, compare=False)

    @property
    def going(self) -> Estimate:
        """Who is expected to go with the plan; the ends are those of its effect alone."""
        expected, kept = self.before.expected.value, self.outlook.kept
        ends = (expected - kept.value, expected - kept.upper, expected - kept.lower)
        return Estimate(*(min(max(0.0, one), float(self.before.members)) for one in ends))

    @property
    def still_at_risk(self) -> float:
        return max(0.0, self.before.value_at_risk - self.outlook.value_kept)

    def to_dict(self) -> dict[str, Any]:
        terms, before = self.terms, self.before
        return {
            "as_of": terms.as_of.isoformat(),
            "version": terms.model_version,
            "members": self.members,
            "held_out": self.held_out,
            "currency": terms.currency,
            "horizon_days": terms.horizon_days,
            "before": {"members": before.members, "going": before.expected.to_dict(), "value_at_risk": before.value_at_risk},
            "after": {"going": self.going.to_dict(), "value_at_risk": self.still_at_risk},
            "plan": self.outlook.to_dict(),
            "frontier": [point.to_dict() for point in self.frontier],
            "shadow_price_of_budget": self.budget_price,
            "capacities": {name: vars(limit) for name, limit in self.limits.items()},
            "used_in_period": self.used_in_period,
            "blocked": [vars(one) for one in self.blocked],
            "exploration": self.plan.exploration,
        }


def simulate_plan(
    terms: Terms,
    crowd: Crowd,
    question: Question,
    declared: Capacity,
    frontier: tuple[Outlook, ...] | None = None,
    used: Mapping[str, float] = NOTHING_USED,
) -> Simulated:
    """The same for the same question, whatever was asked before; `frontier` where it is known already.

    `used`: what the period that is `declared` has used up already, by resource as in Quotas.
    Raises InputError for an intervention or a channel that there is not.
    """
    _check_names(question, terms)
    left = left_of(declared, used)
    capacity = question.within(left, terms)
    strata = _without_held_out(crowd, question)
    supply = supply_of(terms, capacity)
    plan = Planner(strata, terms.exploration).plan(supply)
    closed = set() if question.only is None else {arm.id for arm in terms.arms} - set(question.only)
    return Simulated(
        terms=terms,
        members=crowd.members,
        held_out=crowd.members * question.hold_out,
        before=crowd.scored,
        outlook=outlook(terms.arms, strata, plan, capacity.budget),
        frontier=frontier_of(terms, crowd, question, left) if frontier is None else frontier,
        budget_price=plan.prices.budget,
        limits={name: limit for name, limit in _limits(terms, strata, supply, plan).items() if name not in closed},
        blocked=_blocked(terms, strata),
        used_in_period={name: used[name] for name in limits_of(declared) if used.get(name, 0.0) > 0},
        plan=plan,
        strata=strata,
        rows=crowd.rows,
    )


def _check_names(question: Question, terms: Terms) -> None:
    interventions, capacity = [arm.id for arm in terms.arms], question.capacity
    asked = (
        ("intervention", (*capacity.interventions, *(question.only or ())), interventions),
        ("channel", capacity.channels, terms.channels),
    )
    for kind, names, known in asked:
        for name in names:
            if name not in known:
                raise InputError(f'no {kind} is called "{name}"; there are {", ".join(known)}')


def frontier_of(terms: Terms, crowd: Crowd, question: Question, declared: Capacity) -> tuple[Outlook, ...]:
    """At equal steps up to what would be spent without a budget, each within 1e-4 of its optimum; it depends on no budget."""
    strata = _without_held_out(crowd, question)
    supply = replace(supply_of(terms, question.within(declared, terms)), budget=np.inf)
    planner = Planner(strata, terms.exploration, COARSE)
    free = outlook(terms.arms, strata, planner.plan(supply), None)
    budgets = [free.spend * step / question.points for step in range(1, question.points)] if free.spend > 0 else []
    planned = (outlook(terms.arms, strata, planner.plan(replace(supply, budget=budget)), budget) for budget in budgets)
    return (*planned, free)


def supply_of(terms: Terms, capacity: Capacity) -> Supply:
    """In the order of the terms; what they do not have is left out."""
    return Supply(
        budget=np.inf if capacity.budget is None else capacity.budget,
        interventions=np.array([capacity.interventions.get(arm.id, np.inf) for arm in terms.arms], dtype=np.float64),
        channels=np.array([capacity.channels.get(name, np.inf) for name in terms.channels], dtype=np.float64),
        exploration_share=capacity.exploration_share,
    )


def _without_held_out(crowd: Crowd, question: Question) -> Strata:
    return replace(crowd.strata, members=crowd.strata.members * (1 - question.hold_out))


def _limits(terms: Terms, strata: Strata, supply: Supply, plan: ExpectedPlan) -> dict[str, Limit]:
    share, prices = strata.members[:, None] * plan.expected[:, 1:], plan.prices
    reached = np.bincount(strata.candidates.channel.ravel(), share.ravel(), len(terms.channels))
    rows = [
        *zip((arm.id for arm in terms.arms), supply.interventions, share.sum(axis=0), prices.interventions, strict=True),
        *zip((f"channel:{name}" for name in terms.channels), supply.channels, reached, prices.channels, strict=True),
    ]
    return {name: Limit(float(limit), float(used), float(price)) for name, limit, used, price in rows if np.isfinite(limit)}


def _blocked(terms: Terms, strata: Strata) -> tuple[Blocked, ...]:
    """Most members first."""
    counted = strata.blocked([arm.id for arm in terms.arms]).most_common()
    return tuple(Blocked(name, *_parted(rule), members) for (name, rule), members in counted)


def _parted(rule: str) -> tuple[str, str]:
    stage, _, name = rule.partition(":")
    return stage, name

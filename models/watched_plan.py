"""Is what was given what the plan in force foresaw: money and members by intervention, since it was put in force."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING

from models.readings import Reading, judged

if TYPE_CHECKING:
    from models.community import Community
    from models.plan_in_force import PlanInForce

BEYOND_CHANCE = 3.29
"""Standard deviations of a Poisson count that one in a thousand exceeds, on either side."""


def no_plan() -> Reading:
    return Reading("plan_given", "decisions", "unknown", "no_plan", {})


def plan_given(plan: PlanInForce, decided: int, given: Mapping[str, int], community: Community) -> Reading:
    """`decided` members since then, and by intervention how often it was `given`; costs are the expected ones.

    Beyond the plan is what exceeds by more than `plan_excess` what it expected to spend in all, or to give of an intervention where
    chance does not explain it.
    """
    excess = community.monitor.plan_excess
    costs = {one.id: one.expected_cost for one in community.interventions}
    spent = sum(number * costs.get(arm, 0.0) for arm, number in given.items())
    meant = {arm: plan.planned.get(arm, 0.0) for arm in {**costs, **given}}
    over = any(number > max(meant[arm] * (1 + excess), _by_chance(meant[arm])) for arm, number in given.items())
    shown = [arm for arm, expected in meant.items() if arm in given or expected >= 1]
    told = {
        "until": plan.valid_until.date().isoformat(),
        "spent": spent,
        "planned": plan.expected_spend,
        "currency": community.currency,
        "decided": decided,
        "members": round(plan.members),
        "arms": [{"arm": arm, "seen": given.get(arm, 0), "expected": meant[arm]} for arm in shown],
    }
    dear = spent > plan.expected_spend * (1 + excess) and spent - plan.expected_spend > max(costs.values(), default=0.0)
    value = spent / plan.expected_spend - 1 if plan.expected_spend > 0 else 0.0
    return judged("plan_given", "decisions", beyond=over or dear, told=told, value=value, threshold=excess)


def _by_chance(expected: float) -> float:
    return expected + BEYOND_CHANCE * sqrt(max(1.0, expected))

"""What a community wants to reach, and how far it is: liveliness, worth against cost, silence, retention."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.declared import Declared, PositiveDays, Share
from models.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.audience import Counted
    from models.overview import Overview
    from models.plan_figures import Outlook

GoalName = Literal["stickiness", "weekly_events", "value_to_cost", "not_silent", "retention"]
WithinReach = Literal["reached", "yes", "perhaps", "no", "unknown"]


class Goals(Declared):
    """Defaults of the practice that this product serves; a community that knows better declares its own.

    `stickiness`: DAU/MAU. `weekly_events`: qualifying events of an active member in a week. `value_to_cost`: what a member is worth over
    `value_days`, against `acquisition_cost` (LTV/CAC), which is not looked at where no cost is declared. `not_silent`: share of the members
    with a qualifying event in the last `silence_days`. `retention`: share of those with a score who stay over the churn horizon.
    """

    stickiness: Share = 0.35
    weekly_events: Annotated[float, Field(ge=0)] = 5.0
    value_to_cost: Annotated[float, Field(ge=0)] = 3.0
    acquisition_cost: Annotated[float, Field(gt=0)] | None = None
    silence_days: PositiveDays = 30
    not_silent: Share = 0.5
    retention: Share | None = None


@dataclass(frozen=True)
class Reached:
    """`value` None where nothing is known; `met` then too."""

    name: GoalName
    goal: float
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.value >= self.goal


def goals_reached(goals: Goals, seen: Overview) -> tuple[Reached, ...]:
    """Those that are declared, in the order of GoalName; the worth of a member without a cost of winning it is told of nobody."""
    told = [
        Reached("stickiness", goals.stickiness, seen.liveliness.stickiness),
        Reached("weekly_events", goals.weekly_events, seen.liveliness.weekly_events),
    ]
    if goals.acquisition_cost is not None:
        worth = None if seen.mean_value is None else seen.mean_value / goals.acquisition_cost
        told.append(Reached("value_to_cost", goals.value_to_cost, worth))
    told.append(Reached("not_silent", goals.not_silent, seen.not_silent))
    if goals.retention is not None:
        stay = expected_retention(seen.scored)
        told.append(Reached("retention", goals.retention, None if stay is None else stay.value))
    return tuple(told)


def expected_retention(scored: Counted) -> Estimate | None:
    """Of those who are expected to go, the others; with the 90 % interval of chance alone. None where nobody has a score."""
    n, going = scored.members, scored.expected
    return Estimate(1 - going.value / n, 1 - going.upper / n, 1 - going.lower / n) if n else None


@dataclass(frozen=True)
class Distance:
    """What a target retention takes over `days`: `missing` members to save of `members` with a score.

    `reaching`: the cheapest plan of the frontier that saves as many in expectation, None where none does; `most`: the plan that saves most,
    None where there are no plans.
    """

    target: float
    days: int
    members: int
    expected: Estimate
    missing: int
    reaching: Outlook | None
    most: Outlook | None

    @property
    def missing_per_week(self) -> float:
        return 7 * self.missing / self.days

    @property
    def at_most(self) -> Estimate | None:
        """The retention that the plan which saves most is expected to bring; its interval is that of the plan's effect."""
        if self.most is None:
            return None
        saved = self.most.saved
        ends = [min(1.0, self.expected.value + end / self.members) for end in (saved.value, saved.lower, saved.upper)]
        return Estimate(*ends)

    @property
    def within_reach(self) -> WithinReach:
        """`perhaps`: no plan is expected to save as many, but the upper end of an interval is enough."""
        if self.missing == 0:
            return "reached"
        if self.most is None:
            return "unknown"
        if self.reaching is not None:
            return "yes"
        return "perhaps" if self.most.saved.upper >= self.missing else "no"


def distance_to(target: float, days: int, scored: Counted, frontier: Sequence[Outlook]) -> Distance | None:
    """None where nobody has a score."""
    expected = expected_retention(scored)
    if expected is None:
        return None
    missing = max(0, ceil((target - expected.value) * scored.members - 1e-9))
    enough = [plan for plan in frontier if plan.saved.value >= missing]
    reaching = min(enough, key=lambda plan: plan.spend, default=None)
    most = max(frontier, key=lambda plan: plan.saved.value, default=None)
    return Distance(target, days, scored.members, expected, missing, reaching, most)

"""What a community wants to reach, and how far it is: liveliness, worth against cost, silence, retention."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from models.declared import Declared, PositiveDays, Share
from models.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Floats
    from models.plan_figures import Outlook

GoalName = Literal["stickiness", "weekly_events", "value_to_cost", "not_silent", "retention"]
NORMAL_90 = 1.644854


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


@dataclass(frozen=True)
class Observed:
    """silence_days (n,): of all members; value (n,): money over `value_days`; probability (n,): of going, NaN without a score."""

    stickiness: float | None
    weekly_events: float
    silence_days: Floats
    value: Floats
    probability: Floats


def goals_reached(goals: Goals, seen: Observed) -> tuple[Reached, ...]:
    """Those that are declared, in the order of GoalName."""
    worth = None if goals.acquisition_cost is None or not len(seen.value) else float(np.mean(seen.value)) / goals.acquisition_cost
    heard = float(np.mean(seen.silence_days < goals.silence_days)) if len(seen.silence_days) else None
    kept = expected_retention(seen.probability)
    told = [
        Reached("stickiness", goals.stickiness, seen.stickiness),
        Reached("weekly_events", goals.weekly_events, seen.weekly_events),
        Reached("not_silent", goals.not_silent, heard),
    ]
    told += [Reached("value_to_cost", goals.value_to_cost, worth)] if goals.acquisition_cost is not None else []
    told += [Reached("retention", goals.retention, None if kept is None else kept.value)] if goals.retention is not None else []
    return tuple(told)


def expected_retention(probability: Floats) -> Estimate | None:
    """The mean of 1 - p over members with a score, with the 90 % interval of chance alone; None without any."""
    known = probability[~np.isnan(probability)]
    if not len(known):
        return None
    stay = 1 - known
    reach = NORMAL_90 * float(np.sqrt((known * stay).sum())) / len(known)
    return Estimate(float(stay.mean()), max(0.0, float(stay.mean()) - reach), min(1.0, float(stay.mean()) + reach))


@dataclass(frozen=True)
class Distance:
    """What a target retention takes: `missing` members to save of `members` with a score.

    `reaching`: the cheapest plan of the frontier that saves as many in expectation, None where none does; `most`: the plan that saves most.
    """

    target: float
    members: int
    expected: Estimate
    missing: int
    reaching: Outlook | None
    most: Outlook | None

    @property
    def at_most(self) -> float:
        """The retention that the plan which saves most is expected to bring."""
        saved = 0.0 if self.most is None else self.most.saved.value
        return self.expected.value + saved / self.members


def distance_to(target: float, probability: Floats, frontier: Sequence[Outlook]) -> Distance | None:
    """None where nobody has a score."""
    expected = expected_retention(probability)
    if expected is None:
        return None
    members = int(np.count_nonzero(~np.isnan(probability)))
    missing = max(0, ceil((target - expected.value) * members - 1e-9))
    enough = [plan for plan in frontier if plan.saved.value >= missing]
    reaching = min(enough, key=lambda plan: plan.spend, default=None)
    return Distance(target, members, expected, missing, reaching, max(frontier, key=lambda plan: plan.saved.value, default=None))

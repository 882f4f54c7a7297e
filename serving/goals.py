"""Goals, paths between stages and what a target retention takes, as the page Today shows them and `GET /v1/overview` answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from math import ceil
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field

from models.community_figures import told_distance
from models.goals import Distance, GoalName, Reached, WithinReach, distance_to, expected_retention, goals_reached
from models.kept_frontier import kept_frontier
from serving.audience import Interval, OverviewAnswer, overview_answer
from serving.latest_run import Run
from serving.service import Service

FARTHEST = 0.99
Target = Annotated[
    Annotated[float, Field(gt=0, lt=100)] | None,
    BeforeValidator(lambda given: given or None),
    Query(description="retention to reach, per cent; by default the declared goal, else one point more than is expected"),
]


@dataclass(frozen=True)
class Ahead:
    """`distance` is None where nobody has a score; `frontier_as_of` where no run told what budgets bring."""

    goals: tuple[Reached, ...]
    distance: Distance | None
    frontier_as_of: datetime | None


def ahead_of(service: Service, run: Run, target: float | None) -> Ahead:
    """`target` in per cent. Raises StoreUnavailable."""
    overview, goals = run.overview, service.community.goals
    frontier = kept_frontier(service.store)
    expected = expected_retention(overview.scored)
    distance = None
    if expected is not None:
        asked = goals.retention if target is None else target / 100
        wanted = min(FARTHEST, ceil(100 * expected.value + 1) / 100) if asked is None else asked
        distance = distance_to(wanted, overview.horizon_days, overview.scored, () if frontier is None else frontier.points)
    return Ahead(goals_reached(goals, overview), distance, None if frontier is None else frontier.as_of)


class GoalAnswer(BaseModel):
    """`value` is what is there now; null where nothing is known, and then `met` too."""

    name: GoalName
    goal: float
    value: float | None
    met: bool | None


class FlowAnswer(BaseModel):
    """`before` is a stage, or `not_yet` for members who joined since."""

    before: str
    after: str
    members: int


class PathsAnswer(BaseModel):
    """`gone` became silent or were lost since, `back` came back."""

    since: datetime
    flows: list[FlowAnswer]
    gone: int
    back: int


class PlanForTarget(BaseModel):
    """What the best plan for a budget is expected to bring; `members_saved` with a 90 % interval of the effects."""

    budget: float | None
    spend: float
    net_value: float
    members_contacted: float
    members_saved: Interval
    cost_per_saved: float | None


class TargetAnswer(BaseModel):
    """`missing` members to keep over `days` beyond those who stay without anything new.

    `reaching`: the cheapest plan expected to keep as many; `most`: the plan that keeps most; `at_most`: the retention that it brings.
    """

    retention: float
    days: int
    expected: Interval
    members: int
    missing: int
    missing_per_week: float
    within_reach: WithinReach
    reaching: PlanForTarget | None
    most: PlanForTarget | None
    at_most: Interval | None
    plans_as_of: datetime | None


class TodayAnswer(OverviewAnswer):
    """`paths` is null for a run of an earlier release, `target` where nobody has a score."""

    goals: list[GoalAnswer]
    paths: PathsAnswer | None
    target: TargetAnswer | None


def today_answer(service: Service, run: Run, target: float | None) -> TodayAnswer:
    """Raises StoreUnavailable."""
    ahead, overview = ahead_of(service, run, target), run.overview
    distance = None if ahead.distance is None else told_distance(ahead.distance) | {"plans_as_of": ahead.frontier_as_of}
    paths = overview.paths
    flows = [asdict(flow) for flow in overview.flows]
    return TodayAnswer.model_validate(
        overview_answer(service, run).model_dump()
        | {
            "goals": [{**asdict(one), "met": one.met} for one in ahead.goals],
            "paths": None if overview.since is None else {"since": overview.since, "flows": flows, "gone": paths.gone, "back": paths.back},
            "target": distance,
        }
    )

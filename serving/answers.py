"""Answers: the fields that a client reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.decision import ChurnStatus, Direction, NoActionReason, RemovalStage, RiskBand, UpliftSource
from models.declared import Stage, Tag
from serving.problems import Fault, Problem

Probability = Annotated[float, Field(ge=0, le=1)]


class Answered(BaseModel):
    """Read from the attributes of what was decided."""

    model_config = ConfigDict(from_attributes=True)


class HorizonRisk(Answered):
    days: int
    probability: Probability


class ChurnAnswer(Answered):
    """`percentile` is the share of the reference members at lower risk. Numbers are there only where `status` is `scored`."""

    status: ChurnStatus
    horizon_days: int
    probability: Probability | None
    typical_probability: Probability | None
    percentile: Probability | None
    risk_band: RiskBand | None
    horizons: list[HorizonRisk]
    text: str | None


class MemberAnswer(Answered):
    stage: Stage
    tier: str
    tags: list[Tag]
    value: float
    value_at_risk: float | None
    tenure_days: float
    days_silent: float | None


class ReasonAnswer(Answered):
    """The contributions of all reasons add up to the distance from the usual risk, in percentage points."""

    code: str
    direction: Direction
    contribution_pp: float
    value: float | None
    typical: float | None
    feature: str | None
    window_days: int | None
    text: str


class ActionReason(Answered):
    """`contribution_pp`: percentage points by which this makes the effect larger or smaller than for the usual member."""

    code: str
    text: str
    contribution_pp: float | None = None


class ActionAnswer(Answered):
    """`assignment_probability` is the logged propensity. Rank 1 was assigned; the others were possible too, by falling priority."""

    rank: int
    intervention_id: str
    label: str
    channel: str | None
    uplift: float
    uplift_interval: tuple[float, float]
    uplift_source: UpliftSource
    expected_net_value: float
    cost: float
    priority: float
    shadow_price: float = 0.0
    assignment_probability: Probability
    exploration: bool
    reasons: list[ActionReason]
    send_not_before: datetime | None
    valid_until: datetime | None


class Suppressed(Answered):
    intervention_id: str
    stage: RemovalStage
    rule: str
    text: str


class CandidateAnswer(Answered):
    """priority = context_weight x lever_weight x (weighed_uplift x value) - cost; `probability` is that of being chosen.

    Candidates are ranked by priority - shadow_price, what the plan in force charges for their cost and their places.
    """

    intervention_id: str
    channel: str | None
    uplift: float
    uplift_interval: tuple[float, float]
    uplift_source: UpliftSource
    weighed_uplift: float
    value: float
    lever_weight: float
    context_weight: float
    cost: float
    priority: float
    shadow_price: float = 0.0
    probability: Probability
    removed_at: RemovalStage | None
    rule: str | None


class ExperimentAnswer(Answered):
    id: str
    arm: str


class ModelAnswer(Answered):
    version: str
    grade: str


class DataAnswer(Answered):
    features_as_of: datetime
    last_event_at: datetime | None


class ScoreAnswer(Answered):
    """`decision_id` is null where nothing was kept, `member` where personalisation is switched off.

    Without an action `no_action_reason` tells why; `score_only` asks for none.

    `plan_id` names the plan in force, whose shadow prices were charged; null where there is none.
    """

    decision_id: str | None
    request_id: str | None
    member_id: str
    created_at: datetime
    churn: ChurnAnswer
    member: MemberAnswer | None
    reasons: list[ReasonAnswer]
    actions: list[ActionAnswer]
    no_action_reason: NoActionReason | None
    no_action_text: str | None
    suppressed: list[Suppressed]
    candidates: list[CandidateAnswer] | None = None
    experiment: ExperimentAnswer
    plan_id: str | None = None
    model: ModelAnswer
    data: DataAnswer
    warnings: list[Fault]


class BatchRow(Answered):
    """`answer` where the status is 200, `problem` elsewhere."""

    index: int
    status: int
    answer: ScoreAnswer | None = None
    problem: Problem | None = None


class BatchAnswer(Answered):
    results: list[BatchRow]


class WhatIfAnswer(Answered):
    """`change_pp`: percentage points of risk, null where one of the two has no score; `removed`: events that were left out."""

    member_id: str
    before: ScoreAnswer
    after: ScoreAnswer
    removed: int
    change_pp: float | None
    warnings: list[Fault]


class RejectedEvent(Answered):
    index: int
    code: str
    detail: str


class EventsAnswer(Answered):
    """`duplicate` counts events that were there already; every row is counted once."""

    accepted: int
    duplicate: int
    rejected: list[RejectedEvent]

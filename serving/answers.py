"""Answers: the fields that a client reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from models.actions import Intervention
from models.decision import Candidate, ChurnStatus, Decision, NoActionReason, RemovalStage, RiskBand, UpliftSource
from models.declared import Stage
from models.job_rows import JobRow, JobStatus
from models.job_rows import Stage as JobStage
from models.moments import EPOCH
from models.planned_rows import outlook_of
from serving.problems import Fault, Problem
from serving.schemas import DecisionJobRequest

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
    tags: list[str]
    value: float
    value_at_risk: float | None
    tenure_days: float
    days_silent: float | None


class ReasonAnswer(Answered):
    """The contributions of all reasons add up to the distance from the usual risk, in percentage points."""

    code: str
    direction: str
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


class DecisionTrace(Answered):
    """All that was known and weighed; `draw` picked `chosen` from the cumulated probabilities of the candidates, in their order."""

    decision_id: str
    member_id: str
    as_of: datetime
    features_as_of: datetime
    last_event_at: datetime | None
    churn: ChurnAnswer
    member: MemberAnswer | None
    reasons: list[ReasonAnswer]
    candidates: list[CandidateAnswer]
    chosen: str
    draw: float
    exploration: bool
    arm: str
    no_action_reason: NoActionReason | None
    model_version: str
    grade: str
    catalogue_fingerprint: str
    plan_id: str | None = None


class TouchAnswer(Answered):
    """`touch_id` is null while the contact is only reserved; what was not reported by `expires_at` is `expired`."""

    touch_id: str | None
    state: str
    channel: str | None
    at: datetime
    response: str | None
    cost: float | None
    expires_at: datetime | None


class OutcomeAnswer(Answered):
    outcome_id: str
    type: str
    at: datetime
    value: float | None


class DecisionAnswer(DecisionTrace):
    """The trace as it was when it was decided, and what was reported since."""

    touches: list[TouchAnswer]
    outcomes: list[OutcomeAnswer]


class DecisionsPage(Answered):
    """The newest first. `next_cursor` leads to the next page, null on the last."""

    decisions: list[DecisionAnswer]
    next_cursor: str | None


class Difference(Answered):
    """At a JSON pointer into the decision; `/events` is the number of events that were seen."""

    pointer: str
    stored: JsonValue
    recomputed: JsonValue


class ReplayAnswer(Answered):
    """`equal` where nothing differs. Numbers are held equal within a relative 1e-9."""

    decision_id: str
    equal: bool
    model_version: str
    differences: list[Difference]


class MemberPreferences(Answered):
    """`contact`: for each channel of the community whether it is welcome."""

    member_id: str
    personalization: bool
    contact: dict[str, bool]


class MemberData(Answered):
    """Every row that is about the member, by table; times are RFC 3339."""

    member_id: str
    exported_at: datetime
    tables: dict[str, list[dict[str, Any]]]


class ErasureReceipt(Answered):
    """`token` is a keyed hash of the member's id; `rows` counts what was erased, by table."""

    receipt_id: str
    erased_at: datetime
    token: str
    rows: dict[str, int]


class CatalogueAnswer(Answered):
    """The interventions that the model in force decides among."""

    fingerprint: str
    interventions: list[Intervention]


class ShadowAnswer(Answered):
    """The challenger beside the champion: the shares of `decisions` in which band and choice agree, with 95 % intervals.

    `probability_difference` is the mean distance of their probabilities. `error` tells why it is not being asked.
    """

    version: str | None
    error: str | None
    decisions: int = 0
    band: Probability | None = None
    band_interval: tuple[float, float] | None = None
    choice: Probability | None = None
    choice_interval: tuple[float, float] | None = None
    probability_difference: Probability | None = None


class ModelInForce(Answered):
    """`error` tells why a newer champion could not be taken over; `shadow` is null where no challenger is asked."""

    version: str
    grade: str
    in_use: str
    trained_at: datetime
    trained_through: datetime
    error: str | None
    shadow: ShadowAnswer | None = None


class JobCounts(Answered):
    """`members` to look at, `unknown` ids that were named and are of nobody; `cost` is expected, of the `contacted`."""

    members: int
    unknown: int
    considered: int
    selected: int
    decided: int
    contacted: int
    cost: float


class JobAnswer(Answered):
    """`progress` from 0 to 1. `plan` is what the plan for all of them was expected to bring; null where nothing had to be shared out.

    Decisions are made as of `as_of` with `model_version`. `results` can be read once it has ended.
    """

    job_id: str
    request_id: str | None
    status: JobStatus
    stage: JobStage
    dry_run: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    as_of: datetime | None
    model_version: str | None
    progress: Probability
    counts: JobCounts
    plan: dict[str, Any] | None
    error: str | None
    results: str

    @classmethod
    def of(cls, row: JobRow) -> Self:
        asked = DecisionJobRequest.model_validate_json(row.request)
        times = {f"{name}_at": _moment(getattr(row, f"{name}_us")) for name in ("created", "started", "ended")}
        return cls(
            **{name: getattr(row, name) for name in ("job_id", "status", "stage", "model_version", "progress", "error")},
            **times,
            request_id=asked.request_id,
            dry_run=asked.dry_run,
            as_of=_moment(row.as_of_us),
            counts=JobCounts.model_validate(row),
            plan=None if row.plan is None else outlook_of(row.plan),
            results=f"/v1/decision-jobs/{row.job_id}/results",
        )


class JobsAnswer(Answered):
    """Without a `next_cursor` this is the last page."""

    jobs: list[JobAnswer]
    next_cursor: str | None


class JobResult(Answered):
    """One line of a job's results. `decision_id` is null in a dry run; the whole trace is at /v1/decisions/{decision_id}."""

    row: int
    member_id: str
    decision_id: str | None
    status: ChurnStatus
    probability: Probability | None
    risk_band: RiskBand | None
    intervention_id: str
    channel: str | None
    uplift: float
    expected_net_value: float
    cost: float
    priority: float
    assignment_probability: Probability
    exploration: bool
    arm: str
    no_action_reason: NoActionReason | None
    send_not_before: datetime | None
    valid_until: datetime | None

    @classmethod
    def of(cls, row: int, decision: Decision, chosen: Candidate, *, kept: bool) -> Self:
        told = ("intervention_id", "channel", "uplift", "expected_net_value", "cost", "priority", "send_not_before", "valid_until")
        return cls(
            **{name: getattr(chosen, name) for name in told},
            **{name: getattr(decision, name) for name in ("member_id", "exploration", "arm", "no_action_reason")},
            **{name: getattr(decision.churn, name) for name in ("status", "probability", "risk_band")},
            row=row,
            decision_id=decision.decision_id if kept else None,
            assignment_probability=chosen.probability,
        )


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else EPOCH + timedelta(microseconds=at_us)


class DeadLetterAnswer(Answered):
    """A message that no attempt could deliver; `error` is the reason of the last."""

    message_id: str
    endpoint_id: str
    type: str
    created_at: datetime
    attempts: int
    error: str | None


class DeadLettersAnswer(Answered):
    """Without a `next_cursor` this is the last page."""

    dead_letters: list[DeadLetterAnswer]
    next_cursor: int | None


class Readiness(Answered):
    """`ready` where the store answers and a model is in force."""

    ready: bool
    store: str
    model: str

"""Answers: the fields that a client reads, made from a decision."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.community import NO_ACTION, Community, Intervention, Language, Stage
from models.decision import Candidate, ChurnStatus, Decision, NoActionReason, RemovalStage, RiskBand, UpliftSource
from models.texts import named
from models.wording import Standing, removal_sentence, status_sentence, uplift_sentence
from serving.problems import Fault, Problem
from serving.schemas import ScoreRequest

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
    text: str


class ActionReason(Answered):
    code: str
    text: str


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
    """priority = context_weight x lever_weight x (uplift x value) - cost; `probability` is that of being chosen."""

    intervention_id: str
    channel: str | None
    uplift: float
    uplift_interval: tuple[float, float]
    uplift_source: UpliftSource
    value: float
    lever_weight: float
    context_weight: float
    cost: float
    priority: float
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
    """`decision_id` is null where nothing was kept. Without an action `no_action_reason` tells why; `score_only` asks for none."""

    decision_id: str | None
    request_id: str | None
    member_id: str
    created_at: datetime
    churn: ChurnAnswer
    member: MemberAnswer
    reasons: list[ReasonAnswer]
    actions: list[ActionAnswer]
    no_action_reason: NoActionReason | None
    no_action_text: str | None
    suppressed: list[Suppressed]
    candidates: list[CandidateAnswer] | None = None
    experiment: ExperimentAnswer
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
    member: MemberAnswer
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


class CatalogueAnswer(Answered):
    """The interventions that the model in force decides among."""

    fingerprint: str
    interventions: list[Intervention]


class ModelInForce(Answered):
    """`error` tells why a newer champion could not be taken over."""

    version: str
    grade: str
    in_use: str
    trained_at: datetime
    trained_through: datetime
    error: str | None


class Readiness(Answered):
    """`ready` where the store answers and a model is in force."""

    ready: bool
    store: str
    model: str


def trace_of(decision: Decision, community: Community, language: Language) -> DecisionTrace:
    told = {
        name: getattr(decision, name) for name in DecisionTrace.model_fields if name not in {"churn", "member", "reasons", "candidates"}
    }
    return DecisionTrace(
        **told,
        churn=_churn(decision, community, language),
        member=MemberAnswer.model_validate(decision.member),
        reasons=_reasons(decision),
        candidates=_candidates(decision),
    )


def score_answer(decision: Decision, request: ScoreRequest, community: Community, language: Language, warnings: list[Fault]) -> ScoreAnswer:
    acts = request.mode != "score_only"
    reason = decision.no_action_reason if acts else None
    return ScoreAnswer(
        decision_id=decision.decision_id if request.mode == "decide" else None,
        request_id=request.request_id,
        member_id=decision.member_id,
        created_at=decision.as_of,
        churn=_churn(decision, community, language),
        member=MemberAnswer.model_validate(decision.member),
        reasons=_reasons(decision) if "reasons" in request.include else [],
        actions=_actions(decision, community, language)[: request.max_actions] if acts else [],
        no_action_reason=reason,
        no_action_text=None if reason is None else named(language, "no_action", reason),
        suppressed=_suppressed(decision, community, language) if acts else [],
        candidates=_candidates(decision) if "candidates" in request.include else None,
        experiment=ExperimentAnswer(id=community.policy.control_salt, arm=decision.arm),
        model=ModelAnswer(version=decision.model_version, grade=decision.grade),
        data=DataAnswer(features_as_of=decision.features_as_of, last_event_at=decision.last_event_at),
        warnings=warnings,
    )


def _churn(decision: Decision, community: Community, language: Language) -> ChurnAnswer:
    churn = decision.churn
    return ChurnAnswer(
        status=churn.status,
        horizon_days=churn.horizon_days,
        probability=churn.probability,
        typical_probability=churn.typical_probability,
        percentile=churn.percentile,
        risk_band=churn.risk_band,
        horizons=[HorizonRisk(days=days, probability=probability) for days, probability in churn.horizons],
        text=None if churn.status == "scored" else status_sentence(language, churn, community),
    )


def _reasons(decision: Decision) -> list[ReasonAnswer]:
    return [ReasonAnswer.model_validate(reason) for reason in decision.reasons]


def _candidates(decision: Decision) -> list[CandidateAnswer]:
    return [CandidateAnswer.model_validate(candidate) for candidate in decision.candidates]


def _actions(decision: Decision, community: Community, language: Language) -> list[ActionAnswer]:
    """What was chosen, then what else could have been; nothing where doing nothing was chosen."""
    if decision.chosen == NO_ACTION:
        return []
    possible = [candidate for candidate in decision.candidates if candidate.intervention_id != NO_ACTION and candidate.probability > 0]
    ranked = sorted(possible, key=lambda candidate: (candidate.intervention_id != decision.chosen, -candidate.priority))
    return [_action(rank, candidate, decision, community, language) for rank, candidate in enumerate(ranked, start=1)]


def _action(rank: int, candidate: Candidate, decision: Decision, community: Community, language: Language) -> ActionAnswer:
    effect = uplift_sentence(language, candidate.uplift, candidate.uplift_interval)
    source = named(language, "uplift_source", candidate.uplift_source)
    return ActionAnswer(
        rank=rank,
        intervention_id=candidate.intervention_id,
        label=community.intervention(candidate.intervention_id).label.of(language),
        channel=candidate.channel,
        uplift=candidate.uplift,
        uplift_interval=candidate.uplift_interval,
        uplift_source=candidate.uplift_source,
        expected_net_value=candidate.expected_net_value,
        cost=candidate.cost,
        priority=candidate.priority,
        assignment_probability=candidate.probability,
        exploration=rank == 1 and decision.exploration,
        reasons=[ActionReason(code="uplift", text=effect), ActionReason(code="uplift_source", text=source)],
        send_not_before=candidate.send_not_before,
        valid_until=candidate.valid_until,
    )


def _suppressed(decision: Decision, community: Community, language: Language) -> list[Suppressed]:
    standing = Standing(decision.member, decision.churn.probability)
    return [
        Suppressed(
            intervention_id=candidate.intervention_id,
            stage=candidate.removed_at,
            rule=candidate.rule or candidate.removed_at,
            text=removal_sentence(language, candidate, standing, community),
        )
        for candidate in decision.candidates
        if candidate.removed_at is not None
    ]

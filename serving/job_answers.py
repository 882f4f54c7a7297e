"""What a client reads of decision jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from models.decision import Candidate, ChurnStatus, Decision, NoActionReason, RiskBand
from models.job_rows import JobRow, JobStatus
from models.job_rows import Stage as JobStage
from models.moments import EPOCH
from models.planned_rows import outlook_of
from serving.answers import Answered, MemberAnswer, Probability
from serving.plan_answers import PlanPoint
from serving.schemas import DecisionJobRequest


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
    plan: PlanPoint | None
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
            plan=None if row.plan is None else PlanPoint.model_validate(outlook_of(row.plan)),
            results=f"/v1/decision-jobs/{row.job_id}/results",
        )


class JobsAnswer(Answered):
    """Without a `next_cursor` this is the last page."""

    jobs: list[JobAnswer]
    next_cursor: str | None


class JobResult(Answered):
    """One line of a job's results. `decision_id` is null in a dry run; the whole trace is at /v1/decisions/{decision_id}.

    `member` is null for one who switched personalisation off.
    """

    row: int
    member_id: str
    decision_id: str | None
    status: ChurnStatus
    probability: Probability | None
    risk_band: RiskBand | None
    member: MemberAnswer | None
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
            member=None if decision.impersonal else MemberAnswer.model_validate(decision.member),
            decision_id=decision.decision_id if kept else None,
            assignment_probability=chosen.probability,
        )


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else EPOCH + timedelta(microseconds=at_us)

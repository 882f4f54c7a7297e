"""What a client reads of decisions that were kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from models.decision import NoActionReason
from models.reports import Response
from serving.answers import Answered, CandidateAnswer, ChurnAnswer, MemberAnswer, ReasonAnswer


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
    state: Literal["reserved", "delivered", "undelivered", "expired"]
    channel: str | None
    at: datetime
    response: Response | None
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
    """`equal` where nothing differs. Numbers are held equal within a relative 1e-9.

    Where a plan for many was followed, what it meant for this member is taken as it was kept, and all else made again. `late_events` had
    been accepted, but were not yet written when the decision was made: they are left out, as they were then.
    """

    decision_id: str
    equal: bool
    model_version: str
    differences: list[Difference]
    late_events: list[str]

"""What other systems report of touches and outcomes: checked at the edge, judged by the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from models.community import Community
from models.errors import NoChampion
from models.moments import EPOCH, microseconds
from models.quotas import Quotas
from models.reports import OutcomeReport, Response, TouchReport, TouchState, Verdict
from models.store import LoggedEvent
from serving.answers import EventsAnswer, RejectedEvent
from serving.schemas import MAX_ROWS, MOST, Amount, Moment, Received, Row, ShortText, Text
from serving.service import Service

Money = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


class ReportedTouch(Received):
    """Of a decision, or of another origin: then with `member_id` and `intervention_id`. The same id again brings the touch up to date."""

    touch_id: Annotated[Text, Field(description="unique in the community")]
    decision_id: Annotated[Text | None, Field(description="the decision that was carried out")] = None
    member_id: Text | None = None
    intervention_id: ShortText | None = None
    channel: Annotated[ShortText | None, Field(description="by default that of the decision")] = None
    at: Annotated[Moment, Field(description="RFC 3339, with an offset")]
    state: TouchState
    response: Annotated[Response | None, Field(description="what the member answered; left out, an earlier answer stays")] = None
    cost: Annotated[Money | None, Field(description="what it cost; by default what was expected")] = None

    @model_validator(mode="after")
    def _is_about_somebody(self) -> Self:
        if self.decision_id is None and (self.member_id is None or self.intervention_id is None):
            message = "give decision_id, or member_id and intervention_id"
            raise ValueError(message)
        return self

    def report(self) -> TouchReport:
        told = self.model_dump(exclude={"at"})
        return TouchReport(**told, at_us=microseconds(self.at))


class ReportedOutcome(Received):
    """`type`: an event type of the community, then it is behaviour too; a response to the decision's touch; or any other name."""

    outcome_id: Annotated[Text, Field(description="unique in the community")]
    member_id: Text
    decision_id: Annotated[Text | None, Field(description="the decision that it followed")] = None
    type: ShortText
    at: Annotated[Moment, Field(description="RFC 3339, with an offset")]
    value: Amount | None = None

    def report(self) -> OutcomeReport:
        told = self.model_dump(exclude={"at"})
        return OutcomeReport(**told, at_us=microseconds(self.at))

    def event(self) -> LoggedEvent:
        return LoggedEvent(self.member_id, microseconds(self.at), self.type, self.outcome_id, self.value)


class TouchesRequest(Received):
    touches: Annotated[list[Row[ReportedTouch]], Field(max_length=MAX_ROWS)]


class OutcomesRequest(Received):
    outcomes: Annotated[list[Row[ReportedOutcome]], Field(max_length=MAX_ROWS)]


def keep_touches(service: Service, rows: Sequence[Row[ReportedTouch]]) -> EventsAnswer:
    """Durable when this returns; raises StoreUnavailable."""
    skew_us, channels, quotas_at = _skew_us(service), _channels(service), _quotas(service)
    return _judged(
        service,
        rows,
        lambda touches: service.store.report_touches([touch.report() for touch in touches], channels, quotas_at, skew_us),
    )


def keep_outcomes(service: Service, rows: Sequence[Row[ReportedOutcome]]) -> EventsAnswer:
    """Durable when this returns; raises StoreUnavailable."""

    def keep(outcomes: Sequence[ReportedOutcome]) -> list[Verdict]:
        events = [outcome.event() if outcome.type in service.event_types else None for outcome in outcomes]
        return service.store.report_outcomes([outcome.report() for outcome in outcomes], events, _skew_us(service))

    return _judged(service, rows, keep)


Told = TypeVar("Told", ReportedTouch, ReportedOutcome)


def _judged(service: Service, rows: Sequence[Row[Told]], keep: Callable[[Sequence[Told]], list[Verdict]]) -> EventsAnswer:
    """A row that cannot be read, or lies in the future, is refused here; the others are the store's to judge."""
    now = service.clock()
    verdicts: dict[int, Verdict] = {}
    sound: dict[int, Told] = {}
    for index, row in enumerate(rows):
        if row.content is None:
            verdicts[index] = Verdict("rejected", "invalid_row", malformed(row))
        elif (fault := service.future_fault(microseconds(row.content.at), now)) is not None:
            verdicts[index] = Verdict("rejected", fault.code, fault.detail)
        else:
            sound[index] = row.content
    if sound:
        verdicts |= dict(zip(sound, keep(list(sound.values())), strict=True))
    states = [verdict.state for verdict in verdicts.values()]
    refused = [RejectedEvent(index=index, code=told.code, detail=told.detail) for index, told in sorted(verdicts.items()) if told.code]
    return EventsAnswer(accepted=states.count("accepted"), duplicate=states.count("duplicate"), rejected=refused)


def malformed(row: Row[Any]) -> str:
    """What is wrong with a row that cannot be read."""
    return "; ".join(f"{fault.pointer or 'the row'}: {fault.detail}" for fault in row.faults)


def _channels(service: Service) -> dict[str, tuple[str, ...]]:
    """By intervention, as declared now, and of what the model in force can choose beside that."""
    catalogues = (_deciding(service).interventions, service.community.interventions)
    return {one.id: one.channels for interventions in catalogues for one in interventions}


def _quotas(service: Service) -> Callable[[int], Quotas]:
    """For each moment those of its period."""
    community = _deciding(service)
    return lambda at_us: Quotas.of(service.community.capacity, community, EPOCH + timedelta(microseconds=at_us))


def _deciding(service: Service) -> Community:
    """The declaration that the model in force decides by, or before there is one what is declared now."""
    try:
        return service.engine().community
    except NoChampion:
        return service.community


def _skew_us(service: Service) -> int:
    return int(service.settings.future_seconds * 1_000_000)

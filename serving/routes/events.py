"""Behaviour events from the outside, as the community's own or as CloudEvents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError

from models.store import LoggedEvent
from serving.answers import EventsAnswer, RejectedEvent
from serving.api_route import ApiRoute
from serving.auth import Ingesting
from serving.cloud_events import BATCH, STRUCTURED, CloudEvent, from_binary, is_binary
from serving.metrics import count_events
from serving.reporting import malformed
from serving.schemas import MAX_ROWS, EventsRequest, MemberBehaviour, Row
from serving.service import CurrentService

router = APIRouter(tags=["events"], route_class=ApiRoute)

ERASED = {"code": "erased_member", "detail": "the member was erased, and nothing of it is kept; stop sending its data"}
REUSED = "was another before (member, time, type or value), and stays as it was; send what differs under an id of its own"
READ_AS = {"application/json": "EventsRequest", STRUCTURED: "CloudEvent", BATCH: "CloudEvents"}
"""The schema of each media type that is read."""

Rows = Sequence[Row[MemberBehaviour] | Row[CloudEvent]]

_OWN = TypeAdapter(EventsRequest)
CLOUD_EVENTS = TypeAdapter(Annotated[list[Row[CloudEvent]], Field(max_length=MAX_ROWS)])


@router.post(
    "/v1/events",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}} for media_type, name in READ_AS.items()},
        }
    },
)
def add_events(service: CurrentService, _holder: Ingesting, request: Request, body: Annotated[object, Body()] = None) -> EventsAnswer:
    """Scope `ingest`. Accepted events are durable when the answer is sent; sending them again counts them as duplicates.

    An `event_id` that was another event's before is rejected as `event_id_reused`, and that event stays as it was.

    Of members who were erased nothing is kept; rows of theirs are rejected as `erased_member`.
    A CloudEvent is read in structured, batched and binary mode: `subject` is the member, `source#id` the `event_id`, `time` the timestamp,
    `type` the type as it stands, and `data` may hold `value` and `channel`.
    """
    now = service.clock()
    accepted: dict[int, LoggedEvent] = {}
    rejected: list[RejectedEvent] = []
    for index, row in enumerate(_rows(request, body)):
        event = None if row.content is None else row.content.logged()
        fault = None if event is None else service.fault_of(event, now)
        if event is None:
            rejected.append(RejectedEvent(index=index, code="invalid_event", detail=malformed(row)))
        elif fault is not None:
            rejected.append(RejectedEvent(index=index, code=fault.code, detail=fault.detail))
        else:
            accepted[index] = event
    fates = service.store.add_events(list(accepted.values()))
    count_events(fates, len(rejected))
    for (index, event), fate in zip(accepted.items(), fates, strict=True):
        if fate == "erased":
            rejected.append(RejectedEvent(index=index, **ERASED))
        elif fate == "reused":
            rejected.append(RejectedEvent(index=index, code="event_id_reused", detail=f'event "{event.identity}" {REUSED}'))
    rejected.sort(key=lambda row: row.index)
    return EventsAnswer(accepted=fates.count("accepted"), duplicate=fates.count("duplicate"), rejected=rejected)


def _rows(request: Request, body: object) -> Rows:
    """Raises RequestValidationError where the body as a whole is of no form that is read."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == BATCH:
            return CLOUD_EVENTS.validate_python(body)
        if media_type == STRUCTURED or is_binary(request.headers):
            event = body if media_type == STRUCTURED else from_binary(request.headers, body)
            return CLOUD_EVENTS.validate_python([event])
        return _OWN.validate_python(body).events
    except ValidationError as error:
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]) from None

"""Behaviour events from the outside."""

from __future__ import annotations

from fastapi import APIRouter

from models.store import LoggedEvent
from serving.answers import EventsAnswer, RejectedEvent
from serving.auth import Ingesting
from serving.metrics import count_events
from serving.reporting import malformed
from serving.schemas import EventsRequest
from serving.service import CurrentService

router = APIRouter(tags=["events"])

ERASED = {"code": "erased_member", "detail": "the member was erased, and nothing of it is kept; stop sending its data"}


@router.post("/v1/events")
def add_events(service: CurrentService, _holder: Ingesting, request: EventsRequest) -> EventsAnswer:
    """Scope `ingest`. Accepted events are durable when the answer is sent; sending them again counts them as duplicates.

    Of members who were erased nothing is kept; rows of theirs are rejected as `erased_member`.
    """
    now = service.clock()
    accepted: dict[int, LoggedEvent] = {}
    rejected: list[RejectedEvent] = []
    for index, row in enumerate(request.events):
        event = None if row.content is None else row.content.logged()
        fault = None if event is None else service.fault_of(event, now)
        if event is None:
            rejected.append(RejectedEvent(index=index, code="invalid_event", detail=malformed(row)))
        elif fault is not None:
            rejected.append(RejectedEvent(index=index, code=fault.code, detail=fault.detail))
        else:
            accepted[index] = event
    kept = service.store.add_events(list(accepted.values()))
    rejected += [RejectedEvent(index=index, **ERASED) for index, new in zip(accepted, kept, strict=True) if new is None]
    rejected.sort(key=lambda row: row.index)
    count_events(kept.count(True), kept.count(False), len(rejected))
    return EventsAnswer(accepted=kept.count(True), duplicate=kept.count(False), rejected=rejected)

"""What was delivered and what followed, from the systems that know."""

from __future__ import annotations

from fastapi import APIRouter

from serving.answers import EventsAnswer
from serving.api_route import ApiRoute
from serving.auth import Ingesting
from serving.reporting import OutcomesRequest, TouchesRequest, keep_outcomes, keep_touches
from serving.service import CurrentService

router = APIRouter(tags=["reports"], route_class=ApiRoute)


@router.post("/v1/touches")
def add_touches(service: CurrentService, _holder: Ingesting, request: TouchesRequest) -> EventsAnswer:
    """Scope `ingest`. A delivered touch confirms the contact that its decision reserved, an undelivered one releases it.

    Touches of other origin count as contacts too. Accepted rows are durable when the answer is sent; the same row again is a duplicate.
    """
    return keep_touches(service, request.touches)


@router.post("/v1/outcomes")
def add_outcomes(service: CurrentService, _holder: Ingesting, request: OutcomesRequest) -> EventsAnswer:
    """Scope `ingest`. Accepted rows are durable when the answer is sent; the same row again is a duplicate.

    An outcome whose type is an event type of the community is the event with the same id too: it counts once, however it is sent.
    """
    return keep_outcomes(service, request.outcomes)

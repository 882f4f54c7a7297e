"""Decisions that were kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from models.moments import microseconds
from models.store_rows import DecisionQuery
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.decision_answers import DecisionAnswer, DecisionsPage, ReplayAnswer
from serving.kept_decisions import Cursor, page_of_decisions, told_decision
from serving.replaying import replayed
from serving.schemas import Moment, Text
from serving.service import CurrentService

router = APIRouter(tags=["decisions"], route_class=ApiRoute)

DecisionId = Annotated[Text, Path()]


@router.get("/v1/decisions", response_model=DecisionsPage)
def list_decisions(
    service: CurrentService,
    _holder: Reading,
    request: Request,
    member_id: Annotated[Text | None, Query()] = None,
    since: Annotated[Moment | None, Query(alias="from", description="made at this time or later")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="made before this time")] = None,
    cursor: Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Scope `read`. The newest first; decisions made meanwhile move no page. The next page is also in the header `Link` (RFC 8288).

    Those whose traces are still kept: `store.traces_days` of the declaration tells how long.
    """
    after = None if cursor is None else Cursor.read(cursor)
    since_us, until_us = (None if moment is None else microseconds(moment) for moment in (since, until))
    place = None if after is None else (after.created_us, after.decision_id)
    page = page_of_decisions(service, DecisionQuery(limit, member_id, since_us, until_us, place))
    following = page.following
    return Response(page.text, media_type="application/json", headers={} if following is None else _next(request, following))


def _next(request: Request, following: Cursor) -> dict[str, str]:
    """Without a host: what the client calls it the proxy knows, and not the service."""
    url = request.url.include_query_params(cursor=following.text)
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}


@router.get("/v1/decisions/{decision_id}", response_model=DecisionAnswer)
def get_decision(service: CurrentService, _holder: Reading, decision_id: DecisionId) -> Response:
    """Scope `read`. The whole trace, as it was when it was decided, with its touches and what followed. 410 when its days are over."""
    return Response(told_decision(service, decision_id), media_type="application/json")


@router.post("/v1/decisions/{decision_id}/replay")
def replay_decision(service: CurrentService, _holder: Reading, decision_id: DecisionId) -> ReplayAnswer:
    """Scope `read`. The decision made again from what was known then: equal, or what differs. Nothing is kept.

    409 where it was not made by the service, or the model that made it can no longer be loaded; 410 when the days of its trace are over.
    """
    return replayed(service, decision_id)

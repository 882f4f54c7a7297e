"""The community and any audience in it, as the latest run over all members found them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from serving.api_route import ApiRoute
from serving.audience import AudienceAnswer, Selected, audience_answer
from serving.auth import Reading
from serving.goals import Target, TodayAnswer, today_answer
from serving.service import CurrentService

router = APIRouter(tags=["community"], route_class=ApiRoute)


@router.get("/v1/overview")
def get_overview(service: CurrentService, _holder: Reading, target: Target = None) -> TodayAnswer:
    """Scope `read`. What the page Today shows; 404 before the first run over all members."""
    return today_answer(service, service.latest_run.shown(), target)


@router.get("/v1/audience")
def get_audience(
    service: CurrentService, _holder: Reading, selection: Selected, limit: Annotated[int, Query(ge=0, le=200)] = 25
) -> AudienceAnswer:
    """Scope `read`. What the page Audience shows, and the members with most value at risk; 404 before the first run."""
    return audience_answer(service, service.latest_run.shown(), selection, limit)

"""Campaigns asked about beforehand."""

from __future__ import annotations

from fastapi import APIRouter

from serving.api_route import ApiRoute
from serving.auth import Planning
from serving.job_requests import check_audience
from serving.plan_answers import PlanAnswer, PlannedMember, Rows, plan_answer
from serving.plan_desk import Asked
from serving.schemas import PlanRequest
from serving.service import CurrentService, Service

router = APIRouter(tags=["plans"], route_class=ApiRoute)

PART = 5_000


@router.post("/v1/plans")
def plan(service: CurrentService, _holder: Planning, request: PlanRequest) -> PlanAnswer:
    """Scope `plan`. What a campaign would bring, made on the latest run over all members; keeps nothing. 404 before the first run."""
    check_audience(request.audience, service.community)
    language = request.language or service.community.language
    answer = plan_answer(service.plan_desk.plan(Asked(request.audience, request.question)), service.community, language)
    return answer.model_copy(update=_members(service, request)) if "members" in request.include else answer


def _members(service: Service, request: PlanRequest) -> dict[str, object]:
    """A page of those in the audience, by their ids."""
    ground, simulated = service.plan_desk.ground(), service.plan_desk.plan(Asked(request.audience, request.question))
    rows, named, after = Rows(ground, simulated), request.audience.member_ids, request.cursor or ""
    if named is not None:
        known = service.store.named_ground_members(ground.key, sorted({one for one in named if one > after}))
        told = rows.told(known.sort("member_id"), request.audience)
        return _page(told, request.limit)
    told = []
    while len(told) <= request.limit and (part := service.store.ground_members(ground.key, after, PART)).height:
        told += rows.told(part, request.audience)
        after = part["member_id"][-1]
    return _page(told, request.limit)


def _page(told: list[PlannedMember], limit: int) -> dict[str, object]:
    there_are_more = len(told) > limit
    return {"rows": told[:limit], "next_cursor": told[limit - 1].member_id if there_are_more else None}

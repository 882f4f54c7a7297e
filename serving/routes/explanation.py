"""The report of one member, as a page or as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import HTMLResponse

from models.declared import Language
from serving.answers import ScoreAnswer
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.member_page import PAGE_POLICY, explain_member
from serving.negotiation import best_media_type
from serving.problems import NOT_ACCEPTABLE, Refusal
from serving.schemas import Text
from serving.service import CurrentService

router = APIRouter(tags=["members"], route_class=ApiRoute)

OFFERED = ("application/json", "text/html")


@router.get(
    "/v1/members/{member_id:path}/explanation",
    response_model=ScoreAnswer,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
def get_explanation(
    service: CurrentService,
    _holder: Reading,
    member_id: Annotated[Text, Path()],
    lang: Annotated[Language | None, Query(description="by default the language of the community")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Response:
    """Scope `read`. What would be decided now, with all reasons and candidates; nothing is kept. HTML or JSON by `Accept`."""
    media_type = best_media_type(accept, OFFERED)
    if media_type is None:
        raise Refusal(NOT_ACCEPTABLE, f'"{accept}" is not offered; ask for {" or ".join(OFFERED)}')
    explained = explain_member(service, member_id, lang)
    vary = {"Vary": "Accept"}
    if media_type == "text/html":
        return HTMLResponse(explained.page(), headers={**vary, "Content-Security-Policy": PAGE_POLICY})
    return Response(explained.answer().model_dump_json(), headers=vary, media_type=media_type)

"""One member with hypothetical events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from serving.answers import WhatIfAnswer
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.schemas import Text, WhatIfRequest
from serving.service import CurrentService
from serving.what_if import what_if as study

router = APIRouter(tags=["members"], route_class=ApiRoute)


@router.post("/v1/members/{member_id:path}/what-if")
def what_if(service: CurrentService, _holder: Reading, member_id: Annotated[Text, Path()], request: WhatIfRequest) -> WhatIfAnswer:
    """Scope `read`. What would be decided now, with events added to the member's log and left out of it; nothing is kept."""
    return study(service, member_id, request)

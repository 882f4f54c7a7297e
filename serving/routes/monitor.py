"""What is watched from day to day."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from models.declared import Language
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.monitor import MonitorAnswer, latest_monitor
from serving.service import CurrentService

router = APIRouter(tags=["operation"], route_class=ApiRoute)


Lang = Annotated[Language | None, Query(description="of the sentences; by default the language of the community")]


@router.get("/v1/monitor")
def get_monitor(service: CurrentService, _holder: Reading, lang: Lang = None) -> MonitorAnswer:
    """Scope `read`. What `keepwell monitor` read last: drift, what came true, what is to be expected, floors, control, the plan."""
    return latest_monitor(service.store, service.community, lang or service.community.language)

"""What is watched from day to day."""

from __future__ import annotations

from fastapi import APIRouter

from serving.auth import Reading
from serving.monitor import MonitorAnswer, latest_monitor
from serving.service import CurrentService

router = APIRouter(tags=["operation"])


@router.get("/v1/monitor")
def monitor(service: CurrentService, _holder: Reading) -> MonitorAnswer:
    """Scope `read`. What `keepwell monitor` read last: drift, what came true, what is to be expected, floors, control."""
    return latest_monitor(service.store)

"""Decisions that were kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from serving.answers import DecisionTrace
from serving.auth import Reading
from serving.problems import UNKNOWN_DECISION, Refusal
from serving.schemas import Text
from serving.service import CurrentService

router = APIRouter(tags=["decisions"])


@router.get("/v1/decisions/{decision_id}", response_model=DecisionTrace)
def decision(service: CurrentService, _holder: Reading, decision_id: Annotated[Text, Path()]) -> Response:
    """Scope `read`. The whole trace, as it was when it was decided."""
    body = service.store.decision(decision_id)
    if body is None:
        raise Refusal(UNKNOWN_DECISION, f'decision "{decision_id}" is not known; `score_only` and `simulate` keep none')
    return Response(body, media_type="application/json")

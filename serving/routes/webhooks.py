"""Messages that could not be delivered."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from models.moments import EPOCH
from serving.api_route import ApiRoute
from serving.auth import Administering
from serving.operation_answers import DeadLetterAnswer, DeadLettersAnswer
from serving.service import CurrentService

router = APIRouter(tags=["operation"], route_class=ApiRoute)

PAGE = 100


@router.get("/v1/webhooks/dead-letters")
def list_dead_letters(
    service: CurrentService,
    _holder: Administering,
    cursor: Annotated[int, Query(ge=0, le=2**62, description="`next_cursor` of the page before")] = 0,
) -> DeadLettersAnswer:
    """Scope `admin`. What reached its endpoint with no attempt, oldest first; `keepwell webhooks redeliver` sends it again."""
    letters = service.store.dead_letters(cursor, PAGE)
    told = [
        DeadLetterAnswer(
            message_id=letter.message_id,
            endpoint_id=letter.endpoint_id,
            type=letter.type,
            created_at=EPOCH + timedelta(microseconds=letter.created_us),
            attempts=letter.attempts,
            error=letter.error,
        )
        for letter in letters
    ]
    return DeadLettersAnswer(dead_letters=told, next_cursor=letters[-1].delivery_key if len(letters) == PAGE else None)

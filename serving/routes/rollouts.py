"""The roll-out that runs: how it stands, and its end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from models.declared import Language
from models.moments import microseconds
from serving.api_route import ApiRoute
from serving.auth import Administering, Reading
from serving.problems import NO_ROLLOUT, Refusal
from serving.rollout_answers import CurrentRolloutAnswer, current_rollout, rollout_answer
from serving.service import CurrentService
from serving.settings import wall_clock

router = APIRouter(tags=["operation"], route_class=ApiRoute)

Lang = Annotated[Language | None, Query(description="of the sentences; by default the language of the community")]


@router.get("/v1/rollouts/current")
def get_rollout(service: CurrentService, _holder: Reading, lang: Lang = None) -> CurrentRolloutAnswer:
    """Scope `read`. Who decides for whom, the comparison as it was read last, and what to do; `rollout` is null where none runs."""
    return current_rollout(service, lang)


@router.post("/v1/rollouts/current/rollback")
def roll_back(service: CurrentService, holder: Administering, lang: Lang = None) -> CurrentRolloutAnswer:
    """Scope `admin`. Ends the roll-out: this process decides by the champion at once, the others follow within seconds."""
    ended = service.store.end_rollout("rolled_back", microseconds(wall_clock()), holder.name, None)
    if ended is None:
        raise Refusal(NO_ROLLOUT, "there is none to end; `keepwell rollback` puts the champion before the present one back in force")
    service.rollouts.look(wall_clock())
    return rollout_answer(service, ended, lang or service.community.language)

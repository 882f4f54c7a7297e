"""What the experiments of the community say so far."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from models.declared import Language
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.experiments import ExperimentsAnswer, OneExperimentAnswer, experiment_answer, experiments_answer
from serving.schemas import Text
from serving.service import CurrentService

router = APIRouter(tags=["experiments"], route_class=ApiRoute)

Lang = Annotated[Language | None, Query(description="of labels and sentences; by default the language of the community")]


@router.get("/v1/experiments")
async def list_experiments(service: CurrentService, _holder: Reading, lang: Lang = None) -> ExperimentsAnswer:
    """Scope `read`. The global control, the declared experiments, and each intervention against doing nothing."""
    return experiments_answer(await service.read_outs.first(), service, lang)


@router.get("/v1/experiments/{experiment_id}")
async def get_experiment(
    service: CurrentService, _holder: Reading, experiment_id: Annotated[Text, Path()], lang: Lang = None
) -> OneExperimentAnswer:
    """Scope `read`. Lift, interval, sample sizes, sample-ratio check, and the days that are still needed."""
    return experiment_answer(await service.read_outs.first(), service, experiment_id, lang)

"""What interventions bring, and how good the models are, as commands found it out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from models.declared import Language
from serving.api_route import ApiRoute
from serving.auth import Reading
from serving.intervention_figures import InterventionsFiguresAnswer, interventions_answer
from serving.model_figures import ModelReportAnswer, model_report
from serving.service import CurrentService

router = APIRouter(tags=["community"], route_class=ApiRoute)

Lang = Annotated[Language | None, Query(description="of labels and sentences; by default the language of the community")]


@router.get("/v1/interventions/figures")
def get_intervention_figures(service: CurrentService, _holder: Reading, lang: Lang = None) -> InterventionsFiguresAnswer:
    """Scope `read`. Each intervention from the catalogue to a response, its effect and cost; 404 before the first run."""
    return interventions_answer(service, lang)


@router.get("/v1/models/report")
def get_models_report(service: CurrentService, _holder: Reading, request: Request, lang: Lang = None) -> ModelReportAnswer:
    """Scope `read`. What was measured of the models, whether members have moved since, and what the data check found."""
    return model_report(service, request.app.state.shadow, lang)

"""Experiments: what each says so far, the effect of all that is done first, and a page with all figures of each."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from models.experiments import read_out_of
from serving.pages.experiment_cards import Cards
from serving.pages.site import PageRoute, ago, page
from serving.pages.visitors import Reader, Visitor
from serving.schemas import Text
from serving.service import CurrentService, Service
from serving.settings import wall_clock

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/experiments")
async def experiments(request: Request, service: CurrentService, whoever: Reader) -> Response:
    cards = await _cards(service, whoever)
    first, *others = [cards.card(read) for read in cards.kept.read_outs]
    content: dict[str, Any] = {
        "lead": cards.lead(),
        "first": first,
        "declared": [card for card in others if card.kind == "declared"],
        "interventions": [card for card in others if card.kind == "intervention"],
    }
    return await run_in_threadpool(page, request, whoever, "experiments.html", **content, **_frame(cards))


@router.get("/experiments/{experiment_id}")
async def experiment(request: Request, service: CurrentService, whoever: Reader, experiment_id: Annotated[Text, Path()]) -> Response:
    """Raises UnknownExperiment."""
    cards = await _cards(service, whoever)
    card = cards.card(read_out_of(cards.kept.read_outs, experiment_id))
    return await run_in_threadpool(page, request, whoever, "experiment.html", card=card, **_frame(cards))


async def _cards(service: Service, whoever: Visitor) -> Cards:
    return Cards(service.community, await service.read_outs.first(), whoever.language)


def _frame(cards: Cards) -> dict[str, Any]:
    return {"community": cards.community.name, "until": cards.until, "read_at": cards.kept.read_at, "now": wall_clock(), "ago": ago}

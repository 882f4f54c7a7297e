"""Is the process alive, can it answer, and with which model and catalogue."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from prometheus_client.registry import Collector

from models.catalogue_identity import catalogue_fingerprint
from models.errors import KeepwellError, StoreUnavailable
from serving.api_route import ApiRoute
from serving.auth import Administering, Measuring, Reading
from serving.metrics import MEDIA_TYPE, STORE_DOWN, STORE_UP, Waiting, exposition
from serving.monitor import Watched
from serving.negotiation import has_already
from serving.operation_answers import CatalogueAnswer, ModelInForce, Readiness
from serving.problems import RETRY_SECONDS, Refusal
from serving.service import CurrentService, Service
from serving.shadow import Shadow

router = APIRouter(tags=["operation"], route_class=ApiRoute)


@router.get("/livez")
def livez() -> dict[str, str]:
    """No key. The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
def readyz(service: CurrentService, response: Response) -> Readiness:
    """No key. 503 while the store does not answer or no model is in force."""
    faults = [_fault_of(service.ping), _fault_of(service.engine)]
    ready = not any(faults)
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return Readiness(ready=ready, store=faults[0] or "ok", model=faults[1] or "ok")


def _fault_of(check: Callable[[], object]) -> str | None:
    """What a client may be told of why a check failed."""
    try:
        check()
    except KeepwellError as error:
        return Refusal.of(error).detail
    return None


@router.get("/metrics", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}})
def metrics(service: CurrentService, _holder: Measuring) -> Response:
    """Scope `metrics`. For Prometheus; figures of all worker processes together, and of no single member.

    While the store does not answer, those that lie in it are left out, and whoever read them in the last hour may go on.
    """
    return Response(exposition(service.settings.metrics_folder, *_kept(service)), media_type=MEDIA_TYPE)


def _kept(service: Service) -> tuple[Collector, ...]:
    try:
        return Waiting.of(service.store.endpoints()), Watched.of(service.store), STORE_UP
    except StoreUnavailable:
        return (STORE_DOWN,)


@router.get("/v1/interventions", response_model=CatalogueAnswer, responses={304: {"description": "As the client has it"}})
def get_interventions(service: CurrentService, _holder: Reading, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Scope `read`. The catalogue of the model in force, with an `ETag`; 304 where `If-None-Match` names it."""
    community = service.engine().community
    answer = CatalogueAnswer(fingerprint=catalogue_fingerprint(community), interventions=list(community.interventions))
    body = answer.model_dump_json()
    headers = {"ETag": f'"{sha256(body.encode()).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if has_already(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@router.get("/v1/models")
def get_models(service: CurrentService, _holder: Reading, request: Request) -> ModelInForce:
    """Scope `read`. The model in force, and how far the challenger agrees with it where it is asked in the shadow."""
    shadow: Shadow | None = request.app.state.shadow
    told = _in_force(service)
    return told if shadow is None else told.model_copy(update={"shadow": shadow.answer()})


@router.post("/v1/models/reload")
def reload_models(service: CurrentService, _holder: Administering) -> ModelInForce:
    """Scope `admin`. Takes a new champion over at once; this process only, the others follow within seconds."""
    service.models.refresh()
    return _in_force(service)


def _in_force(service: Service) -> ModelInForce:
    engine = service.engine()
    made = engine.provenance
    return ModelInForce(
        version=engine.version,
        grade=engine.grade,
        in_use=made.in_use,
        trained_at=made.trained_at,
        trained_through=made.trained_through,
        error=service.champion_fault,
    )

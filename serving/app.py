"""The service, put together."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import version
from multiprocessing import parent_process
from threading import Thread

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute, iter_route_contexts

from models.declaration import load_community
from models.in_service import in_service
from serving import problems
from serving.background import background
from serving.description import described
from serving.gate import Gate
from serving.model_source import ModelSource
from serving.observation import Observed
from serving.pages import PAGES
from serving.pages.site import unknown_address
from serving.routes import (
    audience,
    decisions,
    docs,
    events,
    experiments,
    explanation,
    figures,
    jobs,
    monitor,
    operation,
    plans,
    privacy,
    reports,
    rollouts,
    score,
    webhooks,
    what_if,
)
from serving.score_turns import score_turns
from serving.service import NewId, Service
from serving.settings import Clock, Settings
from serving.shadow import Shadow
from serving.straight import Straight
from serving.telemetry import provider_of, telemetry, traced
from serving.traces import continued

SWITCH_SECONDS = 0.0005
SELDOM_NEEDED = ("scipy.optimize", "tea_tasting")
"""Of plans and of the reading of experiments: seconds of importing that nobody who waits for a first answer should wait for."""
YOUNG_OBJECTS = 2_000
DESCRIPTION = "Who is about to go silent, what would keep them, and why. Errors are RFC 9457 problems; times are RFC 3339 with an offset."


def create_app(settings: Settings | None = None, *, clock: Clock | None = None, new_id: NewId | None = None) -> FastAPI:
    """Without arguments everything comes from the environment and from the real clock, as `keepwell serve` starts it.

    Raises InputError for a declaration that cannot be used, or where spans are asked for and their extra is not installed.
    """
    own_process = settings is None
    settings = settings or Settings.from_environment()
    models = ModelSource(settings.mlflow_uri, settings.model_cache, settings.model_seconds)
    service = Service(settings, load_community(settings.declaration), models, clock or settings.clock, new_id)
    spans = provider_of(settings.otlp_endpoint, version("keepwell"))
    app = FastAPI(
        title="Keepwell",
        version=version("keepwell"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=partial(_lifespan, own_process=own_process),
        telemetry=telemetry(spans),
    )
    app.state.spans = spans
    app.state.service = service
    app.state.shadow = Shadow(service) if settings.shadow else None
    app.state.scores = score_turns(service)
    if spans is None:
        app.add_middleware(Straight, service=service, turns=app.state.scores)
    app.add_middleware(Gate, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(Observed, tracer=continued if spans is None else traced)
    problems.install(app)
    app.add_exception_handler(404, unknown_address)
    for routes in (
        score,
        events,
        reports,
        decisions,
        experiments,
        explanation,
        what_if,
        audience,
        figures,
        privacy,
        plans,
        jobs,
        webhooks,
        monitor,
        rollouts,
        operation,
        docs,
        *PAGES,
    ):
        app.include_router(routes.router)
    _build_routes(app)
    app.openapi = partial(described, app, app.openapi)  # type: ignore[method-assign]  # FastAPI's own way of extending the schema
    return app


def _operation_id(route: APIRoute) -> str:
    """The name of its function, which generators of clients take for theirs."""
    return route.name


def _build_routes(app: FastAPI) -> None:
    """FastAPI builds the routes that it includes when they are first asked for, under filters of warnings that all threads share.

    Here no other thread changes the filters yet, and the first request to each router does not wait for its 20 ms.
    """
    deque(iter_route_contexts(app.routes), maxlen=0)


@asynccontextmanager
async def _lifespan(app: FastAPI, *, own_process: bool) -> AsyncIterator[None]:
    """Raises InputError where what it serves is being restored."""
    with in_service(app.state.service.settings.state):
        async with _answering(app, own_process=own_process):
            yield


@asynccontextmanager
async def _answering(app: FastAPI, *, own_process: bool) -> AsyncIterator[None]:
    service: Service = app.state.service
    await run_in_threadpool(service.open_store)
    await run_in_threadpool(service.models.start, service.settings.first_model_seconds, _bring_the_rest if own_process else None)
    await run_in_threadpool(service.rollouts.start)
    if own_process:
        _live_long()
        Thread(target=_end_with_parent, name="parent", daemon=True).start()
    async with background(service, app.state.shadow):
        yield
    await run_in_threadpool(app.state.scores.close)
    if app.state.spans is not None:
        app.state.spans.shutdown()
    await run_in_threadpool(service.close)


def _bring_the_rest() -> None:
    """After the first look-up of the champion, which brought MLflow along; all of it stays."""
    for name in SELDOM_NEEDED:
        import_module(name)
    gc.freeze()


def _live_long() -> None:
    """What is there when the service begins stays: no collection of garbage walks through it, and each is short: nobody waits 5 ms for one.

    Who waits for the interpreter gets it soon: the loop gives it up with every line that it sends or logs, while a turn computes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)


def _end_with_parent() -> None:
    """When their parent was killed, several processes would else go on serving, and keep the address from whoever is started next."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

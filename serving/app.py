"""The service, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from serving import problems
from serving.gate import Gate
from serving.model_source import ModelSource, Registry, champion_of
from serving.problems import MEDIA_TYPE, PROBLEM_TYPES, Problem
from serving.routes import decisions, docs, events, explanation, operation, score
from serving.service import Service
from serving.settings import Clock, Settings

DESCRIPTION = "Who is about to go silent, what would keep them, and why. Errors are RFC 9457 problems; times are RFC 3339 with an offset."


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    registry: Registry | None = None,
    new_id: Callable[[], str] | None = None,
) -> FastAPI:
    """Without arguments everything comes from the environment and from the real clock, as `keepwell serve` starts it."""
    settings = settings or Settings.from_environment()
    models = ModelSource(registry or champion_of(settings.mlflow_uri), settings.model_seconds)
    service = Service(settings, models, clock or settings.clock, **({"new_id": new_id} if new_id else {}))
    app = FastAPI(
        title="Keepwell",
        version=version("keepwell"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses={"default": {"description": "A problem", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
    )
    app.state.service = service
    app.add_middleware(Gate, max_body_bytes=settings.max_body_bytes)
    problems.install(app)
    for routes in (score, events, decisions, explanation, operation, docs):
        app.include_router(routes.router)
    app.openapi = _documented(app.openapi)  # type: ignore[method-assign]  # FastAPI's documented way of extending the schema
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.models.start()
    yield
    service.close()


def _documented(described: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Adds the schema of problems, which no route returns, and the table of their types."""

    def openapi() -> dict[str, Any]:
        schema = described()
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        schema["x-problem-types"] = [{"name": kind.name, "status": kind.status, "title": kind.title} for kind in PROBLEM_TYPES]
        for path in schema["paths"].values():
            for described_operation in path.values():
                described_operation["responses"].pop("422", None)
        return schema

    return openapi

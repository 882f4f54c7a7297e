"""What FastAPI's description of the routes lacks: problems, examples with nulls, and the table of problem types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from serving.examples import EXAMPLES
from serving.problems import MEDIA_TYPE, PROBLEM_TYPES, Problem
from serving.routes.events import CLOUD_EVENTS
from serving.schemas import EventsRequest

_REFERENCE = "#/components/schemas/{model}"


def described(app: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """OpenAPI 3.1, made once."""
    if app.openapi_schema is None:
        schema = generate()
        _add_problems(schema)
        _add_examples(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_problems(schema: dict[str, Any]) -> None:
    """Every operation may answer with one; none returns FastAPI's own form of validation error."""
    problem = Problem.model_json_schema(ref_template=_REFERENCE)
    schemas = schema["components"]["schemas"]
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for name, adapter in (("EventsRequest", TypeAdapter(EventsRequest)), ("CloudEvents", CLOUD_EVENTS)):
        described = adapter.json_schema(ref_template=_REFERENCE)
        schemas |= {**described.pop("$defs"), name: described}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    answer = {"description": "A problem", "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}}
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = answer
    schema["x-problem-types"] = [{"name": kind.name, "status": kind.status, "title": kind.title} for kind in PROBLEM_TYPES]


def _add_examples(schema: dict[str, Any]) -> None:
    for example in EXAMPLES:
        operation = schema["paths"][example.path]["post"]
        operation["requestBody"]["content"]["application/json"]["example"] = example.request
        operation["responses"]["200"]["content"]["application/json"]["example"] = example.answer

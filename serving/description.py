"""What FastAPI's description of the routes lacks: problems, examples with nulls, and the table of problem types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

from fastapi import FastAPI
from pydantic import TypeAdapter

from serving.examples import CLOUD_EVENT_EXAMPLES, EXAMPLES, RECORDED
from serving.plain_schemas import in_plain_words, without_null
from serving.problems import PROBLEM_TYPES, Problem
from serving.refusals import refusals
from serving.routes.events import CLOUD_EVENTS
from serving.schemas import EventsRequest

NDJSON = "application/x-ndjson"
LICENCE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}
SERVERS = [{"url": "/", "description": "the process that this document was read from"}]
TAGS = {
    "score": "Risk, reasons and ranked interventions.",
    "events": "What members do.",
    "reports": "What was delivered, and what followed.",
    "decisions": "Decisions that were kept, read back and made again.",
    "experiments": "What was measured.",
    "members": "One member: explanation, what if, preferences, access, erasure.",
    "community": "All members, and any audience among them.",
    "plans": "Campaigns, simulated.",
    "jobs": "Decisions on all members or an audience, in the background.",
    "operation": "Probes, figures, the catalogue and the models in force.",
}
_HEADERS = {
    ("POST /v1/decision-jobs", "202"): ("Location", "the path of the job, where its progress stands"),
    ("GET /v1/decisions", "200"): ("Link", "the next page, `rel=next`; absent on the last"),
    ("GET /v1/interventions", "200"): ("ETag", "of the catalogue, for `If-None-Match`"),
    ("GET /v1/interventions", "304"): ("ETag", "of the catalogue, as the client has it"),
}
"""By operation and status, those that clients act on; `Retry-After` stands with the problems."""
_REFERENCE = "#/components/schemas/{model}"


def described(app: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """OpenAPI 3.1, made once."""
    if app.openapi_schema is None:
        schema = generate()
        _add_problems(schema)
        for model in schema["components"]["schemas"].values():
            in_plain_words(model)
        _add_headers(schema)
        _add_examples(schema)
        _add_surroundings(schema)
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
    for name, operation in _operations(schema):
        operation["responses"].pop("422", None)
        own = operation["responses"]
        for status, refusal in refusals(name, operation, {"$ref": _REFERENCE.format(model="Problem")}).items():
            if status in own:
                refusal["content"] |= own[status].get("content", {})
            own[status] = refusal
    schema["x-problem-types"] = [{"name": kind.name, "status": kind.status, "title": kind.title} for kind in PROBLEM_TYPES]


def _add_examples(schema: dict[str, Any]) -> None:
    """Hand-written ones where there are any, else those that were recorded."""
    for name, operation in _operations(schema):
        told = RECORDED.get(name, {})
        if "request" in told:
            _exemplify(operation["requestBody"], told["request"])
        for status, answer in told.get("answers", {}).items():
            _exemplify(operation["responses"][status], answer)
    for example in EXAMPLES:
        operation = schema["paths"][example.path]["post"]
        _exemplify(operation["requestBody"], example.request)
        _exemplify(operation["responses"]["200"], example.answer)
    for media_type, event in CLOUD_EVENT_EXAMPLES.items():
        schema["paths"]["/v1/events"]["post"]["requestBody"]["content"][media_type]["example"] = event


def _add_headers(schema: dict[str, Any]) -> None:
    for name, operation in _operations(schema):
        for status, answer in operation["responses"].items():
            if (name, status) in _HEADERS:
                header, meaning = _HEADERS[name, status]
                answer["headers"] = {header: {"description": meaning, "schema": {"type": "string"}}}


def _add_surroundings(schema: dict[str, Any]) -> None:
    """Where the service is, its parts, that the probes ask for no key, and that no parameter is null."""
    schema["info"]["license"] = LICENCE
    schema["servers"] = SERVERS
    schema["tags"] = [{"name": name, "description": meaning} for name, meaning in TAGS.items()]
    for _, operation in _operations(schema):
        operation.setdefault("security", [])
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = without_null(parameter["schema"])


def _exemplify(body: dict[str, Any], example: object) -> None:
    """NDJSON is described, and shown, by its lines."""
    if NDJSON in body["content"]:
        body["content"][NDJSON]["schema"] = {"type": "string", "format": "binary"}
        body["content"][NDJSON]["example"] = "".join(f"{json.dumps(line)}\n" for line in cast("list[object]", example))
    else:
        body["content"]["application/json"]["example"] = example


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its name, `METHOD path`."""
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation

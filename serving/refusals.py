"""Which problems each operation may answer with, for the description of the service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from serving.problems import (
    BUSY,
    FORBIDDEN,
    IN_FLIGHT,
    INTERNAL,
    INVALID,
    JOB_NOT_ENDED,
    MALFORMED,
    MEDIA_TYPE,
    MODEL_GONE,
    NO_MODEL,
    NO_ROLLOUT,
    NO_RUN,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    NOT_READ,
    NOT_REPLAYABLE,
    REFUSED_INPUT,
    REUSED,
    STORE_DOWN,
    STORE_OUTDATED,
    TOO_LARGE,
    TOO_MANY,
    TRACE_GONE,
    UNAUTHENTICATED,
    UNKNOWN_DECISION,
    UNKNOWN_EXPERIMENT,
    UNKNOWN_JOB,
    UNKNOWN_MEMBER,
    UNSUPPORTED,
    Fault,
    ProblemType,
    Refusal,
)

_WITH_KEY = (UNAUTHENTICATED, FORBIDDEN, TOO_MANY, STORE_DOWN, STORE_OUTDATED)
_WITH_BODY = (MALFORMED, TOO_LARGE, UNSUPPORTED, INVALID)
_OF_ITS_OWN: Mapping[str, tuple[ProblemType, ...]] = {
    "POST /v1/score": (UNKNOWN_MEMBER, IN_FLIGHT, REUSED, NO_MODEL, BUSY),
    "POST /v1/score/batch": (NO_MODEL,),
    "GET /v1/decisions/{decision_id}": (UNKNOWN_DECISION, TRACE_GONE),
    "POST /v1/decisions/{decision_id}/replay": (UNKNOWN_DECISION, TRACE_GONE, NOT_REPLAYABLE, MODEL_GONE, NO_MODEL),
    "GET /v1/members/{member_id}/explanation": (UNKNOWN_MEMBER, NOT_ACCEPTABLE, NO_MODEL),
    "POST /v1/members/{member_id}/what-if": (UNKNOWN_MEMBER, NO_MODEL),
    "PUT /v1/members/{member_id}/preferences": (UNKNOWN_MEMBER,),
    "GET /v1/members/{member_id}/preferences": (UNKNOWN_MEMBER,),
    "GET /v1/members/{member_id}/data": (UNKNOWN_MEMBER,),
    "DELETE /v1/members/{member_id}": (UNKNOWN_MEMBER,),
    "POST /v1/decision-jobs": (IN_FLIGHT, REUSED, REFUSED_INPUT),
    "GET /v1/decision-jobs/{job_id}": (UNKNOWN_JOB,),
    "DELETE /v1/decision-jobs/{job_id}": (UNKNOWN_JOB,),
    "GET /v1/decision-jobs/{job_id}/results": (UNKNOWN_JOB, JOB_NOT_ENDED),
    "POST /v1/plans": (NO_RUN, REFUSED_INPUT),
    "GET /v1/experiments": (NOT_READ,),
    "GET /v1/experiments/{experiment_id}": (UNKNOWN_EXPERIMENT, NOT_READ),
    "GET /v1/monitor": (NO_RUN,),
    "GET /v1/overview": (NO_RUN, NO_MODEL),
    "GET /v1/audience": (NO_RUN, NO_MODEL),
    "GET /v1/interventions": (NO_MODEL,),
    "GET /v1/interventions/figures": (NO_RUN,),
    "GET /v1/models": (NO_MODEL,),
    "POST /v1/models/reload": (NO_MODEL,),
    "POST /v1/rollouts/current/rollback": (NO_ROLLOUT,),
}
_EXAMPLE_FAULT = Fault(pointer="/member_id", code="missing", detail="Field required")
_EXAMPLE_REQUEST_ID = "9f86d081884c7d65"


def refusals(name: str, operation: Mapping[str, Any], schema: Mapping[str, str]) -> dict[str, Any]:
    """`name`: `METHOD path`. For each status the problems that it may stand for, each with an example."""
    kinds = sorted(set(_kinds(name, operation)), key=lambda kind: (kind.status, kind.name))
    return {str(status): _described(list(group), schema) for status, group in groupby(kinds, key=lambda kind: kind.status)}


def _kinds(name: str, operation: Mapping[str, Any]) -> Iterator[ProblemType]:
    yield INTERNAL
    yield from _OF_ITS_OWN.get(name, ())
    if "security" in operation:
        yield from _WITH_KEY
    if "requestBody" in operation:
        yield from _WITH_BODY
    if " /v1/" in name:
        yield INVALID
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        yield NOT_FOUND


def _described(kinds: Iterable[ProblemType], schema: Mapping[str, str]) -> dict[str, Any]:
    kinds = list(kinds)
    examples = {kind.name: {"summary": kind.title, "value": _example(kind)} for kind in kinds}
    told: dict[str, Any] = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": dict(schema), "examples": examples}},
    }
    if any(kind.retry or kind is TOO_MANY for kind in kinds):
        told["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return told


def _example(kind: ProblemType) -> dict[str, Any]:
    errors = (_EXAMPLE_FAULT,) if kind is INVALID else ()
    refusal = Refusal(kind, kind.advice or kind.title, errors)
    return refusal.problem(_EXAMPLE_REQUEST_ID).model_dump(mode="json")

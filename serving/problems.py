"""Everything that can go wrong, as RFC 9457 problems: a table of types, and the handlers that answer with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from models.errors import (
    InputError,
    KeepwellError,
    ModelRefused,
    NoChampion,
    NotEnoughData,
    StoreOutdated,
    StoreUnavailable,
    UnknownExperiment,
    UnknownMember,
)
from serving.fault_wording import worded
from serving.logs import LOGGER
from serving.metrics import STORE_ERRORS

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
NO_PATH = "there is nothing at this path; /openapi.json lists all paths, none of which ends with a slash"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
"""Those that anything is offered for."""


SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer that sets none of its own; an internal error is answered outside of the gate, so that problems carry them themselves."""


@dataclass(frozen=True)
class ProblemType:
    """`name` is the last part of the type's URI reference; `retry` tells that the same request may succeed later.

    `advice` is said in place of an exception's own text, which may tell of paths and hosts.
    """

    name: str
    status: int
    title: str
    retry: bool = False
    advice: str | None = None


NO_HTTP = ProblemType("malformed-request", 400, "The request is no HTTP")
MALFORMED = ProblemType("malformed-json", 400, "The body is not JSON")
UNAUTHENTICATED = ProblemType("unauthenticated", 401, "No valid API key was given")
FORBIDDEN = ProblemType("forbidden", 403, "The API key lacks the scope for this")
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here")
UNKNOWN_MEMBER = ProblemType("unknown-member", 404, "The member is not known")
UNKNOWN_DECISION = ProblemType("unknown-decision", 404, "The decision is not known")
NO_ROLLOUT = ProblemType("no-rollout", 404, "No roll-out runs")
NO_RUN = ProblemType("no-run", 404, "No run over all members is kept yet")
UNKNOWN_EXPERIMENT = ProblemType("unknown-experiment", 404, "There is no such experiment")
UNKNOWN_JOB = ProblemType("unknown-job", 404, "The decision job is not known")
NOT_ALLOWED = ProblemType("method-not-allowed", 405, "The method is not offered here")
NOT_ACCEPTABLE = ProblemType("not-acceptable", 406, "None of the accepted media types is offered")
TOO_SLOW = ProblemType("request-timeout", 408, "The request did not come whole")
IN_FLIGHT = ProblemType("request-in-flight", 409, "The first attempt of this request is still under way", retry=True)
JOB_NOT_ENDED = ProblemType("job-not-ended", 409, "The decision job is under way", retry=True)
NOT_REPLAYABLE = ProblemType("not-replayable", 409, "What the decision was made on is not kept here")
MODEL_GONE = ProblemType("model-gone", 409, "The model that decided cannot be loaded")
TRACE_GONE = ProblemType("trace-gone", 410, "The trace of the decision has left the store")
TOO_LARGE = ProblemType("body-too-large", 413, "The body is too large")
HEAD_TOO_LARGE = ProblemType("head-too-large", 431, "The headers are too large")
UNSUPPORTED = ProblemType("unsupported-media-type", 415, "The media type of the body is not read here")
INVALID = ProblemType("invalid-request", 422, "The request breaks the contract")
REUSED = ProblemType("request-id-reused", 422, "The request id was used with another body")
REPEATED_MEMBER = ProblemType("repeated-member", 422, "The member occurs earlier in this batch")
REFUSED_INPUT = ProblemType("refused-input", 422, "The input cannot be used")
TOO_MANY = ProblemType("too-many-requests", 429, "The API key asks too often")
INTERNAL = ProblemType("internal-error", 500, "Something went wrong here", advice="the log of the service tells why, under this request id")
NO_MODEL = ProblemType("no-model", 503, "No model is in force", retry=True, advice="`keepwell promote` puts one in force")
STORE_DOWN = ProblemType("store-unavailable", 503, "The store does not answer", retry=True, advice="nothing was written; try again")
STORE_OUTDATED = ProblemType("store-outdated", 503, "The store is of another release", retry=True, advice="`keepwell migrate` brings it up")
NOT_READ = ProblemType("not-read", 503, "The experiments are being read for the first time", retry=True)
BUSY = ProblemType("busy", 503, "Too many decide on this member at once", retry=True)

PROBLEM_TYPES = (
    *(MALFORMED, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, UNKNOWN_MEMBER, UNKNOWN_DECISION, UNKNOWN_JOB, NO_RUN, NOT_ALLOWED, NOT_ACCEPTABLE),
    *(UNKNOWN_EXPERIMENT, NO_ROLLOUT, IN_FLIGHT, JOB_NOT_ENDED, NOT_REPLAYABLE, MODEL_GONE, TRACE_GONE),
    *(NO_HTTP, TOO_SLOW, HEAD_TOO_LARGE, TOO_LARGE, UNSUPPORTED, INVALID, REUSED, REPEATED_MEMBER, REFUSED_INPUT, TOO_MANY),
    *(INTERNAL, NO_MODEL, STORE_DOWN, STORE_OUTDATED, NOT_READ, BUSY),
)

_OF_EXCEPTION: Mapping[type[KeepwellError], ProblemType] = {
    UnknownMember: UNKNOWN_MEMBER,
    UnknownExperiment: UNKNOWN_EXPERIMENT,
    NoChampion: NO_MODEL,
    ModelRefused: NO_MODEL,
    StoreUnavailable: STORE_DOWN,
    StoreOutdated: STORE_OUTDATED,
    InputError: REFUSED_INPUT,
    NotEnoughData: REFUSED_INPUT,
}
_OF_STATUS = {kind.status: kind for kind in (NOT_FOUND, NOT_ALLOWED, TOO_LARGE, MALFORMED)}


class Fault(BaseModel):
    """One thing that is wrong: in the body at the JSON pointer, or in a parameter."""

    pointer: str | None = None
    parameter: str | None = None
    code: str
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] = []


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - a refused request is an answer and no error of ours
    """Raised by handlers; becomes the answer."""

    kind: ProblemType
    detail: str
    errors: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: KeepwellError) -> Refusal:
        kind = _OF_EXCEPTION.get(type(error), INTERNAL)
        return cls(kind, kind.advice or str(error))

    def problem(self, request_id: str) -> Problem:
        return Problem(
            type=f"/docs#{self.kind.name}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            request_id=request_id,
            errors=list(self.errors),
        )

    def response(self, request_id: str) -> Response:
        retry = {"Retry-After": str(RETRY_SECONDS)} if self.kind.retry else {}
        headers = {**SECURITY_HEADERS, **retry, **self.headers, "X-Request-ID": request_id}
        return Response(self.problem(request_id).model_dump_json(), self.kind.status, headers, MEDIA_TYPE)


def faults_of(errors: Iterable[Mapping[str, object]]) -> tuple[Fault, ...]:
    """Pydantic's error details, with the place as a JSON pointer (RFC 6901) or as the name of a parameter."""
    return tuple(_fault(error) for error in errors)


def _fault(error: Mapping[str, object]) -> Fault:
    place, *path = error["loc"] if isinstance(error["loc"], Sequence) and error["loc"] else ("body",)
    code, detail = str(error["type"]), worded(error)
    if place == "body":
        return Fault(pointer="".join(f"/{_escaped(part)}" for part in path), code=code, detail=detail)
    return Fault(parameter=".".join(map(str, (place, *path))), code=code, detail=detail)


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def request_id_of(request: Request) -> str:
    return str(getattr(request.state, "request_id", "unknown"))


CurrentRequestId = Annotated[str, Depends(request_id_of)]


def install(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, answered)
    app.add_exception_handler(KeepwellError, answered)
    app.add_exception_handler(RequestValidationError, answered)
    app.add_exception_handler(HTTPException, answered)
    app.add_exception_handler(Exception, answered)


def answered(request: Request, error: Exception) -> Response:
    refusal, request_id = _refusal(error), request_id_of(request)
    if refusal.kind is NOT_ALLOWED:
        offered = ", ".join(_offered(request))
        refusal = replace(refusal, detail=f"this path takes {offered}", headers={"Allow": offered})
    if refusal.kind is STORE_DOWN:
        STORE_ERRORS.inc()
    if refusal.kind.advice is not None:
        LOGGER.error("problem", problem=refusal.kind.name, detail=str(error) if isinstance(error, KeepwellError) else type(error).__name__)
    return refusal.response(request_id)


def _offered(request: Request) -> Iterator[str]:
    """All methods of the path: several operations share one, and each route knows its own alone."""
    for method in METHODS:
        asked = {**request.scope, "method": "GET" if method == "HEAD" else method}
        if any(route.matches(asked)[0] is Match.FULL for route in request.app.routes):
            yield method


def _refusal(error: Exception) -> Refusal:
    match error:
        case Refusal():
            return error
        case KeepwellError():
            return Refusal.of(error)
        case RequestValidationError():
            return invalid(error)
        case HTTPException():
            kind = _OF_STATUS.get(error.status_code, ProblemType("http-error", error.status_code, "The request was refused"))
            return Refusal(kind, NO_PATH if kind is NOT_FOUND else str(error.detail), headers=error.headers or {})
        case _:
            return Refusal(INTERNAL, str(INTERNAL.advice))


def invalid(error: RequestValidationError) -> Refusal:
    faults = faults_of(error.errors())
    first = faults[0]
    return Refusal(INVALID, f"{first.pointer or first.parameter or 'the body'}: {first.detail}", faults)

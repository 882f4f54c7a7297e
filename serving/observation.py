"""What is seen of every request: its id and its trace, how it was answered and how long that took."""

from __future__ import annotations

import re
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from serving.logs import LOGGER
from serving.metrics import REQUESTS, labelled
from serving.traces import Tracer, continued, new_id

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
X_REQUEST_ID, TRACEPARENT = OWN = (b"x-request-id", b"traceparent")
OTHER, UNMATCHED = "OTHER", "unmatched"
UNANSWERED = 500


class Observed:
    """ASGI middleware, around all others: binds the ids to whatever is logged on the way, and logs and counts each request once.

    The ids stay bound, for an unforeseen error is logged further out; every request has a context of its own.

    The path is told as the template of its route, for it may name a member; so is no method but those of HTTP.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer = continued) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, started, status = Headers(scope=scope), perf_counter(), UNANSWERED
        request_id, trace = _request_id(headers), self.tracer(headers.get("traceparent", ""))
        scope.setdefault("state", {})["request_id"] = request_id

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(X_REQUEST_ID, request_id.encode()), (TRACEPARENT, trace.traceparent.encode())]
                message["headers"] = [*(header for header in message.get("headers", ()) if header[0].lower() not in OWN), *own]
            await send(message)

        bind_contextvars(request_id=request_id, trace_id=trace.trace_id)
        try:
            await self.app(scope, receive, answer)
        finally:
            _tell(scope, status, perf_counter() - started)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else OTHER
    state: dict[str, Any] = scope["state"]
    route = _route(scope)
    labelled(REQUESTS, method, route, str(status)).observe(seconds)
    LOGGER.info("request", method=method, route=route, status=status, ms=round(1_000 * seconds, 2), key_id=state.get("key_id"))


def _route(scope: Scope) -> str:
    """A route of Starlette's own, such as that of the OpenAPI document, is not in `scope`; without parameters its path is its template."""
    route = scope.get("route")
    if route is None and "endpoint" in scope and not scope["path_params"]:
        return str(scope["path"])
    return str(getattr(route, "path_format", UNMATCHED))


def _request_id(headers: Headers) -> str:
    """The client's own where it is short and plain, else a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else new_id(16)

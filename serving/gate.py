"""What every request passes before it is routed: the limit on its body, the media type, and the headers of its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.cloud_events import BATCH, STRUCTURED
from serving.problems import SECURITY_HEADERS, TOO_LARGE, UNSUPPORTED, Refusal

JSON_TYPES = ("application/json",)
READ_BY_PATH = {"/v1/events": (*JSON_TYPES, STRUCTURED, BATCH)}
"""Media types of bodies, where they are more than JSON."""
FORM = ("application/x-www-form-urlencoded",)
"""That of the pages, none of which lies below API_PATHS."""
API_PATHS = ("/v1/", "/score")
_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Gate:
    """ASGI middleware. A body without a declared length is counted as it comes; FastAPI lets no other exception than its own through."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = scope["state"]["request_id"]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_usual(message.get("headers", ()), scope["state"].get("headers", {}))
            await send(message)

        refusal = self._refusal(headers, _read_at(scope["path"]))
        if refusal is not None:
            await refusal.response(request_id)(scope, receive, answer)
        else:
            await self._asked(scope, self._counted(receive), answer)

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """HEAD as GET (RFC 9110, section 9.3.2), for routes know no HEAD; the server, which has the method as it came, sends no body."""
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            await self.app(asked, receive, send)
        finally:
            scope["route"] = asked.get("route")

    def _refusal(self, headers: Headers, read: Sequence[str]) -> Refusal | None:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.max_body_bytes:
            return Refusal(TOO_LARGE, self._limit)
        has_body = length != "0" or "transfer-encoding" in headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        coding = headers.get("content-encoding", "identity").strip().lower()
        if has_body and coding not in {"", "identity"}:
            return Refusal(
                UNSUPPORTED, f'a body in the coding "{coding}" is not read; send it as it is', headers={"Accept-Encoding": "identity"}
            )
        if has_body and media_type not in read:
            given = f'"{media_type}"' if media_type else "no media type"
            return Refusal(UNSUPPORTED, f"{given} was given; send {' or '.join(read)}", headers={"Accept": ", ".join(read)})
        return None

    @property
    def _limit(self) -> str:
        return f"at most {self.max_body_bytes:,} bytes are read; send fewer rows at a time"

    def _counted(self, receive: Receive) -> Receive:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body_bytes:
                raise HTTPException(TOO_LARGE.status, self._limit)
            return message

        return counted


def _with_usual(given: Iterable[tuple[bytes, bytes]], of_request: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What an answer says itself stands."""
    headers = list(given)
    said = {name.lower() for name, _ in headers}
    more = ((name.lower().encode(), value.encode()) for name, value in of_request.items())
    return headers + [header for header in (*_SECURITY, *more) if header[0] not in said]


def _read_at(path: str) -> Sequence[str]:
    return READ_BY_PATH.get(path, JSON_TYPES if path.startswith(API_PATHS) else FORM)

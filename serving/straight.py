"""The short way for the request that is made most: one score, asked for as it should be."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi.security.utils import get_authorization_scheme_param
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import KeepwellError
from serving.auth import admit
from serving.problems import Refusal, answered
from serving.schemas import ScoreRequest
from serving.score_turns import Posed
from serving.scoring import Outcome
from serving.service import Service
from serving.turns import Turns

PATHS = ("/v1/score", "/score")
IDEMPOTENCY_KEY = "idempotency-key"


@dataclass(frozen=True)
class Matched:
    """Stands for the route in the scope of a request, as the log and the metrics name it."""

    path_format: str


class Straight:
    """ASGI middleware. A valid body goes to its turn at once; to be routed and resolved by FastAPI costs as much as half a score.

    Whatever else comes in - a body that is not valid or comes in parts, a query, the header that names a request - FastAPI gets to see as
    it came, and tells what is wrong with it.
    """

    def __init__(self, app: ASGIApp, service: Service, turns: Turns[Posed, Outcome]) -> None:
        self.app = app
        self._service = service
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PATHS or scope["query_string"]:
            await self.app(scope, receive, send)
            return
        message = await receive()
        headers = Headers(scope=scope)
        asked = None if IDEMPOTENCY_KEY in headers else _asked(message)
        if asked is None:
            await self.app(scope, _again(message, receive), send)
            return
        scope["route"] = Matched(scope["path"])
        try:
            text = await self._answer(asked, headers.get("authorization"), scope["state"])
        except (Refusal, KeepwellError) as error:
            response = answered(Request(scope), error)
        else:
            response = Response(text, media_type="application/json")
        await response(scope, receive, send)

    async def _answer(self, asked: ScoreRequest, authorization: str | None, state: MutableMapping[str, Any]) -> str:
        """Raises Refusal and KeepwellError."""
        scheme, secret = get_authorization_scheme_param(authorization)
        if not secret or scheme.lower() != "bearer":
            admit(self._service, None, None, "score", state)
        outcome = await self._turns.result(Posed(asked, secret=secret, state=state))
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome


def _asked(message: Message) -> ScoreRequest | None:
    if message["type"] != "http.request" or message.get("more_body"):
        return None
    try:
        return ScoreRequest.model_validate_json(message.get("body", b""))
    except ValidationError:
        return None


def _again(message: Message, receive: Receive) -> Receive:
    """`message`, and then what follows it."""
    first = [message]

    async def received() -> Message:
        return first.pop() if first else await receive()

    return received

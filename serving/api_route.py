"""What every route of the API asks for beside its own schema: a body in UTF-8, and no parameter of the query that it does not know.

A fault is noted here, and told by `auth` once the key has the scope: whoever has none hears of that first.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from serving.auth import note
from serving.gate import API_PATHS
from serving.problems import INVALID, MALFORMED, Fault, Refusal


class ApiRoute(APIRoute):
    """The probes beside it read no parameters and refuse none."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # FastAPI names a coroutine where any awaitable does
        handle = super().get_route_handler()
        known = sorted(_parameters(self.dependant)) if self.path.startswith(API_PATHS) else None

        async def handled(request: Request) -> Response:
            if known is not None and request.scope["query_string"]:
                _look_for_others(request, known)
            return await handle(_InUtf8(request.scope, request.receive))

        return handled


class _InUtf8(Request):
    async def json(self) -> Any:  # noqa: ANN401 - starlette's signature
        """None where it cannot be read, which is noted."""
        try:
            return _read(await self.body())
        except Refusal as fault:
            note(self.scope["state"], fault)
            return None


def _read(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Python would read UTF-16 and UTF-32 too, which RFC 8259 (section 8.1) rules out. A byte order mark of UTF-8 is passed over.

    Raises Refusal.
    """
    coding = json.detect_encoding(body).upper()
    if not coding.startswith("UTF-8"):
        raise Refusal(MALFORMED, f"the body reads as {coding}; send JSON in UTF-8")
    try:
        return json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Refusal(MALFORMED, f"the body is no UTF-8 from byte {error.start} on") from None
    except json.JSONDecodeError as error:
        raise Refusal(MALFORMED, f"the body is no JSON from character {error.pos} on") from None
    except ValueError:
        raise Refusal(MALFORMED, "a number of the body has more digits than are read here") from None
    except RecursionError:
        raise Refusal(MALFORMED, "the body is nested deeper than is read here") from None


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for one in dependant.dependencies:
        yield from _parameters(one)


def _look_for_others(request: Request, known: Sequence[str]) -> None:
    """A parameter that is misspelt is never ignored."""
    others = [name for name in request.query_params if name not in known]
    if others:
        faults = tuple(Fault(parameter=f"query.{name}", code="extra_forbidden", detail=_instead(name, known)) for name in others)
        note(request.scope["state"], Refusal(INVALID, f"{faults[0].parameter}: {faults[0].detail}", faults))


def _instead(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f'there is no such parameter here; did you mean "{near[0]}"?'
    return f"there is no such parameter here; {'known are ' + ', '.join(known) if known else 'none is read'}"

"""What all pages share: their templates and texts, the frame around them, and how a failure looks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from babel.dates import format_timedelta
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import RedirectResponse
from starlette.routing import Match, Mount

from models.errors import KeepwellError
from models.pages import FOLDER as SHARED_TEMPLATES
from models.texts import GAPS, calendar_day, month_of_year, number, text
from serving.gate import API_PATHS
from serving.pages.assets import POLICY, address
from serving.pages.visitors import GUEST_COOKIE, SESSION, THEMES, SignInNeeded, Visitor, set_cookie, visitor
from serving.problems import NOT_FOUND, Refusal, answered, invalid, request_id_of


@dataclass(frozen=True)
class Place:
    """An entry of the navigation."""

    path: str
    text: str
    sign: str


PLACES = (
    Place("/", "page.today", "today"),
    Place("/audience", "page.audience", "audience"),
    Place("/planner", "page.planner", "planner"),
    Place("/interventions", "page.interventions", "interventions"),
    Place("/experiments", "page.experiments", "experiments"),
    Place("/model", "page.model", "model"),
    Place("/monitor", "page.monitor", "monitor"),
)


@cache
def environment() -> Environment:
    """What a template is not given is an error."""
    loader = FileSystemLoader([Path(__file__).parents[1] / "templates", SHARED_TEMPLATES])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["percent"] = "{:.3f}%".format
    made.filters["coded"] = coded
    made.globals.update(static=address, places=PLACES, themes=THEMES)
    return made


def coded(sentence: str) -> Markup:
    """What stands between backticks, as code; a command in one line."""
    marked = re.sub(r"`(keepwell [^`]+)`", r'<code class="command">\1</code>', str(escape(sentence)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", marked))  # noqa: S704 - escaped just before


def page(request: Request, whoever: Visitor, template: str, status: int = 200, **content: Any) -> HTMLResponse:  # noqa: ANN401 - what a template reads
    """The page in the visitor's language and light."""
    written = (
        environment()
        .get_template(template)
        .render(
            t=partial(text, whoever.language),
            n=partial(number, whoever.language),
            day=partial(calendar_day, whoever.language),
            gap=GAPS[whoever.language],
            lang="zh-CN" if whoever.language == "zh" else "en",
            visitor=whoever,
            here=request.url.path,
            address=_with_query(request.url.path, request),
            **content,
        )
    )
    response = HTMLResponse(written, status, {"Content-Security-Policy": POLICY, "Vary": "Cookie, Accept-Language, HX-Request"})
    if whoever.new_secret:
        set_cookie(response, request, GUEST_COOKIE, whoever.secret, SESSION)
    return response


def _with_query(path: str, request: Request) -> str:
    return f"{path}?{request.url.query}" if request.url.query else path


def month(whoever: Visitor, name: str) -> str:
    """A year and month, `2026-11`, as it is said."""
    return month_of_year(whoever.language, date.fromisoformat(f"{name}-01"))


def ago(whoever: Visitor, at: datetime, now: datetime) -> str:
    """The distance of a time in the past, as it is said."""
    passed = max(now - at, timedelta(minutes=1))
    return format_timedelta(-passed, add_direction=True, locale=whoever.locale)


class PageRoute(APIRoute):
    """Whoever is not signed in is led to the entrance; what goes wrong is told on a page."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # FastAPI names a coroutine where any awaitable does
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInNeeded:
                return _to_entrance(request)
            except Refusal as refusal:
                return await run_in_threadpool(_failure, request, refusal)
            except KeepwellError as error:
                return await run_in_threadpool(_failure, request, Refusal.of(error))
            except RequestValidationError as error:
                return await run_in_threadpool(_failure, request, invalid(error))

        return told


def _to_entrance(request: Request) -> Response:
    came_from = _with_query(request.url.path, request)
    entrance = f"/sign-in?next={quote(came_from if request.method == 'GET' else '/', safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": entrance})
    return RedirectResponse(entrance, 303)


def unknown_address(request: Request, error: Exception) -> Response:
    """A page for who looks with a browser, the right one where a slash too much was written; a problem for a client."""
    looks = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not looks or request.url.path.startswith(API_PATHS):
        return answered(request, error)
    place = request.scope["path"].removesuffix("/")
    if _leads_to_a_page(request, place):
        return RedirectResponse(_with_query(quote(place), request))
    return _failure(request, Refusal(NOT_FOUND, request.url.path))


def _leads_to_a_page(request: Request, path: str) -> bool:
    asked = {**request.scope, "path": path, "raw_path": path.encode()}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes if not isinstance(route, Mount))


def _failure(request: Request, refusal: Refusal) -> Response:
    service = request.app.state.service
    try:
        whoever = visitor(request, service)
    except KeepwellError:
        whoever = Visitor(service.community.language, "auto", None, "", new_secret=False)
    kind = refusal.kind
    reason = text(whoever.language, KNOWN_FAILURES.get(kind.name, "page.failed_detail"))
    return page(
        request,
        whoever,
        "failure.html",
        kind.status,
        code=kind.name,
        reason=reason,
        trained=service.models.version is not None,
        detail=refusal.detail,
        request_id=request_id_of(request),
    )


KNOWN_FAILURES = {
    "not-found": "page.no_page",
    "invalid-request": "page.odd_request",
    "unknown-member": "page.no_member",
    "no-model": "page.no_model",
    "stale-form": "page.stale_form",
    "forbidden": "page.no_scope",
    "store-unavailable": "page.no_store",
    "no-run": "page.no_run",
    "not-read": "page.not_read",
    "unknown-experiment": "page.no_experiment",
}

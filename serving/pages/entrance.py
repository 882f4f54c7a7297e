"""The way in and out, and how the pages look to whoever reads them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from models.texts import LANGUAGES
from serving.pages.site import PageRoute, page
from serving.pages.visitors import (
    A_YEAR,
    LANGUAGE_COOKIE,
    SESSION,
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    Anybody,
    SentForm,
    close_session,
    open_session,
    own_address,
    set_cookie,
)
from serving.service import CurrentService

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Next = Annotated[str | None, Query(alias="next", max_length=2000)]


@router.get("/sign-in")
def entrance(request: Request, whoever: Anybody, came_from: Next = None) -> Response:
    return page(request, whoever, "sign_in.html", next=own_address(came_from), refused=False)


@router.post("/sign-in")
async def sign_in(request: Request, service: CurrentService, whoever: Anybody, form: SentForm) -> Response:
    goal = own_address(form.get("next"))
    session = await run_in_threadpool(open_session, service, form.get("key", "").strip())
    if session is None:
        return page(request, whoever, "sign_in.html", 401, next=goal, refused=True)
    response = RedirectResponse(goal, 303)
    set_cookie(response, request, SESSION_COOKIE, session, SESSION)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, service: CurrentService, form: SentForm) -> Response:  # noqa: ARG001 - the form is checked by being asked for
    session = request.cookies.get(SESSION_COOKIE)
    if session is not None:
        await close_session(service, session)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.post("/look")
async def look(request: Request, form: SentForm) -> Response:
    """Remembers a language or a light, and goes back to the page."""
    response = RedirectResponse(own_address(form.get("next")), 303)
    for name, cookie, allowed in (("language", LANGUAGE_COOKIE, LANGUAGES), ("theme", THEME_COOKIE, THEMES)):
        if form.get(name) in allowed:
            set_cookie(response, request, cookie, form[name], A_YEAR)
    return response

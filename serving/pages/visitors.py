"""Who looks at a page: a session opened with an API key, the language and the light that were chosen, and the token of every form."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Literal, cast, get_args
from urllib.parse import parse_qsl

from babel import Locale, negotiate_locale
from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from models.api_keys import Principal, Scope, holder_of, holder_of_id
from models.declared import Language
from models.moments import microseconds
from models.texts import LANGUAGES
from serving.problems import FORBIDDEN, TOO_MANY, ProblemType, Refusal
from serving.service import CurrentService, Service
from serving.settings import wall_clock

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
SESSION_COOKIE, GUEST_COOKIE, LANGUAGE_COOKIE, THEME_COOKIE = "keepwell_session", "keepwell_guest", "keepwell_language", "keepwell_theme"
SESSION = timedelta(hours=12)
A_YEAR = timedelta(days=365)
MOST_FIELDS = 100

STALE_FORM = ProblemType("stale-form", 403, "The form was not sent from a page of this session")


class SignInNeeded(Exception):  # noqa: N818 - it is an answer: the way to the entrance
    """Nobody is signed in, or the session or its key has ended."""


@dataclass(frozen=True)
class Visitor:
    """`holder` is None for whoever is not signed in; `secret` is in a cookie that only this browser has."""

    language: Language
    theme: Theme
    holder: Principal | None
    secret: str
    new_secret: bool

    @property
    def form_token(self) -> str:
        """What a form has to bring; another site cannot know it."""
        return hmac.new(self.secret.encode(), b"form", sha256).hexdigest()

    @property
    def locale(self) -> Locale:
        return Locale.parse("zh_Hans_CN" if self.language == "zh" else "en_GB")


def digest_of(secret: str) -> str:
    """What the store knows of a session; its 256 random bits need no slow hash."""
    return sha256(secret.encode()).hexdigest()


def visitor(request: Request, service: CurrentService) -> Visitor:
    """Raises StoreUnavailable."""
    session = request.cookies.get(SESSION_COOKIE)
    holder = None if session is None else _holder(service, session)
    guest = request.cookies.get(GUEST_COOKIE)
    secret = session if session is not None and holder is not None else guest
    return Visitor(
        language=_language(request, service),
        theme=cast("Theme", _chosen(request.cookies.get(THEME_COOKIE), THEMES, "auto")),
        holder=holder,
        secret=secret or secrets.token_urlsafe(32),
        new_secret=secret is None,
    )


Anybody = Annotated[Visitor, Depends(visitor)]


def _reader(service: CurrentService, whoever: Anybody) -> Visitor:
    if whoever.holder is None:
        raise SignInNeeded
    standing = service.rates.hit(whoever.holder.key_id)
    if not standing.allowed:
        detail = f'the key "{whoever.holder.name}" may ask {standing.rate}; wait for {standing.again_in} s'
        raise Refusal(TOO_MANY, detail, headers={"Retry-After": str(standing.again_in)})
    need(whoever, "read")
    return whoever


Reader = Annotated[Visitor, Depends(_reader)]
"""Signed in with a key of the scope `read`."""


def need(signed_in: Visitor, scope: Scope) -> None:
    """Raises Refusal where the key has not the scope."""
    holder = signed_in.holder
    if holder is None or not holder.may(scope):
        raise Refusal(FORBIDDEN, f"this page needs a key with the scope {scope}")


async def _sent(request: Request, whoever: Anybody) -> Mapping[str, str]:
    """The fields of a form that one of our own pages sent; of several with one name the last. Raises Refusal for any other."""
    body = (await request.body()).decode("utf-8", errors="replace")
    fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    if not hmac.compare_digest(fields.pop("form_token", "").encode(), whoever.form_token.encode()):
        raise Refusal(STALE_FORM, "open the page again and send the form from there")
    return fields


SentForm = Annotated[Mapping[str, str], Depends(_sent)]


def open_session(service: Service, secret: str) -> str | None:
    """The secret of a new session for whoever knows the secret of a key with the scope `read`; None for anybody else."""
    now = wall_clock()
    holder = holder_of(service.store, secret, now=now)
    if holder is None or not holder.may("read"):
        return None
    session = secrets.token_urlsafe(32)
    service.store.open_session(digest_of(session), holder.key_id, microseconds(now + SESSION), microseconds(now))
    return session


async def close_session(service: Service, session: str) -> None:
    await run_in_threadpool(service.store.close_session, digest_of(session))


def set_cookie(response: Response, request: Request, name: str, value: str, lasting: timedelta) -> None:
    """No script can read it, and no other site's form sends it along."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=int(lasting.total_seconds()), httponly=True, samesite="lax", secure=secure)


def own_address(address: str | None) -> str:
    """Of a page here, whatever was asked for; the first page where it leads elsewhere."""
    safe = address is not None and address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if safe and address is not None else "/"


def _holder(service: Service, session: str) -> Principal | None:
    now = wall_clock()
    key_id = service.store.session_key(digest_of(session), microseconds(now))
    return None if key_id is None else holder_of_id(service.store, key_id, now=now)


def _language(request: Request, service: Service) -> Language:
    """The one chosen here, else the one that the browser likes best, else the community's."""
    wanted = [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")]
    liked = negotiate_locale([name.split("-")[0] for name in wanted if name], list(LANGUAGES))
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return cast("Language", _chosen(chosen, LANGUAGES, liked or service.community.language))


def _chosen(given: str | None, allowed: tuple[str, ...], default: str) -> str:
    return given if given in allowed else default

"""Who is asking: API keys as bearer tokens, each with its scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from models.api_keys import Principal, Scope
from models.errors import StoreUnavailable
from serving.problems import FORBIDDEN, TOO_MANY, UNAUTHENTICATED, Refusal
from serving.service import CurrentService, Service
from serving.settings import wall_clock

_bearer = HTTPBearer(auto_error=False, scheme_name="api_key", description="An API key with the scope that the operation names.")
_FAULT = "fault"
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def admitted(service: Service, secret: str | None, scope: Scope, state: MutableMapping[str, Any]) -> Principal:
    """Whose secret it is, admitted as by `admit`; raises Refusal."""
    return admit(service, None if secret is None else await service.holders.result(secret), secret, scope, state)


def admit(service: Service, holder: Principal | None, secret: str | None, scope: Scope, state: MutableMapping[str, Any]) -> Principal:
    """The holder of the secret, noted with what is left of its rate in the request's `state`; raises Refusal as `requires` says."""
    if holder is None:
        given = "no key was given" if secret is None else "the key is not valid"
        raise Refusal(UNAUTHENTICATED, f'{given}; send "Authorization: Bearer kw_..."', headers={"WWW-Authenticate": "Bearer"})
    standing = service.rates.hit(holder.key_id)
    state["headers"] = standing.headers
    if not standing.allowed:
        detail = f'the key "{holder.name}" may ask {standing.rate}; wait for {standing.again_in} s'
        raise Refusal(TOO_MANY, detail, headers={"Retry-After": str(standing.again_in)})
    if not holder.may(scope):
        raise Refusal(FORBIDDEN, f'the key "{holder.name}" has {", ".join(sorted(holder.scopes))}; this needs {scope}')
    state["key_id"] = holder.key_id
    return holder


def requires(scope: Scope) -> Callable[[CurrentService, _Credentials, Request], Awaitable[Principal]]:
    """A dependency that answers 401 without a valid key, 429 for one that asks too often and 403 for one without the scope.

    Keys are looked up for every request, so that one that was revoked or renewed is so at once. What was noted of the request is told to
    who is admitted.
    """

    async def principal(service: CurrentService, credentials: _Credentials, request: Request) -> Principal:
        state = request.scope["state"]
        holder = await admitted(service, None if credentials is None else credentials.credentials, scope, state)
        if _FAULT in state:
            raise state[_FAULT]
        return holder

    return principal


def note(state: MutableMapping[str, Any], fault: Refusal) -> None:
    """What is wrong with a request, before it is known who asks; the first fault stays."""
    state.setdefault(_FAULT, fault)


async def _measurer(service: CurrentService, credentials: _Credentials, request: Request) -> Principal:
    """As `requires("metrics")`; while the store does not answer, whoever read the figures in the last hour may go on reading them."""
    secret = None if credentials is None else credentials.credentials
    try:
        holder = await admitted(service, secret, "metrics", request.scope["state"])
    except StoreUnavailable:
        known = None if secret is None else service.measurers.holder(secret, wall_clock())
        if known is None:
            raise
        return known
    except Refusal:
        service.measurers.forget(secret or "")
        raise
    service.measurers.remember(secret or "", holder, wall_clock())
    return holder


Scoring = Annotated[Principal, Depends(requires("score"))]
Ingesting = Annotated[Principal, Depends(requires("ingest"))]
Reading = Annotated[Principal, Depends(requires("read"))]
Planning = Annotated[Principal, Depends(requires("plan"))]
Protecting = Annotated[Principal, Depends(requires("privacy"))]
Measuring = Annotated[Principal, Depends(_measurer)]
Administering = Annotated[Principal, Depends(requires("admin"))]

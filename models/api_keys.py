"""API keys: who may do what, and until when. The store keeps a keyed hash; the secret is shown once, to whoever asked for the key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from models.errors import InputError
from models.moments import microseconds
from models.store import KeyRow, Store

Scope = Literal["score", "ingest", "read", "plan", "privacy", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "kw"
FIRST_KEY_NAME = "demo"
MOST_CHARACTERS = 256
_NOBODY = KeyRow("", "", "", "00" * 16, "00" * 32, 0, 0)


@dataclass(frozen=True)
class Principal:
    """Whoever holds a key; `admin` may do all."""

    key_id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes


def create_key(store: Store, name: str, scopes: Sequence[str], *, now: datetime, expires: datetime | None = None) -> str:
    """The secret `kw_<key id>_<256 random bits>`; it cannot be read again.

    Raises InputError for an unknown scope, for none, or where it would have expired already.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InputError(f'key "{name}": {unknown[0] if unknown else "no"} scope; give one or more of {", ".join(SCOPES)}')
    if expires is not None and expires <= now:
        raise InputError(f'key "{name}": {expires.isoformat()} has passed already; give a later time')
    key_id, token, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    ends_us = None if expires is None else microseconds(expires)
    row = KeyRow(key_id, name, " ".join(sorted(set(scopes))), salt.hex(), _digest(token, salt), microseconds(now), ends_us)
    store.add_key(row)
    return f"{PREFIX}_{key_id}_{token}"


def rotate_key(store: Store, key_id: str, *, now: datetime, overlap: timedelta) -> str:
    """The secret of a new key of the same name and scopes; the old one stays valid for `overlap`, or to its own earlier end.

    Raises InputError for a key that the store does not have or that has ended.
    """
    old = _of(store, key_id)
    if _has_ended(old, now):
        raise InputError(f'key "{key_id}" has ended; make a new one with `keepwell keys create`')
    secret = create_key(store, old.name, old.scopes.split(), now=now)
    store.end_key(key_id, microseconds(now + overlap))
    return secret


def revoke_key(store: Store, key_id: str, *, now: datetime) -> None:
    """At once, in every process; raises InputError for a key that the store does not have."""
    store.end_key(_of(store, key_id).key_id, microseconds(now))


def ensure_first_key(store: Store, *, now: datetime) -> str | None:
    """The secret of a first key with all scopes, None where the store has a key already."""
    return None if store.has_keys() else create_key(store, FIRST_KEY_NAME, SCOPES, now=now)


def holder_of(store: Store, secret: str, *, now: datetime) -> Principal | None:
    """None for a secret that no key of the store has, or whose key has ended."""
    return holders_of(store, [secret], now=now)[0]


def holders_of(store: Store, secrets_: Sequence[str], *, now: datetime) -> list[Principal | None]:
    """`holder_of` each, by one look into the store.

    The comparison takes the same time however much of a secret is right, and it is made for an unknown key too.
    """
    claims = [_claim(secret) for secret in secrets_]
    found = store.keys({claim.key_id for claim in claims if claim.key_id is not None})
    return [_holder(found.get(claim.key_id or "", _NOBODY), claim.token, now) for claim in claims]


class _Claim(NamedTuple):
    """What a secret says; `key_id` is None where it cannot be one of ours."""

    key_id: str | None
    token: str


def _claim(secret: str) -> _Claim:
    prefix, _, rest = secret[:MOST_CHARACTERS].partition("_")
    key_id, _, token = rest.partition("_")
    return _Claim(key_id if prefix == PREFIX and key_id.isascii() and key_id.isalnum() else None, token)


def _holder(key: KeyRow, token: str, now: datetime) -> Principal | None:
    matches = hmac.compare_digest(_digest(token, bytes.fromhex(key.salt)), key.digest)
    if not matches or _has_ended(key, now):
        return None
    return Principal(key.key_id, key.name, frozenset(key.scopes.split()))


def holder_of_id(store: Store, key_id: str, *, now: datetime) -> Principal | None:
    """For whoever has proven the secret before; None where the key has ended since."""
    key = store.key(key_id)
    return None if key is None or _has_ended(key, now) else Principal(key.key_id, key.name, frozenset(key.scopes.split()))


def _of(store: Store, key_id: str) -> KeyRow:
    key = store.key(key_id)
    if key is None:
        known = ", ".join(each.key_id for each in store.all_keys()) or "none"
        raise InputError(f'no key has the id "{key_id}"; the store has {known}')
    return key


def _has_ended(key: KeyRow, now: datetime) -> bool:
    return key.expires_us is not None and key.expires_us <= microseconds(now)


def _digest(token: str, salt: bytes) -> str:
    """BLAKE2b keyed with the salt. The token holds 256 random bits, so that no slow hash is needed against guessing."""
    return hashlib.blake2b(token.encode(), key=salt, digest_size=32).hexdigest()

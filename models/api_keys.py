"""API keys: who may do what. The store keeps a keyed hash; the secret itself is shown once, to whoever asked for the key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from models.errors import InputError
from models.store import KeyRow, Store

Scope = Literal["score", "ingest", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "kw"
FIRST_KEY_NAME = "demo"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Principal:
    """Whoever holds a key; `admin` may do all."""

    key_id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes


def create_key(store: Store, name: str, scopes: Sequence[str], *, now: datetime) -> str:
    """The secret `kw_<key id>_<256 random bits>`; it cannot be read again. Raises InputError for an unknown scope, or for none."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InputError(f'key "{name}": {unknown[0] if unknown else "no"} scope; give one or more of {", ".join(SCOPES)}')
    key_id, token, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    created_us = (now - _EPOCH) // timedelta(microseconds=1)
    store.add_key(KeyRow(key_id, name, " ".join(sorted(set(scopes))), salt.hex(), _digest(token, salt), created_us))
    return f"{PREFIX}_{key_id}_{token}"


def ensure_first_key(store: Store, *, now: datetime) -> str | None:
    """The secret of a first key with all scopes, None where the store has a key already."""
    return None if store.has_keys() else create_key(store, FIRST_KEY_NAME, SCOPES, now=now)


def holder_of(store: Store, secret: str) -> Principal | None:
    """None for a secret that no key of the store has; the comparison takes the same time however much of it is right."""
    prefix, _, rest = secret.partition("_")
    key_id, _, token = rest.partition("_")
    key = store.key(key_id) if prefix == PREFIX else None
    if key is None or not hmac.compare_digest(_digest(token, bytes.fromhex(key.salt)), key.digest):
        return None
    return Principal(key.key_id, key.name, frozenset(key.scopes.split()))


def _digest(token: str, salt: bytes) -> str:
    """BLAKE2b keyed with the salt. The token holds 256 random bits, so that no slow hash is needed against guessing."""
    return hashlib.blake2b(token.encode(), key=salt, digest_size=32).hexdigest()

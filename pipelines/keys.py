"""Makes, lists, renews and ends the API keys of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.table import Column, Table

from models.api_keys import create_key, revoke_key, rotate_key
from models.moments import EPOCH, microseconds
from models.store import KeyRow, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipelines.workspace import Workspace


@contextmanager
def _store(workspace: Workspace) -> Iterator[Store]:
    with closing(Store.open(workspace.store_url)) as store:
        yield store


def make_key(workspace: Workspace, name: str, scopes: Sequence[str], *, now: datetime, days: int | None) -> str:
    """The secret, which cannot be read again. Raises InputError for an unknown scope, StoreUnavailable."""
    with _store(workspace) as store:
        return create_key(store, name, scopes, now=now, expires=None if days is None else now + timedelta(days=days))


def renew_key(workspace: Workspace, key_id: str, *, now: datetime, overlap_hours: float) -> str:
    """The secret of the new key. Raises InputError for an unknown key, StoreUnavailable."""
    with _store(workspace) as store:
        return rotate_key(store, key_id, now=now, overlap=timedelta(hours=overlap_hours))


def end_key(workspace: Workspace, key_id: str, *, now: datetime) -> None:
    """Raises InputError for an unknown key, StoreUnavailable."""
    with _store(workspace) as store:
        revoke_key(store, key_id, now=now)


def every_key(workspace: Workspace) -> list[KeyRow]:
    with _store(workspace) as store:
        return store.all_keys()


def key_table(keys: Sequence[KeyRow], *, now: datetime) -> Table:
    """No secret stands in it, and no hash of one."""
    table = Table(Column("key id", no_wrap=True), "name", "scopes", "made", "valid")
    for key in keys:
        table.add_row(key.key_id, key.name, key.scopes, _day(key.created_us), _validity(key, now))
    return table


def _validity(key: KeyRow, now: datetime) -> str:
    if key.expires_us is None:
        return "until it is revoked"
    return ("ended " if key.expires_us <= microseconds(now) else "until ") + _day(key.expires_us)


def _day(at_us: int) -> str:
    return f"{EPOCH + timedelta(microseconds=at_us):%Y-%m-%d %H:%M} UTC"

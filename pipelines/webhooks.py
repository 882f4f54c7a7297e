"""Endpoints outside that are told what happens, and the messages that could not reach them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from models.moments import microseconds
from models.outbox import DeadLetter, Standing
from models.store import Store
from models.webhooks import Endpoint, new_endpoint

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.workspace import Workspace


def add_endpoint(workspace: Workspace, url: str, events: Sequence[str], *, now: datetime) -> Endpoint:
    """Raises InputError for a URL or an event type that cannot be used."""
    endpoint = new_endpoint(url, events, microseconds(now))
    with store_of(workspace) as store:
        store.add_endpoint(endpoint)
    return endpoint


def endpoints(workspace: Workspace) -> list[Standing]:
    with store_of(workspace) as store:
        return store.endpoints()


def dead_letters(workspace: Workspace, after: int, limit: int) -> list[DeadLetter]:
    with store_of(workspace) as store:
        return store.dead_letters(after, limit)


@contextmanager
def store_of(workspace: Workspace) -> Iterator[Store]:
    with closing(Store.open(workspace.store_url)) as store:
        yield store

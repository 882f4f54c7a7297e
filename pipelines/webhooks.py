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
        store.add_endpoint(endpoint, workspace.seal)
    return endpoint


def rotate_secret(workspace: Workspace, endpoint_id: str, *, now: datetime) -> str:
    """Raises InputError for an endpoint that there is not."""
    with store_of(workspace) as store:
        return store.rotate_secret(endpoint_id, microseconds(now), workspace.seal)


def rekey(workspace: Workspace) -> int:
    """Seals every secret with a new key, or with the first of those in the environment; returns how many.

    A file holds both keys until all is done, so that a service that runs, or a second try, opens what it finds. Raises SecretLocked where
    a secret cannot be opened; then all are as they were.
    """
    seal = workspace.seal
    with store_of(workspace) as store:
        store.reseal_secrets(seal)
        changed = store.reseal_secrets(seal.with_new_key())
    seal.with_first_key_alone()
    return changed


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

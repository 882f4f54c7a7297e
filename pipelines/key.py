"""Makes an API key of the service."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from models.api_keys import create_key
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipelines.workspace import Workspace


def make_key(workspace: Workspace, name: str, scopes: Sequence[str], *, now: datetime) -> str:
    """The secret, which cannot be read again. Raises InputError for an unknown scope, StoreUnavailable."""
    with closing(Store.open(workspace.store_url)) as store:
        return create_key(store, name, scopes, now=now)

"""Commands of the one who runs the service."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.options import Home
from pipelines.terminal import OUT
from pipelines.workspace import Workspace


def serve(
    config: Home = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Stop the service's clock here, to score a log that ended long ago.")] = None,
) -> None:
    """Put the log into the store and start the service on the champion."""
    from pipelines.serve import serve

    serve(Workspace.find(config), host, port, workers, as_of=as_of)


def migrate(config: Home = None) -> None:
    """Bring the store of an earlier release up to date, or make one; a store in a SQLite file comes up by itself."""
    from models.store import Store

    migrated = Store.migrate(Workspace.find(config).store_url)
    if migrated.before == migrated.after:
        OUT.print(f"the store stands at revision {migrated.after} already", highlight=False)
    else:
        OUT.print(f"the store went from {migrated.before or 'no revision'} to revision {migrated.after}", highlight=False)

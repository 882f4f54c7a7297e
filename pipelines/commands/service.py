"""Commands of the one who runs the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import Home, now
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


def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into.")],
    config: Home = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=1, help="Then move events older than so many days out of the store, into the archive.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Then take out of the store what is older than `store` declares.")] = False,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Where the service's clock was stopped: ages go by it.")] = None,
) -> None:
    """Write what the service logged as Parquet: events, touches with their propensities, outcomes, decisions."""
    from pipelines.export import export

    exported = export(Workspace.find(config), output, older_than_days=older_than, now=now(), declared=prune, as_of=as_of)
    OUT.print(", ".join(f"{rows:,} {name}" for name, rows in exported.rows.items()) + f" in {output}", highlight=False, soft_wrap=True)
    if exported.pruned is not None:
        OUT.print(
            f"{exported.pruned:,} older events are out of the store; training reads those of the service from the archive", highlight=False
        )
    if exported.left is not None:
        OUT.print(f"out of the store: {exported.left.said}", highlight=False)


def migrate(config: Home = None) -> None:
    """Bring the store of an earlier release up to date, or make one; a store in a SQLite file comes up by itself."""
    from models.store import Store

    migrated = Store.migrate(Workspace.find(config).store_url)
    if migrated.before == migrated.after:
        OUT.print(f"the store stands at revision {migrated.after} already", highlight=False)
    else:
        OUT.print(f"the store went from {migrated.before or 'no revision'} to revision {migrated.after}", highlight=False)

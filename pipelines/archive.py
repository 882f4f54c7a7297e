"""Events of the service that are no longer kept in its store: Parquet files beside the state, read by every verb that reads the log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import polars as pl

from models.store_rows import content_id

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pipelines.workspace import Workspace


def together(archived: pl.DataFrame | None, stored: pl.DataFrame) -> pl.DataFrame:
    """Each event once: one that was archived may still be in the store, where a run was stopped."""
    return stored if archived is None else pl.concat([archived, stored]).unique("event_id", keep="first", maintain_order=True)


def archived_events(workspace: Workspace) -> pl.DataFrame | None:
    """The columns of `Store.api_events`; None where nothing was archived."""
    files = _files(workspace)
    return pl.concat([pl.read_parquet(file) for file in files]) if files else None


def archive_events(workspace: Workspace, events: pl.DataFrame) -> None:
    """Safe on the disk when this returns."""
    if events.is_empty():
        return
    name = content_id(*events["event_id"])
    workspace.archive.mkdir(exist_ok=True)
    _write(events, workspace.archive / f"events-{name}.parquet")


def forget_archived(workspace: Workspace, member_ids: Collection[str]) -> None:
    """Writes the files anew without these members."""
    for file in _files(workspace) if member_ids else []:
        held = pl.read_parquet(file)
        rest = held.filter(~pl.col("member_id").is_in(list(member_ids)))
        if rest.is_empty():
            file.unlink()
        elif rest.height < held.height:
            _write(rest, file)


def _files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.archive.glob("events-*.parquet"))


def _write(events: pl.DataFrame, file: Path) -> None:
    """Aside, synced, and moved into place, so that no half file is ever read."""
    aside = file.with_suffix(".part")
    with aside.open("wb") as written:
        events.write_parquet(written)
        written.flush()
        os.fsync(written.fileno())
    aside.replace(file)

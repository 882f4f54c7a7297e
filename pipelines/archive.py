"""What is kept as Parquet files beside the state: events, which every verb reads that reads the log, and traces of old decisions.

Some events came through the service and are no longer in its store (`archive`, where traces lie too), others with a day's file
(`deliveries`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import polars as pl

from models.store_rows import content_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from pipelines.workspace import Workspace


def together(archived: pl.DataFrame | None, stored: pl.DataFrame) -> pl.DataFrame:
    """Each event once: one that was archived may still be in the store, where a run was stopped."""
    return stored if archived is None else pl.concat([archived, stored]).unique("event_id", keep="first", maintain_order=True)


def archived_events(workspace: Workspace) -> pl.DataFrame | None:
    """The columns of `Store.api_events`; None where nothing was archived."""
    files = _files(workspace.archive)
    return pl.concat([pl.read_parquet(file) for file in files]) if files else None


def archive_events(workspace: Workspace, events: pl.DataFrame) -> None:
    """Safe on the disk when this returns."""
    if events.is_empty():
        return
    _keep(workspace.archive, content_id(*events["event_id"]), events)


def archive_traces(workspace: Workspace, traces: pl.DataFrame) -> None:
    """Safe on the disk when this returns."""
    workspace.archive.mkdir(exist_ok=True)
    _write(traces, workspace.archive / f"traces-{content_id(*traces['decision_id'])}.parquet")


def archived_traces(workspace: Workspace) -> Iterator[pl.DataFrame]:
    """The columns of `Store.move_traces`, file by file; a decision may be in two of them, where a run was stopped."""
    return (pl.read_parquet(file) for file in _traces(workspace))


def archived_members(workspace: Workspace) -> set[str]:
    """Ids of all of whom something lies in the archive."""
    files = [*_files(workspace.archive), *_traces(workspace)]
    return {member_id for file in files for member_id in pl.read_parquet(file, columns=["member_id"])["member_id"].unique()}


def delivery_names(workspace: Workspace) -> tuple[str, ...]:
    """In the order in which they came."""
    return tuple(file.name for file in sorted(_files(workspace.deliveries), key=lambda file: (file.stat().st_mtime_ns, file.name)))


def delivered_events(workspace: Workspace, names: Sequence[str] | None = None) -> list[pl.DataFrame]:
    """Of each file that was delivered, or of these alone, with the columns of `read_events`; in the order in which they came."""
    return [pl.read_parquet(workspace.deliveries / name) for name in (delivery_names(workspace) if names is None else names)]


def delivered_files(workspace: Workspace) -> list[Path]:
    """In the order in which they came."""
    return [workspace.deliveries / name for name in delivery_names(workspace)]


def was_delivered(workspace: Workspace, name: str) -> bool:
    return _place(workspace.deliveries, name).is_file()


def deliver_events(workspace: Workspace, name: str, events: pl.DataFrame) -> None:
    """`name` tells the file by its content. Safe on the disk when this returns."""
    _keep(workspace.deliveries, name, events)


def forget_archived(workspace: Workspace, member_ids: Collection[str]) -> None:
    """Writes the files anew without these members. One of a delivery stays, if empty, so that the same file adds nothing later."""
    files = [*_files(workspace.archive), *_traces(workspace), *_files(workspace.deliveries)]
    gone = pl.col("member_id").is_in(list(member_ids))
    for file in files if member_ids else []:
        if not pl.scan_parquet(file).select(gone.any()).collect().item():
            continue
        rest = pl.read_parquet(file).filter(~gone)
        if rest.is_empty() and file.parent == workspace.archive:
            file.unlink()
        else:
            came = file.stat()
            _write(rest, file)
            os.utime(file, ns=(came.st_atime_ns, came.st_mtime_ns))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.parquet"))


def _traces(workspace: Workspace) -> list[Path]:
    return sorted(workspace.archive.glob("traces-*.parquet"))


def _place(folder: Path, name: str) -> Path:
    return folder / f"events-{name}.parquet"


def _keep(folder: Path, name: str, events: pl.DataFrame) -> None:
    folder.mkdir(exist_ok=True)
    _write(events, _place(folder, name))


def _write(events: pl.DataFrame, file: Path) -> None:
    """Aside, synced, and moved into place, so that no half file is ever read."""
    aside = file.with_suffix(".part")
    with aside.open("wb") as written:
        events.write_parquet(written)
        written.flush()
        os.fsync(written.fileno())
    aside.replace(file)

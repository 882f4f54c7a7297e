"""The service's own log as Parquet, for analysis elsewhere; and what is old goes from the store into the archive that training reads."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import polars as pl

from models.declaration import load_community
from models.errors import InputError
from models.moments import microseconds
from models.posted import posted_touches
from models.store import Store
from models.store_rows import DecisionQuery, Retention
from pipelines.archive import archive_events, archived_events, forget_archived, together
from pipelines.output import writing

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from models.community import Community
    from pipelines.workspace import Workspace

DECISIONS_IN_FILE = 20_000


@dataclass(frozen=True)
class Exported:
    """Rows by table; `pruned` events are in the archive now, None where none were to be."""

    rows: dict[str, int]
    pruned: int | None


def export(workspace: Workspace, folder: Path, *, older_than_days: int | None, now: datetime) -> Exported:
    """Writes events, touches and outcomes.parquet and the folder decisions. With `older_than_days` older events leave the store then.

    Raises InputError for a folder that cannot be written to, or days within which the features still look.
    """
    community = load_community(workspace.declaration)
    _check_reach(community, older_than_days)
    with closing(Store.open(workspace.store_url)) as store:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            rows = _write_tables(workspace, store, folder, now)
        pruned = None if older_than_days is None else _prune(workspace, store, community, now - timedelta(days=older_than_days))
    return Exported(rows, pruned)


def _write_tables(workspace: Workspace, store: Store, folder: Path, now: datetime) -> dict[str, int]:
    tables = {
        "events": together(_archived(workspace, store), store.api_events()),
        "touches": posted_touches(store.assignments(), store.other_contacts(), microseconds(now)),
        "outcomes": store.outcomes(),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return {name: table.height for name, table in tables.items()} | {"decisions": _write_decisions(store, folder / "decisions")}


def _archived(workspace: Workspace, store: Store) -> pl.DataFrame | None:
    """Without members who were erased since."""
    held = archived_events(workspace)
    if held is not None:
        forget_archived(workspace, store.erased(set(held["member_id"])))
    return archived_events(workspace)


def _write_decisions(store: Store, folder: Path) -> int:
    """The newest first, so many to a file; what an earlier export left there is replaced."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("part-*.parquet"):
        file.unlink()
    rows, query = 0, DecisionQuery(limit=DECISIONS_IN_FILE)
    for number in count():
        kept = store.decisions(query)
        if not kept:
            return rows
        pl.DataFrame([asdict(one) for one in kept], infer_schema_length=None).write_parquet(folder / f"part-{number:05d}.parquet")
        rows, query = rows + len(kept), replace(query, after=(kept[-1].created_us, kept[-1].decision_id))
    return rows


def _prune(workspace: Workspace, store: Store, community: Community, before: datetime) -> int:
    ending = community.churn.contract_event
    retention = Retention(microseconds(before), () if ending is None else (ending,))
    return store.prune(retention, partial(archive_events, workspace))


def _check_reach(community: Community, older_than_days: int | None) -> None:
    if older_than_days is not None and older_than_days < community.lookback_days:
        message = (
            f"--older-than {older_than_days}: the features look back {community.lookback_days} days (lookback_days); keep at least these"
        )
        raise InputError(message)

"""The service's own log as Parquet, for analysis elsewhere."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from models.declaration import load_community
from models.moments import microseconds
from models.posted import IDS_APART, posted_touches
from models.store import Store
from models.store_retention import TRACE_COLUMNS
from models.store_rows import DecisionQuery
from pipelines.archive import archived_events, archived_members, archived_traces, forget_archived, together
from pipelines.dates import moment
from pipelines.output import writing
from pipelines.pruning import check_reach, prune, prune_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pipelines.pruning import Pruned
    from pipelines.workspace import Workspace

DECISIONS_IN_FILE = 20_000


@dataclass(frozen=True)
class Exported:
    """Rows by table; `pruned` events are in the archive now, None where none were to be; likewise what else left the store."""

    rows: dict[str, int]
    pruned: int | None
    left: Pruned | None = None


def export(
    workspace: Workspace, folder: Path, *, older_than_days: int | None, now: datetime, declared: bool = False, as_of: str | None = None
) -> Exported:
    """Writes events, touches and outcomes.parquet and the folder decisions. With `older_than_days` older events leave the store then.

    Whatever is older than is `declared` leaves it too. `as_of` is where the clock of the service was stopped; ages and reservations go by
    it. Raises InputError for a folder that cannot be written to, a moment that is none, or days within which the features still look.
    """
    community = load_community(workspace.declaration)
    at = now if as_of is None else moment(as_of, community)
    if older_than_days is not None:
        check_reach(community, older_than_days)
    with closing(Store.open(workspace.store_url)) as store:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            rows = _write_tables(workspace, store, folder, at)
        pruned = None if older_than_days is None else prune_events(workspace, store, community, older_than_days, at)
        left = prune(workspace, store, community, at=at, now=now) if declared else None
    return Exported(rows, pruned, left)


def _write_tables(workspace: Workspace, store: Store, folder: Path, at: datetime) -> dict[str, int]:
    tables = {
        "events": together(_archived(workspace, store), store.api_events()),
        "touches": _with_first_id(posted_touches(store.assignments(), store.other_contacts(), microseconds(at))),
        "outcomes": store.outcomes(),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return {name: table.height for name, table in tables.items()} | {"decisions": _write_decisions(workspace, store, folder / "decisions")}


def _with_first_id(touches: pl.DataFrame) -> pl.DataFrame:
    """As a declaration can name them: where several touches were reported for one decision, that tells which they are."""
    return touches.with_columns(touch_id=pl.col("touch_ids").str.split(IDS_APART).list.first()).drop("touch_ids")


def _archived(workspace: Workspace, store: Store) -> pl.DataFrame | None:
    """Without members who were erased since."""
    forget_archived(workspace, store.erased(archived_members(workspace)))
    return archived_events(workspace)


def _write_decisions(workspace: Workspace, store: Store, folder: Path) -> int:
    """Those of the store, the newest first, so many to a file, then those of the archive; what an earlier export left is replaced."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("part-*.parquet"):
        file.unlink()
    met: set[str] = set()
    parts = chain(_stored(store), archived_traces(workspace))
    for number, part in enumerate(parts):
        fresh = part.filter(~pl.col("decision_id").is_in(list(met)))
        fresh.write_parquet(folder / f"part-{number:05d}.parquet")
        met.update(fresh["decision_id"])
    return len(met)


def _stored(store: Store) -> Iterator[pl.DataFrame]:
    query = DecisionQuery(limit=DECISIONS_IN_FILE)
    while kept := store.decisions(query):
        yield pl.DataFrame([asdict(one) for one in kept], schema=TRACE_COLUMNS)
        query = replace(query, after=(kept[-1].created_us, kept[-1].decision_id))

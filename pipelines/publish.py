"""Puts what a run over all members found into the store, where the pages read it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from models.audience import Cells, standings_of
from models.moments import microseconds
from models.overview import overview_of
from models.store import Store

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from models.engine import Engine
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


def publish(workspace: Workspace, engine: Engine, loaded: Loaded, table: pl.DataFrame, at: datetime) -> None:
    """A run at an earlier date than the one that is shown changes nothing."""
    joined = table.join(loaded.log.members, on="member_id", how="left", maintain_order="left")["joined"]
    standings = standings_of(table, joined, loaded.community.timezone)
    overview = overview_of(engine, loaded.community, standings, loaded.arrays, at)
    with closing(Store.open(workspace.store_url)) as store:
        if (store.shown_as_of() or 0) <= microseconds(at):
            store.publish(microseconds(at), overview.to_json(), Cells.of(standings).to_json(), standings)

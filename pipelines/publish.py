"""What a run of `decide` found, for the pages."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from models.audience import standings_of
from models.overview import overview_of
from models.publishing import publish
from models.store import Store

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from models.engine import Engine
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


def publish_table(workspace: Workspace, engine: Engine, loaded: Loaded, table: pl.DataFrame, at: datetime) -> None:
    """Of a decision table on all members."""
    joined = table.join(loaded.log.members, on="member_id", how="left", maintain_order="left")["joined"]
    standings = standings_of(table, joined, loaded.community.timezone)
    overview = overview_of(engine, loaded.community, standings, loaded.arrays, at)
    with closing(Store.open(workspace.store_url)) as store:
        publish(store, overview, standings)

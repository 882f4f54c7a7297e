"""What a run of `decide` found, for the pages."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from models.activity import Activity
from models.audience import standings_of
from models.groups import groups_of_log
from models.publishing import Found, publish_run, shown_of
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from models.engine import Engine
    from models.publishing import Shown
    from models.strata import Condensed
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


def shown_of_log(
    engine: Engine, loaded: Loaded, table: pl.DataFrame, parts: Sequence[Condensed], at: datetime, since: datetime | None = None
) -> Shown:
    """Of a decision table on all members and what plans need of its rows; paths begin one churn horizon earlier, or at `since`."""
    community = loaded.community
    members = table.select("member_id").join(loaded.log.members, on="member_id", how="left", maintain_order="left")
    standings = standings_of(table, members["joined"], community.timezone, groups_of_log(members, community))
    return shown_of(engine, community, Found(standings, Activity.of(community, loaded.arrays, at, since), parts), at)


def show_run(workspace: Workspace, run: Shown) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        publish_run(store, run)

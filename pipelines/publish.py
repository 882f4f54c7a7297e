"""What a run of `decide` found, for the pages."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.activity import Activity
from models.audience import standings_of
from models.campaign import Campaign
from models.groups import groups_of_log
from models.kept_frontier import keep_frontier
from models.overview import overview_with
from models.publishing import publish
from models.store import Store
from models.supply import Supply
from pipelines.plan import frontier

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import polars as pl

    from models.campaign import Part
    from models.engine import Engine
    from models.overview import Overview
    from models.plan_figures import Outlook
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


BUDGETS = 5


@dataclass(frozen=True)
class Shown:
    """All figures of one run: how the community stands, and by rising budget what money would bring."""

    overview: Overview
    standings: pl.DataFrame
    frontier: tuple[Outlook, ...]


def shown_of(
    engine: Engine, loaded: Loaded, table: pl.DataFrame, parts: Iterable[Part], at: datetime, since: datetime | None = None
) -> Shown:
    """Of a decision table on all members, and of what a plan needs of them; paths begin one churn horizon earlier, or at `since`."""
    community = loaded.community
    members = table.select("member_id").join(loaded.log.members, on="member_id", how="left", maintain_order="left")
    standings = standings_of(table, members["joined"], community.timezone, groups_of_log(members, community))
    overview = overview_with(engine, community, standings, Activity.of(community, loaded.arrays, at, since), at)
    supply = Supply.of(engine.community, community.capacity, None)
    return Shown(overview, standings, frontier(Campaign.of(engine, parts, supply), BUDGETS))


def publish_run(workspace: Workspace, run: Shown) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        publish(store, run.overview, run.standings)
        keep_frontier(store, run.overview.as_of, run.frontier)

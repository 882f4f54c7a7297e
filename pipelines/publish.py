"""What a run of `decide` found, for the pages."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.activity import Activity
from models.audience import standings_of
from models.groups import groups_of_log
from models.kept_frontier import keep_frontier
from models.moments import microseconds
from models.overview import overview_with
from models.plan_ground import Laid, Terms, lay_ground
from models.publishing import publish
from models.simulated_plan import EVERYONE, Question, frontier_of
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from models.engine import Engine
    from models.overview import Overview
    from models.plan_figures import Outlook
    from models.strata import Condensed
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


BUDGETS = 5


@dataclass(frozen=True)
class Shown:
    """All figures of one run: how the community stands, what plans are made on, and by rising budget what money would bring."""

    overview: Overview
    standings: pl.DataFrame
    laid: Laid
    frontier: tuple[Outlook, ...]


def shown_of(
    engine: Engine, loaded: Loaded, table: pl.DataFrame, parts: Sequence[Condensed], at: datetime, since: datetime | None = None
) -> Shown:
    """Of a decision table on all members and what plans need of its rows; paths begin one churn horizon earlier, or at `since`."""
    community = loaded.community
    members = table.select("member_id").join(loaded.log.members, on="member_id", how="left", maintain_order="left")
    standings = standings_of(table, members["joined"], community.timezone, groups_of_log(members, community))
    overview = overview_with(engine, community, standings, Activity.of(community, loaded.arrays, at, since), at)
    laid = lay_ground(Terms.of(engine, at), parts, standings)
    everyone = laid.ground.crowd(EVERYONE)
    frontier = frontier_of(laid.ground.terms, everyone, Question(points=BUDGETS), community.capacity)
    return Shown(overview, standings, laid, frontier)


def publish_run(workspace: Workspace, run: Shown) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        publish(store, run.overview, run.standings)
        store.lay_ground(microseconds(run.overview.as_of), run.laid.ground.to_bytes(), run.laid.rows)
        keep_frontier(store, run.overview.as_of, run.frontier)

"""What a run of `decide` found, for the pages."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

from models.activity import Activity
from models.audience import standings_of
from models.groups import groups_of_log
from models.publishing import Found, publish_run, shown_of
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from models.community import Community
    from models.engine import Engine
    from models.publishing import Shown
    from models.strata import Condensed
    from pipelines.loading import Loaded
    from pipelines.part_figures import PartFigures
    from pipelines.workspace import Workspace


def shown_of_log(
    engine: Engine, loaded: Loaded, table: pl.DataFrame, parts: Sequence[Condensed], at: datetime, since: datetime | None = None
) -> Shown:
    """Of a decision table on all members and what plans need of its rows; paths begin one churn horizon earlier, or at `since`."""
    activity = Activity.of(loaded.community, loaded.arrays, at, since)
    return _shown(engine, loaded.community, table, loaded.log.members, activity, parts, at)


def shown_of_parts(engine: Engine, community: Community, table: pl.DataFrame, figures: PartFigures, parts: Sequence[Condensed]) -> Shown:
    """The same of a log that was looked at part after part."""
    activity = Activity.nobodys(community, figures.at) if figures.activity is None else figures.activity
    return _shown(engine, community, table, pl.concat(figures.joined), activity, parts, figures.at)


def _shown(
    engine: Engine,
    community: Community,
    table: pl.DataFrame,
    everyone: pl.DataFrame,
    activity: Activity,
    parts: Sequence[Condensed],
    at: datetime,
) -> Shown:
    """`everyone` has `member_id`, `joined` and the columns of groups."""
    members = table.select("member_id").join(everyone, on="member_id", how="left", maintain_order="left")
    standings = standings_of(table, members["joined"], community.timezone, groups_of_log(members, community))
    return shown_of(engine, community, Found.of(standings, activity, parts), at)


def show_run(workspace: Workspace, run: Shown) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        publish_run(store, run)

"""What a run over all members found, put together and into the store, where the pages read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.audience import Cells
from models.kept_frontier import keep_frontier
from models.moments import microseconds
from models.overview import overview_with
from models.plan_ground import Laid, Terms, lay_ground
from models.simulated_plan import EVERYONE, Question, frontier_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from models.activity import Activity
    from models.community import Community
    from models.engine import Engine
    from models.overview import Overview
    from models.plan_figures import Outlook
    from models.store import Store
    from models.strata import Condensed


BUDGETS = 5


@dataclass(frozen=True)
class Found:
    """How all members stand at a moment, and what plans need of them: `parts`, which follow the rows of `standings`."""

    standings: pl.DataFrame
    activity: Activity
    parts: Sequence[Condensed]
    known_from_us: int = 0


@dataclass(frozen=True)
class Shown:
    """All figures of one run: how the community stands, what plans are made on, and by rising budget what money would bring."""

    overview: Overview
    standings: pl.DataFrame
    laid: Laid
    frontier: tuple[Outlook, ...]


def shown_of(engine: Engine, community: Community, found: Found, at: datetime) -> Shown:
    """`community` is what is declared now."""
    overview = overview_with(engine, community, found.standings, found.activity, at, known_from_us=found.known_from_us)
    laid = lay_ground(Terms.of(engine, at), found.parts, found.standings)
    everyone = laid.ground.crowd(EVERYONE)
    frontier = frontier_of(laid.ground.terms, everyone, Question(points=BUDGETS), community.capacity)
    return Shown(overview, found.standings, laid, frontier)


def publish_run(store: Store, run: Shown) -> None:
    """A run at an earlier date than the one that is shown changes nothing. Raises StoreUnavailable."""
    publish(store, run.overview, run.standings)
    store.lay_ground(microseconds(run.overview.as_of), run.laid.ground.to_bytes(), run.laid.rows)
    keep_frontier(store, run.overview.as_of, run.frontier)


def publish(store: Store, overview: Overview, standings: pl.DataFrame) -> None:
    """As `publish_run`, without what plans need."""
    at_us = microseconds(overview.as_of)
    if (store.shown_as_of() or 0) <= at_us:
        cells = Cells.of(standings)
        store.publish(at_us, overview.to_json(), cells.to_text(), cells.placed(standings))

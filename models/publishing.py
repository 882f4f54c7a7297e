"""What a run over all members found, put together and into the store, where the pages read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.kept_frontier import keep_frontier
from models.moments import microseconds
from models.overview import overview_with
from models.plan_ground import ROW_COLUMNS, Common, Footing, Terms
from models.simulated_plan import EVERYONE, Question, frontier_of
from models.standing_tally import StandingTally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from models.activity import Activity
    from models.arrays import Integers
    from models.audience import Cells
    from models.community import Community
    from models.engine import Engine
    from models.overview import Overview
    from models.plan_figures import Outlook
    from models.plan_ground import PlanGround
    from models.store import Store
    from models.strata import Condensed


BUDGETS = 5


class Stood(NamedTuple):
    """Standings of the members of a part, and of each of them the position among the part's strata."""

    standings: pl.DataFrame
    code: Integers


@dataclass(frozen=True)
class Found:
    """How all members stand at a moment: what that adds up to, and them themselves, part after part, as often as they are asked for.

    common: what plans need of all members.
    """

    tally: StandingTally
    activity: Activity
    common: Common
    everyone: Callable[[], Iterator[Stood]]
    known_from_us: int = 0

    @classmethod
    def of(cls, standings: pl.DataFrame, activity: Activity, parts: Sequence[Condensed], known_from_us: int = 0) -> Self:
        """`parts` follow the rows of `standings`."""
        begins = np.cumsum([0, *(len(part.code) for part in parts)]).tolist()

        def everyone() -> Iterator[Stood]:
            for begin, part in zip(begins, parts, strict=False):
                yield Stood(standings.slice(begin, len(part.code)), part.code)

        common = Common.of(part.strata for part in parts)
        return cls(StandingTally.of(standings), activity, common, everyone, known_from_us)


@dataclass(frozen=True)
class Shown:
    """All figures of one run: how the community stands, what plans are made on, and by rising budget what money would bring.

    everyone: the standings of all, with `place` and `stratum`.
    """

    overview: Overview
    cells: Cells
    ground: PlanGround
    frontier: tuple[Outlook, ...]
    everyone: Callable[[], Iterator[pl.DataFrame]]


def shown_of(engine: Engine, community: Community, found: Found, at: datetime) -> Shown:
    """`community` is what is declared now."""
    overview = overview_with(engine, community, found.tally, found.activity, at, known_from_us=found.known_from_us)
    footing = Footing.of(found.common, found.tally)

    def everyone() -> Iterator[pl.DataFrame]:
        return (footing.placed(part, *stood) for part, stood in enumerate(found.everyone()))

    ground = footing.ground(Terms.of(engine, at), everyone())
    frontier = frontier_of(ground.terms, ground.crowd(EVERYONE), Question(points=BUDGETS), community.capacity)
    return Shown(overview, found.tally.cells, ground, frontier, everyone)


def publish_run(store: Store, run: Shown) -> None:
    """A run at an earlier date than the one that is shown changes nothing. Raises StoreUnavailable."""
    publish(store, run.overview, run.cells, run.everyone())
    rows = (part.select(ROW_COLUMNS) for part in run.everyone())
    store.lay_ground(microseconds(run.overview.as_of), run.ground.to_bytes(), rows)
    keep_frontier(store, run.overview.as_of, run.frontier)


def publish(store: Store, overview: Overview, cells: Cells, standings: Iterable[pl.DataFrame]) -> None:
    """As `publish_run`, without what plans need."""
    at_us = microseconds(overview.as_of)
    if (store.shown_as_of() or 0) <= at_us:
        store.publish(at_us, overview.to_json(), cells.to_text(), (cells.placed(part) for part in standings))

"""All that is learned from, brought together before anything is fitted: tables of snapshots, touches, and a few members' events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from models.engine_files import GoldenMembers
from models.log_uplift import Tried
from models.spending import SeenSpending
from models.training_rows import gather

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import polars as pl

    from models.community import Community
    from models.histories import Histories
    from models.member_sample import Drawn
    from models.training_rows import TrainingData


class Draws(NamedTuple):
    """Of each thing that is drawn in a training its own generator."""

    rows: np.random.Generator
    preparing: np.random.Generator
    fitting: np.random.Generator
    testing: np.random.Generator
    valuing: np.random.Generator
    golden: np.random.Generator
    tried: np.random.Generator
    effects: np.random.Generator

    @classmethod
    def of(cls, rng: np.random.Generator) -> Self:
        *others, uplifting = rng.spawn(7)
        return cls(*others, *uplifting.spawn(2))


@dataclass(frozen=True)
class TrainingTables:
    """`drawn`: whom the members were drawn from; `spending` where values come from purchases, `tried` where there are `touches`."""

    test_as_of: datetime
    drawn: Drawn
    data: TrainingData
    golden: GoldenMembers
    spending: SeenSpending | None = None
    touches: pl.DataFrame | None = None
    tried: Tried | None = None


def tables_of(
    histories: Histories, community: Community, *, test_as_of: datetime, drawn: Drawn, touches: pl.DataFrame | None, draws: Draws
) -> TrainingTables:
    """The last look at what members did: whatever holds it can be left then.

    Raises InputError where the log does not hold the test's outcome, NotEnoughData where it is too short to learn from.
    """
    test_as_of_us = int(test_as_of.timestamp()) * 1_000_000
    data = gather(histories, community, test_as_of_us, draws.rows, drawn=drawn)
    spending, tried = None, None
    if community.value.source == "purchases":
        spending = SeenSpending.of(histories, data.rows, data.test, community, until_us=test_as_of_us, end_us=drawn.last_us)
    if touches is not None:
        tried = Tried.of(histories, touches, community, data.attributes, until_us=drawn.last_us, rng=draws.tried)
    golden = GoldenMembers.of(histories, data.test, draws.golden)
    return TrainingTables(test_as_of, drawn, data, golden, spending, touches, tried)

"""A small simulated community, an engine trained on its log, and the truth behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from models.community import Community
from models.engine import Scores
from models.events import EventArrays, EventLog, event_arrays
from models.simulation import SimulationConfig, World, simulate
from models.simulation_loop import Observed
from models.snapshots import Snapshots
from models.training import Trained, train
from models.training_rows import default_test_as_of
from tests.planted import community, intervention, signal

TRAINED_AT = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = community(
    intervention("coupon", cost=2, channels=["wecom", "email"], starting_uplift=0.03, cooldown_days=14),
    intervention("call", cost=15, channels=["phone"], starting_uplift=0.06, eligibility={"min_churn_probability": 0.2}),
    signals=[
        *(signal(name) for name in ("post", "comment", "reaction")),
        signal("purchase", value="money"),
        *(signal(name, qualifying=False) for name in ("read", "service")),
    ],
    churn={"horizons_days": [7, 30, 60], "horizon_days": 30},
    value={"source": "purchases", "value_days": 30, "margin": 0.5},
)


@dataclass(frozen=True)
class TrainedWorld:
    """`world` holds the truth; `log` and `events` are what the engine learned from."""

    declared: Community
    world: World
    log: EventLog
    events: EventArrays
    test_as_of: datetime
    trained: Trained

    @cached_property
    def test_as_of_us(self) -> int:
        return int(self.test_as_of.timestamp()) * 1_000_000

    @cached_property
    def everyone(self) -> Snapshots:
        """Every member of the log at the test's `as_of`."""
        return Snapshots.at(self.events, self.test_as_of_us)

    @cached_property
    def scores(self) -> Scores:
        """Of everyone; rows follow the members of the log."""
        return self.trained.engine.score(self.events, self.everyone)

    @cached_property
    def scored(self) -> np.ndarray:
        """Rows of the members who have a risk: those of the test."""
        return np.flatnonzero(self.scores.status == "scored")

    def true_risk(self, horizon_days: int) -> np.ndarray:
        """Of every member of the log at the test's `as_of`, NaN for those who joined later, shape (n_members,)."""
        known = self.world.truth.filter((pl.col("as_of") == self.test_as_of) & (pl.col("horizon_days") == horizon_days))
        return self.log.members.join(known, on="member_id", how="left", maintain_order="left")["true_risk"].to_numpy()


def canonical_log(world: World | Observed, attributes: tuple[str, ...] = ()) -> EventLog:
    """The simulated log as ingestion would write it."""
    codes = world.members.select("member_id").with_row_index("member")
    joined = pl.col("joined").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    rows = (frame.join(codes, on="member_id").drop("member_id").sort("member", "timestamp") for frame in (world.events, world.touches))
    return EventLog(next(rows).cast({"type": pl.Categorical}), world.members.select("member_id", joined, *attributes), next(rows))


def learn(events: EventArrays, declared: Community, test_as_of: datetime, seed: int = 1) -> Trained:
    return train(events, declared, test_as_of=test_as_of, trained_at=TRAINED_AT, rng=np.random.default_rng(seed))


def train_on_world(members: int = 1500, days: int = 240, seed: int = 3) -> TrainedWorld:
    """The truth stands on the midnight of the test."""
    start, horizon = date(2025, 1, 1), DECLARED.churn.horizon_days
    config = SimulationConfig(
        members=members,
        days=days,
        start=start,
        truth_as_of=(start + timedelta(days=days - horizon - 1),),
        horizons_days=DECLARED.churn.horizons_days,
        truth_paths=64,
    )
    world = simulate(config, np.random.default_rng(seed))
    log = canonical_log(world)
    events = event_arrays(log, DECLARED)
    test_as_of = default_test_as_of(events, DECLARED)
    return TrainedWorld(DECLARED, world, log, events, test_as_of, learn(events, DECLARED, test_as_of))

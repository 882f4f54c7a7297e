"""A log that was shorter than the lookback when the model was tested has not drifted because it has grown since."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from models.events import event_arrays
from models.readings import feature_drift
from models.schedule import Watch
from models.watched_model import ModelWatch
from tests.serving_world import world

WATCH = Watch()
TESTED = datetime(2025, 6, 19, tzinfo=UTC)
HELD, LATER = 60, 168
AS_OF = TESTED + timedelta(days=LATER)


def steady(*, slower_since: datetime | None = None) -> pl.DataFrame:
    """Every member comes on a day with a chance of their own, which never changes, or halves; the log began HELD days before the test."""
    log = world().log
    members = pl.DataFrame({"member": np.arange(log.members.height, dtype=np.uint32)}).with_columns(chance=1 / (1 + pl.col("member") % 12))
    days = pl.DataFrame({"timestamp": [TESTED + timedelta(days=day - HELD, hours=12) for day in range(HELD + LATER)]})
    rows = members.join(days.cast({"timestamp": log.events.schema["timestamp"]}), how="cross")
    slower = pl.lit(value=False) if slower_since is None else pl.col("timestamp") >= slower_since
    chance = pl.when(slower).then(pl.col("chance") / 2).otherwise(pl.col("chance"))
    came = rows.filter(pl.Series(np.random.default_rng(0).random(rows.height)) < chance)
    events = came.select("member", "timestamp", type=pl.lit("comment").cast(log.events.schema["type"]))
    return pl.concat([events, log.events.clear()], how="diagonal").select(log.events.columns).sort("member", "timestamp")


def watching(events: pl.DataFrame, *, joined: bool = True) -> ModelWatch:
    log, engine = replace(world().log, events=events), world().engine
    known = engine if joined else replace(engine, community=engine.community.model_copy(update={"members": None}))
    return ModelWatch.of(known, event_arrays(log, engine.community), AS_OF)


def drift(watch: ModelWatch):
    return feature_drift(watch.moved(AS_OF, rng=np.random.default_rng(1)).features, WATCH)


def test_counts_that_rise_because_the_log_has_grown_are_no_drift():
    assert drift(watching(steady())).status == "ok"


def test_members_who_come_less_are_seen_in_a_log_that_has_grown():
    assert drift(watching(steady(slower_since=AS_OF - timedelta(days=40)))).status == "alarm"


def test_risks_are_those_of_all_that_the_log_holds():
    watch = watching(steady())
    everything = watch.engine.features(watch.events, watch.asked(int(AS_OF.timestamp()) * 1_000_000))
    sides = watch.sides(AS_OF)
    np.testing.assert_array_equal(sides.risk_after, watch.engine.churn.main_model.probability(everything))
    counted = watch.engine.names.index("any_active_days_365d")
    assert everything[:, counted].max() == HELD + LATER
    assert sides.after[:, counted].max() == sides.before[:, counted].max() == HELD


def test_members_known_by_their_first_event_have_been_there_no_longer_than_the_log():
    of_table, of_events = (watching(steady(), joined=joined) for joined in (True, False))
    tenure = of_table.engine.names.index("tenure_days")
    assert of_events.sides(AS_OF).after[:, tenure].max() <= HELD < of_table.sides(AS_OF).after[:, tenure].max()

"""The registered engine as a function of Spark's own tables: the engine's probabilities, row for row."""

from dataclasses import replace

import mlflow
import numpy as np
import polars as pl
import pytest
from pyspark.sql import functions as sf

from models.registry import MODEL_NAME
from models.snapshots import Snapshots

pytestmark = [
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    # MLflow advises type hints that its own signature does without.
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]
MEMBERS = 60
ISO = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


@pytest.fixture(scope="module")
def risk(registered_world, spark):
    mlflow.set_registry_uri(registered_world)
    mlflow.set_tracking_uri(registered_world)
    return mlflow.pyfunc.spark_udf(spark, f"models:/{MODEL_NAME}/1", env_manager="local")


@pytest.fixture(scope="module")
def histories(trained_world, spark, tmp_path_factory):
    """From the log as Spark's users have it, a row for each event and one for each member: one row for each member; nobody has no event."""
    folder, log = tmp_path_factory.mktemp("tables"), trained_world.log
    ids = log.members.with_row_index("member").head(MEMBERS)
    rows = log.events.join(ids.select("member", "member_id"), on="member").with_columns(pl.col("type").cast(pl.String))
    rows.select("member_id", "type", "timestamp", "value").write_parquet(folder / "events.parquet")
    stranger = pl.DataFrame({"member_id": ["nobody"], "joined": ids["joined"][:1]})
    pl.concat([ids.select("member_id", "joined"), stranger]).write_parquet(folder / "members.parquet")
    events, members = (spark.read.parquet(str(folder / f"{name}.parquet")) for name in ("events", "members"))
    event = sf.struct("type", sf.date_format("timestamp", ISO).alias("timestamp"), "value")
    listed = events.groupBy("member_id").agg(sf.collect_list(event).alias("events"))
    told = {"as_of": sf.lit(trained_world.test_as_of.isoformat()), "joined": sf.date_format("joined", ISO)}
    return members.join(listed, "member_id", "left").withColumns(told)


@pytest.fixture(scope="module")
def told(histories, risk):
    """By the form of the events, sorted by member: as an array of structs, and as JSON."""
    asked = {"listed": sf.col("events"), "json": sf.to_json("events")}
    columns = [risk("member_id", "as_of", "joined", events).alias(form) for form, events in asked.items()]
    rows = histories.select(*columns).repartition(2).collect()
    return {form: pl.DataFrame([row[form].asDict() for row in rows]).sort("member_id") for form in asked}


def without_touches(events, n_signals):
    """The model's signature has no touches."""
    own = events.signal < n_signals
    offsets = np.concatenate([[0], np.cumsum(own)])[events.offsets]
    return replace(events, offsets=offsets, timestamp_us=events.timestamp_us[own], signal=events.signal[own], value=events.value[own])


def test_spark_gives_each_member_the_probabilities_that_the_engine_gives(trained_world, told):
    known = told["listed"].filter(pl.col("member_id") != "nobody")
    codes = [trained_world.log.code_of(member_id) for member_id in known["member_id"]]
    alone = without_touches(trained_world.events.of_members(codes), len(trained_world.declared.signals))
    expected = trained_world.trained.engine.score(alone, Snapshots.at(alone, trained_world.test_as_of_us))
    scored = expected.status == "scored"
    assert len(known) == MEMBERS
    assert 0 < scored.sum() < MEMBERS
    assert known["status"].to_list() == expected.status.tolist()
    for column, days in enumerate(trained_world.trained.engine.churn.horizons_days):
        found = known[f"churn_probability_{days}d"].to_numpy()
        np.testing.assert_array_equal(found[scored], expected.probability[scored, column])
        assert known[f"churn_probability_{days}d"].is_null().to_list() == (~scored).tolist()


def test_events_may_be_an_array_of_structs_or_json(told):
    assert told["listed"].equals(told["json"], null_equal=True)


def test_a_member_without_events_has_a_status_and_no_number(told):
    (nobody,) = told["listed"].filter(pl.col("member_id") == "nobody").to_dicts()
    assert nobody.pop("member_id") == "nobody"
    assert nobody.pop("status") == "insufficient_history"
    assert set(nobody.values()) == {None}

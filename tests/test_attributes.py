"""What was known of members at joining: learned, told, and the same on every path."""

from __future__ import annotations

import importlib
import json
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from models.attribute_fit import fit_attributes
from models.attributes import NO_ATTRIBUTES, OTHER, Attribute, AttributeEncoding, attributes_from_json, attributes_to_json
from models.community import DAY_US, Community
from models.engine import Engine
from models.engine_files import load_engine, read_golden, save_engine
from models.errors import ModelRefused
from models.events import EventArrays, EventLog, event_arrays, with_events
from models.features import compute_features
from models.registry import _signature
from models.snapshots import Snapshots
from models.store import LoggedEvent, Store
from models.training import Trained, train
from models.training_rows import default_test_as_of
from tests.planted import community

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SOURCE = {"path": "members.csv", "member": "m", "joined": "joined"}
NAMES = ("region", "age", "coin")
CHURN = {"horizons_days": [30], "horizon_days": 30, "active_days": 30}


def declared(*names: str) -> Community:
    return community(churn=CHURN, members={**SOURCE, "attributes": names}, windows_days=[7, 30])


def texts(**columns: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def learned(**columns: list[str | None]) -> AttributeEncoding:
    frame = texts(**columns)
    return fit_attributes(frame, np.arange(frame.height))


def test_frequent_labels_get_a_column_each_and_rare_ones_share_one():
    found = learned(region=["north"] * 700 + ["south"] * 290 + ["islet"] * 9 + [None] * 300)
    assert found.attributes == (Attribute("region", ("north", "south")),)
    told = found.columns(texts(region=["south", "islet", "mars", OTHER, None]), np.arange(5))
    assert told.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_no_attribute_has_more_than_twenty_levels():
    (attribute,) = learned(city=[f"city {i % 40}" for i in range(4000)]).attributes
    assert len(attribute.levels) == 20


@pytest.mark.parametrize("values", [[None, None], [f"name {i}" for i in range(500)], [OTHER, OTHER]], ids=["empty", "names", "other"])
def test_an_attribute_without_a_frequent_label_is_left_out(values):
    assert learned(note=values) == NO_ATTRIBUTES


def test_numbers_stay_numbers_and_what_is_none_is_missing():
    found = learned(age=["31", "40.5", None])
    assert found.attributes == (Attribute("age"),)
    told = found.columns(texts(age=["7", None, "unknown", "inf", "1e300"]), np.arange(5))
    np.testing.assert_array_equal(told, np.array([[7], *[[np.nan]] * 4], dtype=np.float32))


def test_the_usual_member_has_the_commonest_label_and_the_median():
    found = learned(region=["a", "a", "b", None], age=["1", "2", "9", None], city=["x", None, None, None])
    frame = texts(region=["b", "b", "a", None], age=["1", "2", "9", None], city=["x", None, None, None])
    usual = found.usual(found.columns(frame, np.arange(4)))
    assert [attribute.told(usual[place]) for attribute, place in found.places] == ["b", 2.0, None]


def test_every_text_comes_back_from_its_json():
    frame = texts(region=["north", None, '地区 "x"'], age=["0.30000000000000004", "-5.0", None])
    assert attributes_from_json(attributes_to_json(frame), ["region", "age"]).equals(frame)
    assert attributes_from_json(['{"age": 5, "vip": true}', None], ["age", "vip"]).rows() == [("5", "true"), (None, None)]


@dataclass(frozen=True)
class Planted:
    """What was learned from one log with its attributes, and without."""

    log: EventLog
    events: EventArrays
    trained: Trained
    plain: Trained

    @property
    def engine(self) -> Engine:
        return self.trained.engine

    @property
    def at(self) -> Snapshots:
        return Snapshots.at(self.events, int(self.trained.test_as_of.timestamp()) * 1_000_000)


def planted_log(rng: np.random.Generator, n: int = 600, days: int = 200) -> EventLog:
    """Everybody posts every eight days on average, until they leave: those of the islands after 40 days or so, the others after 2,000."""
    islander = rng.random(n) < 0.3
    joins = rng.uniform(0, days, n)
    leaves = joins + rng.exponential(np.where(islander, 40, 2000))
    member = np.repeat(np.arange(n), 60)
    at = (joins[:, None] + rng.exponential(8, (n, 60)).cumsum(axis=1)).ravel()
    kept = np.flatnonzero(at < np.minimum(leaves, days)[member])
    times = pl.Series((at[kept] * DAY_US).astype(np.int64) + START_US).cast(pl.Datetime("us", "UTC"))
    empty = pl.lit(None, dtype=pl.String)
    events = pl.DataFrame({"member": member[kept].astype(np.uint32), "timestamp": times}).with_columns(
        pl.lit("post").cast(pl.Categorical).alias("type"), value=pl.lit(None, dtype=pl.Float64), channel=empty, event_id=empty
    )
    members = pl.DataFrame(
        {
            "member_id": [f"m{number:04}" for number in range(n)],
            "joined": pl.Series((joins * DAY_US).astype(np.int64) + START_US).cast(pl.Datetime("us", "UTC")),
            "region": np.where(islander, "islands", rng.choice(["north", "south"], n)),
            "age": [float(age) if age < 75 else None for age in rng.integers(18, 80, n)],
            "coin": rng.choice(["heads", "tails"], n),
        }
    )
    return EventLog(events, members)


def learn(log: EventLog, names: tuple[str, ...]) -> Trained:
    chosen = declared(*names)
    events = event_arrays(log, chosen)
    return train(events, chosen, test_as_of=default_test_as_of(events, chosen), trained_at=NOW, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def planted() -> Planted:
    log = planted_log(np.random.default_rng(5))
    return Planted(log, event_arrays(log, declared(*NAMES)), learn(log, NAMES), learn(log, ()))


def test_an_attribute_that_drives_churn_is_found_and_told(planted):
    assert planted.trained.churn.compared.metrics.auc.value > planted.plain.churn.compared.metrics.auc.value + 0.03
    scores = planted.engine.score(planted.events, planted.at)
    rows = np.flatnonzero((scores.status == "scored") & (planted.log.members["region"] == "islands").to_numpy())
    told = planted.engine.reasons(scores.features[rows], scores.probability[rows, 0], "en")
    reasons = [next(reason for reason in each if reason.code == "attribute_region") for each in told]
    assert {reason.text for reason in reasons} <= {"Region: islands (usual: south)", "Region: islands (usual: north)"}
    assert {reason.direction for reason in reasons} == {"raises"}


def test_a_useless_attribute_counts_for_little(planted):
    counted = np.abs(planted.engine.churn.contributions(planted.trained.test_features).values).mean(axis=0)
    of = {name: sum(counted[i] for i, column in enumerate(planted.engine.names) if column.startswith(f"{name}:")) for name in NAMES}
    assert max(of["coin"], of["age"]) < 0.25 * of["region"]


def test_reasons_with_attributes_add_up_in_both_languages(planted):
    scores = planted.engine.score(planted.events, planted.at)
    rows = np.flatnonzero(scores.status == "scored")[:50]
    for language in ("en", "zh"):
        told = planted.engine.reasons(scores.features[rows], scores.probability[rows, 0], language)
        for row, each in zip(rows, told, strict=True):
            distance = 100 * (scores.probability[row, 0] - planted.engine.reference.typical_probability)
            assert sum(reason.contribution_pp for reason in each) == pytest.approx(distance, abs=1e-6)
            assert not any("nan" in reason.text or "{" in reason.text for reason in each)


def test_without_declared_attributes_the_matrix_is_that_of_behaviour(planted):
    engine, behaviour = planted.plain.engine, compute_features(planted.events, planted.at, planted.engine.spec)
    assert engine.attributes == NO_ATTRIBUTES
    assert engine.features(planted.events, planted.at).tobytes() == behaviour.tobytes()
    whole = planted.engine.features(planted.events, planted.at)
    assert np.ascontiguousarray(whole[:, : behaviour.shape[1]]).tobytes() == behaviour.tobytes()
    assert planted.engine.spec.fingerprint == engine.spec.fingerprint


def test_a_member_alone_gets_the_row_of_the_batch(planted):
    batch = planted.engine.features(planted.events, planted.at)
    for row in range(0, len(batch), 53):
        alone = planted.events.of_members([row])
        here = Snapshots.at(alone, int(planted.at.as_of_us[row]))
        assert planted.engine.features(alone, here)[0].tobytes() == batch[row].tobytes()


def of_region(planted: Planted, region: str | None) -> np.ndarray:
    alone = planted.events.of_members([0])
    changed = replace(alone, attributes=alone.attributes.with_columns(region=pl.lit(region, dtype=pl.String)))
    return planted.engine.features(changed, planted.at[:1])[0, len(planted.engine.spec.names) :]


def test_a_level_never_seen_is_other_and_a_missing_one_is_none(planted):
    names = planted.engine.attributes.names
    assert of_region(planted, "atlantis")[names.index("region: other")] == 1
    assert of_region(planted, None)[:4].tolist() == [0, 0, 0, 0]
    assert names[:4][-1] == "region: other"


def test_the_store_gives_what_the_log_gives(planted, tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path}/keepwell.db")
    store.load_log(planted.log)
    ids = planted.log.members["member_id"].to_list()
    stored = store.history(ids, 0, planted.engine.community)
    assert stored.attributes.equals(planted.events.attributes)
    assert planted.engine.features(stored, planted.at).tobytes() == planted.engine.features(planted.events, planted.at).tobytes()
    moved = planted.log.members.with_columns(region=pl.lit("west"))
    assert store.load_log(replace(planted.log, members=moved)).members == 0
    assert store.history(ids[:1], 0, planted.engine.community).attributes["region"].to_list() == ["west"]
    store.close()


def test_a_member_whom_no_log_declared_has_missing_attributes(planted, tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path}/keepwell.db")
    at = int(planted.at.as_of_us[0]) - DAY_US
    store.add_events([LoggedEvent("stranger", at, "post")])
    stored = store.history(["stranger"], 0, planted.engine.community)
    both = event_arrays(with_events(planted.log, store.api_events()), planted.engine.community)
    assert stored.attributes.rows() == [(None, None, None)]
    assert both.attributes.filter(pl.all_horizontal(pl.all().is_null())).height >= 1
    assert both.n_members == planted.events.n_members + 1
    store.close()


def test_golden_members_hold_their_attributes(planted, tmp_path: Path):
    save_engine(planted.engine, planted.trained.golden, tmp_path / "engine")
    loaded = load_engine(tmp_path / "engine")
    assert loaded.attributes == planted.engine.attributes
    golden = read_golden(tmp_path / "engine")
    assert golden.events.attributes.equals(planted.trained.golden.events.attributes)
    (region, *rest) = loaded.attributes.attributes
    swapped = replace(region, levels=region.levels[1:] + region.levels[:1])
    with pytest.raises(ModelRefused, match='feature "region: '):
        golden.verify(replace(loaded, attributes=AttributeEncoding((swapped, *rest))))


def test_a_registered_model_takes_attributes_and_does_without(planted):
    assert [column.name for column in _signature(planted.engine).inputs if not column.required] == ["attributes"]
    assert all(column.required for column in _signature(planted.plain.engine).inputs)
    with warnings.catch_warnings(record=True):  # MLflow asks for type hints that would fix the columns
        model = importlib.import_module("models.pyfunc_engine").EngineModel()
    model.engine = planted.engine
    at = planted.trained.test_as_of
    events = json.dumps([{"type": "post", "timestamp": (at - timedelta(days=d)).isoformat()} for d in (3, 9, 30)])
    rows = pd.DataFrame({"member_id": ["a", "b"], "as_of": at.isoformat(), "joined": "2025-01-05T00:00:00+00:00", "events": events})
    told = rows.assign(attributes=['{"region": "islands", "age": 44}', None])
    with_them, without = (model.predict(None, frame)["churn_probability_30d"].to_numpy() for frame in (told, rows))
    assert with_them[0] > without[0] + 0.02
    assert with_them[1] == without[1] == without[0]

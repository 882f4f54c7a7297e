"""An engine scores, explains, is stored without code, and is refused where anything about it has changed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.churn import ChurnModel
from models.community import DAY_US
from models.engine import Reference, explain
from models.engine_files import ENGINE_FILE, GOLDEN_FILE, GOLDEN_MEMBERS, REFERENCE_FILE, load_engine, read_golden, save_engine
from models.errors import ModelRefused
from models.events import NEVER_US
from models.features import compute_features
from models.snapshots import Snapshots
from tests.conftest import ROOT
from tests.planted import AS_OF_US, Member, arrays

LOAD_ALONE = """
import sys
from pathlib import Path
import numpy as np
from models.engine_files import load_engine, read_golden

folder = Path(sys.argv[1])
engine, golden = load_engine(folder, "3"), read_golden(folder)
scores = engine.score(golden.events, golden.snapshots)
texts = [reason.text for told in engine.reasons(scores.features, scores.probability[:, 1], "en") for reason in told]
np.savez(sys.argv[2], probability=scores.probability, value=scores.value, texts=np.array(texts))
"""


@pytest.fixture(scope="module")
def engine(trained_world):
    return trained_world.trained.engine


@pytest.fixture
def folder(trained_world, tmp_path) -> Path:
    save_engine(trained_world.trained.engine, trained_world.trained.golden, tmp_path / "engine")
    return tmp_path / "engine"


def edited(folder: Path, **changes) -> None:
    path = folder / ENGINE_FILE
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def main_risk(world) -> np.ndarray:
    churn = world.trained.engine.churn
    return world.scores.probability[:, churn.horizons_days.index(churn.main)]


def test_the_engine_scores_the_members_of_the_test_as_the_test_did(trained_world):
    assert main_risk(trained_world)[trained_world.scored].tolist() == trained_world.trained.churn.probability.tolist()


def test_a_member_alone_is_scored_as_in_the_batch(trained_world):
    engine, events = trained_world.trained.engine, trained_world.events
    for row in trained_world.scored[::60]:
        alone = engine.score(events.of_members([row]), Snapshots.at(events.of_members([row]), trained_world.test_as_of_us))
        np.testing.assert_array_equal(alone.probability[0], trained_world.scores.probability[row])
        assert (alone.value[0], alone.status[0]) == (trained_world.scores.value[row], trained_world.scores.status[row])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reasons_add_up_to_the_distance_from_the_usual_risk_for_every_member(trained_world, language):
    engine, rows = trained_world.trained.engine, trained_world.scored
    risk = main_risk(trained_world)[rows]
    told = engine.reasons(trained_world.scores.features[rows], risk, language)
    distance = 100 * (risk - engine.reference.typical_probability)
    sums = [sum(reason.contribution_pp for reason in reasons) for reasons in told]
    np.testing.assert_allclose(sums, distance, atol=1e-9)
    assert all(reasons for reasons in told)


def test_nobody_has_no_reasons(engine):
    assert explain(engine, np.empty((0, len(engine.spec.names)), dtype=np.float32), np.empty(0), "en") == []


def test_contributions_of_the_main_horizon_add_up_to_its_margin(trained_world):
    churn, features = trained_world.trained.engine.churn, trained_world.trained.test_features
    np.testing.assert_allclose(churn.contributions(features).margin, churn.main_model.margin(features), atol=1e-9)


def test_a_longer_silence_is_never_likelier_for_anybody(trained_world):
    assert (np.diff(trained_world.scores.probability, axis=1) <= 0).all()


@pytest.mark.parametrize(
    ("member", "status"),
    [
        (Member(events={"post": [0.5]}), "scored"),
        (Member(events={"post": [30.0]}), "scored"),
        (Member(events={"post": [30.1]}), "already_churned"),
        (Member(events={"post": [0.0]}), "insufficient_history"),
        (Member(events={"post": [-1.0]}, joined=-0.5), "insufficient_history"),
        (Member(events={}), "insufficient_history"),
        (Member(events={"read": [1.0]}), "insufficient_history"),
        (Member(events={"post": [40.0], "read": [1.0]}), "already_churned"),
        (Member(events={"post": [1.0]}, joined=-1), "insufficient_history"),
        (Member(events={"post": [0.1]}, joined=0.2), "scored"),
    ],
)
def test_the_status_of_a_member_by_hand(engine, member, status):
    """Active within 30 days; no least history is declared."""
    events = arrays([member], engine.community)
    assert engine.status(events, Snapshots.at(events, AS_OF_US)).tolist() == [status]


def test_a_member_whose_contract_has_ended_has_churned_already(engine):
    events = arrays([Member(), Member(), Member()], engine.community)
    events = replace(events, contract_end_us=np.array([AS_OF_US - 1, AS_OF_US, NEVER_US]))
    assert engine.status(events, Snapshots.at(events, AS_OF_US)).tolist() == ["already_churned", "scored", "scored"]


def test_the_least_history_is_asked_for(engine):
    churn = engine.community.churn.model_copy(update={"min_history_days": 5})
    patient = replace(engine, community=engine.community.model_copy(update={"churn": churn}))
    events = arrays([Member(joined=5), Member(joined=4.9)], engine.community)
    assert patient.status(events, Snapshots.at(events, AS_OF_US)).tolist() == ["scored", "insufficient_history"]


def test_the_reference_by_hand():
    """Ten members: the tenth above the .9 quantile is high; a feature that most do not have has no median."""
    features = np.array([[value, np.nan if value < 6 else 1.0] for value in range(10)])
    found = Reference.of(features, np.arange(10) / 10, 0.3, np.zeros(2))
    assert found.band_edges == pytest.approx((0.54, 0.81))
    assert found.values[0] == 4.5
    assert np.isnan(found.values[1])


def test_golden_members_are_scored_anew_as_they_were(trained_world):
    golden = trained_world.trained.golden
    assert len(golden.snapshots) == GOLDEN_MEMBERS == golden.events.n_members
    golden.verify(trained_world.trained.engine)


def test_a_loaded_engine_gives_the_same_scores_and_reasons(trained_world, folder):
    engine, again = trained_world.trained.engine, load_engine(folder, "12")
    scores = again.score(trained_world.events, trained_world.everyone)
    for name in ("features", "probability", "value", "status"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(trained_world.scores, name))
    rows = trained_world.scored[:100]
    told = [e.reasons(scores.features[rows], main_risk(trained_world)[rows], "zh") for e in (engine, again)]
    assert told[0] == told[1]
    assert (again.version, again.grade, again.provenance) == ("12", engine.grade, engine.provenance)
    assert (again.community, again.spec, again.reference.band_edges) == (engine.community, engine.spec, engine.reference.band_edges)
    features = trained_world.trained.test_features
    for name, rule in engine.baselines.items():
        np.testing.assert_array_equal(again.baselines[name].probability(features), rule.probability(features))


def test_an_engine_loaded_by_another_process_gives_the_same_scores_and_reasons(trained_world, folder, tmp_path):
    subprocess.run([sys.executable, "-c", LOAD_ALONE, folder, tmp_path / "told.npz"], cwd=ROOT, check=True)
    golden, engine = trained_world.trained.golden, trained_world.trained.engine
    texts = [r.text for told in engine.reasons(golden.features, golden.probability[:, 1], "en") for r in told]
    with np.load(tmp_path / "told.npz") as told:
        np.testing.assert_allclose(told["probability"], golden.probability, rtol=0, atol=1e-12)
        np.testing.assert_allclose(told["value"], golden.value, rtol=1e-12)
        assert told["texts"].tolist() == texts


def test_an_engine_saved_again_has_the_same_files(folder, tmp_path):
    save_engine(load_engine(folder), read_golden(folder), tmp_path / "again")
    first, second = (
        {path.name: path.read_bytes() for path in where.iterdir() if path.suffix != ".npz"} for where in (folder, tmp_path / "again")
    )
    first, second = ({name: text for name, text in files.items() if name != ENGINE_FILE} for files in (first, second))
    assert first == second


def test_the_files_hold_numbers_and_text_and_nothing_that_runs(folder):
    names = {path.name for path in folder.iterdir()}
    assert {ENGINE_FILE, REFERENCE_FILE, GOLDEN_FILE} < names
    assert {path.suffix for path in folder.iterdir()} == {".json", ".npz", ".txt"}
    for path in folder.iterdir():
        if path.suffix != ".npz":
            path.read_text("utf-8")
            continue
        with np.load(path, allow_pickle=False) as arrays_of:
            assert all(arrays_of[name].dtype.kind in "iuf" for name in arrays_of.files)


def test_no_member_can_be_told_from_the_files(trained_world, folder):
    ids = trained_world.log.members["member_id"].to_list()
    texts = [path.read_text("utf-8") for path in folder.iterdir() if path.suffix != ".npz"]
    assert not any(member_id in text for text in texts for member_id in ids[::100])


def test_a_changed_definition_of_features_is_refused(folder):
    edited(folder, fingerprint="0" * 64)
    with pytest.raises(ModelRefused, match=r"feature definitions differ.*train again"):
        load_engine(folder)


def test_a_declaration_that_no_longer_fits_the_features_is_refused(folder):
    content = json.loads((folder / ENGINE_FILE).read_text("utf-8"))
    edited(folder, community=content["community"] | {"windows_days": [1, 2, 3]})
    with pytest.raises(ModelRefused, match="feature definitions differ"):
        load_engine(folder)


def test_another_format_is_refused(folder):
    edited(folder, format=99)
    with pytest.raises(ModelRefused, match="format 99; this release reads format 5"):
        load_engine(folder)


@pytest.mark.parametrize("suffix", [".npz", ".txt"])
def test_a_damaged_file_is_refused_by_its_name(folder, suffix):
    path = min(path for path in folder.iterdir() if path.suffix == suffix)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelRefused, match=rf'"{path.name}" has changed since it was saved'):
        load_engine(folder)


def test_a_missing_file_is_refused_by_its_name(folder):
    (folder / REFERENCE_FILE).unlink()
    with pytest.raises(ModelRefused, match=f'"{REFERENCE_FILE}" is missing'):
        load_engine(folder)


def test_a_model_that_says_something_else_of_the_golden_members_is_refused(trained_world, tmp_path):
    """As a new release of a library could: its files are whole."""
    engine = trained_world.trained.engine
    main = replace(engine.churn.main_model, margin=engine.churn.models[0].margin)
    models = tuple(main if model.horizon_days == main.horizon_days else model for model in engine.churn.models)
    save_engine(replace(engine, churn=ChurnModel(models, engine.churn.main)), trained_world.trained.golden, tmp_path / "other")
    with pytest.raises(ModelRefused, match="golden members: the same features now give other scores"):
        load_engine(tmp_path / "other")


def test_another_value_of_a_golden_member_is_refused(trained_world):
    golden = trained_world.trained.golden
    with pytest.raises(ModelRefused, match="other scores"):
        replace(golden, value=golden.value * 1.001).verify(trained_world.trained.engine)


def test_a_feature_that_is_computed_otherwise_is_refused_by_its_name(trained_world):
    golden, engine = trained_world.trained.golden, trained_world.trained.engine
    features = golden.features.copy()
    features[2, engine.spec.position("any_count_30d")] += 1
    with pytest.raises(ModelRefused, match='feature "any_count_30d" is not what it was'):
        replace(golden, features=features).verify(engine)


def test_golden_members_hold_events_from_before_their_snapshot_that_give_their_features(trained_world):
    golden, engine = trained_world.trained.golden, trained_world.trained.engine
    before = golden.events.timestamp_us < trained_world.test_as_of_us
    assert before.sum() > GOLDEN_MEMBERS
    assert golden.snapshots.as_of_us.tolist() == [trained_world.test_as_of_us] * GOLDEN_MEMBERS
    np.testing.assert_array_equal(compute_features(golden.events, golden.snapshots, engine.spec), golden.features)


def test_registering_names_the_version_and_changes_nothing_else(engine):
    named = engine.registered_as("7")
    assert (named.version, named.churn, named.reference) == ("7", engine.churn, engine.reference)
    assert engine.version == "unregistered"


def test_a_day_later_the_same_log_gives_other_features(trained_world):
    """`as_of` is an input: the engine reads no clock."""
    engine, row = trained_world.trained.engine, trained_world.scored[0]
    events = trained_world.events.of_members([row])
    now, later = (engine.score(events, Snapshots.at(events, trained_world.test_as_of_us + days * DAY_US)) for days in (0, 1))
    assert (now.features != later.features).any()

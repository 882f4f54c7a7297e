"""Versions and roles of engines in a real MLflow: registered, promoted, rolled back, refused."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml

import models
from models.champion_copy import ChampionCopy
from models.engine_files import ENGINE_FILE
from models.errors import ModelRefused, NoChampion, RegistryUnavailable
from models.registry import CHALLENGER, CHAMPION, MODEL_NAME, Registry
from pipelines.lessons import lesson_of_loaded
from pipelines.loading import Loaded
from pipelines.loading import registry as registry_of
from pipelines.train import run_record
from pipelines.workspace import Workspace
from tests.empty_registry import put_registry

SEED = 3
FIGURES = {"calibration.png", "lift.png", "shap.png"}


@dataclass(frozen=True)
class Shelf:
    """A registry, and where copies of its engines are kept."""

    registry: Registry
    cache: Path

    def promote(self, version: str | None = None) -> str:
        return self.registry.promote(version, self.cache)

    def champion(self):
        return self.registry.champion(self.cache)


def shelf_in(folder: Path) -> Shelf:
    return Shelf(Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts"), folder / "cache")


@pytest.fixture(scope="module")
def record(trained_world, tmp_path_factory):
    root = tmp_path_factory.mktemp("declared")
    content = trained_world.declared.model_dump(mode="json", exclude_none=True)
    (root / "keepwell.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    loaded = Loaded(trained_world.declared, trained_world.log, trained_world.events, 0, (), {})
    lesson = lesson_of_loaded(loaded, trained_world.trained.drawn, trained_world.log.events.height)
    return lambda: run_record(trained_world.trained, lesson, Workspace.find(root), SEED)


@pytest.fixture(scope="module")
def registered_once(trained_world, record, tmp_path_factory):
    """The folder of an MLflow with two versions, none of which is in force; nobody may change it."""
    folder = tmp_path_factory.mktemp("mlflow")
    put_registry(folder)
    trained, registry = trained_world.trained, shelf_in(folder).registry
    versions = [registry.register(trained.engine, trained.golden, record()) for _ in range(2)]
    return folder, versions


@pytest.fixture
def shelf(registered_once, tmp_path):
    """The same two versions, for one test to promote as it likes."""
    folder, _ = registered_once
    shutil.copy(folder / "mlflow.db", tmp_path)
    return shelf_in(tmp_path)


@pytest.fixture
def run(registered_once, shelf):
    _, versions = registered_once
    return shelf.registry.client.get_run(versions[0].run_id)


@pytest.fixture
def left_beside(run):
    """The folder of what the run left beside the model."""
    return Path(unquote(urlsplit(run.info.artifact_uri).path))


def test_versions_are_counted_and_the_newest_is_the_challenger(registered_once, shelf):
    _, versions = registered_once
    assert [registered.version for registered in versions] == ["1", "2"]
    assert versions[0].run_id != versions[1].run_id
    assert shelf.registry.version_of(CHALLENGER) == "2"


def test_nothing_is_in_force_before_it_is_promoted(shelf):
    with pytest.raises(NoChampion, match="`keepwell promote` makes one"):
        shelf.champion()


def test_an_empty_registry_asks_for_a_training(tmp_path):
    empty = shelf_in(tmp_path)
    with pytest.raises(NoChampion, match="`keepwell train` makes one"):
        empty.promote()
    with pytest.raises(ModelRefused, match=r'no version "1" in .* registered are none'):
        empty.promote("1")


def test_the_challenger_is_promoted_where_no_version_is_named(shelf):
    assert shelf.promote() == "2"
    assert shelf.registry.version_of(CHAMPION) == "2"
    assert shelf.champion().version == "2"


def test_an_earlier_version_comes_back_into_force_by_its_number(shelf):
    shelf.promote()
    assert shelf.promote("1") == "1"
    assert shelf.champion().version == "1"
    assert shelf.registry.version_of(CHALLENGER) == "2"


@pytest.mark.parametrize("version", ["3", "0", "-1", "latest", "", "1; drop table runs"])
def test_a_version_that_was_never_registered_is_refused_and_the_champion_stays(shelf, version):
    shelf.promote("1")
    with pytest.raises(ModelRefused, match="registered are 1, 2"):
        shelf.promote(version)
    assert shelf.champion().version == "1"


def test_what_a_version_showed_when_it_was_promoted_stays_with_it(shelf):
    told = {"outcome": "forced", "because": "a campaign starts today, 今天", "missing": ["no proof"]}
    assert shelf.registry.gate("1") is None
    shelf.registry.record_gate("1", "refused", {"outcome": "refused"})
    shelf.registry.record_gate("1", "forced: a campaign starts today", told)
    assert shelf.registry.gate("1") == told
    assert shelf.registry.client.get_model_version(MODEL_NAME, "1").tags["gate"] == "forced: a campaign starts today"
    assert shelf.registry.gate("2") is None


def test_what_comes_out_of_the_registry_scores_as_what_went_in(shelf, trained_world):
    engine = trained_world.trained.engine
    shelf.promote("1")
    before, after = (one.score(trained_world.events, trained_world.everyone) for one in (engine, shelf.champion()))
    np.testing.assert_array_equal(before.features, after.features)
    np.testing.assert_allclose(before.probability, after.probability, atol=1e-12)
    np.testing.assert_allclose(before.value, after.value, rtol=1e-9)


@pytest.fixture
def engine_folder(shelf):
    """The registered files of version 2, put back when the test has done its worst."""
    uri = shelf.registry.client.get_model_version_download_uri(MODEL_NAME, "2")
    folder = Path(unquote(urlsplit(uri).path)) / "artifacts" / "engine"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    yield folder
    folder.mkdir(exist_ok=True)
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.mark.parametrize("pattern", ["engine.json", "golden.npz", "reference.npz", "churn*.lgb.txt", "value*.lgb.txt"])
def test_a_version_with_a_changed_file_is_refused_and_the_champion_stays(shelf, engine_folder, pattern):
    shelf.promote("1")
    file = next(engine_folder.glob(pattern))
    file.write_bytes(file.read_bytes()[:-9] + b"tampered!")
    with pytest.raises(ModelRefused):
        shelf.promote("2")
    assert shelf.champion().version == "1"


def test_a_coupon_made_cheaper_in_the_registered_files_is_noticed(shelf, engine_folder):
    """The golden members do not pay for it."""
    content = json.loads((engine_folder / "engine.json").read_text(encoding="utf-8"))
    content["community"]["interventions"][0]["cost"] /= 2
    (engine_folder / "engine.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelRefused, match='version "2" is not what was registered'):
        shelf.promote("2")


@pytest.fixture(scope="module")
def whole_cache(registered_once, tmp_path_factory):
    """With a copy of version 1; nobody may change it."""
    folder, _ = registered_once
    cache = tmp_path_factory.mktemp("whole") / "cache"
    shelf_in(folder).registry.load("1", cache)
    return cache


@pytest.fixture
def kept(shelf, whole_cache):
    """The copy of version 1, to be spoilt."""
    shutil.copytree(whole_cache, shelf.cache)
    return shelf.registry.copy_of("1")


def changed(engine):
    file = next(engine.glob("churn*.lgb.txt"))
    file.write_bytes(file.read_bytes()[:-9] + b"tampered!")


def cut(engine):
    (engine / ENGINE_FILE).write_text("{")


def lost(engine):
    (engine / "golden.npz").unlink()


def linked(engine):
    (engine / "golden.npz").rename(engine.parent / "elsewhere")
    (engine / "golden.npz").symlink_to(engine.parent / "elsewhere")


def with_a_pickle(engine):
    (engine / "model.pkl").write_bytes(b"\x80\x04.")


def emptied(engine):
    shutil.rmtree(engine)
    engine.mkdir()


def made_a_file(engine):
    shutil.rmtree(engine)
    engine.write_text("no folder")


@pytest.mark.parametrize("spoil", [changed, cut, lost, linked, with_a_pickle, emptied, made_a_file])
def test_a_damaged_copy_is_not_whole_and_refused(shelf, kept, spoil):
    assert kept.is_whole(shelf.cache)
    spoil(shelf.cache / kept.folder)
    assert not kept.is_whole(shelf.cache)
    with pytest.raises(ModelRefused):
        kept.load(shelf.cache)


@pytest.mark.parametrize("spoil", [changed, linked, made_a_file])
def test_a_damaged_copy_is_fetched_anew(shelf, kept, spoil):
    place = shelf.cache / kept.folder
    spoil(place)
    assert shelf.registry.load("1", shelf.cache).version == "1"
    assert kept.load(shelf.cache).version == "1"
    assert [path for path in place.parent.iterdir() if path.name != "elsewhere"] == [place]


def test_a_copy_that_is_whole_is_not_fetched_again(shelf, kept):
    before = (shelf.cache / kept.folder).stat().st_ino
    shelf.registry.load("1", shelf.cache)
    assert (shelf.cache / kept.folder).stat().st_ino == before


def test_where_what_the_registry_has_is_damaged_too_the_version_is_refused_until_that_is_mended(shelf, engine_folder):
    shelf.registry.load("2", shelf.cache)
    kept, file = shelf.registry.copy_of("2"), engine_folder / "golden.npz"
    lost(shelf.cache / kept.folder)
    whole = file.read_bytes()
    file.write_bytes(b"no archive")
    with pytest.raises(ModelRefused, match=r'"golden.npz" has changed since it was saved'):
        shelf.registry.load("2", shelf.cache)
    assert not (shelf.cache / kept.folder / "golden.npz").exists()
    file.write_bytes(whole)
    assert shelf.registry.load("2", shelf.cache).version == "2"


def test_a_damaged_copy_stays_refused_while_the_registry_is_away(shelf, kept):
    cut(shelf.cache / kept.folder)
    away = Registry("gopher://host/base")
    with pytest.raises(RegistryUnavailable, match="cannot be asked"):
        away.load("1", shelf.cache)
    with pytest.raises(ModelRefused, match="is not what was registered; it is fetched anew where the registry answers"):
        kept.load(shelf.cache)


def test_a_copy_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match=r'the copy of version "1" cannot be read \(File name too long\)'):
        ChampionCopy("1", "n" * 300, "seal").load(tmp_path)


def test_files_that_cannot_be_fetched_are_told_of(shelf):
    run = shelf.registry.client.create_run(shelf.registry.client.get_experiment_by_name(MODEL_NAME).experiment_id)
    version = shelf.registry.client.create_model_version(MODEL_NAME, "gopher://ann:secret@host/base", run.info.run_id).version
    with pytest.raises(RegistryUnavailable, match=f'the files of version "{version}" cannot be fetched') as refused:
        shelf.registry.load(str(version), shelf.cache)
    assert "secret" not in str(refused.value)


def test_a_cache_that_cannot_be_written_is_told_of(shelf):
    shelf.cache.write_text("no folder")
    with pytest.raises(RegistryUnavailable, match=r'the files of version "1" cannot be fetched into .*\(\[Errno .*; try again'):
        shelf.registry.load("1", shelf.cache)


FETCHING = """
import sys, time
from pathlib import Path
from models.champion_copy import ChampionCopy

def without_end(folder):
    (folder / "engine").mkdir()
    print("begun", flush=True)
    time.sleep(3600)

ChampionCopy("9", "run9/engine", "seal").fetch(Path(sys.argv[1]), without_end)
"""


@contextmanager
def fetching(cache):
    """Another process that has begun to fetch a version; killed in the end."""
    with subprocess.Popen([sys.executable, "-c", FETCHING, str(cache)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            yield
        finally:
            process.kill()


def test_what_a_process_left_that_was_killed_while_it_fetched_is_removed_by_the_next_that_fetches(shelf):
    with fetching(shelf.cache):
        (begun,) = (shelf.cache / "run9").iterdir()
        shelf.registry.load("1", shelf.cache)
        assert (begun / "engine").is_dir()
    shutil.rmtree(shelf.cache / shelf.registry.copy_of("1").folder)
    shelf.registry.load("1", shelf.cache)
    assert list((shelf.cache / "run9").iterdir()) == []
    assert shelf.registry.copy_of("1").is_whole(shelf.cache)


@pytest.fixture
def fresh(whole_cache, kept, tmp_path):
    """Makes copies of version 1 such as one who fetches it has."""
    numbers = count()
    return lambda: shutil.copytree(whole_cache / kept.folder, tmp_path / str(next(numbers)) / "engine")


def test_of_many_who_mend_a_copy_at_once_one_does_and_nobody_sees_it_damaged_again(shelf, kept, fresh):
    place = shelf.cache / kept.folder
    lost(place)

    def mend(copy):
        kept.put(copy, shelf.cache)
        return [(kept.is_whole(shelf.cache), place.stat().st_ino) for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        seen = {one for mended in pool.map(mend, [fresh() for _ in range(16)]) for one in mended}
    assert len(seen) == 1
    assert {whole for whole, _ in seen} == {True}


def test_who_mends_a_copy_waits_for_who_does_it_already(shelf, kept, fresh):
    place = shelf.cache / kept.folder
    lost(place)
    with ThreadPoolExecutor(1) as pool:
        holder = os.open(place.parent, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)
        mending = pool.submit(kept.put, fresh(), shelf.cache)
        with pytest.raises(TimeoutError):
            mending.result(timeout=0.1)
        assert not kept.is_whole(shelf.cache)
        os.close(holder)
    assert kept.is_whole(shelf.cache)


def test_files_that_are_gone_are_named(shelf, engine_folder):
    shutil.rmtree(engine_folder)
    with pytest.raises(ModelRefused, match=r'the files of version "2" are no longer in file://.*; train again'):
        shelf.promote("2")


def test_nothing_registered_can_run_code_when_it_is_loaded(registered_once):
    folder, _ = registered_once
    files = [path for path in folder.glob("artifacts/**/*") if path.is_file()]
    suffixes = {path.suffix for path in files if path.parent.name != "__pycache__"}  # what Python leaves beside code that MLflow ran
    assert suffixes <= {".json", ".npz", ".txt", ".yaml", ".md", ".png", ".py", ""}
    for path in folder.glob("artifacts/**/*.npz"):
        with np.load(path, allow_pickle=False) as stored:
            assert all(stored[name].dtype != object for name in stored)
    (code,) = {path.read_text(encoding="utf-8") for path in folder.glob("artifacts/**/*.py")}
    assert code == (Path(models.__file__).parent / "pyfunc_engine.py").read_text(encoding="utf-8")


def test_the_run_tells_what_was_chosen(run, trained_world):
    told = run.data.params
    churn = trained_world.trained.engine.community.churn
    assert (told["seed"], told["horizon_days"], told["in_use"]) == (str(SEED), str(churn.horizon_days), trained_world.trained.churn.in_use)
    assert told["test_as_of"] == trained_world.test_as_of.isoformat()
    assert told["snapshots"] == str(trained_world.trained.snapshots)
    assert json.loads(told[f"weights_{churn.horizon_days}d"])


def test_the_run_tells_every_metric_with_its_interval_for_the_model_and_both_baselines(run, trained_world):
    told, metrics = run.data.metrics, trained_world.trained.churn.metrics
    for prefix in ("", "recency_", "rfm_logistic_"):
        for name in ("auc", "average_precision", "brier", "log_loss", "ece", "lift_at_10"):
            assert told[f"{prefix}{name}_lower"] <= told[f"{prefix}{name}_upper"]
            assert f"{prefix}{name}" in told
    assert (told["auc"], told["auc_lower"], told["auc_upper"]) == (metrics.auc.value, metrics.auc.lower, metrics.auc.upper)


def test_the_run_shows_calibration_lift_and_what_drives_the_risk(left_beside):
    for name in FIGURES:
        assert (left_beside / name).read_bytes().startswith(b"\x89PNG")


def test_the_run_holds_the_model_card_and_the_declaration(left_beside, trained_world):
    card = (left_beside / "model_card.md").read_text(encoding="utf-8")
    assert f"{trained_world.trained.churn.metrics.auc.value:.3f}" in card
    assert yaml.safe_load((left_beside / "declaration.yaml").read_text(encoding="utf-8"))["signals"]


def test_the_run_names_its_data_by_counts_and_holds_no_member(run, trained_world, registered_once):
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == trained_world.declared.name
    events = trained_world.log.events
    assert json.loads(used.dataset.profile)["num_rows"] == events["type"].n_unique()
    assert trained_world.log.members["member_id"][0] not in str(used.dataset.to_dictionary())


def test_a_registry_that_cannot_be_asked_is_named_without_its_password(tmp_path):
    closed = Registry("gopher://ann:secret@host/base", tmp_path)
    with pytest.raises(RegistryUnavailable, match="the registry gopher://host/base cannot be asked") as refused:
        closed.version_of(CHAMPION)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("signals: []")
    with pytest.raises(RegistryUnavailable, match=r"mlflow.db is no MLflow database"):
        shelf_in(tmp_path).champion()


def test_the_environment_moves_the_registry(registered_once, tmp_path, monkeypatch):
    folder, _ = registered_once
    workspace = Workspace(tmp_path)
    assert registry_of(workspace).uri == f"sqlite:///{tmp_path}/.keepwell/mlflow.db"
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", f"sqlite:///{folder}/mlflow.db")
    assert registry_of(workspace).version_of(CHALLENGER) == "2"
    assert not (tmp_path / ".keepwell" / "mlflow.db").exists()


def test_the_versions_that_were_in_force_are_known_in_their_order(shelf):
    shelf.promote("1")
    shelf.promote("2")
    shelf.registry.promote("1", shelf.cache, how="rolled_back")
    assert [(one.version, one.how) for one in shelf.registry.champions()] == [("1", "promoted"), ("2", "promoted"), ("1", "rolled_back")]
    shelf.registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, "2")
    assert shelf.registry.champions()[-1].version == "2"

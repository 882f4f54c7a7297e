"""Another champion under load: no request is dropped for a good one, and a bad one changes nothing."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from threading import Event

import numpy as np
import pytest

from models.engine_files import ENGINE_FILE, GOLDEN_FILE
from models.errors import ModelRefused
from models.registry import CHALLENGER, CHAMPION, MODEL_NAME
from serving import model_source
from serving.model_source import ModelSource
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.registry_world import engine_folder, own_registry, put_in_force
from tests.serving_world import client_of, serving, world, write_home
from tests.shown_run import reader, sign_in
from tests.test_hostile_engines import resealed, rewritten

CLIENTS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return engine_folder(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def registry(tmp_path):
    return own_registry(tmp_path / "registry")


@pytest.fixture
def running(tmp_path, registry):
    with serving(write_home(tmp_path / "home"), world().log, mlflow_uri=registry.uri, model_seconds=0.2) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        yield running


@contextmanager
def load(running):
    """Clients that score without a pause until the block ends; (status, version) of each answer, by client."""
    ended, seen = Event(), [[] for _ in range(CLIENTS)]
    members = world().log.members["member_id"].to_list()

    def score(number):
        with client_of(str(running.client.base_url), running.client.headers["authorization"].removeprefix("Bearer ")) as client:
            while not ended.is_set():
                member_id = members[(len(seen[number]) * CLIENTS + number) % len(members)]
                answer = client.post("/v1/score", json={"member_id": member_id})
                seen[number].append((answer.status_code, answer.json().get("model", {}).get("version")))

    with ThreadPoolExecutor(CLIENTS) as pool:
        tasks = [pool.submit(score, number) for number in range(CLIENTS)]
        yield seen
        ended.set()
    for task in tasks:
        task.result()


def model(running):
    return running.client.get("/v1/models").json()


def test_a_new_champion_is_taken_over_without_dropping_a_request(running, registry, whole):
    with load(running) as seen:
        wait_until(lambda: all(len(answers) > 5 for answers in seen))
        put_in_force(registry, whole)
        wait_until(lambda: all((200, "2") in answers[:-5] for answers in seen))
    for answers in seen:
        assert {status for status, _ in answers} == {200}
        versions = [version for _, version in answers]
        assert versions == sorted(versions)
        assert set(versions) == {"1", "2"}


def test_a_process_that_starts_decides_by_its_copy_and_then_by_the_champion_of_meanwhile(tmp_path, registry, whole, monkeypatch):
    home = write_home(tmp_path / "home")
    with serving(home, world().log, mlflow_uri=registry.uri) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
    put_in_force(registry, whole)
    monkeypatch.setattr("serving.model_source.HEAD_START_SECONDS", PATIENCE_SECONDS)
    models = ModelSource(registry.uri, running.settings.model_cache, PATIENCE_SECONDS)
    models.start(wait_seconds=PATIENCE_SECONDS)
    assert models.version == "1"
    models.stop()
    monkeypatch.setattr("serving.model_source.HEAD_START_SECONDS", 0.0)
    models = ModelSource(registry.uri, running.settings.model_cache, PATIENCE_SECONDS)
    models.start(wait_seconds=PATIENCE_SECONDS)
    wait_until(lambda: models.version == "2")
    models.stop()


def test_a_process_that_starts_on_a_damaged_copy_has_it_fetched_anew(tmp_path, registry):
    cache = tmp_path / "cache"
    registry.load("1", cache)
    copy = registry.copy_of("1")
    copy.note(cache)
    (cache / copy.folder / GOLDEN_FILE).unlink()
    models = ModelSource(registry.uri, cache, PATIENCE_SECONDS)
    models.start(wait_seconds=PATIENCE_SECONDS)
    models.stop()
    assert (models.version, models.error) == ("1", None)
    assert copy.is_whole(cache)


@pytest.mark.parametrize(("seconds", "asked_for"), [(model_source.REFUSED_SECONDS, True), (0.0, False)])
def test_a_champion_that_was_refused_is_fetched_again_when_asked_for_and_else_after_a_while(
    tmp_path, registry, whole, monkeypatch, seconds, asked_for
):
    folder = shutil.copytree(whole, tmp_path / "kept" / "artifacts" / "engine")
    put_in_force(registry, folder, None)
    (folder / GOLDEN_FILE).write_bytes(b"no archive")
    models = ModelSource(registry.uri, tmp_path / "cache", PATIENCE_SECONDS)
    models.refresh(asked_for=False)
    assert "has changed since it was saved" in models.error
    shutil.copy(whole / GOLDEN_FILE, folder / GOLDEN_FILE)
    models.refresh(asked_for=False)
    assert models.version is None
    monkeypatch.setattr(model_source, "REFUSED_SECONDS", seconds)
    (folder / GOLDEN_FILE).write_bytes(b"no archive")
    models.refresh()
    assert models.version is None
    shutil.copy(whole / GOLDEN_FILE, folder / GOLDEN_FILE)
    models.refresh(asked_for=asked_for)
    assert (models.version, models.error) == (registry.version_of(CHAMPION), None)


@pytest.fixture
def damaged_challenger(tmp_path, registry, whole):
    """Its version, and what mends it in the registry."""
    folder = shutil.copytree(whole, tmp_path / "kept" / "artifacts" / "engine")
    version = put_in_force(registry, folder)
    registry.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    (folder / GOLDEN_FILE).write_bytes(b"no archive")
    return version, lambda: shutil.copy(whole / GOLDEN_FILE, folder / GOLDEN_FILE)


@pytest.mark.parametrize("ask", [lambda models, _: models.challenger(None), ModelSource.version_of])
@pytest.mark.parametrize("seconds", [model_source.REFUSED_SECONDS, 0.0])
def test_another_version_that_was_refused_is_fetched_again_after_a_while_too(
    tmp_path, registry, damaged_challenger, monkeypatch, seconds, ask
):
    version, mend = damaged_challenger
    monkeypatch.setattr(model_source, "REFUSED_SECONDS", seconds)
    models = ModelSource(registry.uri, tmp_path / "cache", PATIENCE_SECONDS)
    with pytest.raises(ModelRefused, match="has changed since it was saved"):
        ask(models, version)
    mend()
    if seconds:
        with pytest.raises(ModelRefused, match="has changed since it was saved"):
            ask(models, version)
        models.refresh()
    assert ask(models, version).version == version


def with_golden_members_that_disagree(folder):
    rewritten(folder / GOLDEN_FILE, probability=np.full((5, 2), 0.5))
    resealed(folder)


def with_another_fingerprint(folder):
    resealed(folder, fingerprint="0" * 64)


def with_another_declaration(folder):
    content = json.loads((folder / ENGINE_FILE).read_text("utf-8"))
    resealed(folder, community={**content["community"], "windows_days": [1, 2, 3]})


def with_a_pickle(folder):
    (folder / "model.pkl").write_bytes(b"\x80\x04.")


def as_it_was(_folder):
    pass


@pytest.mark.parametrize(
    ("spoil", "seal", "told"),
    [
        (with_golden_members_that_disagree, None, "golden members"),
        (with_another_fingerprint, None, "feature definitions differ"),
        (with_another_declaration, None, "feature definitions differ"),
        (with_a_pickle, None, "no file of the engine"),
        (as_it_was, "0" * 64, "is not what was registered"),
    ],
)
def test_a_champion_that_is_refused_leaves_the_last_one_in_force(running, registry, whole, tmp_path, spoil, seal, told):
    folder = shutil.copytree(whole, tmp_path / "spoilt" / "artifacts" / "engine")
    spoil(folder)
    put_in_force(registry, folder, seal)
    wait_until(lambda: model(running)["error"] is not None)
    assert told in model(running)["error"]
    assert model(running)["version"] == "1"
    assert running.client.get("/readyz").status_code == 200
    assert running.score(world().log.members["member_id"][0]).json()["model"]["version"] == "1"


@pytest.mark.parametrize(("language", "told"), [("en", "Version 1 goes on deciding"), ("zh", "仍由版本1决策")])
def test_the_page_of_the_model_tells_which_champion_was_not_taken_over_and_why(running, registry, whole, language, told):
    with reader(running, language) as client:
        sign_in(client, running.key)
        assert told not in client.get("/model").text
        put_in_force(registry, whole, "0" * 64)
        wait_until(lambda: model(running)["error"] is not None)
        page = unescape(client.get("/model").text)
    assert told in page
    assert "is not what was registered" in page

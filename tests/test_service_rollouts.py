"""A service while a challenger decides for a share of the members: who decides for whom, and how it ends."""

import html
import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.engine_files import GOLDEN_FILE
from models.experiment_wording import written
from models.moments import microseconds
from models.policy import in_control
from models.registry import CHAMPION, MODEL_NAME
from models.rollout_reading import read_and_keep
from models.rollout_wording import kind_of
from models.rollouts import Planned, Stage
from pipelines.rollout import Said, roll_back
from pipelines.workspace import Workspace
from serving.settings import wall_clock
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.registry_world import challenged, challenged_copy, engine_folder, put_in_force
from tests.rolled_out import plant
from tests.serving_world import DECLARED, serving, world, write_home
from tests.shown_run import reader, sign_in
from tests.test_model_swap import load
from tests.test_pages_of_figures import words

HALF = 50.0
BEGAN = datetime(2025, 7, 1, tzinfo=UTC)


@contextmanager
def rolling(folder, registry, url=None):
    """It looks often whether a roll-out runs, and once only for a champion."""
    settings = {"mlflow_uri": registry.uri, "model_seconds": PATIENCE_SECONDS, **({} if url is None else {"store_url": url})}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("serving.rollouts.ROUND_SECONDS", 0.05)
        with serving(write_home(folder / "home"), world().log, **settings) as running:
            wait_until(lambda: running.client.get("/readyz").status_code == 200)
            yield running


@pytest.fixture
def running(tmp_path, store_url):
    with rolling(tmp_path, challenged(), store_url) as running:
        yield running


def planned(percent=HALF, **changes):
    copy = challenged().copy_of("2")
    return replace(Planned("1", "2", copy.folder, copy.seal, "salt", Stage(percent, microseconds(wall_clock()), "anna")), **changes)


def begun(running, percent=HALF, **changes):
    """Once the service goes by it, or has refused it."""
    rollout = running.store.start_rollout(planned(percent, **changes))
    wait_until(lambda: len(running.store.rollout_processes(rollout.rollout_id, 0)) == 1)
    return rollout


def follows(running, rollout_id, percent):
    wait_until(lambda: [one.percent for one in running.store.rollout_processes(rollout_id, 0)] == [percent])


def members():
    return world().log.members["member_id"].to_list()


def expected(rollout, percent=None):
    taken = rollout.takes(members(), DECLARED.policy, percent)
    return {member_id: "2" if one else "1" for member_id, one in zip(members(), taken.tolist(), strict=True)}


def by_batch(running, ids, **more):
    answer = running.client.post("/v1/score/batch", json={"requests": [{"member_id": one, **more} for one in ids]}).json()
    return {one["answer"]["member_id"]: one["answer"] for one in answer["results"]}


def versions_by(running, ids, **more):
    return {one: answer["model"]["version"] for one, answer in by_batch(running, ids, **more).items()}


def test_the_challenger_decides_for_its_members_on_every_way(running):
    rollout = begun(running)
    due, ids = expected(rollout), members()
    assert {"1", "2"} == set(due.values())
    assert {due[one] for one, held in zip(ids, in_control(ids, DECLARED.policy).tolist(), strict=True) if held} == {"1"}
    batch = by_batch(running, ids[:120], mode="decide")
    assert {one: answer["model"]["version"] for one, answer in batch.items()} == {one: due[one] for one in ids[:120]}
    for member_id in ids[:8]:
        assert running.score(member_id, mode="score_only").json()["model"]["version"] == due[member_id]
        explained = running.client.get(f"/v1/members/{member_id}/explanation", headers={"accept": "application/json"})
        assert explained.json()["model"]["version"] == due[member_id]
        studied = running.client.post(f"/v1/members/{member_id}/what-if", json={"remove": {"types": ["post"]}})
        assert studied.json()["before"]["model"]["version"] == due[member_id]
        kept = batch[member_id]["decision_id"]
        assert running.client.get(f"/v1/decisions/{kept}").json()["model_version"] == due[member_id]
        assert running.client.post(f"/v1/decisions/{kept}/replay").json()["equal"] is True


@pytest.mark.parametrize("request_", [{}, {"capacity": {"interventions": {"coupon": 30}}}])
def test_a_job_gives_each_member_to_its_engine(running, request_):
    rollout = begun(running)
    job = running.client.post("/v1/decision-jobs", json=request_).json()
    wait_until(lambda: running.client.get(f"/v1/decision-jobs/{job['job_id']}").json()["status"] in {"succeeded", "failed"})
    decided = running.store.assignments()
    assert dict(zip(decided["member_id"], decided["model_version"], strict=True)) == expected(rollout)
    chosen = int((decided["intervention"] == "coupon").sum())
    assert chosen == 30 if request_ else chosen > 30


def test_a_member_who_was_in_stays_in_while_the_share_is_raised(running):
    rollout = begun(running, 20)
    few = versions_by(running, members()[:200], mode="score_only")
    running.store.raise_rollout(Stage(60, microseconds(wall_clock()), "anna"))
    follows(running, rollout.rollout_id, 60)
    many = versions_by(running, members()[:200], mode="score_only")
    assert few == {one: expected(rollout)[one] for one in few}
    assert many == {one: expected(rollout, 60)[one] for one in many}
    assert {one for one, version in few.items() if version == "2"} < {one for one, version in many.items() if version == "2"}


def test_a_roll_back_under_load_loses_no_request_and_every_later_answer_is_the_champions(running, tmp_path, monkeypatch):
    begun(running)
    monkeypatch.setenv("KEEPWELL_STORE_URL", running.settings.store_url)
    with load(running) as seen:
        wait_until(lambda: all(len(answers) > 8 for answers in seen))
        told = roll_back(Workspace.find(tmp_path / "home"), None, Said("anna", "worse"), now=wall_clock())
        after = [len(answers) + 1 for answers in seen]
        wait_until(lambda: all(len(answers) > begin + 8 for answers, begin in zip(seen, after, strict=True)))
    assert (told.champion, told.replaced, len(told.taken_over), told.silent) == ("1", None, 1, ())
    for answers, begin in zip(seen, after, strict=True):
        assert {status for status, _ in answers} == {200}
        assert {version for _, version in answers[begin:]} == {"1"}
    assert {version for answers in seen for _, version in answers} == {"1", "2"}


def test_one_that_is_finished_gives_no_member_back_to_the_old_champion(tmp_path, store_url):
    registry = challenged_copy(tmp_path / "own")
    with rolling(tmp_path, registry, store_url) as service:
        rollout = begun(service)
        due = [one for one, version in expected(rollout).items() if version == "2"][:20]
        registry.promote("2", tmp_path / "cache")
        service.store.end_rollout("finished", microseconds(wall_clock()), "anna", None)
        told = [versions_by(service, due, mode="score_only")]
        follows(service, rollout.rollout_id, 0)
        told.append(versions_by(service, members()[:200], mode="score_only"))
    assert [set(versions.values()) for versions in told] == [{"2"}, {"2"}]


def test_a_challenger_that_cannot_be_loaded_is_refused_and_its_members_stay_with_the_champion(running):
    rollout = begun(running, challenger="77")
    (seen,) = running.store.rollout_processes(rollout.rollout_id, 0)
    assert seen.percent == 0
    assert 'no version "77"' in seen.error
    assert set(versions_by(running, members()[:100], mode="score_only").values()) == {"1"}
    running.store.end_rollout("rolled_back", 1, "anna", None)
    wait_until(lambda: running.store.rollout_processes(rollout.rollout_id, 0)[0].error is None)


def test_a_challenger_that_was_refused_is_not_fetched_again_at_every_try(tmp_path, store_url, monkeypatch):
    monkeypatch.setattr("serving.rollouts.HEARD_SECONDS", 0.2)
    registry = challenged_copy(tmp_path / "own")
    files = engine_folder(tmp_path / "files", registry)
    version = put_in_force(registry, files)
    registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
    copy, whole = registry.copy_of(version), (files / GOLDEN_FILE).read_bytes()
    (files / GOLDEN_FILE).write_bytes(b"no archive")
    with rolling(tmp_path, registry, store_url) as service:
        rollout = begun(service, challenger=version, folder=copy.folder, seal=copy.seal)

        def seen():
            return service.store.rollout_processes(rollout.rollout_id, 0)[0]

        (files / GOLDEN_FILE).write_bytes(whole)
        tries = {seen().seen_us}
        wait_until(lambda: tries.add(seen().seen_us) or len(tries) > 2)
        assert "has changed since it was saved" in seen().error
        service.client.post("/v1/models/reload")
        follows(service, rollout.rollout_id, HALF)


def test_a_process_that_begins_goes_by_the_share_from_its_first_answer_on(tmp_path, store_url):
    with rolling(tmp_path, challenged(), store_url) as running:
        rollout = begun(running)
        with rolling(tmp_path / "other", challenged(), store_url) as other:
            ids = members()[:100]
            assert versions_by(other, ids, mode="score_only") == {one: expected(rollout)[one] for one in ids}
            wait_until(lambda: len(running.store.rollout_processes(rollout.rollout_id, 0)) == 2)
        assert len(running.store.rollout_processes(rollout.rollout_id, 0)) == 1


def test_over_http_it_is_told_and_ended(running):
    nothing = running.client.get("/v1/rollouts/current").json()
    assert (nothing["rollout"], nothing["comparison"]) == (None, None)
    assert running.client.post("/v1/rollouts/current/rollback").json()["type"].endswith("no-rollout")
    running.score(members()[0])
    assert (running.store.rollout_processes(0, 0), running.store.rollouts(5)) == ([], [])
    rollout = begun(running)
    told = running.client.get("/v1/rollouts/current", params={"lang": "zh"}).json()
    assert told["rollout"] == rollout.to_dict()
    assert [one["share"] for one in told["processes"]] == [HALF]
    ended = running.client.post("/v1/rollouts/current/rollback").json()
    assert (ended["rollout"]["state"], ended["rollout"]["ended_by"], ended["processes"][0]["share"]) == ("rolled_back", "tests", 0)
    over = running.client.get("/v1/rollouts/current", params={"lang": "en"}).json()
    assert (over["rollout"], over["text"].startswith("Roll-out 1 was rolled back"), "compared" in over["text"]) == (None, True, False)
    assert set(versions_by(running, members()[:100], mode="score_only").values()) == {"1"}


def test_the_page_shows_what_the_answer_tells(tmp_path):
    pages = {}
    with rolling(tmp_path, challenged()) as running:
        planted = plant(running.store, BEGAN, kept=(0.5, 0.7))
        read_and_keep(running.store, planted.rollout, DECLARED.policy, DECLARED, BEGAN + timedelta(days=60))
        for language in ("en", "zh"):
            told = running.client.get("/v1/rollouts/current", params={"lang": language}).json()
            with reader(running, language) as client:
                sign_in(client, running.key)
                pages[language] = told, html.unescape(re.sub(r"</?code[^>]*>", "", client.get(f"/model?lang={language}").text))
        running.store.end_rollout("rolled_back", microseconds(BEGAN + timedelta(days=61)), "anna", "no better")
        with reader(running, "en") as client:
            sign_in(client, running.key)
            over, page = running.client.get("/v1/rollouts/current").json(), words(client.get("/model").text)
        assert over["rollout"] is None
        told_of_the_end = r"Roll-out 1 was rolled back at .*: version 2 had 50% of the members, version 1 stayed\. More members stay"
        assert re.match(told_of_the_end, over["text"])
        assert " ".join(over["text"].replace("`", " ").split()) in page
    for language, (told, page) in pages.items():
        for said in (told["text"], told["verdict_text"], told["todo"], told["comparison"]["sample_ratio"]["text"]):
            assert said.replace("`", "") in page
        assert told["comparison"]["verdict"] == "better"
        for row in told["comparison"]["rows"]:
            assert f'<th scope="row">{row["label"]}</th>' in page
            if row["difference"] is not None:
                assert written(kind_of(row["name"]), row["difference"], language=language, currency=DECLARED.currency) in page
        assert sum(row["difference"] is not None for row in told["comparison"]["rows"]) == 5

"""The service and the command line say the same of the same experiments."""

from contextlib import closing
from datetime import UTC, date, datetime
from importlib import import_module

import polars as pl
import pytest

from models.declaration import load_community
from models.experiment_declaration import Experiment
from models.kept_read_outs import is_stale, kept_read_outs
from models.store import Store
from pipelines.experiments import refresh_experiments
from pipelines.serve import prepare
from pipelines.workspace import Workspace
from serving.app import SELDOM_NEEDED
from tests.command_line import keepwell
from tests.serving_world import DECLARED, NOW, serving, wait_until, world, write_home, write_logs

LETTER = Experiment.model_validate(
    {"id": "letter_test", "arms": [{"id": "none", "share": 0.4}, {"id": "letter", "share": 0.6}], "start": date(2025, 4, 1)}
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = write_home(tmp_path_factory.mktemp("home"), DECLARED.model_copy(update={"experiments": (LETTER,)}))
    write_logs(folder)
    return folder


@pytest.fixture(scope="module")
def running(home):
    """What readings take is imported first, as a process of its own does: the next would wait so much longer for one that waited."""
    for name in SELDOM_NEEDED:
        import_module(name)
    with serving(home, world().log) as service:
        service.clock.now = datetime(2025, 5, 20, tzinfo=UTC)
        ids = world().log.members["member_id"].to_list()
        answer = service.client.post("/v1/score/batch", json={"requests": [{"member_id": one} for one in ids]})
        assert answer.status_code == 200
        service.clock.now = NOW
        yield service


def test_all_experiments_are_told_alike_by_the_service_and_the_command_line(running, home):
    answered = running.client.get("/v1/experiments", params={"lang": "zh"}).json()
    assert [one["id"] for one in answered["experiments"]] == ["global_control", "letter_test", "coupon", "call"]
    assert keepwell("experiments", "--json", "--lang", "zh", "-c", home).json()["experiments"] == answered["experiments"]


def test_one_experiment_is_told_with_its_arms_its_lift_and_its_check(running, home):
    control = running.client.get("/v1/experiments/global_control").json()
    told = keepwell("experiments", "global_control", "--json", "-c", home).json()
    assert {**told, "read_at": control["read_at"]} == control
    assert [arm["id"] for arm in control["arms"]] == ["control", "treated"]
    assert sum(arm["members"] for arm in control["arms"]) > 100
    assert control["sample_ratio"]["mismatch"] is False
    retention = next(lift for lift in control["lifts"] if lift["metric"] == "retention")
    assert retention["lift_interval"][0] < retention["lift"] < retention["lift_interval"][1]
    assert retention["verdict"] in {"more_days", "too_few", "raises", "lowers"}
    assert retention["text"].startswith("Retention over 30 days: ")


def test_what_came_since_is_counted_at_a_later_reading_and_nobody_waits_for_it(running):
    before = running.client.get("/v1/experiments").json()
    member = "m0000003"
    sent = {"events": [{"event_id": "later", "member_id": member, "type": "post", "timestamp": "2025-07-20T11:00:00Z"}]}
    assert running.client.post("/v1/events", json=sent).json()["accepted"] == 1
    assert running.client.get("/v1/experiments").json()["read_at"] >= before["read_at"]
    wait_until(lambda: running.client.get("/v1/experiments").json()["read_at"] > before["read_at"])
    again = running.client.get("/v1/experiments").json()
    assert again["experiments"][0]["known_until"] > before["experiments"][0]["known_until"]


def test_a_trial_of_the_declared_touches_is_told_alike_and_without_members_who_were_erased(tmp_path, store_url, monkeypatch):
    """On both databases; the table names two of its arms otherwise than the catalogue, which has no others."""
    monkeypatch.setenv("KEEPWELL_STORE_URL", store_url)
    named = {"silence_benefit": "coupon", "personal_call": "call"}
    touches = DECLARED.touches.model_copy(update={"propensity_prefix": "propensity_", "arms": named})
    home = write_home(tmp_path / "home", DECLARED.model_copy(update={"touches": touches}))
    write_logs(home)
    prepare(Workspace.find(home), now=NOW)
    with serving(home, store_url=store_url) as service:
        before = service.client.get("/v1/experiments").json()["experiments"]
        assert keepwell("experiments", "--json", "-c", home).json()["experiments"] == before
        coupon = next(one for one in before if one["id"] == "coupon")
        assert coupon["sources"]["decisions"] == 0
        assert (
            coupon["notes"][0]
            == f"Source: {coupon['sources']['touches']:,} assignments of the declared touches, a trial of the community's own."
        )
        assert next(lift for lift in coupon["lifts"] if lift["metric"] == "retention")["lift"] is not None
        assigned = service.store.declared_assignments().rows.filter(pl.col("intervention") == "coupon")
        for member in assigned["member_id"].unique(maintain_order=True)[:5]:
            assert service.client.delete(f"/v1/members/{member}").status_code == 200
        wait_until(lambda: all_read(service, home))
        after = service.client.get("/v1/experiments").json()["experiments"]
        assert next(one for one in after if one["id"] == "coupon")["sources"]["touches"] < coupon["sources"]["touches"]
        assert keepwell("experiments", "--json", "-c", home).json()["experiments"] == after


def all_read(service, home):
    """Asked for once more, as whoever looks does."""
    service.client.get("/v1/experiments")
    kept = kept_read_outs(service.store, load_community(home / "keepwell.yaml"))
    return not is_stale(kept, service.store)


def test_an_experiment_that_there_is_not_is_a_problem(running):
    answer = running.client.get("/v1/experiments/none_such")
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#unknown-experiment")


def test_a_person_reads_figures_and_sentences(running, home):
    said = keepwell("experiments", "letter_test", "-c", home)
    assert said.code == 0
    assert "letter_test" in said.out
    assert "Retention over 30 days" in said.out
    assert "The arms have the sizes that they should have" in said.out


LOGGED = DECLARED.touches.model_copy(update={"propensity_prefix": "propensity_"})


@pytest.mark.parametrize(
    ("told", "held", "read"),
    [({"experiments": (LETTER,)}, False, True), ({"touches": LOGGED}, True, True), ({"touches": LOGGED}, False, False), ({}, True, False)],
    ids=["declared", "logged", "logged_and_not_in_the_store", "nothing"],
)
def test_a_run_over_all_members_reads_them_where_there_is_something_to_read(tmp_path, told, held, read):
    declared = DECLARED.model_copy(update=told)
    home = write_home(tmp_path / "home", declared)
    write_logs(home)
    workspace = Workspace.find(home)
    if held:
        with closing(Store.open(workspace.store_url)) as store:
            store.load_log(world().log)
    refresh_experiments(workspace, declared, now=NOW)
    with closing(Store.open(workspace.store_url)) as store:
        kept = kept_read_outs(store, load_community(workspace.declaration))
    assert (kept is not None) == read

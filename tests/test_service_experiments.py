"""The service and the command line say the same of the same experiments."""

from contextlib import closing
from datetime import UTC, date, datetime
from importlib import import_module

import pytest

from models.declaration import load_community
from models.experiment_declaration import Experiment
from models.kept_read_outs import kept_read_outs
from models.store import Store
from pipelines.experiments import refresh_experiments
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


def test_an_experiment_that_there_is_not_is_a_problem(running):
    answer = running.client.get("/v1/experiments/none_such")
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#unknown-experiment")


def test_a_person_reads_figures_and_sentences(running, home):
    said = keepwell("experiments", "letter_test", "-c", home)
    assert said.code == 0
    assert "letter_test" in said.out
    assert "Retention over 30 days" in said.out
    assert "The arms have the sizes that they should have" in said.out


@pytest.mark.parametrize(("experiments", "read"), [((LETTER,), True), ((), False)])
def test_a_run_over_all_members_reads_them_where_there_is_something_to_read(tmp_path, experiments, read):
    declared = DECLARED.model_copy(update={"experiments": experiments})
    home = write_home(tmp_path / "home", declared)
    write_logs(home)
    workspace = Workspace.find(home)
    refresh_experiments(workspace, declared, now=NOW)
    with closing(Store.open(workspace.store_url)) as store:
        kept = kept_read_outs(store, load_community(workspace.declaration))
    assert (kept is not None) == read

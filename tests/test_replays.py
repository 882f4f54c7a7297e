"""Decisions that followed a plan for many, that a command recorded, or that others wrote beside, made again from what was known then."""

from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import insert

from models.declaration import load_community
from models.moments import microseconds
from models.store import LoggedEvent, Store
from models.store_rows import DecisionQuery
from models.store_schema import events
from pipelines.decide import decide_all
from pipelines.everyone import weigh_everyone
from pipelines.loading import load
from pipelines.recording import Recorder
from pipelines.workspace import Workspace
from tests.patience import wait_until
from tests.serving_world import NOW, serving, world, write_home, write_logs

MEMBERS = [f"m{number:07d}" for number in range(0, 120, 3)]


def replayed(running, decision_id):
    answer = running.client.post(f"/v1/decisions/{decision_id}/replay")
    assert answer.status_code == 200, answer.text
    return answer.json()


def everything_happens(running):
    """Events of all members, some of them older than the decisions."""
    rows = [LoggedEvent(name, microseconds(NOW - timedelta(days=days)), "post", f"{name} {days}") for name in MEMBERS for days in (0.1, 40)]
    assert set(running.store.add_events(rows)) == {"accepted"}


def assert_same(running, decision_ids):
    told = [replayed(running, one) for one in decision_ids]
    assert [(one["equal"], one["differences"], one["late_events"]) for one in told] == [(True, [], [])] * len(told)


def test_decisions_of_one_plan_for_many_are_made_again(tmp_path, store_url):
    with serving(write_home(tmp_path / "home"), world().log, store_url=store_url) as running:
        place = running.client.post("/v1/decision-jobs", json={"budget": 0.3, "audience": {"member_ids": MEMBERS}}).headers["location"]
        wait_until(lambda: running.client.get(place).json()["status"] == "succeeded")
        made = running.store.decisions(DecisionQuery(len(MEMBERS)))
        everything_happens(running)
        assert {one.member_id for one in made} == set(MEMBERS)
        assert running.store.claim_for_shadow("challenger", 1_000) == []
        assert_same(running, [one.decision_id for one in made])
        trace = running.client.get(f"/v1/decisions/{made[0].decision_id}").json()
        assert trace["plan_id"] == place.rpartition("/")[2]
        alone = running.score(MEMBERS[0]).json()["decision_id"]
        ids = {one.decision_id for one in made}
        assert running.store.planned([*ids, alone, "none such"]) == ids


@pytest.mark.parametrize("budget", [None, 0.3])
def test_decisions_that_a_command_recorded_are_made_again(tmp_path, monkeypatch, budget):
    home = write_home(tmp_path / "home")
    write_logs(home)
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    with serving(home, world().log) as running:
        asked = {"as_of": NOW.isoformat(), "language": None, "now": NOW, "progress": lambda _: None, "budget": budget, "record": True}
        recorded = decide_all(Workspace(home), tmp_path / "all.parquet", **asked).recorded
        made = running.store.decisions(DecisionQuery(1_000))
        assert (recorded.kept, recorded.left_out) == (len(made), 0)
        assert len(running.store.planned([one.decision_id for one in made])) == (0 if budget is None else len(made))
        everything_happens(running)
        assert_same(running, [one.decision_id for one in made if one.member_id in MEMBERS])


def test_a_run_during_which_events_arrived_says_that_it_cannot_be_made_again(tmp_path, monkeypatch):
    home = write_home(tmp_path / "home")
    write_logs(home)
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    workspace = Workspace(home)
    recorder = Recorder.ready(workspace, load_community(workspace.declaration), now=NOW)
    with closing(Store.open(workspace.store_url)) as store:
        store.add_events([LoggedEvent(MEMBERS[0], microseconds(NOW) - 5, "post")])
    loaded = load(workspace, now=NOW)
    (batch,) = weigh_everyone(world().engine, loaded, NOW)
    recorder.record(world().engine, batch, NOW, "en")
    with serving(home, world().log) as running:
        answer = running.client.post(f"/v1/decisions/{batch.decision_ids[0]}/replay").json()
    assert (answer["status"], answer["type"]) == (409, "/docs#not-replayable")
    assert "while events arrived" in answer["detail"]


def test_an_event_that_was_being_written_is_left_out_and_named(tmp_path, postgres):
    """Its key is lower than that of an event which the decision saw, and it was committed after the decision."""
    member = MEMBERS[3]
    with (
        postgres.database() as url,
        serving(write_home(tmp_path / "home"), world().log, store_url=url) as running,
        running.store.engine.connect() as beside,
    ):
        for name, days in (("slow one", 2), ("slow two", 9)):
            at_us = microseconds(NOW - timedelta(days=days))
            beside.execute(insert(events).values(event_id=name, member_id=member, timestamp_us=at_us, type="post", source="api"))
        running.store.add_events([LoggedEvent(member, microseconds(NOW) - 5, "comment", "quick")])
        made = running.score(member).json()
        beside.commit()
        told = replayed(running, made["decision_id"])
        assert (told["equal"], told["differences"], set(told["late_events"])) == (True, [], {"slow one", "slow two"})
        running.clock.pass_(seconds=1)
        again = running.score(member).json()
        assert again["churn"] != made["churn"]
        assert replayed(running, again["decision_id"])["late_events"] == []

"""What leaves the store when its days are over, and what stays: on both databases, in the service, and in what is exported."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import polars as pl
import pytest

from models import store_retention
from models.community import DAY_US
from models.declaration import load_community
from models.errors import InputError
from models.moments import microseconds
from models.store import Answer, DecisionRow, LoggedEvent, PlanRow, Store
from models.store_rows import NO_TRACE, DecisionQuery
from pipelines.archive import archived_traces
from pipelines.export import export
from pipelines.loading import known_besides
from pipelines.pruning import prune
from pipelines.workspace import Workspace
from serving.settings import wall_clock
from tests.databases import sqlite_url
from tests.serving_world import DECLARED, NOW, serving, world, write_home

NOW_US = microseconds(datetime(2026, 3, 10, 12, tzinfo=UTC))
LONG = "x" * 11_000


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        store.add_events([LoggedEvent(member_id, NOW_US - DAY_US, "post") for member_id in ("anna", "bert")])
        yield store


def decide(store, numbers, *, member="anna", days_ago=0):
    shares = json.dumps({"none": 0.25, "digest": 0.75})
    rows = [
        DecisionRow(f"d{n}", member, NOW_US - days_ago * DAY_US + n, "1", "none", None, 0, f'{{"n":{n},"more":"{LONG}"}}', basis="{}")
        for n in numbers
    ]
    assert not store.record([SimpleNamespace(**vars(row) | {"propensities": shares, "touches": False}) for row in rows])


def test_an_answer_is_kept_for_its_days_and_whoever_repeats_the_request_then_makes_a_new_one(store):
    requests = [(f"r{number}", "f") for number in range(2 * store_retention.ROWS_AT_ONCE + 1)]
    store.claim("key", requests, NOW_US)
    store.claim("key", [("young", "f")], NOW_US + 1)
    store.record([], [Answer("key", name, NOW_US, '{"a": 1}') for name, _ in requests])
    store.record([], [Answer("key", "young", NOW_US + 1, '{"a": 1}')])
    assert store.drop_answers(NOW_US) == 0
    assert store.claim("key", [("r0", "f"), ("r0", "other")], NOW_US)[0].answer == '{"a": 1}'
    assert store.drop_answers(NOW_US + 1) == len(requests)
    assert [claim.state for claim in store.claim("key", [("r0", "other"), ("young", "f")], NOW_US)] == ["new", "answered"]


def test_old_traces_leave_and_who_was_assigned_what_stays(store, monkeypatch):
    monkeypatch.setattr(store_retention, "TRACES_IN_FILE", 4)
    monkeypatch.setattr(store_retention, "ROWS_AT_ONCE", 3)
    decide(store, range(10), days_ago=91)
    decide(store, range(10, 12), member="bert", days_ago=89)
    before, archived = store.assignments(), []

    def archive(traces):
        assert {kept.decision_id for kept in store.decisions(DecisionQuery(limit=99))} >= set(traces["decision_id"])
        archived.append(traces)

    assert store.move_traces(NOW_US - 90 * DAY_US, archive) == 10
    assert [traces.height for traces in archived] == [4, 4, 2]
    moved = pl.concat(archived)
    assert [json.loads(body)["n"] for body in moved["body"]] == list(range(10))
    assert store.assignments().equals(before)
    assert [kept.decision_id for kept in store.decisions(DecisionQuery(limit=99))] == ["d11", "d10"]
    gone = store.kept("d3")
    assert (gone.has_trace, gone.body, gone.basis, gone.member_id) == (False, NO_TRACE, None, "anna")
    assert store.choices("anna", 0, 3) == [(NOW_US - 91 * DAY_US + n, "none") for n in (9, 8, 7)]
    assert len(store.traces("anna")["decisions"]) == 10
    assert store.move_traces(NOW_US - 90 * DAY_US, archive) == 0


def test_a_run_that_was_stopped_between_archive_and_store_loses_no_trace(store, monkeypatch):
    monkeypatch.setattr(store_retention, "TRACES_IN_FILE", 4)
    decide(store, range(10), days_ago=91)
    archived = []

    def stopped(traces):
        archived.append(traces)
        if len(archived) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        store.move_traces(NOW_US, stopped)
    assert store.move_traces(NOW_US, archived.append) == 6
    assert set(pl.concat(archived)["decision_id"]) == {f"d{number}" for number in range(10)}


def test_the_place_of_old_rows_is_taken_by_new_ones(tmp_path):
    file = tmp_path / "keepwell.db"
    with closing(Store.open(sqlite_url(tmp_path))) as store:
        store.add_events([LoggedEvent("anna", NOW_US - DAY_US, "post")])
        sizes = []
        for night in range(4):
            decide(store, range(night * 200, night * 200 + 200), days_ago=91)
            store.move_traces(NOW_US, lambda _: None)
            with store.writers.checkpoints.alone:
                pass
            store._overwrite_journal()  # noqa: SLF001 - what stands in the journal alone has no size in the file yet
            sizes.append(file.stat().st_size)
    assert sizes[0] > 200 * len(LONG)
    assert sizes[3] - sizes[0] < 3 * 200 * 1_000


def test_a_plan_stays_as_long_as_decisions_that_it_priced_have_their_traces(store):
    for number in range(4):
        store.put_in_force(PlanRow(f"p{number}", NOW_US + number * DAY_US, f"body {number}"))
    assert store.drop_plans(NOW_US + 2 * DAY_US) == 1
    assert [store.plan(f"p{number}") for number in range(4)] == [None, "body 1", "body 2", "body 3"]
    assert store.drop_plans(NOW_US + 99 * DAY_US) == 2
    assert store.plan_in_force() == "body 3"


def test_of_runs_the_one_that_is_shown_and_the_one_before_stay_however_old(store):
    rows = pl.DataFrame({"member_id": ["anna"], "chosen": ["none"]})
    rows = rows.with_columns(pl.lit(None).alias(name) for name in store_columns() if name not in rows.columns)
    for number in range(4):
        store.publish(NOW_US + number * DAY_US, f"body {number}", "cells", [rows])
    assert store.drop_overviews(NOW_US + DAY_US) == 1
    assert store.drop_overviews(NOW_US + 99 * DAY_US) == 1
    shown = store.overview(store.overview_key())
    assert (shown.body, shown.before) == ("body 3", "body 2")


def store_columns():
    from models.store_overviews import COLUMNS  # noqa: PLC0415 - of one test

    return COLUMNS


@pytest.mark.parametrize(("given", "why"), [({"events_days": 90}, "lookback_days"), ({"answers_days": 0}, "greater than 0")])
def test_days_that_cannot_serve_are_refused(given, why, tmp_path):
    home = write_home(tmp_path / "home", DECLARED)
    declaration = home / "keepwell.yaml"
    declaration.write_text(declaration.read_text("utf-8") + f"store: {json.dumps(given)}\n", encoding="utf-8")
    with pytest.raises(InputError, match=why):
        load_community(declaration)


@pytest.fixture(scope="module")
def aged(tmp_path_factory):
    """A service whose decisions and answers are older than they are kept; its workspace, and what it answered first."""
    home, ids = write_home(tmp_path_factory.mktemp("aged") / "home"), map("d{:04d}".format, count())
    with serving(home, world().log, new_id=lambda: next(ids)) as running:
        first = [running.score(f"m{number:07d}", request_id=f"r{number}") for number in range(6)]
        assert [running.score(f"m{number:07d}", request_id=f"r{number}").content for number in range(6)] == [one.content for one in first]
        workspace = Workspace.find(home)
        at, now = NOW + timedelta(days=91), wall_clock() + timedelta(days=31)
        pruned = prune(workspace, running.store, DECLARED, at=at, now=now)
        assert (pruned.answers, pruned.traces, pruned.events) == (6, 6, None)
        yield running, workspace, [answer.json() for answer in first]


def problem(answer):
    return answer.status_code, answer.json()["type"]


def test_a_trace_that_has_left_is_told_as_gone(aged):
    running, _, (first, *_) = aged
    path = f"/v1/decisions/{first['decision_id']}"
    gone = running.client.get(path)
    assert problem(gone) == problem(running.client.post(f"{path}/replay")) == (410, "/docs#trace-gone")
    assert "traces are kept here for 90 days" in gone.json()["detail"]
    listed = running.client.get("/v1/decisions", params={"member_id": first["member_id"]}).json()
    assert first["decision_id"] not in {one["decision_id"] for one in listed["decisions"]}


def test_a_request_that_comes_again_after_its_days_is_a_new_one(aged):
    running, _, (_, second, *_) = aged
    again = running.score(second["member_id"], request_id="r1").json()
    assert again["decision_id"] != second["decision_id"]
    assert running.client.get(f"/v1/decisions/{again['decision_id']}").is_success


def test_what_followed_an_old_decision_is_still_taken_and_told(aged):
    running, _, (_, _, third, *_) = aged
    told = {
        "outcome_id": "o",
        "member_id": third["member_id"],
        "decision_id": third["decision_id"],
        "type": "thanked",
        "at": NOW.isoformat(),
    }
    assert running.client.post("/v1/outcomes", json={"outcomes": [told]}).json()["accepted"] == 1
    data = running.client.get(f"/v1/members/{third['member_id']}/data").json()
    assert json.dumps(third["decision_id"]) in json.dumps(data)


def test_an_export_holds_the_traces_that_have_left_and_none_of_an_erased_member(aged, tmp_path):
    running, workspace, answers = aged
    export(workspace, tmp_path, older_than_days=None, now=NOW)
    told = pl.read_parquet(tmp_path / "decisions" / "*.parquet")
    assert set(told["decision_id"]) >= {answer["decision_id"] for answer in answers}
    assert told["decision_id"].is_unique().all()
    erased = answers[5]["member_id"]
    assert running.client.delete(f"/v1/members/{erased}").is_success
    known_besides(workspace, world().log.members, NOW)
    assert erased not in {member_id for traces in archived_traces(workspace) for member_id in traces["member_id"]}
    export(workspace, tmp_path, older_than_days=None, now=NOW)
    assert erased not in set(pl.read_parquet(tmp_path / "decisions" / "*.parquet")["member_id"])

"""What-if: hypothetical events through the same features as real ones, and nothing kept."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import EventArrays
from models.moments import microseconds
from models.store_rows import SignalRow
from models.what_if import without
from tests.serving_world import NOW, serving, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


@pytest.fixture(scope="module")
def member_id(running):
    """One who has a score, and commented within the last two weeks."""
    log = world().log
    recent = log.events.filter((pl.col("type").cast(pl.String) == "comment") & (pl.col("timestamp") > NOW - timedelta(days=14)))
    ids = log.members["member_id"].gather(recent["member"].unique()).to_list()
    return next(one for one in ids if running.score(one, mode="simulate").json()["churn"]["status"] == "scored")


def what_if(running, member_id, **body):
    answer = running.client.post(f"/v1/members/{member_id}/what-if", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def numbers(answer):
    actions = [(one["intervention_id"], one["uplift"], one["priority"]) for one in answer["actions"]]
    return answer["churn"], actions, answer["reasons"], answer["suppressed"]


def test_added_events_change_the_risk_as_if_they_were_stored(running, member_id):
    silent = running.clock.now
    running.clock.pass_(days=6)
    events = [{"type": "comment", "timestamp": (NOW + timedelta(days=day)).isoformat()} for day in (1, 3, 5)]
    told = what_if(running, member_id, add=events)
    scored = running.score(member_id, mode="simulate", events=events).json()
    running.clock.now = silent
    assert numbers(told["after"]) == numbers(scored)
    assert told["after"]["churn"]["probability"] < told["before"]["churn"]["probability"]
    assert told["change_pp"] == pytest.approx(100 * (told["after"]["churn"]["probability"] - told["before"]["churn"]["probability"]))


def test_what_is_removed_is_as_if_it_had_never_been(running, member_id):
    extra = [{"event_id": f"extra-{day}", "type": "comment", "timestamp": (NOW - timedelta(days=day)).isoformat()} for day in (1, 2)]
    before = what_if(running, member_id)["before"]
    running.client.post("/v1/events", json={"events": [{"member_id": member_id, **event} for event in extra]})
    by_id = what_if(running, member_id, remove={"event_ids": ["extra-1", "extra-2", "of nobody"]})
    assert by_id["removed"] == 2
    assert numbers(by_id["after"]) == numbers(before)
    assert numbers(by_id["before"]) != numbers(before)


def test_a_type_is_dropped_from_a_moment_on(running, member_id):
    since = NOW - timedelta(days=14)
    told = what_if(running, member_id, remove={"types": ["comment"], "since": since.isoformat()})
    stored = running.store.happened(member_id, microseconds(since), types=["comment"])
    assert told["removed"] == len(stored) > 0
    assert told["after"]["churn"]["horizons"] != told["before"]["churn"]["horizons"]
    assert what_if(running, member_id, remove={"types": ["comment"], "since": NOW.isoformat()})["warnings"][0]["code"] == "nothing_removed"


def test_nothing_of_it_is_kept(running, member_id):
    def rows():
        with running.store.engine.begin() as connection:
            tables = ("events", "decisions", "touches", "requests")
            return [connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in tables]  # noqa: S608 - names of our own

    held = rows()
    what_if(running, member_id, add=[{"type": "post", "timestamp": NOW.isoformat()}], remove={"types": ["comment"]})
    assert rows() == held


def test_an_event_that_no_log_would_take_is_named_and_left_out(running, member_id):
    odd = [{"type": "pst", "timestamp": NOW.isoformat()}, {"type": "post", "timestamp": (NOW + timedelta(days=9)).isoformat()}]
    told = what_if(running, member_id, add=odd)
    assert [(fault["pointer"], fault["code"]) for fault in told["warnings"]] == [
        ("/add/0", "unknown_event_type"),
        ("/add/1", "future_timestamp"),
    ]
    assert told["change_pp"] == 0
    assert running.client.post("/v1/members/nobody/what-if", json={}).status_code == 404


def arrays(happened):
    rows = sorted(happened)
    columns = [np.array([row[at] for row in rows], dtype=kind) for at, kind in enumerate((np.int64, np.uint8, np.float64))]
    return EventArrays(np.array([0, len(rows)]), *columns, np.zeros(1, np.int64), np.ones(1, np.int64))


HAPPENED = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from([1.0, 2.0])), max_size=12)


@given(kept=HAPPENED, removed=HAPPENED)
def test_removing_what_was_added_gives_back_what_was_there(kept, removed):
    rows = [SignalRow(0, *happening) for happening in removed]
    left, expected = without(arrays(kept + removed), rows), arrays(kept)
    assert left.offsets.tolist() == expected.offsets.tolist()
    for name in ("timestamp_us", "signal", "value"):
        assert getattr(left, name).tolist() == getattr(expected, name).tolist()


def test_an_event_without_a_value_is_found_too():
    here = arrays([(1, 0, np.nan), (2, 0, np.nan)])
    assert without(here, [SignalRow(0, 1, 0, np.nan)]).timestamp_us.tolist() == [2]

"""Decision jobs and shadow decisions as rows, on both databases: one worker at a time, nothing half-done, nothing kept for ever."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from models.job_rows import JobProgress
from models.jobs import LEASE_US, JobEnd, JobLost, JobRow, JobStep, Line, Selected
from models.sealing import Seal, new_key
from models.second_opinion import Opinion
from models.store import DecisionRow, LoggedEvent, Store
from models.webhooks import EVENT_TYPES, new_endpoint

DAY_US = 86_400_000_000
MEMBERS = ["anna", "ben", "carl", "dora"]


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        store.add_events([LoggedEvent(name, 1, "post") for name in MEMBERS])
        yield store


def job(number, **changes):
    return JobRow(f"{number:032x}", number, "{}", '{"job_id": "x"}', **changes)


def added(store, number, members=None):
    row = job(number)
    assert store.add_job(row, members, "key", None, "").state == "new"
    return row


def step(row, worker, **done):
    return JobStep(row.job_id, worker, 9 * DAY_US, **done)


def decision(name, number, basis="{}", version="1", band="low", probability=0.2):
    body = json.dumps({"churn": {"risk_band": band, "probability": probability}})
    return DecisionRow(f"d{number}", name, 1_000 + number, version, "none", None, 0, body, basis=basis)


def test_of_many_workers_one_gets_a_job_and_the_oldest_first(store):
    for number in (3, 1, 2):
        added(store, number)
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda worker: store.lease_job(f"w{worker}", 10), range(6)))
    taken = [row for row in got if row is not None]
    assert sorted(row.created_us for row in taken) == [1, 2, 3]
    assert len({row.worker for row in taken}) == 3
    assert store.lease_job("late", 10 + LEASE_US - 1) is None
    assert store.lease_job("late", 10 + LEASE_US).started_us == 10


def test_who_lost_a_job_writes_nothing(store):
    row = added(store, 1)
    store.lease_job("slow", 1)
    store.lease_job("fast", 1 + LEASE_US)
    with pytest.raises(JobLost):
        store.select_for_job(step(row, "slow", selected=1), [Selected(0, "anna")], None)
    progress = JobProgress(step(row, "slow", decided=1), (Line(0, "{}"),))
    with pytest.raises(JobLost):
        store.record([decision("anna", 1)], job=progress)
    assert store.assignments().is_empty()
    assert store.job_members(row.job_id, -1, 10) == []
    assert store.job(row.job_id).selected == 0


def test_decisions_and_progress_are_written_together_or_not_at_all(store):
    row = added(store, 1)
    store.lease_job("w", 1)
    store.select_for_job(step(row, "w", considered=2, selected=2), [Selected(0, "anna", "[]"), Selected(1, "ben", "[]")], None)
    stale = replace(decision("ben", 2), chosen="digest", channel="email", contacts_seen=7)
    progress = JobProgress(step(row, "w", decided=2, cost=1.5), (Line(0, '{"row": 0}'), Line(1, '{"row": 1}')))
    assert store.record([decision("anna", 1), stale], job=progress) == {"ben"}
    assert store.job(row.job_id).decided == 0
    assert store.record([decision("anna", 1), decision("ben", 2)], job=progress) == frozenset()
    assert [line.text for line in store.job_lines(row.job_id, 1, 10)] == ['{"row": 1}']
    assert store.job_members(row.job_id, -1, 10, undecided=True) == []
    told = store.job(row.job_id)
    assert (told.decided, told.cost, told.considered, told.lease_us) == (2, 1.5, 2, 9 * DAY_US)


def test_a_job_ends_once_and_is_told_once(store):
    store.add_endpoint(new_endpoint("https://crm.example/hook", EVENT_TYPES, 0), Seal((new_key(),)))
    row = added(store, 1)
    store.lease_job("w", 1)
    assert store.end_job(JobEnd(row.job_id, "succeeded", 5, worker="other")) is None
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda status: store.end_job(JobEnd(row.job_id, status, 5)), ["cancelled"] * 4))
    assert sum(one is not None for one in ends) == 1
    assert store.endpoints()[0].pending == 1
    assert store.lease_job("w", DAY_US) is None


def test_named_members_who_are_not_selected_go_and_the_others_keep_their_places(store):
    row = added(store, 1, MEMBERS)
    store.lease_job("w", 1)
    store.restart_job(step(row, "w", members=4), named=True)
    store.select_for_job(step(row, "w", considered=2, selected=1), [Selected(1, "ben")], range(2))
    store.select_for_job(step(row, "w", considered=1), [], range(2, 3))
    assert [(one.position, one.member_id) for one in store.job_members(row.job_id, -1, 10)] == [(1, "ben"), (3, "dora")]
    store.plan_for_job(step(row, "w", stage="deciding"), [Selected(1, "ben", "[1]")])
    assert store.job_members(row.job_id, 0, 1)[0].planned == "[1]"


def test_a_retry_gets_the_first_answer_and_makes_nothing(store):
    first, again = job(1), job(2)
    assert store.add_job(first, None, "key", "once", "same").state == "new"
    assert store.add_job(again, None, "key", "once", "same").answer == first.answer
    assert store.add_job(again, None, "key", "once", "other").state == "other_body"
    assert store.job(again.job_id) is None


def test_jobs_are_listed_by_age_and_forgotten_a_month_after_their_end(store):
    rows = [added(store, number, ["anna"]) for number in (1, 2, 3)]
    assert [row.created_us for row in store.jobs(None, 2)] == [3, 2]
    assert [row.created_us for row in store.jobs((2, rows[1].job_id), 2)] == [1]
    store.end_job(JobEnd(rows[0].job_id, "cancelled", 5))
    store.sweep_jobs(30 * DAY_US)
    assert len(store.jobs(None, 9)) == 3
    store.sweep_jobs(30 * DAY_US + 6)
    assert [row.created_us for row in store.jobs(None, 9)] == [3, 2]
    assert store.job_members(rows[0].job_id, -1, 9) == []


def test_a_challenger_is_asked_once_about_each_decision_with_a_basis(store):
    store.record([decision("anna", 1), decision("ben", 2, basis=None), decision("carl", 3, version="2"), decision("dora", 4)])
    with ThreadPoolExecutor(3) as pool:
        claimed = [one.decision_id for made in pool.map(lambda _: store.claim_for_shadow("2", 10), range(3)) for one in made]
    assert sorted(claimed) == ["d1", "d4"]
    assert store.agreement("2", "1").decisions == 0
    own = Opinion("low", "none", 0.2)
    store.keep_shadows("2", {"d1": (own, Opinion("high", "none", 0.5)), "d4": (own, Opinion(None, "call", None))})
    told = store.agreement("2", "1")
    assert (told.decisions, told.band, told.choice) == (2, 0, 0.5)
    assert told.probability_difference == pytest.approx(0.3)
    assert store.claim_for_shadow("2", 10) == []
    assert [one.opinion.band for one in store.claim_for_shadow("3", 1)] == ["low"]

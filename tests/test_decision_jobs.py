"""Decision jobs: the same decisions as one by one, one plan where something is to be shared out, and no half-done work after a death."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from models.actions import NO_ACTION
from models.api_keys import create_key
from models.events import event_arrays
from models.interventions import ContactHistory
from models.job_rows import JobEnd
from models.jobs import JobLost
from models.moments import microseconds
from models.planning import Candidates, plan_jointly, settle
from models.snapshots import Snapshots
from models.store_rows import content_id
from models.supply import Capacity, Supply
from models.weighing import weigh
from serving.app import create_app
from serving.job_decisions import Deciding
from serving.job_requests import new_job
from serving.job_selection import Selection
from serving.job_task import Task
from serving.job_worker import JobWorker
from serving.places import IN_THE_LOG
from serving.schemas import DecisionJobRequest
from tests.patience import wait_until
from tests.serving_world import DECLARED, NOW, Clock, client_of, fill, serving, settings_of, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_decided_yet(request):
    yield
    if "running" in request.fixturenames:
        with request.getfixturevalue("running").store.engine.begin() as connection:
            for statement in ("DELETE FROM touches WHERE state = 'reserved'", "DELETE FROM decisions"):
                connection.exec_driver_sql(statement)


def ask(running, **request):
    answer = running.client.post("/v1/decision-jobs", json=request)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/decision-jobs/{answer.json()['job_id']}"
    return answer.json()


def ended(running, job):
    wait_until(lambda: status_of(running, job)["status"] not in ("queued", "running"))
    return status_of(running, job)


def status_of(running, job):
    return running.client.get(f"/v1/decision-jobs/{job['job_id']}").json()


def results(running, job, **query):
    answer = running.client.get(f"/v1/decision-jobs/{job['job_id']}/results", params=query)
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def rows(running, table):
    with running.store.engine.begin() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()  # noqa: S608 - a name of our own


def member_ids():
    return world().log.members["member_id"].to_list()


def test_a_job_decides_on_every_member_as_a_score_would(running):
    alone = {}
    for begin in range(0, len(member_ids()), 130):
        asked = [{"member_id": one, "mode": "simulate"} for one in member_ids()[begin : begin + 130]]
        told = running.client.post("/v1/score/batch", json={"requests": asked}).json()["results"]
        alone |= {row["answer"]["member_id"]: row["answer"] for row in told}
    job = ended(running, ask(running))
    assert (job["status"], job["progress"], job["plan"]) == ("succeeded", 1, None)
    lines = results(running, job)
    assert [line["member_id"] for line in lines] == sorted(alone)
    for line in lines:
        told = alone[line["member_id"]]
        assert (line["probability"] or 0) == pytest.approx(told["churn"]["probability"] or 0, rel=1e-9)
        assert [one["intervention_id"] for one in told["actions"][:1]] == ([line["intervention_id"]] if line["channel"] else [])
        assert line["no_action_reason"] == told["no_action_reason"]
    contacted = [line for line in lines if line["channel"]]
    assert job["counts"]["contacted"] == len(contacted) == rows(running, "touches WHERE state = 'reserved'") > 0
    assert job["counts"]["cost"] == pytest.approx(sum(line["cost"] for line in contacted))
    trace = running.client.get(f"/v1/decisions/{contacted[0]['decision_id']}").json()
    assert (trace["member_id"], trace["chosen"]) == (contacted[0]["member_id"], contacted[0]["intervention_id"])
    assert trace["reasons"]


def planned_offline(job_id, budget):
    """What `keepwell decide --budget` computes on the log itself, with the draws of this job."""
    log, engine = world().log, world().engine
    events, ids = event_arrays(log, DECLARED), member_ids()
    snapshots = Snapshots.at(events, microseconds(NOW))
    draws = [content_id(job_id, one) for one in ids]
    weighed = weigh(engine, events, snapshots, ids, draws, ContactHistory.of_touches(log.touches, snapshots.member), as_of=NOW)
    candidates, supply = Candidates.of(weighed), Supply.of(DECLARED, Capacity(), budget)
    joint = plan_jointly(candidates, supply, DECLARED.policy.exploration)
    arms = (NO_ACTION, *(one.id for one in DECLARED.interventions))
    return {one: arms[chosen] for one, chosen in zip(ids, settle(candidates, joint, supply, weighed.draw).chosen, strict=True)}


def test_a_budget_is_shared_out_by_the_one_plan_of_the_command_line(running):
    job = ended(running, ask(running, budget=0.3))
    lines = results(running, job)
    assert {line["member_id"]: line["intervention_id"] for line in lines} == planned_offline(job["job_id"], 0.3)
    assert job["counts"]["cost"] == pytest.approx(0.3)
    assert job["plan"]["spend"] == pytest.approx(0.3)
    trace = running.client.get(f"/v1/decisions/{next(one for one in lines if one['channel'])['decision_id']}").json()
    assert trace["plan_id"] == job["job_id"]
    assert any(candidate["shadow_price"] > 0 for candidate in trace["candidates"])


def test_the_plan_is_the_same_in_whatever_order_members_are_named(running):
    """Some hundred of them are worth the same, and there is money for thirty."""
    named = [*reversed(member_ids()[::2]), *member_ids()[1::2]]
    job = ended(running, ask(running, budget=0.3, dry_run=True, audience={"member_ids": named}))
    assert {line["member_id"]: line["intervention_id"] for line in results(running, job)} == planned_offline(job["job_id"], 0.3)


def test_places_are_shared_out_too_and_a_dry_run_keeps_nothing(running):
    held = [rows(running, name) for name in ("decisions", "touches", "deliveries")]
    asked = {"capacity": {"interventions": {"coupon": 7}, "channels": {"email": 2}}, "dry_run": True}
    job = ended(running, ask(running, **asked))
    lines = results(running, job)
    assert Counter(line["intervention_id"] for line in lines)["coupon"] == 7
    assert Counter(line["channel"] for line in lines)["email"] <= 2
    assert {line["decision_id"] for line in lines} == {None}
    assert [rows(running, name) for name in ("decisions", "touches", "deliveries")] == held


def test_an_audience_is_those_with_one_value_of_every_kind(running):
    everyone = results(running, ended(running, ask(running, dry_run=True)))
    high = results(running, ended(running, ask(running, dry_run=True, audience={"risk_bands": ["high", "medium"]})))
    assert [one["member_id"] for one in high] == [one["member_id"] for one in everyone if one["risk_band"] in ("high", "medium")]
    named = [one["member_id"] for one in everyone[:50]]
    both = ended(running, ask(running, dry_run=True, audience={"member_ids": [*named, "nobody", named[0]], "risk_bands": ["high"]}))
    assert [one["member_id"] for one in results(running, both)] == [one["member_id"] for one in everyone[:50] if one["risk_band"] == "high"]
    assert (both["counts"]["members"], both["counts"]["unknown"]) == (50, 1)
    silent = results(running, ended(running, ask(running, dry_run=True, audience={"stages": ["silent"], "tags": ["win_back_candidate"]})))
    scored = [running.score(one["member_id"], mode="simulate").json()["member"] for one in silent]
    assert scored
    assert all(one["stage"] == "silent" and "win_back_candidate" in one["tags"] for one in scored)
    assert ended(running, ask(running, audience={"member_ids": []}))["counts"]["decided"] == 0


def test_results_go_on_from_any_row(running):
    job = ended(running, ask(running, dry_run=True))
    every = results(running, job)
    assert [line["row"] for line in every] == list(range(len(every)))
    assert results(running, job, offset=200) == every[200:]
    assert results(running, job, offset=10_000) == []


def test_a_retry_makes_no_second_job(running):
    first = running.client.post("/v1/decision-jobs", json={"request_id": "nightly", "dry_run": True})
    again = running.client.post("/v1/decision-jobs", json={"dry_run": True}, headers={"Idempotency-Key": "nightly"})
    assert (again.status_code, again.content) == (202, first.content)
    other = running.client.post("/v1/decision-jobs", json={"request_id": "nightly"})
    assert (other.status_code, other.json()["type"]) == (422, "/docs#request-id-reused")
    ended(running, first.json())


def test_jobs_are_listed_newest_first(running):
    made = [ask(running, dry_run=True, audience={"member_ids": []})["job_id"] for _ in range(52)]
    first = running.client.get("/v1/decision-jobs").json()
    rest = running.client.get("/v1/decision-jobs", params={"cursor": first["next_cursor"]}).json()
    assert [one["job_id"] for one in (*first["jobs"], *rest["jobs"])][:52] == made[::-1]
    assert running.client.get("/v1/decision-jobs", params={"cursor": "x"}).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": -1},
        {"audience": {"risk_bands": ["huge"]}},
        {"audience": {"tiers": ["nobility"]}},
        {"capacity": {"interventions": {"cake": 1}}},
        {"capacity": {"channels": {"pigeon": 1}}},
        {"everyone": True},
    ],
)
def test_a_job_that_cannot_be_done_is_refused_at_once(running, wrong):
    answer = running.client.post("/v1/decision-jobs", json=wrong)
    assert answer.status_code == 422, answer.text


def test_only_a_planner_may_ask(running):
    secret = create_key(running.store, "scorer", ["score", "read"], now=NOW)
    with client_of(str(running.client.base_url), secret) as client:
        for path in ("/v1/decision-jobs", "/v1/decision-jobs/x", "/v1/decision-jobs/x/results"):
            assert client.get(path).status_code == 403
    for path in ("/v1/decision-jobs/x", "/v1/decision-jobs/x/results"):
        assert running.client.get(path).json()["type"] == "/docs#unknown-job"


# By hand, without a server that would take the job


@contextmanager
def workshop(folder, declared=DECLARED):
    """A service that nobody has started, over a store with the log."""
    settings = settings_of(write_home(folder, declared), mlflow_uri=world().mlflow_uri)
    fill(settings.store_url, world().log)
    service = create_app(settings, clock=Clock()).state.service
    service.models.refresh()
    try:
        yield service
    finally:
        service.close()


def begun(service, worker, **request):
    """A job that `worker` holds."""
    service.store.add_job(*new_job(service, DecisionJobRequest.model_validate(request), None), "key", None, "")
    return Task(service, service.engine(), service.store.lease_job(worker, 1), worker, NOW)


def run_out(service):
    with service.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET lease_us = 0")


def lines_of(service, job_id):
    return [json.loads(line.text) for line in service.store.job_lines(job_id, 0, 10_000)]


@pytest.mark.parametrize("stage", ["selecting", "deciding"])
@pytest.mark.parametrize("budget", [None, 0.3])
def test_what_a_dead_process_began_is_ended_by_another_each_member_decided_once(tmp_path, stage, budget):
    with workshop(tmp_path / "home") as service:
        task = begun(service, "dead", budget=budget)
        if stage == "deciding":
            row = Selection(task).run()
            first = Deciding(Task(service, task.engine, row, "dead", NOW))
            first.chunk(service.store.job_members(row.job_id, -1, 90, undecided=True))
        else:
            selection = Selection(task)
            service.store.restart_job(task.step(members=260), named=False)
            selection.select(next(selection.chunks())[:100])
        assert not JobWorker(service).work()
        run_out(service)
        assert JobWorker(service).work()
        told = lines_of(service, task.row.job_id)
        assert [line["member_id"] for line in told] == member_ids()
        row = service.store.job(task.row.job_id)
        assert (row.status, row.decided) == ("succeeded", len(told))
        assert row.contacted == sum(line["channel"] is not None for line in told)
        assert budget is None or {one["member_id"]: one["intervention_id"] for one in told} == planned_offline(row.job_id, budget)
        with service.store.engine.begin() as connection:
            decided = connection.exec_driver_sql("SELECT decision_id, member_id FROM decisions").all()
        assert sorted(decided) == sorted((line["decision_id"], line["member_id"]) for line in told)


def test_a_worker_that_lost_its_job_writes_nothing_more(tmp_path):
    with workshop(tmp_path / "home") as service:
        task = begun(service, "slow")
        task = Task(service, task.engine, Selection(task).run(), "slow", NOW)
        run_out(service)
        assert service.store.lease_job("fast", 1).worker == "fast"
        with pytest.raises(JobLost):
            Deciding(task).run()
        assert lines_of(service, task.row.job_id) == []
        with service.store.engine.begin() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM touches WHERE state = 'reserved'").scalar() == 0


def test_a_job_whose_model_is_gone_fails_without_telling_where_models_lie(tmp_path):
    with workshop(tmp_path / "home") as service:
        task = begun(service, "dead")
        Selection(task).run()
        with service.store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET lease_us = 0, model_version = '99'")
        assert JobWorker(service).work()
        row = service.store.job(task.row.job_id)
        assert (row.status, row.error) == ("failed", f'"keepwell" has no version "99" in {IN_THE_LOG}; registered are 1')


def test_a_cancelled_job_ends_where_it_is(tmp_path):
    with workshop(tmp_path / "home") as service:
        task = begun(service, "one")
        deciding = Deciding(Task(service, task.engine, Selection(task).run(), "one", NOW))
        deciding.chunk(service.store.job_members(task.row.job_id, -1, 50))
        assert service.store.end_job(JobEnd(task.row.job_id, "cancelled", 5)).status == "cancelled"
        assert service.store.end_job(JobEnd(task.row.job_id, "cancelled", 6)) is None
        with pytest.raises(JobLost):
            deciding.run()
        assert len(lines_of(service, task.row.job_id)) == 50
        assert not JobWorker(service).work()


def test_a_member_whom_a_score_contacted_after_the_plan_keeps_to_the_cap(tmp_path):
    """The plan meant them; at their turn the weekly cap is full."""
    with workshop(tmp_path / "home") as service:
        task = begun(service, "one", budget=100)
        row = Selection(task).run()
        task = Task(service, task.engine, row, "one", NOW)
        rehearsed = Deciding(task).decide(service.store.job_members(row.job_id, -1, 200), [])
        member = next(one.member.member_id for one in rehearsed if one.decision.chosen != NO_ACTION)
        full = [(f"t{at}", member, microseconds(NOW) - 1 - at) for at in range(2)]
        with service.store.engine.begin() as connection:
            names, given = "touch_id, member_id, at_us, channel, intervention_id, state", "?, ?, ?, 'wecom', 'coupon', 'delivered'"
            connection.exec_driver_sql(f"INSERT INTO touches ({names}) VALUES ({given})", full)  # noqa: S608 - as above
        Deciding(task).run()
        line = next(one for one in lines_of(service, row.job_id) if one["member_id"] == member)
        assert (line["intervention_id"], line["assignment_probability"]) == (NO_ACTION, 1)


def test_the_places_of_the_period_are_kept_between_a_job_and_scores(tmp_path):
    declared = DECLARED.model_copy(update={"capacity": Capacity(interventions={"coupon": 12})})
    with serving(write_home(tmp_path / "home", declared), world().log) as running:
        with ThreadPoolExecutor(4) as pool:
            scores = pool.map(lambda one: running.score(one).json(), member_ids()[:60])
            job = ask(running)
            scored = sum(bool(answer["actions"]) for answer in scores)
        lines = results(running, ended(running, job))
        coupons = sum(line["intervention_id"] == "coupon" for line in lines)
        assert coupons + scored == 12
        assert running.store.used(microseconds(NOW.replace(hour=0)))["intervention:coupon"] == 12


def test_an_erased_member_is_in_no_job_and_no_result(running):
    job = ended(running, ask(running, dry_run=True, audience={"member_ids": ["m0000009", "m0000010"]}))
    running.store.erase("m0000009", 1)
    assert [line["member_id"] for line in results(running, job)] == ["m0000010"]
    with running.store.engine.begin() as connection:
        for column in ("request", "answer", "plan"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM jobs WHERE {column} LIKE '%m0000009%'").scalar() == 0  # noqa: S608 - as above

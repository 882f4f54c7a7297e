"""Figures for Prometheus: what was asked, decided and received can be read off them, and nobody is named in them."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.api_keys import Principal, create_key, revoke_key
from serving import metrics
from serving.measurers import MOST, Measurers
from tests.serving_world import NOW, client_of, serving, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


def figures(client):
    """Each sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = (sample for family in text_string_to_metric_families(answer.text) for sample in family.samples)
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}


def risen(client, act):
    """What has changed, and by how much."""
    before = figures(client)
    act()
    after = figures(client)
    return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}


def by_label(change, name, label):
    """The changes of one metric summed up over its other labels."""
    told = {}
    for (metric, *labels), value in change.items():
        if metric == name:
            told[dict(labels)[label]] = told.get(dict(labels)[label], 0) + value
    return told


def test_requests_are_counted_by_route_and_status(running):
    def act():
        for member_id in ("nobody", "somebody", world().log.members["member_id"][0]):
            running.client.get(f"/v1/members/{member_id}/explanation")

    change = risen(running.client, act)
    of_route = {key: value for key, value in change.items() if ("route", "/v1/members/{member_id}/explanation") in key}
    assert by_label(of_route, "keepwell_request_seconds_count", "status") == {"404": 2, "200": 1}
    assert sum(by_label(of_route, "keepwell_request_seconds_sum", "method").values()) > 0


def test_decisions_are_counted_by_what_was_chosen_and_what_was_ruled_out(running):
    members = world().log.members["member_id"][:40].to_list()
    rows = [{"member_id": member_id, "include": ["candidates"]} for member_id in members]
    answers = []

    def act():
        results = running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]
        answers.extend(row["answer"] for row in results)

    change = risen(running.client, act)
    chosen = [answer["actions"][0]["intervention_id"] if answer["actions"] else "none" for answer in answers]
    assert by_label(change, "keepwell_decisions_total", "intervention") == {name: chosen.count(name) for name in set(chosen)}
    removed = [one["removed_at"] for answer in answers for one in answer["candidates"] if one["removed_at"]]
    assert by_label(change, "keepwell_candidates_removed_total", "stage") == {stage: removed.count(stage) for stage in set(removed)}
    scored = [answer["churn"]["probability"] for answer in answers if answer["churn"]["status"] == "scored"]
    assert change["keepwell_churn_probability_count",] == len(scored)
    assert change["keepwell_churn_probability_sum",] == pytest.approx(sum(scored))
    assert by_label(change, "keepwell_scores_total", "status")["scored"] == len(scored)


def test_scores_that_keep_nothing_are_no_decisions(running):
    change = risen(running.client, lambda: running.score(world().log.members["member_id"][0], mode="score_only"))
    assert by_label(change, "keepwell_decisions_total", "intervention") == {}
    assert sum(by_label(change, "keepwell_scores_total", "status").values()) == 1


def test_events_are_counted_by_what_became_of_them(running):
    good = {"event_id": "counted", "member_id": "m0000001", "type": "post", "timestamp": NOW.isoformat()}
    change = risen(running.client, lambda: running.client.post("/v1/events", json={"events": [good, good, None, {**good, "type": "x"}]}))
    assert by_label(change, "keepwell_events_total", "result") == {"accepted": 1, "duplicate": 1, "rejected": 2}


@pytest.mark.parametrize("mode", ["decide", "score_only", "simulate"])
def test_events_that_a_score_brings_to_be_kept_are_counted_too(running, mode):
    good = {"event_id": f"brought to {mode}", "type": "post", "timestamp": NOW.isoformat()}
    events = [good, good, {**good, "event_id": f"odd {mode}", "type": "x"}, {**good, "type": "comment"}]

    def score(**request):
        return lambda: running.score("m0000002", mode=mode, **request)

    assert by_label(risen(running.client, score(events=events)), "keepwell_events_total", "result") == {}
    change = risen(running.client, score(events=events, persist_events=True))
    assert by_label(change, "keepwell_events_total", "result") == {"accepted": 1, "duplicate": 1, "rejected": 2}


def test_the_model_in_force_is_told(running):
    grade = world().engine.grade
    assert figures(running.client)["keepwell_model_in_force", ("grade", grade), ("version", "1")] == 1


def test_webhooks_that_wait_are_told(running):
    told = figures(running.client)
    assert (told["keepwell_webhooks", ("state", "pending")], told["keepwell_webhooks", ("state", "dead")]) == (0, 0)
    page = metrics.exposition(None, metrics.Waiting(pending=3, dead=2)).decode()
    assert 'keepwell_webhooks{state="pending"} 3.0' in page


def test_a_store_that_fails_is_counted(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log, store_seconds=0.1) as running:

        def act():
            lock = running.store.engine.raw_connection()
            lock.driver_connection.execute("BEGIN IMMEDIATE")
            assert running.client.post("/v1/events", json={"events": []}).status_code == 503
            lock.driver_connection.execute("ROLLBACK")
            lock.close()

        assert risen(running.client, act)["keepwell_store_errors_total",] == 1


@contextmanager
def away(postgres, url):
    """A database that lets nobody in."""
    name = url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - a name of our own
    yield
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_the_figures_are_told_while_the_store_is_away_to_whoever_read_them_before(tmp_path, postgres):
    with postgres.database() as url, serving(write_home(tmp_path / "home"), world().log, store_url=url, store_seconds=1) as running:
        told = figures(running.client)
        assert told["keepwell_store_up",] == 1
        other = create_key(running.store, "prometheus", ["metrics"], now=NOW)
        revoked = create_key(running.store, "former", ["metrics"], now=NOW)
        with client_of(str(running.client.base_url), revoked) as client:
            figures(client)
            revoke_key(running.store, revoked.split("_")[1], now=NOW)
            assert client.get("/metrics").status_code == 401
        with away(postgres, url):
            assert running.client.get("/v1/overview").status_code == 503
            told = figures(running.client)
            assert told["keepwell_store_up",] == 0
            assert told["keepwell_store_errors_total",] > 0
            assert ("keepwell_webhooks", ("state", "pending")) not in told
            for secret in (other, revoked, "kw_0_0"):
                with client_of(str(running.client.base_url), secret) as client:
                    assert client.get("/metrics").status_code == 503
        assert figures(running.client)["keepwell_store_up",] == 1


def test_a_key_is_remembered_for_an_hour_and_only_so_many_are():
    measurers, holder = Measurers(), Principal("id", "prometheus", frozenset({"metrics"}))
    for at in range(MOST + 1):
        measurers.remember(f"kw_{at}", holder, NOW)
    assert measurers.holder("kw_0", NOW) is None
    assert measurers.holder("kw_1", NOW + timedelta(hours=1)) is holder
    assert measurers.holder("kw_1", NOW + timedelta(hours=1, seconds=1)) is None


def test_a_key_of_the_scope_metrics_reads_the_figures_and_nothing_else(running):
    with client_of(str(running.client.base_url), create_key(running.store, "prometheus", ["metrics"], now=NOW)) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/models").status_code == 403
    with client_of(str(running.client.base_url), create_key(running.store, "reader", ["read"], now=NOW)) as client:
        assert client.get("/metrics").status_code == 403


def test_no_member_and_no_path_can_be_found_in_the_figures(running):
    running.client.get("/v1/members/Zhang-Wei-139/explanation")
    running.client.get("/Zhang-Wei-139")
    running.client.request("PROPFIND", "/v1/decisions/Zhang-Wei-139")
    told = running.client.get("/metrics").text
    assert "Zhang-Wei-139" not in told
    assert "PROPFIND" not in told


def test_the_gauges_of_a_process_that_died_are_left_out(tmp_path):
    dead = 2**22 - 1
    (tmp_path / f"gauge_livesum_{dead}.db").write_bytes(b"\0" * 1024)
    assert b"process" not in metrics.exposition(tmp_path, metrics.Waiting(0, 0))
    assert list(tmp_path.iterdir()) == []

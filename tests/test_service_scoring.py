"""Scores through a real server, with a model trained on a simulated community, against the decisions of the log itself."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import text

from models.actions import NO_ACTION
from models.deciding import decide
from models.engine import explain
from models.events import event_arrays
from models.interventions import ContactHistory
from models.moments import microseconds
from models.snapshots import Snapshots
from serving import scoring
from serving.answers import CandidateAnswer, ReasonAnswer
from serving.app import create_app
from serving.problems import IN_FLIGHT
from serving.schemas import ScoreRequest
from serving.scoring import answer_requests
from tests.serving_world import DECLARED, NOW, Running, serving, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory, shared_store_url):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log, store_url=shared_store_url) as running:
        yield running


@pytest.fixture(autouse=True)
def _a_new_month(request):
    """Contacts of one test are out of the next one's caps."""
    running: Running = request.getfixturevalue("running")
    yield
    running.clock.now = NOW
    with running.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM touches WHERE state = 'reserved'")


@pytest.fixture(scope="module")
def offline():
    """What the log itself decides for all members at NOW."""
    log, engine = world().log, world().engine
    events, ids = event_arrays(log, DECLARED), log.members["member_id"].to_list()
    snapshots = Snapshots.at(events, microseconds(NOW))
    contacts = ContactHistory.of_touches(log.touches, snapshots.member)
    decisions = decide(engine, events, snapshots, ids, ids, contacts, as_of=NOW, language="en", explain=explain)
    return {decision.member_id: decision for decision in decisions}


@pytest.fixture(scope="module")
def treated(offline):
    """Members for whom an intervention is chosen, and whom the log's campaigns did not contact in the last week."""
    log = world().log
    recent = log.touches.filter(pl.col("timestamp") >= NOW - timedelta(days=7))["member"].unique()
    contacted = set(log.members["member_id"].gather(recent))
    return [member_id for member_id, decision in offline.items() if decision.chosen != NO_ACTION and member_id not in contacted]


def simulated(running, member_ids):
    rows = [{"member_id": member_id, "mode": "simulate", "include": ["reasons", "candidates"]} for member_id in member_ids]
    answer = running.client.post("/v1/score/batch", json={"requests": rows})
    assert answer.status_code == 200, answer.text
    return [row["answer"] for row in answer.json()["results"]]


def test_the_service_decides_as_the_log_does_for_every_member(running, offline):
    for told in simulated(running, offline):
        decision = offline[told["member_id"]]
        assert told["churn"]["status"] == decision.churn.status
        assert (told["churn"]["probability"] or 0) == pytest.approx(decision.churn.probability or 0, rel=1e-9)
        assert told["member"]["stage"] == decision.member.stage
        assert [ReasonAnswer.model_validate(reason).code for reason in told["reasons"]] == [reason.code for reason in decision.reasons]
        candidates = [CandidateAnswer.model_validate(candidate) for candidate in told["candidates"]]
        assert [(one.rule, one.channel) for one in candidates] == [(one.rule, one.channel) for one in decision.candidates]
        assert [one.priority for one in candidates] == pytest.approx([one.priority for one in decision.candidates], rel=1e-9)
        assert told["no_action_reason"] == decision.no_action_reason


def test_reasons_add_up_to_the_distance_from_the_usual_risk(running, treated):
    for told in simulated(running, treated[:20]):
        distance = 100 * (told["churn"]["probability"] - told["churn"]["typical_probability"])
        assert sum(reason["contribution_pp"] for reason in told["reasons"]) == pytest.approx(distance, abs=1e-6)


def test_one_member_gets_the_same_alone_as_in_a_batch(running, treated):
    batch = simulated(running, treated[:5])
    for told in batch:
        alone = running.score(told["member_id"], mode="simulate", include=["reasons", "candidates"]).json()
        assert alone["churn"]["probability"] == pytest.approx(told["churn"]["probability"], rel=1e-12)
        assert [one["rule"] for one in alone["candidates"]] == [one["rule"] for one in told["candidates"]]
        priorities = [[one["priority"] for one in answer["candidates"]] for answer in (alone, told)]
        assert priorities[0] == pytest.approx(priorities[1], rel=1e-9)


def test_a_decision_can_be_read_back_with_all_its_candidates(running, treated):
    answer = running.score(treated[0]).json()
    trace = running.client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert trace["member_id"] == treated[0]
    assert trace["chosen"] == answer["actions"][0]["intervention_id"]
    assert trace["model_version"] == answer["model"]["version"] == "1"
    assert [candidate["intervention_id"] for candidate in trace["candidates"]] == ["none", "coupon", "call"]
    assert sum(candidate["probability"] for candidate in trace["candidates"]) == pytest.approx(1)


def test_the_short_path_is_the_same_service(running, treated):
    assert running.client.post("/score", json={"member_id": treated[0]}).json()["actions"][0]["rank"] == 1


@pytest.mark.parametrize("mode", ["score_only", "simulate"])
def test_a_mode_that_decides_nothing_keeps_nothing(running, treated, mode):
    answers = [running.score(treated[0], mode=mode, request_id="same").json() for _ in range(4)]
    assert [answer["decision_id"] for answer in answers] == [None] * 4
    assert len({len(answer["actions"]) for answer in answers}) == 1
    assert (answers[0]["actions"] == []) == (mode == "score_only")


def test_a_member_of_the_control_gets_a_score_and_no_action(running, offline):
    member_id = next(key for key, decision in offline.items() if decision.arm == "control" and decision.churn.status == "scored")
    answer = running.score(member_id).json()
    assert answer["actions"] == []
    assert answer["no_action_reason"] == "global_control"
    assert answer["experiment"] == {"id": "global_control", "arm": "control"}
    assert answer["churn"]["probability"] is not None


def test_an_intervention_that_is_not_allowed_is_suppressed_with_its_rule(running, treated, offline):
    member_id = next(key for key in treated if offline[key].churn.probability < 0.2)
    (suppressed,) = running.score(member_id, mode="simulate").json()["suppressed"]
    assert (suppressed["intervention_id"], suppressed["stage"], suppressed["rule"]) == ("call", "eligibility", "min_churn_probability")
    assert "20%" in suppressed["text"]


def test_a_decision_counts_as_a_contact_for_the_next_one(running, treated):
    answers = [running.score(treated[1]).json() for _ in range(3)]
    assert [len(answer["actions"]) > 0 for answer in answers] == [True, True, False]
    assert answers[2]["no_action_reason"] == "nothing_allowed"
    assert ("contact_policy", "weekly") in [(one["stage"], one["rule"]) for one in answers[2]["suppressed"]]
    running.clock.pass_(days=8)
    assert running.score(treated[1]).json()["actions"]


def test_of_many_simultaneous_requests_no_more_are_contacted_than_the_cap_allows(running, treated):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: running.score(treated[2]).json(), range(12)))
    assert sum(len(answer["actions"]) > 0 for answer in answers) == 2
    assert len({answer["decision_id"] for answer in answers}) == 12


def test_batches_and_single_requests_together_keep_to_the_cap(running, treated):
    members = treated[3:9]

    def batch(_):
        rows = running.client.post("/v1/score/batch", json={"requests": [{"member_id": one} for one in members]}).json()["results"]
        return [row["answer"]["member_id"] for row in rows if row["answer"]["actions"]]

    def single(position):
        answer = running.score(members[position % len(members)]).json()
        return [answer["member_id"]] if answer["actions"] else []

    with ThreadPoolExecutor(8) as pool:
        batches, singles = pool.map(batch, range(4)), pool.map(single, range(12))
        contacted = [member for some in (*batches, *singles) for member in some]
    assert {member: contacted.count(member) for member in members} == dict.fromkeys(members, 2)


def test_the_channel_of_the_conversation_is_preferred(running, treated):
    answer = running.score(treated[0], mode="simulate", context={"channel": "email"}).json()
    assert answer["actions"][0]["channel"] == "email"


def test_within_quiet_hours_sending_waits_for_their_end(running, treated):
    running.clock.pass_(hours=11)
    action = running.score(treated[0], mode="simulate").json()["actions"][0]
    assert action["send_not_before"] == "2025-07-21T08:00:00Z"
    assert action["valid_until"] == "2025-07-28T08:00:00Z"


def test_no_more_actions_than_asked_for(running, treated):
    assert running.score(treated[0], mode="simulate", max_actions=0).json()["actions"] == []


def test_texts_come_in_the_language_asked_for(running, treated):
    english, chinese = (running.score(treated[0], mode="simulate", language=language).json() for language in ("en", "zh"))
    assert english["churn"]["probability"] == chinese["churn"]["probability"]
    assert english["reasons"][0]["text"].isascii()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese["reasons"][0]["text"])


def test_events_of_the_request_count_for_this_answer_alone(running, treated):
    event = {"event_id": "now-1", "type": "post", "timestamp": (NOW - timedelta(minutes=1)).isoformat()}
    before = running.score(treated[9], mode="score_only").json()
    answer = running.score(treated[9], mode="score_only", events=[event]).json()
    assert answer["data"]["last_event_at"] == "2025-07-20T11:59:00Z"
    assert answer["churn"]["probability"] != before["churn"]["probability"]
    assert running.score(treated[9], mode="score_only").json() == before


def test_events_that_are_to_be_kept_count_from_then_on(running, treated):
    event = {"event_id": "now-2", "type": "post", "timestamp": (NOW - timedelta(minutes=2)).isoformat()}
    for mode in ("score_only", "decide"):
        running.score(treated[10], mode=mode, events=[event], persist_events=True)
    assert running.score(treated[10], mode="score_only").json()["data"]["last_event_at"] == "2025-07-20T11:58:00Z"
    assert running.store.api_events().filter(event_id="now-2").height == 1


def test_an_event_that_cannot_be_used_is_named_and_the_rest_counts(running, treated):
    good = {"type": "post", "timestamp": (NOW - timedelta(minutes=1)).isoformat()}
    events = [{**good, "type": "pst"}, good, {**good, "timestamp": (NOW + timedelta(minutes=6)).isoformat()}]
    answer = running.score(treated[0], mode="score_only", events=events).json()
    assert [(fault["pointer"], fault["code"]) for fault in answer["warnings"]] == [
        ("/events/0", "unknown_event_type"),
        ("/events/2", "future_timestamp"),
    ]
    assert answer["data"]["last_event_at"] == "2025-07-20T11:59:00Z"


def test_a_conversation_on_a_channel_that_nobody_has_is_told_of(running, treated):
    for mode in ("score_only", "simulate"):
        answer = running.score(treated[0], mode=mode, context={"channel": "wecm"}, language="en").json()
        (fault,) = answer["warnings"]
        assert (fault["pointer"], fault["code"]) == ("/context/channel", "unknown_channel")
        assert fault["detail"] == 'the community has no channel "wecm", so it is left aside; known are wecom, email, phone'
        assert running.score(treated[0], mode=mode, context={"channel": "wecom"}).json()["warnings"] == []


def test_a_model_of_long_ago_is_warned_of(running, treated):
    running.clock.pass_(days=90)
    assert [fault["code"] for fault in running.score(treated[0], mode="score_only").json()["warnings"]] == ["old_model"]


def test_a_retry_gets_the_stored_answer_to_the_byte(running, treated):
    first = running.score(treated[11], request_id="crm-1")
    running.clock.pass_(minutes=5)
    assert running.score(treated[11], request_id="crm-1").content == first.content
    by_header = running.client.post("/v1/score", json={"member_id": treated[11]}, headers={"Idempotency-Key": "crm-1"})
    assert by_header.content == first.content


@pytest.mark.parametrize(("path", "body"), [("/v1/score", {"member_id": "m0000001"}), ("/v1/decision-jobs", {"dry_run": True})])
def test_a_key_in_the_header_that_is_not_the_request_id_is_refused(running, path, body):
    named = {**body, "request_id": f"both of {path}"}
    refused = running.client.post(path, json=named, headers={"Idempotency-Key": "another"})
    assert (refused.status_code, refused.json()["type"]) == (422, "/docs#invalid-request")
    assert [fault["parameter"] for fault in refused.json()["errors"]] == ["header.idempotency-key"]
    assert '"another"' in refused.json()["detail"]
    assert f'"both of {path}"' in refused.json()["detail"]
    alike = running.client.post(path, json=named, headers={"Idempotency-Key": f"both of {path}"})
    assert alike.status_code in {200, 202}
    assert running.client.post(path, json=named).text == alike.text


def test_a_request_id_with_another_body_is_refused(running, treated):
    running.score(treated[11], request_id="crm-2")
    other = running.score(treated[11], request_id="crm-2", max_actions=1)
    assert (other.status_code, other.json()["type"]) == (422, "/docs#request-id-reused")


def test_the_same_request_sent_many_times_at_once_is_decided_once(running, treated):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.score(treated[12], request_id="crm-3"), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)


def test_a_request_under_way_elsewhere_is_in_flight(running, treated):
    holder = running.store.key(running.client.headers["Authorization"].split("_")[1])
    body = running.score(treated[13], request_id="crm-4")
    assert body.status_code == 200
    with running.store.engine.begin() as connection:
        connection.execute(text("UPDATE requests SET answer = NULL WHERE request_id = 'crm-4' AND key_id = :key"), {"key": holder.key_id})
    assert running.score(treated[13], request_id="crm-4").status_code == 409
    with running.store.engine.begin() as connection:
        connection.execute(text("UPDATE requests SET claimed_us = claimed_us - 120000000 WHERE request_id = 'crm-4'"))
    assert running.score(treated[13], request_id="crm-4").status_code == 200


def test_an_attempt_that_stood_still_while_another_answered_decides_nothing(running, treated, monkeypatch):
    """Its process was stopped for a minute, say, just before it would have kept its decision."""
    wall = [NOW]
    monkeypatch.setattr(scoring, "wall_clock", lambda: wall[0])
    service = create_app(running.settings, clock=running.clock).state.service
    service.models.refresh()
    told = []

    def stand_still():
        if not told:
            wall[0] += timedelta(seconds=61)
            told.append(running.score(treated[14], request_id="crm-6"))

    asked = [ScoreRequest(member_id=treated[14], request_id="crm-6"), ScoreRequest(member_id=treated[15])]
    holder = running.store.key(running.client.headers["Authorization"].split("_")[1])
    late, beside = answer_requests(service, holder.key_id, dict(enumerate(asked)), ending=stand_still).values()
    service.close()
    assert (told[0].status_code, late.kind) == (200, IN_FLIGHT)
    assert json.loads(beside)["member_id"] == treated[15]
    decided = running.client.get("/v1/decisions", params={"member_id": treated[14]}).json()["decisions"]
    assert [one["decision_id"] for one in decided] == [told[0].json()["decision_id"]]
    assert running.score(treated[14], request_id="crm-6").content == told[0].content


def test_a_failed_request_can_be_repeated_under_its_id(running, treated):
    assert running.score("nobody", request_id="crm-5").status_code == 404
    assert running.score(treated[0], request_id="crm-5").status_code == 200


def test_one_bad_row_never_fails_the_rest(running, treated):
    rows = [{"member_id": treated[14]}, {"member_id": "nobody"}, {"member": "m"}, {"member_id": treated[14]}, 7, {"member_id": treated[15]}]
    results = running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]
    assert [row["status"] for row in results] == [200, 404, 422, 422, 422, 200]
    assert [row["index"] for row in results] == [*range(6)]
    assert results[1]["problem"]["type"] == "/docs#unknown-member"
    assert [fault["pointer"] for fault in results[2]["problem"]["errors"]] == ["/member_id", "/member"]
    assert results[3]["problem"]["type"] == "/docs#repeated-member"


def test_a_repeated_batch_gets_the_same_answers(running, treated):
    rows = [{"member_id": treated[16], "request_id": "row-1"}, {"member_id": treated[17]}, {"member_id": "nobody"}]
    send = lambda: running.client.post("/v1/score/batch", json={"requests": rows}, headers={"Idempotency-Key": "b-1"})  # noqa: E731 - said twice
    first, second = send().json()["results"], send().json()["results"]
    assert first[:2] == second[:2]
    assert running.score(treated[16], request_id="row-1").json() == first[0]["answer"]


def test_what_would_be_decided_is_explained_as_a_page_or_as_json(running, treated):
    path = f"/v1/members/{treated[0]}/explanation"
    page = running.client.get(path, params={"lang": "zh"}, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="zh-CN">' in page.text
    assert treated[0] in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    told = running.client.get(path, params={"lang": "en"}).json()
    assert told["decision_id"] is None
    assert told["candidates"]
    assert sum(reason["contribution_pp"] for reason in told["reasons"]) == pytest.approx(
        100 * (told["churn"]["probability"] - told["churn"]["typical_probability"]), abs=1e-6
    )
    assert running.client.get(path, headers={"Accept": "image/png"}).status_code == 406
    assert running.client.get("/v1/members/nobody/explanation").status_code == 404


def test_the_catalogue_and_the_model_in_force_can_be_read(running):
    catalogue = running.client.get("/v1/interventions").json()
    assert [one["id"] for one in catalogue["interventions"]] == ["coupon", "call"]
    model = running.client.get("/v1/models").json()
    assert (model["version"], model["error"]) == ("1", None)
    assert running.client.post("/v1/models/reload").json() == model

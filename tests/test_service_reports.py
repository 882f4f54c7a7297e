"""Touches and outcomes that other systems report: taken once, refused with a reason, and seen by the next decision."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache

import polars as pl
import pytest

from models.community import DAY_US
from models.moments import microseconds
from models.quotas import Quotas
from models.supply import Capacity
from tests.serving_world import DECLARED, NOW, serving, world, write_home

LIMITED = DECLARED.model_copy(update={"capacity": Capacity(interventions={"coupon": 3}, budget=100.0)})


@pytest.fixture(scope="module")
def running(tmp_path_factory, shared_store_url):
    with serving(write_home(tmp_path_factory.mktemp("reports") / "home"), world().log, store_url=shared_store_url) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("limited") / "home", LIMITED), world().log) as running:
        yield running


@pytest.fixture
def limited(server):
    """On another day for each test."""
    server.clock.pass_(days=1)
    return server


@cache
def uncontacted():
    """Members whom the log's campaigns did not contact lately."""
    recent = world().log.touches.filter(pl.col("timestamp") >= NOW - timedelta(days=7))["member"].unique()
    contacted = set(world().log.members["member_id"].gather(recent))
    return [member_id for member_id in world().log.members["member_id"] if member_id not in contacted]


def treated(running, count):
    """Members for whom the coupon is chosen, and whom nobody contacted."""
    rows = [{"member_id": member_id, "mode": "simulate"} for member_id in uncontacted()]
    told = [row["answer"] for row in running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]]
    chosen = [answer["member_id"] for answer in told if answer["actions"] and answer["actions"][0]["intervention_id"] == "coupon"]
    now = microseconds(running.clock())
    touched = running.store.past(chosen, DECLARED, now).contacts
    recent = set(touched.member[touched.at_us > now - 7 * DAY_US].tolist())
    return [member_id for row, member_id in enumerate(chosen) if row not in recent][:count]


def touch(running, **row):
    answer = running.client.post("/v1/touches", json={"touches": [{"at": running.clock().isoformat(), "state": "delivered", **row}]})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told["rejected"][0]["code"] if told["rejected"] else "accepted" if told["accepted"] else "duplicate"


def outcome(running, **row):
    answer = running.client.post("/v1/outcomes", json={"outcomes": [{"at": NOW.isoformat(), "type": "renewed", **row}]})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told["rejected"][0]["code"] if told["rejected"] else "accepted" if told["accepted"] else "duplicate"


def decide(running, member_id):
    return running.score(member_id).json()["decision_id"]


def rules(running, member_id):
    suppressed = running.score(member_id, mode="simulate").json()["suppressed"]
    return {one["intervention_id"]: (one["stage"], one["rule"]) for one in suppressed}


def test_a_touch_is_taken_once_and_brought_up_to_date_by_its_id(running):
    (member_id,) = treated(running, 1)
    decision_id = decide(running, member_id)
    assert touch(running, touch_id="once", decision_id=decision_id) == "accepted"
    assert touch(running, touch_id="once", decision_id=decision_id) == "duplicate"
    assert touch(running, touch_id="once", decision_id=decision_id, response="redeemed", cost=2.5) == "accepted"
    assert touch(running, touch_id="once", decision_id=decision_id) == "duplicate"
    (row,) = running.store.assignments().filter(decision_id=decision_id).to_dicts()
    assert (row["delivered"], row["response"], row["touched"]) == (True, "redeemed", NOW)


def test_what_a_touch_cannot_be_about_is_refused_with_its_reason(running):
    first, second = treated(running, 2)
    decision_id = decide(running, first)
    by_decision, by_member = (
        {"touch_id": "t", "decision_id": decision_id},
        {"touch_id": "t", "member_id": first, "intervention_id": "coupon"},
    )
    control = next(one for one in world().log.members["member_id"] if running.score(one, mode="simulate").json()["actions"] == [])
    idle = decide(running, control)
    refused = {
        "unknown_decision": {"touch_id": "t", "decision_id": "no such"},
        "other_member": {**by_decision, "member_id": second},
        "other_intervention": {**by_decision, "intervention_id": "call"},
        "unknown_channel": {**by_decision, "channel": "phone"},
        "before_decision": {**by_decision, "at": (NOW - timedelta(hours=1)).isoformat()},
        "future_timestamp": {**by_decision, "at": (NOW + timedelta(hours=1)).isoformat()},
        "nothing_was_chosen": {"touch_id": "t", "decision_id": idle},
        "unknown_member": {**by_member, "member_id": "nobody"},
        "unknown_intervention": {**by_member, "intervention_id": "fruit_basket"},
        "invalid_row": {"touch_id": "t", "member_id": first},
    }
    assert {code: touch(running, **row) for code, row in refused.items()} == {code: code for code in refused}
    assert touch(running, **by_decision) == "accepted"
    assert touch(running, **(by_member | {"member_id": second})) == "touch_id_reused"


def test_an_outcome_is_taken_once_and_refused_for_what_it_cannot_follow(running):
    first, second = treated(running, 2)
    decision_id = decide(running, first)
    good = {"outcome_id": "o1", "member_id": first, "decision_id": decision_id, "value": 12.0}
    assert [outcome(running, **good) for _ in range(2)] == ["accepted", "duplicate"]
    refused = {
        "unknown_member": {"outcome_id": "o", "member_id": "nobody"},
        "unknown_decision": {"outcome_id": "o", "member_id": first, "decision_id": "no such"},
        "other_member": {"outcome_id": "o", "member_id": second, "decision_id": decision_id},
        "before_decision": {**good, "outcome_id": "o", "at": (NOW - timedelta(days=1)).isoformat()},
        "future_timestamp": {**good, "outcome_id": "o", "at": (NOW + timedelta(days=1)).isoformat()},
        "outcome_id_reused": {**good, "value": 13.0},
        "invalid_row": {"outcome_id": "o"},
    }
    assert {code: outcome(running, **row) for code, row in refused.items()} == {code: code for code in refused}


def test_an_outcome_that_is_behaviour_is_one_event_however_it_is_sent(running):
    row = {"outcome_id": "same", "member_id": "m0000003", "type": "purchase", "value": 5.0}
    assert outcome(running, **row) == "accepted"
    event = {"event_id": "same", "member_id": "m0000003", "type": "purchase", "timestamp": NOW.isoformat(), "value": 5.0}
    assert running.client.post("/v1/events", json={"events": [event]}).json()["duplicate"] == 1
    assert running.store.api_events()["event_id"].to_list() == ["same"]


def test_an_outcome_under_the_id_of_another_event_is_refused(running):
    event = {"event_id": "taken", "member_id": "m0000003", "type": "purchase", "timestamp": NOW.isoformat(), "value": 5.0}
    assert running.client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
    row = {"outcome_id": "taken", "member_id": "m0000003", "type": "purchase", "value": 6.0}
    assert outcome(running, **row) == "outcome_id_reused"
    assert outcome(running, **{**row, "value": 5.0}) == "accepted"
    assert running.store.api_events().filter(event_id="taken")["value"].to_list() == [5.0]


def test_what_a_refused_outcome_says_is_no_event(running):
    at = NOW.isoformat()
    rows = [{"outcome_id": "twice", "member_id": member, "type": "purchase", "at": at} for member in ("m0000004", "m0000005")]
    answer = running.client.post("/v1/outcomes", json={"outcomes": rows}).json()
    assert (answer["accepted"], [row["code"] for row in answer["rejected"]]) == (1, ["outcome_id_reused"])
    assert running.store.api_events().filter(event_id="twice")["member_id"].to_list() == ["m0000004"]


def test_an_outcome_may_be_the_response_to_the_touch_of_its_decision(running):
    (member_id,) = treated(running, 1)
    decision_id = decide(running, member_id)
    assert touch(running, touch_id="answered", decision_id=decision_id) == "accepted"
    assert outcome(running, outcome_id="answer", member_id=member_id, decision_id=decision_id, type="refused") == "accepted"
    assert running.store.assignments().filter(decision_id=decision_id)["response"].item() == "refused"


def test_undelivered_touches_give_the_contact_back_and_delivered_ones_keep_it(running):
    """The cap is two contacts in a week."""
    (member_id,) = treated(running, 1)
    first, second = decide(running, member_id), decide(running, member_id)
    assert rules(running, member_id)["coupon"] == ("contact_policy", "weekly")
    assert touch(running, touch_id="t1", decision_id=first, state="undelivered") == "accepted"
    assert "coupon" not in rules(running, member_id)
    assert touch(running, touch_id="t2", decision_id=second) == "accepted"
    assert touch(running, touch_id="t1", decision_id=first) == "accepted"
    assert rules(running, member_id)["coupon"] == ("contact_policy", "weekly")


def test_contacts_of_other_systems_fill_the_caps(running):
    (member_id,) = treated(running, 1)
    told = {"member_id": member_id, "intervention_id": "call"}
    assert [touch(running, touch_id=f"other {number}", **told) for number in range(2)] == ["accepted"] * 2
    assert rules(running, member_id)["coupon"] == ("contact_policy", "weekly")


@pytest.mark.parametrize(("unreported", "left"), [("released", [True, False]), ("counted", [True, True])])
def test_a_contact_that_nobody_reported_ends_with_its_validity_unless_it_counts_for_good(tmp_path, unreported, left):
    """Valid for 7 days from noon on."""
    declared = DECLARED.model_copy(update={"contact_policy": DECLARED.contact_policy.model_copy(update={"unreported": unreported})})
    with serving(write_home(tmp_path / "home", declared), world().log) as running:
        (member_id,) = treated(running, 1)
        decide(running, member_id)
        moments = [NOW + timedelta(days=6, hours=23), NOW + timedelta(days=7)]
        last = [running.store.past([member_id], declared, microseconds(at)).contacts for at in moments]
        assert [bool(contacts.reached[contacts.at_us.argmax()]) for contacts in last] == left


def test_what_a_period_has_is_handed_out_once_and_comes_back_when_it_was_not_delivered(limited):
    members = treated(limited, 4)
    decisions = [decide(limited, member_id) for member_id in members[:3]]
    assert rules(limited, members[3])["coupon"] == ("contact_policy", "capacity_used_up")
    answer = limited.score(members[3]).json()
    assert (answer["actions"], answer["no_action_reason"]) == ([], "nothing_allowed")
    explained = limited.client.get(f"/v1/members/{members[3]}/explanation").json()
    assert ("coupon", "capacity_used_up") in [(one["intervention_id"], one["rule"]) for one in explained["suppressed"]]
    assert touch(limited, touch_id="t0", decision_id=decisions[0]) == "accepted"
    assert touch(limited, touch_id="t1", decision_id=decisions[1], state="undelivered") == "accepted"
    assert limited.score(members[3]).json()["actions"][0]["intervention_id"] == "coupon"
    assert rules(limited, members[0])["coupon"] == ("contact_policy", "capacity_used_up")
    limited.clock.pass_(days=1)
    assert "coupon" not in rules(limited, members[0])


def test_money_is_counted_as_it_was_spent(limited):
    first, second = treated(limited, 2)
    decision_id = decide(limited, first)
    assert touch(limited, touch_id="dear", decision_id=decision_id, cost=99.995) == "accepted"
    assert rules(limited, second)["coupon"] == ("contact_policy", "budget_used_up")
    assert touch(limited, touch_id="dear", decision_id=decision_id, cost=1.0) == "accepted"
    assert "coupon" not in rules(limited, second)


def test_a_batch_hands_out_no_more_than_there_is_and_tells_the_rest_why(limited):
    members = treated(limited, 8)
    rows = limited.client.post("/v1/score/batch", json={"requests": [{"member_id": one} for one in members]}).json()["results"]
    chosen = [bool(row["answer"]["actions"]) for row in rows]
    assert chosen == [True] * 3 + [False] * 5
    told = [{one["intervention_id"]: one["rule"] for one in row["answer"]["suppressed"]}["coupon"] for row in rows[3:]]
    assert told == ["capacity_used_up"] * 5
    made = limited.store.assignments().filter(pl.col("timestamp") == limited.clock())
    shares = [json.loads(row) for row in made["propensities"]]
    assert sorted(share["coupon"] for share in shares) == [0.0] * 5 + [1.0] * 3


def test_of_many_simultaneous_requests_no_more_are_served_than_there_are_places(limited):
    members = treated(limited, 12)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda member_id: limited.score(member_id).json(), members))
    assert sum(bool(answer["actions"]) for answer in answers) == 3
    assert limited.store.used(Quotas.of(LIMITED.capacity, LIMITED, limited.clock()).begins_us)["intervention:coupon"] == 3

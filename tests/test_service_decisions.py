"""Decisions read back page by page, with what became of them, and made again from what was known then."""

import re
from base64 import urlsafe_b64encode
from datetime import timedelta
from itertools import count

import numpy as np
import pandas as pd
import pytest

from models.catalogue_identity import catalogue_fingerprint
from models.engine_files import Golden, GoldenMembers
from models.events import event_arrays
from models.histories import EventHistories
from models.moments import microseconds
from models.plan_in_force import PlanInForce
from models.registry import CHAMPION, MODEL_NAME, DataDescription, Registry, RunRecord
from models.remaking import differences
from models.snapshots import Snapshots
from models.store import DecisionRow, PlanRow
from models.supply import Capacity
from serving.service import decision_id
from tests.empty_registry import put_registry
from tests.patience import wait_until
from tests.serving_world import DECLARED, NOW, serving, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    declared = DECLARED.model_copy(update={"capacity": Capacity(interventions={"coupon": 12})})
    home, ids = write_home(tmp_path_factory.mktemp("decisions") / "home", declared), map("d{:04d}".format, count())
    with serving(home, world().log, new_id=lambda: next(ids)) as running:
        yield running


def test_ids_follow_time_and_nobody_foresees_them():
    """So that one of a later millisecond comes later in an index, and one of the same anywhere."""
    moments = [NOW + timedelta(milliseconds=10**power) for power in range(12)]
    ids = [decision_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {32}
    same = [decision_id(NOW) for _ in range(1000)]
    assert len({one[:12] for one in same}) == 1
    assert all(len({one[digit] for one in same}) == 16 for digit in range(12, 32))


MEMBERS = [f"m{number:07d}" for number in range(0, 120, 3)]


def get(running, **query):
    answer = running.client.get("/v1/decisions", params=query)
    assert answer.status_code == 200, answer.text
    return answer


def replay(running, decision_id):
    answer = running.client.post(f"/v1/decisions/{decision_id}/replay")
    assert answer.status_code == 200, answer.text
    return answer.json()


def everything_happens(running, answers):
    """Late events of all members, refused and failed contacts, wishes, a plan that ends, more decisions, other days."""
    at = {days: (NOW - timedelta(days=days)).isoformat() for days in (0.01, 3, 20, 300)}
    late = [
        {"event_id": f"late {member_id} {days}", "member_id": member_id, "type": "post", "timestamp": at[days]}
        for member_id in MEMBERS
        for days in at
    ]
    assert running.client.post("/v1/events", json={"events": late}).json()["accepted"] == len(late)
    touched = [answer["decision_id"] for answer in answers if answer["actions"]]
    states = [{"state": "undelivered"}, {"state": "delivered", "response": "refused"}, {"state": "delivered", "cost": 9.0}]
    touches = [
        {"touch_id": f"t {decision_id}", "decision_id": decision_id, "at": NOW.isoformat(), **states[number % 3]}
        for number, decision_id in enumerate(touched)
    ]
    assert running.client.post("/v1/touches", json={"touches": touches}).json()["accepted"] == len(touches)
    wishes = {"personalization": False, "contact": {"email": False}}
    assert running.client.put(f"/v1/members/{MEMBERS[0]}/preferences", json=wishes).is_success
    running.store.put_in_force(PlanRow("withdrawn", microseconds(NOW), None))
    running.clock.pass_(days=2)
    running.client.post("/v1/score/batch", json={"requests": [{"member_id": member_id} for member_id in MEMBERS[:10]]})


def plan_in_force():
    engine = world().engine
    return PlanInForce(
        plan_id="spring",
        as_of=NOW,
        activated_at=NOW,
        valid_until=NOW + timedelta(days=1),
        model_version=engine.version,
        catalogue_fingerprint=catalogue_fingerprint(engine.community),
        budget=100.0,
        expected_spend=90.0,
        exploration=0.2,
        budget_price=0.4,
        interventions={"coupon": 0.001, "call": 0.0},
        channels={"wecom": 0.002, "email": 0.0, "phone": 0.0},
    )


@pytest.fixture(scope="module")
def answers(running):
    """Decided with a plan in force and places that run out, by a policy that explores, some with events of their own; then life goes on."""
    for number, member_id in enumerate(MEMBERS[:4]):
        told = {"member_id": member_id, "intervention_id": "call", "touch_id": f"before {number}", "state": "delivered"}
        past = (NOW - timedelta(days=5)).isoformat()
        running.client.post("/v1/touches", json={"touches": [{**told, "at": past, "response": "refused"}]})
    running.store.put_in_force(PlanRow("spring", microseconds(NOW), plan_in_force().to_json()))
    event = {"type": "comment", "timestamp": (NOW - timedelta(hours=1)).isoformat()}
    rows = [
        {
            "member_id": member_id,
            "include": ["reasons", "candidates"],
            "events": [{**event, "event_id": f"own {member_id}"}] if number % 3 == 0 else [],
            "persist_events": number % 2 == 0,
            "context": {"channel": "email"} if number % 4 == 0 else {},
            "language": "zh" if number % 5 == 0 else "en",
        }
        for number, member_id in enumerate(MEMBERS)
    ]
    told = [row["answer"] for row in running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]]
    told.append(running.score("m0000004").json())
    everything_happens(running, told)
    return told


def test_the_decisions_to_be_made_again_are_of_every_kind(answers):
    rules = {one["rule"] for answer in answers for one in answer["suppressed"]}
    assert {"capacity_used_up", "global_control", "min_churn_probability"} <= rules
    assert {answer["churn"]["status"] for answer in answers} >= {"scored", "already_churned"}
    assert any(action["exploration"] for answer in answers for action in answer["actions"])
    assert {answer["plan_id"] for answer in answers} == {"spring"}


def test_a_decision_made_again_is_the_same_whatever_has_happened_since(running, answers):
    told = [replay(running, answer["decision_id"]) for answer in answers]
    assert [(one["equal"], one["differences"]) for one in told] == [(True, [])] * len(answers)
    assert running.score(answers[0]["member_id"], mode="simulate").json()["churn"] != answers[0]["churn"]


def test_what_is_no_longer_as_it_was_is_told_field_by_field(running, answers):
    decision_id, member_id = answers[8]["decision_id"], answers[8]["member_id"]
    with running.store.engine.begin() as connection:
        lost = connection.exec_driver_sql(
            "DELETE FROM events WHERE member_id = ? AND timestamp_us > ? AND event_id NOT LIKE 'late%'",
            (member_id, microseconds(NOW - timedelta(days=30))),
        ).rowcount
    told = replay(running, decision_id)
    assert not told["equal"]
    seen = told["differences"][0]
    assert seen["pointer"] == "/events"
    assert seen["stored"] - seen["recomputed"] == lost > 0
    assert "/churn/probability" in {one["pointer"] for one in told["differences"]}


def test_numbers_differ_only_beyond_rounding():
    stored = {"a": [1.0, {"b": 2.0}], "c": "x", "d": None}
    assert list(differences(stored, {"a": [1.0 + 1e-12, {"b": 2.0}], "c": "x", "d": None})) == []
    found = differences(stored, {"a": [1.0, {"b": 2.1}], "c": "y", "d": 3})
    assert [(one.pointer, one.stored, one.recomputed) for one in found] == [("/a/1/b", 2.0, 2.1), ("/c", "x", "y"), ("/d", None, 3)]


def test_a_decision_of_an_earlier_model_is_made_again_with_that_model(tmp_path):
    registry = Registry(f"sqlite:///{put_registry(tmp_path)}", tmp_path / "artifacts")
    engine, events = world().engine, event_arrays(world().log, DECLARED)
    everyone = Snapshots.at(events, microseconds(NOW))
    golden = Golden.of(engine, GoldenMembers.of(EventHistories.of(events, DECLARED), everyone, np.random.default_rng(1)))
    record = RunRecord({}, {}, {}, {}, DataDescription("simulated", "simulation", pd.DataFrame({"events": [1]})))
    versions = [registry.register(engine, golden, record).version for _ in range(2)]
    registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, versions[0])
    with serving(write_home(tmp_path / "home"), world().log, mlflow_uri=registry.uri) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        first = running.score("m0000003").json()
        registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, versions[1])
        assert running.client.post("/v1/models/reload").json()["version"] == "2"
        assert running.score("m0000003").json()["model"]["version"] == "2"
        told = replay(running, first["decision_id"])
        assert (told["equal"], told["model_version"]) == (True, "1")
        kept = running.store.kept(first["decision_id"])
        running.store.record([DecisionRow("gone", kept.member_id, 0, "99", "none", None, 0, kept.body, basis=kept.basis)])
        running.store.record([DecisionRow("batch", kept.member_id, 0, "1", "none", None, 0, kept.body)])
        refused = {name: running.client.post(f"/v1/decisions/{name}/replay").json() for name in ("gone", "batch", "absent")}
    assert {name: (one["status"], one["type"]) for name, one in refused.items()} == {
        "gone": (409, "/docs#model-gone"),
        "batch": (409, "/docs#not-replayable"),
        "absent": (404, "/docs#unknown-decision"),
    }


def test_pages_follow_each_other_without_gap_or_repetition_while_decisions_are_made(running, answers):
    everything = get(running, limit=200).json()["decisions"]
    assert [one["as_of"] for one in everything] == sorted((one["as_of"] for one in everything), reverse=True)
    running.clock.pass_(seconds=1)
    met, cursor = [], {}
    while cursor is not None:
        page = get(running, limit=7, **cursor)
        met += [one["decision_id"] for one in page.json()["decisions"]]
        following = page.json()["next_cursor"]
        cursor = None if following is None else {"cursor": following}
        running.score("m0000005")
    assert met == [one["decision_id"] for one in everything]


def test_the_next_page_is_linked_in_the_header(running, answers):
    first = get(running, limit=3, member_id=MEMBERS[1])
    if first.json()["next_cursor"] is None:
        first = get(running, limit=1, member_id=MEMBERS[1])
    (link,) = re.findall(r'^<(.+)>; rel="next"$', first.headers["link"])
    assert link.startswith("/v1/decisions?")
    second = running.client.get(link).json()
    assert {one["member_id"] for one in second["decisions"]} == {MEMBERS[1]}
    assert "link" not in get(running, limit=200, member_id=MEMBERS[1]).headers


def test_decisions_are_found_by_member_and_time(running, answers):
    day = get(running, **{"from": NOW.isoformat(), "to": (NOW + timedelta(days=1)).isoformat()}, limit=200).json()["decisions"]
    assert {one["decision_id"] for one in day} == {answer["decision_id"] for answer in answers}
    assert get(running, member_id="nobody").json() == {"decisions": [], "next_cursor": None}


BEYOND_ALL_TIME, UNPRINTABLE = ({"cursor": urlsafe_b64encode(text).decode()} for text in (b"9" * 30 + b":x", b"1:\0"))


@pytest.mark.parametrize(
    "query",
    [{"cursor": "???"}, {"cursor": "eA"}, BEYOND_ALL_TIME, UNPRINTABLE, {"limit": "0"}, {"limit": "201"}, {"from": "yesterday"}],
)
def test_a_query_that_cannot_be_read_is_refused(running, query):
    answer = running.client.get("/v1/decisions", params=query)
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#invalid-request")


def test_a_decision_shows_its_touch_and_what_followed(running, answers):
    acted = [answer for answer in answers if answer["actions"]]

    def shown(answer):
        told = running.client.get(f"/v1/decisions/{answer['decision_id']}").json()
        assert told["draw"] < 1
        return [(one["touch_id"], one["state"], one["response"]) for one in told["touches"]]

    names = [f"t {answer['decision_id']}" for answer in acted[:3]]
    told = [(names[0], "undelivered", None), (names[1], "delivered", "refused"), (names[2], "delivered", None)]
    assert [shown(answer) for answer in acted[:3]] == [[one] for one in told]
    outcome = {"outcome_id": "o", "member_id": acted[2]["member_id"], "decision_id": acted[2]["decision_id"], "type": "renewed"}
    running.client.post("/v1/outcomes", json={"outcomes": [{**outcome, "at": running.clock().isoformat()}]})
    (followed,) = running.client.get(f"/v1/decisions/{acted[2]['decision_id']}").json()["outcomes"]
    assert (followed["outcome_id"], followed["type"]) == ("o", "renewed")


def test_a_contact_is_reserved_until_it_is_reported_or_its_time_is_over(running, answers):
    rows = [{"member_id": member_id} for member_id in (f"m{number:07d}" for number in range(1, 60, 3))]
    told = [row["answer"] for row in running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]]
    decision_id = next(answer["decision_id"] for answer in told if answer["actions"])

    def touch():
        (only,) = running.client.get(f"/v1/decisions/{decision_id}").json()["touches"]
        return only["touch_id"], only["state"]

    assert touch() == (None, "reserved")
    running.clock.pass_(days=8)
    assert touch() == (None, "expired")

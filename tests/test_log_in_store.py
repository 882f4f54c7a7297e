"""The service's own log in the store: assignments, pages, and events that leave it, on both databases."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from models.community import DAY_US
from models.events import EventLog
from models.moments import microseconds
from models.posted import posted_touches
from models.quotas import Quotas
from models.reports import OutcomeReport, TouchReport
from models.store import DecisionRow, LoggedEvent, Store
from models.store_rows import DecisionQuery, Retention

NOW_US = microseconds(datetime(2026, 3, 10, 12, tzinfo=UTC))
ENDLESS = Quotas(0, {}, {})
CHANNELS = {"digest": ("email",)}


@pytest.fixture
def store(store_url):
    store = Store.open(store_url)
    store.add_events([LoggedEvent(member_id, NOW_US - DAY_US, "post") for member_id in ("anna", "bert")])
    yield store
    store.close()


def decided(number, *, member="anna", chosen="digest", seen=0, expires_us=None):
    shares = json.dumps({"none": 0.25, "digest": 0.75})
    body = json.dumps({"decision_id": f"d{number}"})
    row = DecisionRow(f"d{number}", member, NOW_US + number, "1", chosen, "email", seen, body, 2.0, expires_us, propensities=shares)
    return replace(row, channel=None) if chosen == "none" else row


def report(store, touch_id, decision_id, at_us, state="delivered", **more):
    told = TouchReport(touch_id, at_us, state, decision_id, **more)
    return [verdict.code or verdict.state for verdict in store.report_touches([told], CHANNELS, lambda _: ENDLESS, 0)]


def test_an_assignment_tells_what_became_of_it(store):
    """Reserved for good, delivered at the second try, not delivered, doing nothing."""
    rows = [decided(0), decided(1, seen=1), decided(2, seen=2, expires_us=NOW_US + 50), decided(3, member="bert", chosen="none")]
    for row in rows:
        assert not store.record([row])
    assert report(store, "t1", "d1", NOW_US + 10, "undelivered") == ["accepted"]
    assert report(store, "t1 again", "d1", NOW_US + 20, response="redeemed") == ["accepted"]
    told = store.assignments().select("decision_id", "intervention", "delivered", "response", "held_until").rows()
    assert [row[:4] for row in told] == [
        ("d0", "digest", False, None),
        ("d1", "digest", True, "redeemed"),
        ("d2", "digest", False, None),
        ("d3", "none", False, None),
    ]
    touches = posted_touches(store.assignments(), store.other_contacts(), NOW_US + 50)
    assert touches["pending"].to_list() == [True, False, False, False]
    assert touches["propensity_digest"].to_list() == [0.75] * 4
    assert touches["touched"].dt.epoch("us").to_list() == [None, NOW_US + 20, None, None]


def test_contacts_of_other_systems_are_no_assignments(store):
    told = TouchReport("t", NOW_US, "delivered", member_id="bert", intervention_id="digest")
    store.report_touches([told], CHANNELS, lambda _: ENDLESS, 0)
    assert store.assignments().is_empty()
    (touch,) = posted_touches(store.assignments(), store.other_contacts(), NOW_US).to_dicts()
    assert (touch["member_id"], touch["channel"], touch["delivered"], touch["decision_id"]) == ("bert", "email", True, None)


def test_what_some_members_were_assigned_lately_is_told_as_a_log_of_all_would(store):
    for row in (decided(0), decided(1, seen=1), decided(3, member="bert", chosen="none")):
        assert not store.record([row])
    report(store, "t1", "d1", NOW_US + 10)
    told = TouchReport("t", NOW_US, "delivered", member_id="bert", intervention_id="digest")
    store.report_touches([told], CHANNELS, lambda _: ENDLESS, 0)
    everything = posted_touches(store.assignments(), store.other_contacts(), NOW_US).filter(intervention="digest")
    assert store.contacts_since(["anna", "bert"], 0, NOW_US, 0).equals(everything.drop("touch_ids"))
    assert store.contacts_since(["anna"], NOW_US + 1, NOW_US, 0)["decision_id"].to_list() == ["d1"]


def test_pages_of_decisions_of_one_instant_follow_each_other(store):
    rows = [replace(decided(number, chosen="none", member="anna" if number % 2 else "bert"), created_us=NOW_US) for number in range(9)]
    for row in rows:
        store.record([row])
    met, query = [], DecisionQuery(limit=4)
    while page := store.decisions(query):
        met += [kept.decision_id for kept in page]
        query = replace(query, after=(page[-1].created_us, page[-1].decision_id))
    assert met == [f"d{number}" for number in range(8, -1, -1)]
    of_anna = store.decisions(DecisionQuery(limit=9, member_id="anna", since_us=NOW_US, until_us=NOW_US + 1))
    assert [kept.decision_id for kept in of_anna] == ["d7", "d5", "d3", "d1"]
    assert store.decisions(DecisionQuery(limit=9, until_us=NOW_US)) == []


def test_outcomes_are_kept_once_with_what_they_followed(store):
    store.record([decided(0)])
    outcome = OutcomeReport("o", "anna", "redeemed", NOW_US + 5, "d0", 12.5)
    assert [verdict.state for verdict in store.report_outcomes([outcome, outcome], [None, None], 0)] == ["accepted", "duplicate"]
    assert store.outcomes().rows()[0][:4] == ("o", "anna", "d0", "redeemed")
    assert store.assignments()["response"].to_list() == ["redeemed"]
    assert [one.outcome_id for one in store.reported(["d0"]).outcomes] == ["o"]


def test_of_old_events_the_last_of_each_member_and_type_stays_and_those_of_the_service_are_archived_first(store):
    old = [
        LoggedEvent("anna", NOW_US - days * DAY_US, kind, f"{kind} {days}") for kind in ("post", "read", "quit") for days in (500, 450, 400)
    ]
    store.add_events(old)
    archived = []

    def archive(events):
        assert set(events["event_id"]) <= set(store.api_events()["event_id"])
        archived.append(events)

    assert store.prune(Retention(NOW_US - 365 * DAY_US, ("quit",)), archive) == 4
    assert set(pl.concat(archived)["event_id"]) == {"post 500", "post 450", "read 500", "read 450"}
    assert {"post 400", "read 400", "quit 500"} < set(store.api_events()["event_id"])
    assert store.prune(Retention(NOW_US - 365 * DAY_US, ("quit",)), archive) == 0


def test_what_a_log_brings_has_not_come_through_the_service(store):
    last = store.last_event_key()
    told = pl.DataFrame({"member_id": ["cleo"], "joined": [datetime(2026, 1, 1, tzinfo=UTC)]})
    event = pl.DataFrame(
        {"member": [0], "timestamp": told["joined"], "type": ["post"], "value": [None], "channel": [None], "event_id": ["e"]}
    )
    assert store.load_log(EventLog(event.cast({"member": pl.UInt32, "value": pl.Float64, "channel": pl.String}), told)).events == 1
    assert store.last_event_key() > last
    assert not store.arrived_since(last)
    store.add_events([LoggedEvent("cleo", NOW_US, "read")])
    assert store.arrived_since(last)
    assert not store.arrived_since(store.last_event_key())


def test_decisions_of_a_run_are_kept_once_without_those_whose_members_were_contacted_meanwhile(store):
    assert store.contact_counts() == {}
    store.record([decided(9, member="bert")])
    rows = [decided(0), decided(1, member="bert")]
    assert store.keep_run(rows, ENDLESS) == {"bert"}
    assert store.keep_run(rows[:1], ENDLESS) == frozenset()
    assert store.contact_counts() == {"anna": 1, "bert": 1}
    assert sorted(store.assignments()["decision_id"]) == ["d0", "d9"]

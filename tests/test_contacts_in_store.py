"""Places and money in the store, under many threads at once, on both databases."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.moments import microseconds
from models.quotas import NOTHING_USED_UP, Quotas
from models.reports import OutcomeReport, TouchReport
from models.store import DecisionRow, LoggedEvent, Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOW_US, DAY_US = microseconds(NOW), 86_400_000_000
LIMITS = Quotas(NOW_US - NOW_US % DAY_US, {"intervention:call": 3, "budget": 50.0}, {"call": 10.0, "gift": 20.0})
CHANNELS = {"call": ("phone",), "gift": ("email", "wecom")}
MEMBERS = [f"m{number}" for number in range(12)]


@pytest.fixture
def store(store_url):
    store = Store.open(store_url)
    store.add_events([LoggedEvent(member_id, NOW_US - DAY_US, "post") for member_id in MEMBERS])
    yield store
    store.close()


def row(member_id, *, chosen="call", used_up=NOTHING_USED_UP, seen=0, expires_us=None, at_us=NOW_US, number=0):
    return DecisionRow(
        decision_id=f"{member_id}-{number}",
        member_id=member_id,
        created_us=at_us,
        model_version="1",
        chosen=chosen,
        channel="phone",
        contacts_seen=seen,
        body="{}",
        cost=LIMITS.costs.get(chosen, 0.0),
        expires_us=expires_us,
        used_up=used_up,
    )


def touch(touch_id, decision_id, state="delivered", **more):
    return TouchReport(touch_id, NOW_US, state, decision_id, **more)


def report(store, *reports):
    return [verdict.code or verdict.state for verdict in store.report_touches(reports, CHANNELS, of_day, 0)]


def of_day(at_us):
    return LIMITS.at(at_us - at_us % DAY_US)


def used(store):
    return {resource: amount for resource, amount in store.used(LIMITS.begins_us).items() if amount}


def decide(store, member_id, quotas=LIMITS):
    """As the service does it: what is used up is read, the call is chosen if it may be, and again when it no longer holds."""
    for _ in range(50):
        now = quotas.used_up(store.used(quotas.begins_us))
        closed = "call" in now.interventions | now.too_dear
        if not store.record([row(member_id, chosen="none" if closed else "call", used_up=now)], quotas=quotas):
            return not closed
    raise AssertionError("never settled")


def test_of_many_who_saw_the_last_places_only_so_many_get_one(store):
    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(lambda member_id: decide(store, member_id), MEMBERS))
    assert Counter(served) == {True: 3, False: 9}
    assert used(store) == {"intervention:call": 3, "budget": 30.0}


def test_money_ends_before_places_where_it_is_scarcer(store):
    poor = replace(LIMITS, limits={"intervention:call": 9, "budget": 25.0})
    with ThreadPoolExecutor(6) as pool:
        served = list(pool.map(lambda member_id: decide(store, member_id, poor), MEMBERS))
    assert sum(served) == 2


def test_a_decision_that_saw_a_free_place_is_made_again_even_if_it_did_not_take_it(store):
    """Its propensities told of a choice that there was no longer."""
    store.record([row(member_id) for member_id in MEMBERS[:3]], quotas=LIMITS)
    assert store.record([row("m5", chosen="none"), row("m6", chosen="none")], quotas=LIMITS) == {"m5", "m6"}
    full = LIMITS.used_up(store.used(LIMITS.begins_us))
    assert not store.record([row("m5", chosen="none", used_up=full)], quotas=LIMITS)


def test_of_a_batch_those_are_made_again_for_whom_the_earlier_ones_left_nothing(store):
    assert store.record([row(member_id) for member_id in MEMBERS[:5]], quotas=LIMITS) == {"m3", "m4"}
    assert used(store) == {}


def test_undelivered_and_expired_contacts_give_places_and_money_back(store):
    hour = 3_600_000_000
    store.record([row("m0"), row("m1", expires_us=NOW_US + hour), row("m2")], quotas=LIMITS)
    assert report(store, touch("t0", "m0-0", "undelivered"), touch("t2", "m2-0", cost=14.0)) == ["accepted"] * 2
    assert used(store) == {"intervention:call": 2, "budget": 24.0}
    assert store.used(LIMITS.begins_us, NOW_US + hour) == {"intervention:call": 1, "budget": 14.0}
    assert not store.record([row("m3", at_us=NOW_US + hour)], quotas=LIMITS)
    assert store.used(LIMITS.begins_us, NOW_US + hour) == {"intervention:call": 2, "budget": 24.0}
    assert used(store) == {"intervention:call": 2, "budget": 24.0}
    assert report(store, touch("t1", "m1-0")) == ["accepted"]
    assert used(store) == {"intervention:call": 3, "budget": 34.0}


def test_reports_are_counted_once_however_often_and_by_however_many_they_are_sent(store):
    store.record([row(member_id) for member_id in MEMBERS[:3]], quotas=LIMITS)
    reports = [touch(f"t{number}", f"m{number}-0") for number in range(3)]
    with ThreadPoolExecutor(8) as pool:
        told = Counter(code for codes in pool.map(lambda _: report(store, *reports), range(8)) for code in codes)
    assert told == {"accepted": 3, "duplicate": 21}
    assert used(store) == {"intervention:call": 3, "budget": 30.0}


def test_reports_and_decisions_at_once_leave_the_count_true(store):
    """Half of the contacts fail while others are being decided; in the end what is used is what stands."""

    def carried_out(member_id):
        if not decide(store, member_id):
            return 0
        lost = int(member_id[1:]) % 2 == 0
        assert report(store, touch(f"t-{member_id}", f"{member_id}-0", "undelivered" if lost else "delivered")) == ["accepted"]
        return int(not lost)

    with ThreadPoolExecutor(8) as pool:
        standing = sum(pool.map(carried_out, MEMBERS))
    assert standing <= 3
    assert used(store).get("intervention:call", 0) == standing


NO_LIMITS = replace(LIMITS, limits={})


def test_a_limit_that_is_declared_within_a_period_counts_what_the_period_has_seen(store):
    """Of three calls that were made before anything was limited one did not arrive, and another system made one: three stand."""
    assert not store.record([row("m0"), row("m1"), row("m2"), row("m3", chosen="none")], quotas=NO_LIMITS)
    elsewhere = TouchReport("t9", NOW_US, "delivered", member_id="m9", intervention_id="call")
    told = store.report_touches([touch("t1", "m1-0", "undelivered"), elsewhere], CHANNELS, lambda _: NO_LIMITS, 0)
    assert [one.state for one in told] == ["accepted"] * 2
    assert used(store) == {}
    assert store.count_anew(LIMITS) == {"budget": (0.0, 30.0), "intervention:call": (0.0, 3.0)}
    assert store.count_anew(LIMITS) == {"budget": (30.0, 30.0), "intervention:call": (3.0, 3.0)}
    assert not decide(store, "m5")
    assert report(store, touch("t0", "m0-0", "undelivered")) == ["accepted"]
    assert used(store) == {"intervention:call": 2, "budget": 20.0}


def test_what_was_decided_in_an_earlier_period_is_not_counted_in_the_one_in_which_it_arrives(store):
    store.record([row("m0", at_us=LIMITS.begins_us - 1)], quotas=NO_LIMITS)
    assert report(store, touch("t0", "m0-0")) == ["accepted"]
    assert {one.now for one in store.count_anew(LIMITS).values()} == {0.0}


def test_periods_that_become_longer_count_all_their_days(store):
    """The day with which the week begins has a count of its own, which would stand for the week."""
    store.record([row("m0", at_us=LIMITS.begins_us)], quotas=LIMITS)
    tomorrow = LIMITS.at(LIMITS.begins_us + DAY_US)
    store.record([row("m1", at_us=tomorrow.begins_us + 1)], quotas=tomorrow)
    assert store.count_anew(LIMITS) == {"budget": (10.0, 20.0), "intervention:call": (1.0, 2.0)}


def test_what_an_erased_member_took_stays_taken(store):
    store.record([row("m0"), row("m1")], quotas=LIMITS)
    store.erase("m0", NOW_US)
    assert store.count_anew(LIMITS)["intervention:call"] == (2.0, 2.0)


def test_a_contact_of_another_system_takes_a_place_too(store):
    told = TouchReport("t", NOW_US, "delivered", member_id="m0", intervention_id="call")
    assert report(store, told, told) == ["accepted", "duplicate"]
    assert used(store) == {"intervention:call": 1, "budget": 10.0}


def test_of_several_who_report_under_one_id_at_once_one_is_taken(store):
    def reported(name, member_id):
        contact = TouchReport(name, NOW_US, "delivered", member_id=member_id, intervention_id="call")
        (outcome,) = store.report_outcomes([OutcomeReport(name, member_id, "applied", NOW_US)], [None], 0)
        return [*report(store, contact), outcome.code or outcome.state]

    with ThreadPoolExecutor(8) as pool:
        for number in range(6):
            told = list(pool.map(reported, [f"same {number}"] * 8, MEMBERS))
            assert [Counter(each) for each in zip(*told, strict=True)] == [
                {"accepted": 1, "touch_id_reused": 7},
                {"accepted": 1, "outcome_id_reused": 7},
            ]
    assert store.outcomes().height == len(store.other_contacts()) == 6

"""The page Monitor and its twin in JSON: the same sentences in both languages, what is wrong first, since when, and what to do."""

import json
import re
from datetime import timedelta

import pytest

from models.moments import microseconds
from models.plan_in_force import PlanInForce
from models.readings import MONITOR, Monitored, Reading
from models.watched_plan import no_plan, plan_given
from tests.serving_world import DECLARED, NOW, serving, world, write_home
from tests.shown_run import reader, sign_in

MIX = {
    "decisions": 900,
    "arms": [{"arm": "none", "seen": 700, "expected": 640.0}, {"arm": "coupon", "seen": 200, "expected": 260.0}],
    "arm": "coupon",
    "count": 200,
    "expected": 260.0,
}
READINGS = (
    Reading("freshness", "data", "ok", "freshness", {"last": "2025-07-20T11:00+00:00", "hours": 1.0}, 1.0, 24.0),
    Reading("decisions_mix", "decisions", "alarm", "decisions_mix", MIX, 0.0001, 0.001),
    no_plan(),
)
MONITORED = Monitored(NOW, "1", READINGS)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("monitor") / "home"), world().log) as running:
        yield running


def page(running, language):
    with reader(running, language) as client:
        sign_in(client, running.key)
        return re.sub(r"\s+", " ", client.get("/monitor").text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_and_answer_say_the_same_with_what_is_wrong_first(running, language):
    running.store.keep_figures(MONITOR, microseconds(NOW), MONITORED.after(None).to_json())
    told = running.client.get("/v1/monitor", params={"lang": language}).json()
    shown = page(running, language)
    for reading in told["readings"]:
        for sentence in (reading["title"], reading["said"][1:], reading["limit"], reading["todo"][1:]):
            assert sentence.replace('"', "&#34;").replace("'", "&#39;") in shown
    alarm = next(one for one in told["readings"] if one["status"] == "alarm")
    assert shown.index(alarm["title"]) < shown.index(told["readings"][0]["title"])
    coupon = next(one.label.of(language) for one in DECLARED.interventions if one.id == "coupon")
    assert f"{coupon} 200" in alarm["said"]
    assert {"en": "1 of 3 readings raises an alarm.", "zh": "3项监测中有1项报警。"}[language] in shown
    assert {"en": "since 20 Jul 2025", "zh": "自2025年7月20日起"}[language] in shown


def test_before_the_first_run_the_page_names_what_brings_it(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log) as running:
        assert '<code class="command">keepwell monitor</code>' in page(running, "en")


def test_commands_are_told_as_code(running):
    rollout = Reading("rollout", "decisions", "alarm", "rollout", {"said": {"en": "It does <harm>.", "zh": "有害。"}})
    running.store.keep_figures(MONITOR, microseconds(NOW), Monitored(NOW, "1", (*READINGS, rollout)).after(None).to_json())
    shown = page(running, "en")
    assert 'See <code class="command">keepwell rollout status</code>; <code class="command">keepwell rollback</code> ends it.' in shown
    assert "It does &lt;harm&gt;." in shown
    assert "2 of 4 readings raise an alarm." in shown


def test_an_alarm_stands_since_it_was_first_raised():
    first = MONITORED.after(None)
    later = Monitored(NOW + timedelta(days=3), "1", READINGS).after(first.to_json())
    assert [one.since for one in later.readings] == [None, NOW, None]
    over = Monitored(NOW + timedelta(days=4), "1", READINGS[:1]).after(later.to_json())
    again = Monitored(NOW + timedelta(days=5), "1", READINGS).after(over.to_json())
    assert again.alarms[0].since == NOW + timedelta(days=5)


def test_readings_that_were_kept_as_sentences_are_told_as_they_were(running):
    old = {"name": "freshness", "subject": "data", "status": "ok", "said": "fresh", "todo": ""}
    old |= dict.fromkeys(("value", "threshold", "expected", "interval"))
    body = json.loads(MONITORED.to_json()) | {"readings": [old], "alarms": []}
    running.store.keep_figures(MONITOR, microseconds(NOW) + 1, json.dumps(body))
    assert "Fresh" in page(running, "zh")


def plan(**planned):
    at = (NOW, NOW, NOW + timedelta(days=14))
    return PlanInForce("p", *at, "1", "c", 100.0, 50.0, 0.0, 1.0, {}, {}, members=1000.0, planned=planned)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, "ok"),
        ({"coupon": 105, "call": 0}, "ok"),
        ({"coupon": 125}, "ok"),
        ({"coupon": 140}, "alarm"),
        ({"call": 3}, "alarm"),
    ],
)
def test_more_than_the_plan_foresaw_is_an_alarm_where_chance_does_not_explain_it(given, status):
    """100 coupons at .01 and no call at 500 were planned, for 50 in all: 125 coupons are within 3.29 times their root of 10."""
    told = plan_given(plan(coupon=100.0), 200, given, DECLARED)
    assert told.status == status
    assert f"coupon {given.get('coupon', 0)} (100)" in told.said
    assert "200 of 1,000 members" in told.said


def test_without_a_plan_nothing_is_compared():
    assert (no_plan().status, no_plan().todo) == ("unknown", "")

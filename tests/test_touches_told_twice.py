"""What the service keeps and the declared touches tell too counts once: in the log, in the store, on both databases, and alike in both."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.community import DAY_US
from models.costs import redemption_rates
from models.declared_and_kept import SAME, Twice, with_touches
from models.events import EventLog, event_arrays
from models.interventions import ContactHistory
from models.moments import microseconds
from models.posted import posted_touches
from models.quotas import Quotas
from models.reports import TouchReport
from models.store import DecisionRow, Store
from tests.command_line import keepwell
from tests.empty_registry import with_registry
from tests.planted import community, intervention
from tests.repeated_touches import declare_exported
from tests.serving_world import DECLARED as SIMULATED
from tests.serving_world import world, write_declaration, write_home, write_logs

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
AT_US, HOUR_US, SECOND_US = microseconds(AT), 3_600_000_000, 1_000_000
MOMENT = pl.Datetime("us", "UTC")
ENDLESS = Quotas(0, {}, {})
CHANNELS = {"call": ("phone",), "letter": ("post", "email")}
CHANCES = {"none": 0.4, "call": 0.3, "letter": 0.3}
TOUCHES = {"path": "touches.csv", "member": "m", "time": "t", "response": "response"}
DECLARED = community(
    intervention("call", channels=["phone"]),
    intervention("letter", channels=["post", "email"]),
    touches={**TOUCHES, "decision_id": "decision", "propensity_prefix": "propensity_"},
    contact_policy={"caps": [{"name": "quarterly", "max_contacts": 2, "days": 90}]},
)


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


def log_of(members, rows=()):
    """A post of each member 60 and 5 days before AT, and declared touches: (member, microseconds before AT, arm) and what else is told."""
    n = len(members)
    events = pl.DataFrame(
        {"member": sorted([*range(n)] * 2), "timestamp": [AT - timedelta(days=60), AT - timedelta(days=5)] * n, "type": ["post"] * 2 * n},
        schema={"member": pl.UInt32, "timestamp": MOMENT, "type": pl.Categorical},
    ).with_columns(value=pl.lit(None, pl.Float64), channel=pl.lit(None, pl.String), event_id=pl.lit(None, pl.String))
    told = [
        {
            "member": members.index(member),
            "timestamp": AT - timedelta(microseconds=ago_us),
            "intervention": arm,
            "channel": None,
            "delivered": arm != "none",
            "response": None,
            "named": None,
            **{f"propensity_{name}": None for name in CHANCES},
            **more,
        }
        for member, ago_us, arm, more in ((*row, {})[:4] for row in rows)
    ]
    kinds = {"member": pl.UInt32, "timestamp": MOMENT, "delivered": pl.Boolean}
    texts = dict.fromkeys(("intervention", "channel", "response", "named"), pl.String)
    chances = {f"propensity_{name}": pl.Float64 for name in CHANCES}
    columns = ("member", "timestamp", "intervention", "channel", "delivered", "response", "named", *chances)
    touches = pl.DataFrame(told, schema={name: (kinds | texts | chances)[name] for name in columns})
    joined = pl.DataFrame({"member_id": members, "joined": [AT - timedelta(days=90)] * n}, schema_overrides={"joined": MOMENT})
    return EventLog(events, joined, touches.sort("member", "timestamp", maintain_order=True))


def decide(store, decision_id, member_id, ago_us, chosen, expires_us=None):
    seen = store.contact_counts().get(member_id, 0)
    channel = None if chosen == "none" else CHANNELS[chosen][0]
    told = json.dumps(CHANCES)
    row = DecisionRow(decision_id, member_id, AT_US - ago_us, "1", chosen, channel, seen, "{}", 1.0, expires_us, propensities=told)
    assert not store.record([row])


def report(store, touch_id, ago_us, decision_id=None, state="delivered", **more):
    told = TouchReport(touch_id, AT_US - ago_us, state, decision_id, **more)
    (verdict,) = store.report_touches([told], CHANNELS, lambda _: ENDLESS, DAY_US)
    assert verdict.state == "accepted", verdict


def offline(store, log, declared=DECLARED):
    posted = posted_touches(store.assignments(), store.other_contacts(), AT_US)
    return with_touches(log, posted, declared.same_touch_us)


def contacts_of(history):
    """Member, time, intervention, channel, response, and whether it was no contact; sorted."""
    columns = (history.member, history.at_us, history.intervention, history.channel, history.response, history.undelivered)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def offline_contacts(log):
    return contacts_of(ContactHistory.of_touches(log.touches, np.arange(log.members.height)))


def online(store, members, declared=DECLARED):
    return store.past(members, declared, AT_US)


def arrays(events):
    return [column.tolist() for column in (events.offsets, events.timestamp_us, events.signal)]


def counts(log, declared=DECLARED):
    found = Twice.of(log.touches, declared)
    return found.by_id, found.by_time, found.near, found.unknown


def test_a_touch_is_the_same_by_its_id_or_by_member_intervention_and_time(store):
    """Of each of ten decided at 30 h ago and reached 20 h ago one declared row; by id at whatever time, else to the second of either."""
    members = [f"m{number}" for number in range(10)]
    store.load_log(log_of(members))
    for number, member in enumerate(members):
        decide(store, f"d{number}", member, 30 * HOUR_US, "call")
        report(store, f"t{number}", 20 * HOUR_US, f"d{number}")
    decided, reached = 30 * HOUR_US, 20 * HOUR_US
    rows = [
        ("m0", 25 * HOUR_US, "call", {"named": "d0"}),
        ("m1", 25 * HOUR_US, "call", {"named": "t1"}),
        ("m2", decided - SECOND_US, "call"),
        ("m3", reached + SECOND_US, "call"),
        ("m4", decided, "call", {"named": "their own"}),
        ("m5", decided - SECOND_US - 1, "call"),
        ("m6", decided, "letter"),
        ("m7", decided, "letter", {"named": "d7"}),
        ("m8", decided, "call", {"named": "d0"}),
        ("m9", 60 * HOUR_US, "call"),
    ]
    found = offline(store, log_of(members, rows))
    told = found.touches.sort("member", "timestamp").select("member", "decision_id", SAME).rows()
    assert [row for row in told if row[0] in {0, 1, 2, 3, 4, 8}] == [
        *[(0, "d0", "by_id"), (1, "d1", "by_id"), (2, "d2", "by_time"), (3, "d3", "by_time"), (4, "d4", "by_time"), (8, "d8", "by_time")]
    ]
    assert sorted(row for row in told if row[0] in {5, 6, 7, 9} and row[1] is None) == [
        *[(5, None, "near"), (6, None, None), (7, None, "id_unknown"), (9, None, None)]
    ]
    assert counts(found) == (2, 4, 1, 1)
    store.load_log(log_of(members, rows))
    assert contacts_of(online(store, members).contacts) == offline_contacts(found)
    assert len(offline_contacts(found)) == 14


def test_how_far_apart_the_times_are_may_be_declared(store):
    """A CRM that writes whole minutes."""
    minutes = community(intervention("call", channels=["phone"]), touches={**TOUCHES, "same_within_seconds": 60})
    store.load_log(log_of(["anna"]))
    decide(store, "d", "anna", 30 * SECOND_US, "call")
    log = log_of(["anna"], [("anna", 60 * SECOND_US, "call")])
    store.load_log(log)
    for declared, n in ((DECLARED, 2), (minutes, 1)):
        assert len(online(store, ["anna"], declared).contacts.member) == n
        assert offline(store, log, declared).touches.height == n


def test_what_nobody_reported_is_as_the_table_tells_it_and_what_was_reported_holds(store):
    """Anna's call was held until 10 h ago and never reported: the table says it arrived 40 h ago. Bert's was reported as undelivered, and
    cleo's as accepted; dora's table knows of an answer that was not reported; of eve's the table knows no more than the store."""
    members = ["anna", "bert", "cleo", "dora", "eve"]
    store.load_log(log_of(members))
    for member in members:
        decide(store, member, member, 50 * HOUR_US, "call", AT_US - 10 * HOUR_US if member == "anna" else None)
    report(store, "of bert", 45 * HOUR_US, "bert", "undelivered")
    report(store, "of cleo", 45 * HOUR_US, "cleo", response="accepted")
    report(store, "of dora", 45 * HOUR_US, "dora")
    rows = [(member, 40 * HOUR_US, "call", {"named": member, "response": "refused"}) for member in members[:4]]
    log = log_of(members, [*rows, ("eve", 50 * HOUR_US, "call", {"delivered": False})])
    told = offline(store, log)
    store.load_log(log)
    at = {hours: AT_US - hours * HOUR_US for hours in (50, 45, 40)}
    expected = [
        (0, at[40], "call", "phone", "refused", False),
        (1, at[45], "call", "phone", "refused", True),
        (2, at[45], "call", "phone", "accepted", False),
        (3, at[45], "call", "phone", "refused", False),
        (4, at[50], "call", "phone", "", False),
    ]
    assert offline_contacts(told) == expected
    found = online(store, members)
    assert contacts_of(found.contacts) == expected
    assert arrays(found.events) == arrays(event_arrays(told, DECLARED))
    assert event_arrays(told, DECLARED).timestamp_us.tolist().count(at[40]) == 1


def test_a_contact_that_was_reported_without_a_decision_keeps_the_chances_that_the_table_has(store):
    """It is no decision of the service but the community's own trial."""
    store.load_log(log_of(["anna", "bert"]))
    for member in ("anna", "bert"):
        report(store, f"of {member}", 30 * HOUR_US, member_id=member, intervention_id="letter", channel="email", response="accepted")
    chances = {f"propensity_{name}": share for name, share in CHANCES.items()}
    rows = [("anna", 31 * HOUR_US, "letter", {"named": "of anna", **chances}), ("bert", 30 * HOUR_US + 1, "letter", chances)]
    log = log_of(["anna", "bert"], rows)
    told = offline(store, log).touches
    assert told.select("timestamp", "touched", "response", "propensity_letter", SAME).rows() == [
        (AT - timedelta(hours=31), AT - timedelta(hours=30), "accepted", 0.3, "by_id"),
        (AT - timedelta(hours=30, microseconds=1), AT - timedelta(hours=30), "accepted", 0.3, "by_time"),
    ]
    store.load_log(log)
    assert contacts_of(online(store, ["anna", "bert"]).contacts) == offline_contacts(replace(log, touches=told))


def grown(rng, store, n):
    """Members with decisions, reports and contacts of other systems, as a service leaves them; rows that tell most of it once more."""
    members = [f"m{number:03d}" for number in range(n)]
    store.load_log(log_of(members))
    own, again = [], []
    for number, member in enumerate(members):
        for step in range(3):
            ago_us, arm = int((70 - 20 * step) * DAY_US - rng.integers(DAY_US)), str(rng.choice(list(CHANCES), p=list(CHANCES.values())))
            key, sent_us = f"d{number}-{step}", ago_us - int(rng.integers(5 * HOUR_US))
            chances = {f"propensity_{name}": share for name, share in CHANCES.items()}
            kind = rng.integers(4)
            if kind == 3:
                own.append((member, ago_us, arm, chances))
                continue
            if kind == 2 and arm != "none":
                report(store, f"c{key}", ago_us, member_id=member, intervention_id=arm, channel=CHANNELS[arm][-1])
                again.append((member, ago_us // SECOND_US * SECOND_US, arm, {"named": rng.choice([None, f"c{key}"])}))
                continue
            decide(store, key, member, ago_us, arm)
            rows = [(member, ago_us // SECOND_US * SECOND_US, arm, chances), (member, ago_us - 3 * HOUR_US, arm, {"named": key, **chances})]
            if arm != "none" and kind == 1:
                answer = rng.choice([None, "redeemed", "refused"])
                report(store, f"t{key}", sent_us, key, str(rng.choice(["delivered", "undelivered"])), response=answer)
                rows += [(member, sent_us, arm), (member, sent_us + 7 * HOUR_US, arm, {"named": f"t{key}"})]
            elif arm != "none":
                rows = [(*row[:3], {**row[3], "delivered": False}) for row in rows]
            again.append(rows[rng.integers(len(rows))])
    return members, own, again


def test_features_caps_and_what_is_learned_from_are_those_of_the_log_without_the_repetitions(store, rng):
    members, own, again = grown(rng, store, 60)
    clean, doubled = log_of(members, own), log_of(members, [*own, *again])
    found, expected = offline(store, doubled), offline(store, clean)
    assert sum(counts(found)[:2]) == len(again) > 80
    assert counts(expected) == (0, 0, 0, 0)
    assert arrays(event_arrays(found, DECLARED)) == arrays(event_arrays(expected, DECLARED))
    assert offline_contacts(found) == offline_contacts(expected)
    assert redemption_rates(found.touches, DECLARED, until_us=AT_US) == redemption_rates(expected.touches, DECLARED, until_us=AT_US)
    learned, due = [assignments_of(log.touches, event_arrays(log, DECLARED), DECLARED, until_us=AT_US) for log in (found, expected)]
    assert len(learned) == len(due) > 50
    for name in ("arm", "propensities", "retained"):
        assert np.array_equal(getattr(learned, name), getattr(due, name))
    before = online(store, members)
    for log in (clean, doubled):
        store.load_log(log)
        known = online(store, members)
        assert contacts_of(known.contacts) == offline_contacts(expected)
        assert arrays(known.events) == arrays(event_arrays(expected, DECLARED))
        since = AT_US - 90 * DAY_US
        told = store.contacts_since(members, since, AT_US, DECLARED.same_touch_us)
        assert told.height == len(offline_contacts(expected))
    assert len(before.contacts.member) < len(known.contacts.member)


def test_a_report_that_comes_after_the_table_was_read_is_found_to_be_the_same(store):
    log = log_of(["anna"], [("anna", 20 * HOUR_US, "call")])
    store.load_log(log)
    assert len(online(store, ["anna"]).contacts.member) == 1
    report(store, "t", 20 * HOUR_US, member_id="anna", intervention_id="call")
    assert len(online(store, ["anna"]).contacts.member) == 1
    decide(store, "d", "anna", 30 * HOUR_US, "call")
    assert len(online(store, ["anna"]).contacts.member) == 2
    (shown, other) = store.touches_of("anna", AT_US - 90 * DAY_US, DECLARED.same_touch_us)
    assert (shown.touch_id, other.touch_id) == ("t", "d")


def test_a_log_that_was_loaded_before_its_ids_were_declared_is_told_them(store):
    rows = [("anna", 20 * HOUR_US, "call")]
    store.load_log(log_of(["anna"], rows))
    decide(store, "d", "anna", 40 * HOUR_US, "call")
    assert len(online(store, ["anna"]).contacts.member) == 2
    store.load_log(log_of(["anna"], [(*rows[0], {"named": "d"})]))
    assert len(online(store, ["anna"]).contacts.member) == 1


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With the decisions of a day in its store."""
    touches = SIMULATED.touches.model_copy(update={"propensity_prefix": "propensity_"})
    declared = SIMULATED.model_copy(update={"touches": touches})
    folder = write_home(tmp_path_factory.mktemp("twice") / "home", declared)
    write_logs(with_registry(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        said = keepwell("decide", "-c", folder, "-o", folder / "earlier.parquet", "--as-of", "2025-06-10", "--record")
        assert said.code == 0, said
        yield folder


def test_commands_say_how_many_were_told_twice_and_decide_and_learn_as_without(home):
    def decided():
        said = keepwell("decide", "-c", home, "-o", home / "decided.parquet", "--as-of", "2025-06-20")
        assert said.code == 0, said
        return pl.read_parquet(home / "decided.parquet").sort("member_id")

    def learned():
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("KEEPWELL_MLFLOW_URI")
            return keepwell("train", "-c", home, "--json").json()

    table, before = decided(), learned()
    assert not any("touches" in warning for warning in before["warnings"])
    again = declare_exported(home)
    declared = SIMULATED.touches.model_copy(update={"propensity_prefix": "propensity_", "decision_id": "decision_id"})
    write_declaration(home, SIMULATED.model_copy(update={"touches": declared}))
    found = [one for one in keepwell("check", "-c", home, "--json").json()["findings"] if one["code"] == "told_twice"]
    assert [one["told"] for one in found] == [{"count": again, "by_id": (again + 1) // 2, "by_time": again // 2}]
    assert decided().equals(table)
    after = learned()
    assert after["effects"] == before["effects"] != []
    assert after["churn"] == before["churn"]
    (warning,) = [warning for warning in after["warnings"] if warning not in before["warnings"]]
    assert warning.startswith(f"{again} assignments stand in the declared touches and in the store alike")

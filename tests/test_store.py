"""The store: loading, history, contacts and answers, against the log itself and against each other."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text

from models.community import DAY_US, Community
from models.errors import InputError, StoreUnavailable, UnknownMember
from models.events import EventLog, event_arrays
from models.store import Answer, DecisionRow, KeyRow, LoggedEvent, Store
from models.store_history import KNOWN
from models.store_prepared import driver_of
from models.store_statements import ClaimLost, add_events
from models.store_transactions import MOST_IDLE
from tests.databases import sqlite_url
from tests.patience import PATIENCE_SECONDS, wait_until

START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000


def community(**changes):
    declared = {
        "name": "Test",
        "log": {"path": "log.csv", "member": "m", "time": "t", "type": "k"},
        "signals": [
            {"name": "post", "event_types": ["post", "topic"], "label": {"en": "posts", "zh": "发帖"}},
            {"name": "purchase", "event_types": ["purchase"], "value": "money", "label": {"en": "purchases", "zh": "购买"}},
        ],
        "lifecycle": {"tiers": [{"name": "base", "min_contributions": 0, "value": 10, "label": {"en": "base", "zh": "基础"}}]},
        "interventions": [
            {
                "id": "digest",
                "label": {"en": "Digest", "zh": "摘要"},
                "category": "content",
                "lever": "curiosity",
                "channels": ["email"],
                "cost": 1,
                "starting_uplift": 0.02,
                "starting_evidence": 100,
            }
        ],
        **changes,
    }
    return Community.model_validate(declared)


def log_of(rows, *, ids=True, touches=None):
    """rows: (member, days after START, type, value), in any order."""
    members = sorted({row[0] for row in rows})
    frame = pl.DataFrame(
        {
            "member": pl.Series([members.index(row[0]) for row in rows], dtype=pl.UInt32),
            "timestamp": pl.Series([START + timedelta(days=row[1]) for row in rows], dtype=pl.Datetime("us", "UTC")),
            "type": pl.Series([row[2] for row in rows], dtype=pl.Categorical),
            "value": pl.Series([row[3] for row in rows], dtype=pl.Float64),
            "channel": pl.Series(["app"] * len(rows), dtype=pl.String),
            "event_id": pl.Series([f"e{i}" if ids else None for i in range(len(rows))], dtype=pl.String),
        }
    ).sort("member", "timestamp", maintain_order=True)
    joined = frame.group_by("member").agg(pl.col("timestamp").min()).sort("member")["timestamp"]
    return EventLog(frame, pl.DataFrame({"member_id": members, "joined": joined}), touches)


ROWS = [
    ("anna", 1, "post", None),
    ("anna", 1, "purchase", 12.5),
    ("anna", 40, "topic", None),
    ("anna", 40, "wave", None),
    ("bert", 3, "purchase", None),
    ("bert", 3, "purchase", None),
    ("小明", 5.5, "post", None),
]


@pytest.fixture
def store(store_url):
    store = Store.open(store_url, wait_seconds=PATIENCE_SECONDS)
    yield store
    store.close()


@pytest.fixture
def sqlite_store(tmp_path):
    store = Store.open(sqlite_url(tmp_path), wait_seconds=PATIENCE_SECONDS)
    yield store
    store.close()


def same(left, right):
    return all(np.array_equal(getattr(left, name), getattr(right, name), equal_nan=name == "value") for name in left.__dataclass_fields__)


def decision(number, *, chosen="digest", seen=0, member="anna"):
    return DecisionRow(f"d{number}", member, START_US + number, "1", chosen, "email", seen, "{}")


@pytest.mark.parametrize("ids", [True, False])
def test_a_second_load_of_the_same_log_changes_nothing(store, ids):
    log = log_of(ROWS, ids=ids)
    first, second = store.load_log(log), store.load_log(log)
    assert (first.events, first.members) == (7, 3)
    assert (second.events, second.members, second.touches) == (0, 0, 0)


def test_a_log_that_was_loaded_before_is_known_by_its_fingerprint(store):
    assert store.load_log(log_of(ROWS), "one").events == 7
    assert store.load_log(log_of([*ROWS, ("dora", 1, "post", None)]), "one").events == 0
    assert store.load_log(log_of([*ROWS, ("dora", 1, "post", None)]), "two").events == 1


def test_the_history_of_the_store_equals_the_arrays_of_the_log(store):
    log, declared = log_of(ROWS), community()
    store.load_log(log)
    ids = log.members["member_id"].to_list()
    assert same(store.history(ids, 0, declared), event_arrays(log, declared))
    assert same(store.history(["小明", "anna"], 0, declared), event_arrays(log, declared).of_members([2, 0]))


def test_values_and_moments_come_back_to_the_last_digit(store):
    told = [0.1 + 0.2, 1 / 3, -2.5e-300, 1.7e308, 12.0, None, 2**53 - 1.0, -0.0]
    rows = [("anna", -30_000 + day, "purchase", value) for day, value in enumerate(told)]
    log = log_of([*rows, ("bert", 1, "wave", 7.5)])
    store.load_log(log)
    arrays = store.history(["bert", "anna"], -(2**53), community())
    assert same(arrays, event_arrays(log, community()).of_members([1, 0]))
    assert arrays.value[~np.isnan(arrays.value)].tolist() == [value for value in told if value is not None]


def test_events_of_one_moment_stand_in_the_order_of_their_arrival(store):
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    for number, value in enumerate(values):
        store.add_events([LoggedEvent("anna", START_US, "purchase", f"a{9 - number}", value)])
        store.add_events([LoggedEvent("bert", START_US - number, "purchase", f"b{number}", value)])
    arrays = store.history(["anna", "bert"], 0, community())
    assert arrays.value.tolist() == [*values, *reversed(values)]


def test_history_begins_at_the_asked_moment_and_keeps_the_last_of_each_type_before_it(store):
    store.load_log(log_of([*ROWS, ("anna", 0.5, "post", None)]))
    arrays = store.history(["anna"], START_US + 40 * DAY_US, community())
    assert (arrays.timestamp_us - START_US).tolist() == [DAY_US, DAY_US, 40 * DAY_US]
    assert sorted(arrays.signal[:2].tolist()) == [0, 1]


def test_delivered_touches_are_one_signal_more_and_undelivered_ones_are_not(store):
    rows = [(0, 2, "digest", True), (0, 3, "digest", False), (1, 4, "none", True), (2, 5, "digest", True)]
    touches = pl.DataFrame(
        {
            "member": pl.Series([row[0] for row in rows], dtype=pl.UInt32),
            "timestamp": pl.Series([START + timedelta(days=row[1]) for row in rows], dtype=pl.Datetime("us", "UTC")),
            "intervention": pl.Series([row[2] for row in rows], dtype=pl.Categorical),
            "channel": pl.Series(["email"] * 4, dtype=pl.String),
            "delivered": [row[3] for row in rows],
        }
    )
    log = log_of(ROWS, touches=touches)
    declared = community(touches={"path": "t.csv", "member": "m", "time": "t"})
    assert store.load_log(log).touches == 3
    assert store.load_log(log).touches == 0
    ids = log.members["member_id"].to_list()
    assert same(store.history(ids, 0, declared), event_arrays(log, declared))
    contacts = store.past(ids, declared, START_US + 6 * DAY_US).contacts
    told = zip(contacts.member.tolist(), contacts.channel.tolist(), contacts.reached.tolist(), strict=True)
    assert sorted(told) == [(0, "email", False), (0, "email", True), (2, "email", True)]


def test_what_a_member_answered_later_is_taken_over_from_a_later_log(store):
    touches = pl.DataFrame(
        {
            "member": pl.Series([0, 0], dtype=pl.UInt32),
            "timestamp": pl.Series([START + timedelta(days=2), START + timedelta(days=3)], dtype=pl.Datetime("us", "UTC")),
            "intervention": pl.Series(["digest", "digest"], dtype=pl.Categorical),
            "channel": pl.Series(["email", "email"], dtype=pl.String),
            "delivered": [False, True],
            "response": pl.Series([None, None], dtype=pl.String),
        }
    )
    later = touches.with_columns(delivered=True, response=pl.Series(["refused", None], dtype=pl.String))
    assert [store.load_log(log_of(ROWS, touches=table)).touches for table in (touches, later, later)] == [2, 0, 0]
    ids = log_of(ROWS).members["member_id"].to_list()
    contacts = store.past(ids, community(), START_US + 6 * DAY_US).contacts
    assert sorted(contacts.response.tolist()) == ["", "refused"]
    assert contacts.reached.all()


def test_what_rules_read_of_a_member_comes_back_as_the_log_has_it(store):
    source = {
        "path": "m.csv",
        "member": "m",
        "joined": "j",
        "attributes": ["city"],
        "timezone": "zone",
        "consents": {"offers": "likes_offers"},
    }
    declared = community(members=source)
    log = log_of(ROWS)
    told = log.members.with_columns(city=pl.lit("Bern"), zone=pl.lit("Asia/Tokyo"), likes_offers=pl.Series([1.0, 0.0, None]))
    log = replace(log, members=told)
    store.load_log(log)
    store.add_events([LoggedEvent("zoe", START_US, "post")])
    arrays = store.history([*log.members["member_id"], "zoe"], 0, declared)
    assert arrays.attributes.columns == ["city"]
    assert arrays.rule_columns[:3].equals(event_arrays(log, declared).rule_columns)
    assert arrays.rule_columns.row(3) == (None, None)


def test_the_end_of_a_contract_is_found_however_long_ago_it_was(store):
    declared = community(churn={"contract_event": "quit"})
    log = log_of([*ROWS, ("bert", 10, "quit", None), ("bert", 20, "quit", None)])
    store.load_log(log)
    ids = log.members["member_id"].to_list()
    late = store.history(ids, START_US + 30 * DAY_US, declared)
    assert np.array_equal(late.contract_end_us, event_arrays(log, declared).contract_end_us)


def test_an_event_added_for_one_answer_counts_once_even_if_it_is_stored_already(store):
    store.load_log(log_of(ROWS))
    fresh = LoggedEvent("anna", START_US + 41 * DAY_US, "post", "new")
    known = LoggedEvent("anna", START_US + 1 * DAY_US, "post", "e0")
    arrays = store.history(["anna"], 0, community(), [fresh, fresh, known])
    assert len(arrays.timestamp_us) == 4
    assert arrays.timestamp_us[-1] == START_US + 41 * DAY_US


def test_an_unknown_member_is_refused_by_name(store):
    store.load_log(log_of(ROWS))
    with pytest.raises(UnknownMember, match='"Anna"'):
        store.history(["bert", "Anna"], 0, community())
    assert store.known(["bert", "Anna"]) == {"bert"}


def test_an_event_is_accepted_once_by_its_id_and_by_its_content(store):
    named = LoggedEvent("cleo", START_US, "post", "x1")
    nameless = LoggedEvent("cleo", START_US + 5, "purchase", value=3.0)
    assert store.add_events([named, nameless, named]) == ["accepted", "accepted", "duplicate"]
    assert store.add_events([nameless, named]) == ["duplicate", "duplicate"]
    assert store.api_events()["event_id"].to_list() == ["x1", nameless.identity]
    assert store.api_events().schema["timestamp"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    "change", [{"member_id": "bert"}, {"timestamp_us": START_US - 5}, {"type": "read"}, {"value": 2.0}, {"value": None}]
)
def test_an_id_of_another_event_is_told_and_changes_nothing(store, change):
    event = LoggedEvent("anna", START_US, "purchase", "x1", 1.0)
    assert store.add_events([event, replace(event, **change)]) == ["accepted", "reused"]
    kept = store.api_events()
    assert store.add_events([replace(event, **change), event]) == ["reused", "duplicate"]
    assert store.api_events().equals(kept)
    assert store.known(["anna", "bert"]) == {"anna"}
    assert store.history(["anna"], 0, community()).joined_us.tolist() == [START_US]


def test_an_event_of_the_log_keeps_its_id(store):
    store.load_log(log_of(ROWS))
    bought = LoggedEvent("anna", START_US + DAY_US, "purchase", "e1", 12.5)
    assert store.add_events([bought, replace(bought, channel="email")]) == ["duplicate", "duplicate"]
    assert store.add_events([replace(bought, value=21.5)]) == ["reused"]


def test_of_many_who_give_one_id_at_once_one_is_accepted(store):
    events = [LoggedEvent(f"m{number}", START_US, "post", "x1") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        fates = list(pool.map(lambda event: store.add_events([event])[0], events))
    assert sorted(fates) == ["accepted", *["reused"] * 7]
    assert store.api_events()["member_id"].to_list() == [f"m{fates.index('accepted')}"]


def test_who_brings_an_id_a_moment_too_late_is_no_member_for_it(postgres):
    """The other transaction has the id and is not over when this one looks; a member who was there before stays one."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with postgres.database() as url, closing(Store.open(url)) as store, ThreadPoolExecutor(1) as pool:
        store.add_events([LoggedEvent(name, START_US, "post", f"of {name}") for name in ("bert", "dora")])
        with store.engine.begin() as connection:
            connection.execute(text("DELETE FROM events WHERE member_id = 'dora'"))
            connection.execute(text("UPDATE members SET contacts = 1 WHERE member_id = 'dora'"))
        for number, late in enumerate(("cleo", "bert", "dora")):
            with store.engine.begin() as first:
                assert add_events(first, [LoggedEvent("anna", START_US, "post", f"e{number}")]) == ["accepted"]
                later = pool.submit(store.add_events, [LoggedEvent(late, START_US + 1, "post", f"e{number}")])
                with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as looking:
                    wait_until(lambda: looking.scalar(waiting))
            assert later.result() == ["reused"]
        assert store.known(["anna", "bert", "cleo", "dora"]) == {"anna", "bert", "dora"}


def test_a_nameless_event_of_the_log_and_the_same_event_by_the_service_are_one(store):
    store.load_log(log_of(ROWS, ids=False))
    assert store.add_events([LoggedEvent("anna", START_US + DAY_US, "purchase", value=12.5)]) == ["duplicate"]


def test_a_member_who_came_by_the_service_joined_with_the_earliest_event(store):
    store.add_events([LoggedEvent("cleo", START_US + 9, "post"), LoggedEvent("cleo", START_US + 3, "post")])
    assert store.history(["cleo"], 0, community()).joined_us.tolist() == [START_US + 3]
    store.add_events([LoggedEvent("cleo", START_US + 1, "post")])
    assert store.history(["cleo"], 0, community()).joined_us.tolist() == [START_US + 1]


def test_an_early_event_by_the_service_does_not_move_the_date_that_the_log_declares(store):
    store.load_log(log_of(ROWS))
    store.add_events([LoggedEvent("anna", START_US, "post")])
    assert store.history(["anna"], 0, community()).joined_us.tolist() == [START_US + DAY_US]


def test_a_chosen_intervention_is_a_contact_and_doing_nothing_is_none(store):
    store.load_log(log_of(ROWS))
    assert not store.record([decision(1), decision(2, chosen="none", member="bert")])
    past = store.past(["anna", "bert"], community(), START_US + 100)
    assert past.contacts_seen == (1, 0)
    assert past.contacts.member.tolist() == [0]
    assert past.contacts.intervention.tolist() == ["digest"]


def test_a_contact_reserved_in_the_same_instant_is_already_past(store):
    store.load_log(log_of(ROWS))
    store.record([decision(0)])
    assert store.past(["anna"], community(), START_US).contacts.at_us.tolist() == [START_US - 1]


def test_a_decision_on_contacts_that_have_changed_keeps_nothing(store):
    store.load_log(log_of(ROWS))
    store.claim("key", [("r1", "f")], START_US)
    store.record([decision(1)])
    late = [decision(2, member="bert"), decision(3)]
    assert store.record(late, [Answer("key", "r1", START_US, "text")], [LoggedEvent("anna", START_US, "post", "new")]) == {"anna"}
    assert store.kept("d2") is None
    assert store.api_events().is_empty()
    assert store.claim("key", [("r1", "f")], START_US)[0].state == "in_flight"


def test_of_many_who_saw_the_same_free_slot_one_gets_it(store):
    store.load_log(log_of(ROWS))
    with ThreadPoolExecutor(8) as pool:
        stale = list(pool.map(lambda number: store.record([decision(number)]), range(8)))
    assert sorted(map(len, stale)) == [0] + [1] * 7


def test_a_request_is_claimed_once_answered_while_its_answer_is_kept_and_free_again_when_released(store):
    assert [claim.state for claim in store.claim("key", [("r1", "f"), ("r1", "f"), ("r1", "g")], 0)] == ["new", "in_flight", "other_body"]
    store.release("key", ["r1"], 0)
    assert store.claim("key", [("r1", "g")], 0)[0].state == "new"
    store.record([], [Answer("key", "r1", 0, '{"a": 1}')])
    store.release("key", ["r1"], 0)
    assert store.claim("key", [("r1", "g")], 0)[0].answer == '{"a": 1}'
    assert store.claim("other key", [("r1", "z")], 0)[0].state == "new"


def test_the_claim_of_a_dead_attempt_passes_on_after_a_minute(store):
    store.claim("key", [("r1", "f")], 0)
    assert store.claim("key", [("r1", "f")], 59_999_999)[0].state == "in_flight"
    assert store.claim("key", [("r1", "f")], 60_000_000)[0].state == "new"


def test_an_attempt_that_was_overtaken_keeps_nothing_and_leaves_the_request_to_the_other(store):
    store.load_log(log_of(ROWS))
    store.claim("key", [("r1", "f")], 0)
    store.claim("key", [("r1", "f")], 60_000_000)
    store.release("key", ["r1"], 0)
    with pytest.raises(ClaimLost):
        store.record([decision(1)], [Answer("key", "r1", 0, "late")], [LoggedEvent("anna", START_US, "post", "new")])
    assert store.kept("d1") is None
    assert store.api_events().is_empty()
    assert store.record([decision(1)], [Answer("key", "r1", 60_000_000, "told")]) == set()
    with pytest.raises(ClaimLost):
        store.record([decision(2, seen=1)], [Answer("key", "r1", 0, "late")])
    assert (store.kept("d2"), store.claim("key", [("r1", "f")], 120_000_000)[0].answer) == (None, "told")


def test_of_simultaneous_claims_one_is_first(store):
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: store.claim("key", [("r1", "f")], 0)[0].state, range(8)))
    assert sorted(states) == ["in_flight"] * 7 + ["new"]


def test_requests_that_come_again_in_another_order_are_claimed_and_answered_beside_one_another(store):
    """Each would else hold what the other waits for."""
    store.load_log(log_of(ROWS))
    there = [(f"r{number:03}", "f") for number in range(200)]

    def attempt(number):
        asked = there if number % 2 else there[::-1]
        mine = [request_id for (request_id, _), claim in zip(asked, store.claim("key", asked, 0), strict=True) if claim.state == "new"]
        store.record([], [Answer("key", request_id, 0, request_id) for request_id in mine])
        return mine

    with ThreadPoolExecutor(8) as pool:
        answered = [request_id for mine in pool.map(attempt, range(16)) for request_id in mine]
    assert sorted(answered) == [request_id for request_id, _ in there]


def test_keys_are_found_by_their_id(store):
    assert not store.has_keys()
    key = KeyRow("k1", "crm", "score read", "salt", "digest", 5)
    store.add_key(key)
    assert store.has_keys()
    assert store.key("k1") == key
    assert store.key("k2") is None


def test_a_store_locked_by_another_is_unavailable_and_keeps_nothing(sqlite_store, tmp_path):
    sqlite_store.load_log(log_of(ROWS))
    with closing(sqlite3.connect(tmp_path / "keepwell.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(Store.open(sqlite_url(tmp_path), wait_seconds=0.3)) as hasty, pytest.raises(StoreUnavailable, match="locked"):
            hasty.record([decision(1)])
    assert sqlite_store.kept("d1") is None


def test_a_store_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(StoreUnavailable, match="unable to open"):
        Store.open(f"sqlite:///{tmp_path}/absent/keepwell.db")
    with pytest.raises(InputError, match='"mysql"'):
        Store.open("mysql://root@localhost/keepwell")


def test_every_commit_is_on_the_disk_before_it_returns(sqlite_store):
    with sqlite_store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_connection_that_reads_while_the_store_is_closed_ends_with_it(store_url):
    store = Store.open(store_url)
    with store.readers.reading() as connection:
        store.close()
    assert connection.closed


def test_a_connection_that_was_closed_meanwhile_is_an_outage_that_passes(postgres):
    with postgres.database() as url, closing(Store.open(url)) as store:
        store.add_events([LoggedEvent("anna", START_US, "post")])
        with store.readers.asking() as connection:
            driver = driver_of(connection)
        driver.close()
        with pytest.raises(StoreUnavailable, match="connection is closed"):
            store.history(["anna"], 0, community())
        assert store.history(["anna"], 0, community()).joined_us.tolist() == [START_US]


def test_connections_that_were_asked_write_all_or_nothing_later(store):
    """More of them than are kept, so that some go back to those that write."""
    with ExitStack() as asked:
        connections = [asked.enter_context(store.readers.asking()) for _ in range(MOST_IDLE + 2)]
        assert [KNOWN.rows(one, member_ids=["anna"]) for one in connections] == [[]] * len(connections)
    with pytest.raises(ZeroDivisionError), store._writing() as connection:  # noqa: SLF001 - nothing else fails half-way
        assert 1 / add_events(connection, [LoggedEvent("anna", START_US, "post")]).count("erased")
    assert store.known(["anna"]) == frozenset()
    with store.readers.reading() as connection:
        assert KNOWN.rows(connection, member_ids=["anna"]) == []
        store.add_events([LoggedEvent("anna", START_US, "post")])
        assert KNOWN.rows(connection, member_ids=["anna"]) == []
    assert store.known(["anna"]) == {"anna"}

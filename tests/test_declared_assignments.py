"""Declared touches with logged chances lie in the store as the table tells them, on both databases."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import text

from models.events import EventLog
from models.moments import microseconds
from models.store import Store

AT = datetime(2026, 1, 1, tzinfo=UTC)
MEMBERS = ["anna", "bert", "cleo"]
HALF = {"none": 0.5, "call": 0.5}


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


def log_of(*rows, members=MEMBERS):
    """rows: (member, arm, chances by arm, or None)."""
    n = len(members)
    moment = pl.Datetime("us", "UTC")
    events = pl.DataFrame(
        {"member": list(range(n)), "timestamp": [AT] * n, "type": ["post"] * n, "value": [1.0] * n, "channel": [None] * n},
        schema={"member": pl.UInt32, "timestamp": moment, "type": pl.Categorical, "value": pl.Float64, "channel": pl.String},
    ).with_columns(event_id=pl.lit(None, pl.String))
    arms = sorted({arm for _, _, chances in rows for arm in chances or ()})
    table = {
        "member": pl.Series([members.index(member) for member, _, _ in rows], dtype=pl.UInt32),
        "timestamp": pl.Series([AT + timedelta(days=1)] * len(rows), dtype=moment),
        "intervention": [arm for _, arm, _ in rows],
        "channel": pl.Series([None] * len(rows), dtype=pl.String),
        "delivered": [True] * len(rows),
        **{
            f"propensity_{arm}": pl.Series([None if told is None else told.get(arm) for *_, told in rows], dtype=pl.Float64) for arm in arms
        },
    }
    touches = pl.DataFrame(table).sort("member", maintain_order=True)
    return EventLog(events, pl.DataFrame({"member_id": members, "joined": [AT] * n}, schema_overrides={"joined": moment}), touches)


def held(store):
    told = store.declared_assignments().rows
    return sorted((member, arm, json.loads(chances)) for member, _, arm, chances, _ in told.iter_rows())


def test_rows_come_back_with_the_chances_that_were_logged_to_the_last_digit(store):
    uneven = {"none": 1 / 3, "call": 0.1 + 0.2, "letter": 1 - 1 / 3 - 0.1 - 0.2}
    store.load_log(log_of(("anna", "none", uneven), ("bert", "call", HALF)))
    assert held(store) == [("anna", "none", uneven), ("bert", "call", HALF | {"letter": None})]
    assert store.declared_assignments().rows["timestamp"].to_list() == [AT + timedelta(days=1)] * 2


def test_rows_without_any_chance_are_counted_and_nobody_is_told_apart_by_them(store):
    store.load_log(log_of(("anna", "call", HALF), ("anna", "call", None), ("bert", "call", None), ("cleo", "none", None)))
    assert held(store) == [("anna", "call", HALF)]
    assert store.declared_assignments().unlogged == {"call": 2}


def test_equal_rows_of_one_member_are_two(store):
    store.load_log(log_of(*[("anna", "call", HALF)] * 2))
    store.load_log(log_of(*[("anna", "call", HALF)] * 2))
    assert len(held(store)) == 2


def test_a_log_that_says_otherwise_takes_the_place_of_the_one_before_and_an_older_one_comes_back(store):
    """Corrected chances, a row more, a row less; then the table as it was at first, which was loaded once already."""
    first = log_of(("anna", "call", HALF), ("bert", "none", HALF))
    second = log_of(("anna", "call", {"none": 0.4, "call": 0.6}), ("cleo", "call", HALF))
    store.load_log(first, "first")
    marks = [store.log_mark()]
    for log, name in ((second, "second"), (first, "first")):
        store.load_log(log, name)
        marks.append(store.log_mark())
        assert [row[0] for row in held(store)] == {"first": ["anna", "bert"], "second": ["anna", "cleo"]}[name]
    assert held(store) == [("anna", "call", HALF), ("bert", "none", HALF)]
    assert len(set(marks)) == 3
    store.load_log(first, "the same under another fingerprint")
    assert store.log_mark() == marks[-1]


def test_a_log_that_was_loaded_before_assignments_were_kept_is_looked_at_again(store):
    log = log_of(("anna", "call", HALF))
    store.load_log(log, "log")
    with store.engine.begin() as connection:
        for statement in ("DELETE FROM declared_assignments", "UPDATE loads SET assigned = NULL"):
            connection.execute(text(statement))
    store.load_log(log, "log")
    assert held(store) == [("anna", "call", HALF)]


def test_what_was_assigned_to_an_erased_member_is_gone_and_does_not_come_back(store):
    log = log_of(("anna", "call", HALF), ("bert", "none", HALF))
    store.load_log(log, "log")
    receipt = store.erase("anna", microseconds(AT))
    assert receipt.counts["declared_assignments"] == 1
    assert [row[0] for row in held(store)] == ["bert"]
    store.load_log(replace(log), "the next log")
    assert [row[0] for row in held(store)] == ["bert"]


def test_a_log_in_parts_is_loaded_as_the_whole(store):
    log = log_of(("anna", "call", HALF), ("bert", "none", HALF), ("cleo", "call", None))
    store.load_parts([log.of_range(0, 2), log.of_range(2, 3)], "log")
    assert [row[0] for row in held(store)] == ["anna", "bert"]
    assert store.declared_assignments().unlogged == {"call": 1}
    mark = store.log_mark()
    store.load_log(log, "whole")
    assert store.log_mark() == mark

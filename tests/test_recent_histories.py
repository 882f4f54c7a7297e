"""Histories in memory: what is remembered is what the store would tell, whoever changed it meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.community import DAY_US
from models.errors import UnknownMember
from models.recent_histories import FORGOTTEN_AFTER_US, Mark, RecentHistories, remembered, together
from models.signal_columns import SignalColumns
from models.store import LoggedEvent, Store
from models.store_rows import Retention
from tests.test_store import community, decision, log_of, same

START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
NOW_US = START_US + 400 * DAY_US
WINDOW_DAYS = 90
DECLARED = community(lookback_days=WINDOW_DAYS)
MEMBERS = ("anna", "bert", "cora")


def event(member, day, number, kind="post", value=None):
    return LoggedEvent(member, START_US + round(day * DAY_US), kind, f"e{number}", value)


@pytest.fixture
def store(store_url):
    store = Store.open(store_url)
    store.add_events([event(member, day, f"{member}{day}") for member in MEMBERS for day in (240, 315, 320, 399)])
    yield store
    store.close()


@pytest.fixture
def elsewhere(store, store_url):
    """Another process at the same database."""
    other = Store.open(store_url)
    yield other
    other.close()


def told(store, now_us=NOW_US, declared=DECLARED, members=MEMBERS):
    """What it remembers, which has to be what it would read."""
    events = store.past(list(members), declared, now_us).events
    assert same(events, store.history(list(members), now_us - declared.lookback_days * DAY_US, declared))
    return events


def remembers(store, member, events):
    """Whether so many events of the member would not be read again."""
    signals = tuple(DECLARED.signal_of_type.items())
    return bool(store.recent.of(signals, {member: Mark(events, None)}, NOW_US - WINDOW_DAYS * DAY_US, NOW_US))


def test_a_history_is_read_once_as_long_as_it_is_the_same(store):
    assert not remembers(store, "anna", 4)
    told(store)
    assert remembers(store, "anna", 4)
    assert not remembers(store, "anna", 5)


def test_what_another_process_adds_is_seen_at_the_next_request(store, elsewhere):
    assert told(store).offsets.tolist() == [0, 4, 8, 12]
    elsewhere.add_events([event("bert", 399.5, "new")])
    assert told(store).offsets.tolist() == [0, 4, 9, 13]
    assert remembers(store, "bert", 5)


def test_a_late_event_is_seen_at_the_next_request(store, elsewhere):
    told(store)
    elsewhere.add_events([event("bert", 312, "late", "purchase", 7.5)])
    assert 7.5 in told(store).value


def test_events_that_come_with_a_decision_and_with_a_log_are_seen(store, elsewhere):
    told(store)
    elsewhere.record([decision(1)], events=[event("anna", 398, "with")])
    assert len(told(store).value) == 13
    elsewhere.load_log(log_of([("cora", 350, "topic", None), ("dora", 1, "post", None)]))
    assert len(told(store).value) == 14


def test_what_was_pruned_is_gone_even_where_as_many_came_late(store, elsewhere):
    told(store)
    elsewhere.prune(Retention(START_US + 318 * DAY_US), lambda _: None)
    elsewhere.add_events([event(member, 316, f"late {member}") for member in MEMBERS])
    days = (told(store).timestamp_us - START_US) / DAY_US
    assert days.tolist() == [315, 316, 320, 399] * 3


def test_what_leaves_the_window_does_not_count_though_the_history_is_the_same(store):
    minute = 1 / 1440
    store.add_events([event(member, 310 + 10 * minute, f"early {member}") for member in MEMBERS])
    assert len(told(store).value) == 15
    assert len(told(store, NOW_US + round(20 * minute * DAY_US)).value) == 12
    assert len(told(store, NOW_US).value) == 15


def test_whoever_was_erased_is_unknown_and_forgotten(store, elsewhere):
    told(store)
    told(elsewhere)
    elsewhere.erase("anna", NOW_US)
    assert elsewhere.recent.members == ["bert", "cora"]
    with pytest.raises(UnknownMember):
        store.past(["anna"], DECLARED, NOW_US)


def test_another_declaration_has_a_memory_of_its_own(store):
    store.add_events([event("anna", 398, "bought", "purchase", 3.0)])
    posts_alone = DECLARED.model_copy(update={"signals": DECLARED.signals[:1]})
    assert len(told(store).value) == 13
    assert len(told(store, declared=posts_alone).value) == 12


def test_events_of_the_request_are_not_remembered(store):
    new = event("anna", 399.5, "asked with")
    assert len(store.past(list(MEMBERS), DECLARED, NOW_US, [new]).events.value) == 13
    assert len(told(store).value) == 12


def test_whatever_happens_in_whatever_order_it_is_what_the_store_would_tell(store, elsewhere, rng):
    """Changes of all kinds by two processes, the clock going on, and both asked about some members after each."""
    now_us = NOW_US
    for step in range(60):
        writer = (store, elsewhere)[int(rng.integers(2))]
        member, day = MEMBERS[int(rng.integers(3))], float(rng.choice([rng.uniform(290, 400), rng.uniform(310, 311)]))
        kind = rng.choice(["add", "add", "log", "prune", "wait"])
        if kind == "add":
            writer.add_events([event(member, day + n, f"{step}.{n}", str(rng.choice(["post", "topic", "wave"]))) for n in range(2)])
        elif kind == "log":
            writer.load_log(log_of([(member, day, "purchase", float(step))], ids=False))
        elif kind == "prune":
            writer.prune(Retention(START_US + round((day - 20) * DAY_US)), lambda _: None)
        else:
            now_us += round(rng.uniform(0, 1 / 25) * DAY_US)
        for reader in (store, elsewhere):
            told(reader, now_us, members=rng.permutation(MEMBERS)[: rng.integers(1, 4)].tolist())


class Interrupted(RecentHistories):
    """Something happens once, between the first query and the others."""

    def __init__(self, happens):
        super().__init__()
        self.happens = happens

    def of(self, *asked):
        happens, self.happens = self.happens, lambda: None
        happens()
        return super().of(*asked)


def interrupted(store, happens):
    return replace(store, recent=Interrupted(happens))


def test_what_arrives_while_a_past_is_read_is_no_part_of_it(store, elsewhere):
    late = event("bert", 312, "late")
    reader = interrupted(store, lambda: elsewhere.add_events([late]))
    before = store.past(list(MEMBERS), DECLARED, NOW_US)
    past = reader.past(list(MEMBERS), DECLARED, NOW_US)
    assert same(past.events, before.events)
    assert past.event_key == before.event_key
    assert len(told(reader).value) == 13


def test_an_event_of_the_request_counts_though_it_is_stored_while_the_past_is_read(store, elsewhere):
    asked_with = event("bert", 399.5, "asked with")
    reader = interrupted(store, lambda: elsewhere.add_events([asked_with]))
    assert len(reader.past(list(MEMBERS), DECLARED, NOW_US, [asked_with]).events.value) == 13
    assert len(reader.past(list(MEMBERS), DECLARED, NOW_US, [asked_with]).events.value) == 13


def test_whoever_is_erased_while_a_past_is_read_is_unknown(store, elsewhere):
    reader = interrupted(store, lambda: elsewhere.erase("bert", NOW_US))
    with pytest.raises(UnknownMember, match='"bert"'):
        reader.past(list(MEMBERS), DECLARED, NOW_US)


def test_what_is_pruned_while_a_past_is_read_is_read_again(store, elsewhere):
    reader = interrupted(store, lambda: elsewhere.prune(Retention(START_US + 318 * DAY_US), lambda _: None))
    reader.past(list(MEMBERS), DECLARED, NOW_US)
    elsewhere.add_events([event(member, 317, f"late {member}") for member in MEMBERS])
    told(reader)


def of_members(**lengths):
    rows = np.repeat(np.arange(len(lengths)), list(lengths.values()))
    columns = SignalColumns.of_signal(rows, np.arange(len(rows)), 0)
    return remembered(columns, {member: Mark(n, None) for member, n in lengths.items()}, 0)


SIGNALS = (("post", 0),)


def test_as_much_is_held_as_is_allowed_and_those_asked_for_last():
    recent = RecentHistories(most=400)
    recent.keep(SIGNALS, of_members(anna=100, bert=100), 0)
    recent.of(SIGNALS, {"anna": Mark(100, None)}, 0, 0)
    recent.keep(SIGNALS, of_members(cora=100), 0)
    assert recent.members == ["anna", "cora"]


def test_nothing_is_held_an_hour_after_it_was_asked_for():
    recent = RecentHistories()
    recent.keep(SIGNALS, of_members(anna=3, bert=3), 0)
    recent.of(SIGNALS, {"bert": Mark(3, None)}, 0, FORGOTTEN_AFTER_US // 2)
    recent.of(SIGNALS, {}, 0, FORGOTTEN_AFTER_US + 1)
    assert recent.members == ["bert"]


def test_histories_are_put_together_in_the_order_that_is_asked_for():
    held = of_members(anna=2, bert=0, cora=3)
    rows = together([held["cora"], held["bert"], held["anna"]])
    assert rows.row.tolist() == [0, 0, 0, 2, 2]
    assert rows.at_us.tolist() == [2, 3, 4, 0, 1]

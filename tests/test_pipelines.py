"""What every verb begins with and ends in: the log with what was posted, moments of the community's clock, places for results."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import InputError, KeepwellError, UnknownMember
from models.events import EventLog, event_arrays, with_events
from models.intake import read_log
from models.store import LoggedEvent, Store
from pipelines.dates import midnight, moment
from pipelines.demo import run_demo
from pipelines.loading import decision_time, load
from pipelines.output import check_writable, writing
from pipelines.workspace import Workspace
from tests.written_logs import NOW, declared, written

SIGNALS = [
    {"name": "posts", "event_types": ["post"], "label": {"en": "posts", "zh": "发帖"}},
    {"name": "reads", "event_types": ["read"], "label": {"en": "reads", "zh": "阅读"}, "qualifying": False},
]
COLUMNS = {"type": "type", "value": "value", "event_id": "event_id", "channel": "channel"}
HEADER = "event_id,member,time,type,value,channel"
KEPT = (("e1", "bob", 3, "post", 2.5, "app"), ("e2", "cat", 1, "read", None, "app"), ("e3", "bob", 8, "post", None, "web"))
POSTED = (("e4", "ann", 5, "post", 1.0, "app"), ("e5", "bob", 6, "read", None, "web"), ("e6", "dan", 9, "post", None, "app"))
FIRST = datetime(2025, 3, 1, tzinfo=UTC)


def at(day):
    return FIRST + timedelta(days=day)


def csv(rows):
    lines = [
        f"{key},{member},{at(day).isoformat()},{kind},{'' if value is None else value},{channel}"
        for key, member, day, kind, value, channel in rows
    ]
    return "\n".join([HEADER, *lines, ""])


def community(**changes):
    return declared("events.csv", log=COLUMNS, signals=SIGNALS, **changes)


def posted(rows):
    schema = {
        "event_id": pl.String,
        "member_id": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "type": pl.String,
        "value": pl.Float64,
        "channel": pl.String,
    }
    return pl.DataFrame([(key, member, at(day), *rest) for key, member, day, *rest in rows], schema=schema, orient="row")


@pytest.fixture
def workspace(tmp_path):
    written(tmp_path, csv(KEPT))
    written(tmp_path, yaml.safe_dump(community().model_dump(mode="json", exclude_none=True), allow_unicode=True), "keepwell.yaml")
    return Workspace.find(tmp_path)


@pytest.fixture
def kept(tmp_path):
    written(tmp_path, csv(KEPT))
    return read_log(community(), tmp_path, now=NOW).log


def told(log: EventLog) -> pl.DataFrame:
    """Every event with its member's id and joining, in the order of the log."""
    members = log.members.with_row_index("member")
    return log.events.cast({"type": pl.String}).join(members, on="member", maintain_order="left")


def test_a_log_with_posted_events_is_the_log_that_held_them_from_the_start(tmp_path, kept):
    written(tmp_path, csv((*KEPT, *POSTED)), "all.csv")
    whole = read_log(declared("all.csv", log=COLUMNS, signals=SIGNALS), tmp_path, now=NOW).log
    together = with_events(kept, posted(POSTED))
    assert_frame_equal(told(together), told(whole), check_column_order=False)
    assert together.members["member_id"].to_list() == ["ann", "bob", "cat", "dan"]
    ours, theirs = (event_arrays(log, community()) for log in (together, whole))
    for name in ("offsets", "timestamp_us", "signal", "value", "joined_us", "contract_end_us"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_an_event_that_the_log_has_already_is_counted_once(kept):
    assert with_events(kept, posted(KEPT)).events.height == len(KEPT)


def test_nothing_posted_changes_nothing(kept):
    assert with_events(kept, None) is kept
    assert with_events(kept, posted(())) is kept


def test_an_event_without_an_id_is_never_taken_for_another(kept):
    nameless = posted([(None, "bob", 3, "post", 2.5, "app"), (None, "bob", 3, "post", 2.5, "app")])
    assert with_events(kept, nameless).events.height == len(KEPT) + 2


def test_members_who_were_unknown_join_with_their_first_event(kept):
    joined = dict(with_events(kept, posted([*POSTED, ("e7", "dan", 12, "post", None, "app")])).members.select("member_id", "joined").rows())
    assert (joined["dan"], joined["bob"]) == (at(9), at(3))


def test_touches_stay_with_their_members_when_others_come_before_them(tmp_path):
    touches = {"path": "touches.csv", "member": "member", "time": "time", "intervention": "intervention"}
    written(tmp_path, csv(KEPT))
    written(tmp_path, f"member,time,intervention\nbob,{at(4).isoformat()},question\ncat,{at(2).isoformat()},none\n", "touches.csv")
    log = with_events(read_log(community(touches=touches), tmp_path, now=NOW).log, posted(POSTED))
    ids = log.members["member_id"].gather(log.touches["member"])
    assert list(zip(ids, log.touches["intervention"], strict=True)) == [("bob", "question"), ("cat", "none")]


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 30)), max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_posting_does_not_matter(rows, chance):
    events = [(f"p{number}", member, day, "post", None, "app") for number, (member, day) in enumerate(rows)]
    log = EventLog(
        pl.DataFrame(
            schema={
                "member": pl.UInt32,
                "timestamp": pl.Datetime("us", "UTC"),
                "type": pl.Categorical,
                "value": pl.Float64,
                "channel": pl.String,
                "event_id": pl.String,
            }
        ),
        pl.DataFrame(schema={"member_id": pl.String, "joined": pl.Datetime("us", "UTC")}),
    )
    shuffled = chance.sample(events, len(events))
    one, other = (with_events(log, posted(order)) for order in (events, shuffled))
    assert_frame_equal(told(one), told(other), check_row_order=False)
    for result in (one, other):
        assert result.events.select("member", "timestamp").equals(result.events.select("member", "timestamp").sort("member", "timestamp"))


def test_events_that_came_through_the_service_are_learned_from_next_time(workspace):
    before = load(workspace, now=NOW)
    assert not workspace.store_file.exists()
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(before.log)
        store.add_events(
            [
                LoggedEvent(member, int(at(day).timestamp()) * 1_000_000, kind, key, value, channel)
                for key, member, day, kind, value, channel in POSTED
            ]
        )
        after = load(workspace, now=NOW)
    assert (before.log.events.height, after.log.events.height) == (len(KEPT), len(KEPT) + len(POSTED))
    assert after.arrays.n_members == 4
    assert after.log.code_of("dan") == 3
    assert (before.end, after.end) == (at(9), at(10))


def test_the_log_itself_in_the_store_is_not_learned_from_twice(workspace):
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(load(workspace, now=NOW).log)
    assert load(workspace, now=NOW).log.events.height == len(KEPT)


@pytest.mark.parametrize("damage", ["events.parquet/part-00000.parquet", "members.parquet", "intake.json"])
def test_a_kept_log_that_is_damaged_is_read_again(workspace, damage):
    before = load(workspace, now=NOW)
    (workspace.log / damage).write_bytes(b"{")
    assert_frame_equal(told(load(workspace, now=NOW).log), told(before.log))
    (workspace.log / damage).unlink()
    assert_frame_equal(told(load(workspace, now=NOW).log), told(before.log))


def test_a_member_whom_nobody_knows_is_named(workspace):
    with pytest.raises(UnknownMember, match='member "Bob" is not in the log, which has 2 members; ids are case-sensitive'):
        load(workspace, now=NOW).log.code_of("Bob")


def test_a_date_is_midnight_by_the_clock_of_the_community():
    there = community(timezone="Asia/Shanghai")
    assert moment("2025-03-02", there) == datetime(2025, 3, 1, 16, tzinfo=UTC)
    assert moment("2025-03-02T09:30", there) == datetime(2025, 3, 2, 1, 30, tzinfo=UTC)
    assert moment("2025-03-02T09:30:00+02:00", there) == datetime(2025, 3, 2, 7, 30, tzinfo=UTC)
    assert midnight(FIRST.date(), there) == datetime(2025, 2, 28, 16, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "2025-02-30", "2025-3-1", "01/02/2025", "1899-12-31", "2101-01-01", "0001-01-01"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(InputError, match=f'"{text}"'):
        moment(text, community())


def test_decisions_are_made_after_the_last_event_and_never_in_the_future(workspace):
    loaded = load(workspace, now=NOW)
    assert decision_time(loaded, None, now=NOW) == at(9)
    assert decision_time(loaded, None, now=at(8) + timedelta(hours=5)) == at(8) + timedelta(hours=5)
    assert decision_time(loaded, "2025-03-05", now=NOW) == at(4)
    with pytest.raises(InputError, match="is in the future, of which the log knows nothing; choose a date up to 2026-01-01"):
        decision_time(loaded, "2026-01-02", now=NOW)


def test_the_nearest_declaration_upwards_is_used(workspace, monkeypatch, tmp_path_factory):
    below = workspace.root / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Workspace.find() == workspace
    assert Workspace.find(workspace.declaration) == workspace
    with pytest.raises(InputError, match=r"no keepwell.yaml in .*b; name the one that there is with --config, or"):
        Workspace.find(below)
    monkeypatch.chdir(tmp_path_factory.mktemp("outside"))
    with pytest.raises(InputError, match=r"outside0 or above it; name the one that there is with --config"):
        Workspace.find()


def test_two_urls_move_all_state_elsewhere(workspace, monkeypatch):
    monkeypatch.setenv("KEEPWELL_STORE_URL", "postgresql://host/keepwell")
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", "https://mlflow.example")
    assert (workspace.store_url, workspace.mlflow_uri) == ("postgresql://host/keepwell", "https://mlflow.example")
    assert workspace.store_file is None


def test_a_place_for_a_result_is_made_without_making_the_result(tmp_path):
    check_writable(tmp_path / "new" / "table.csv")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_that_is_there_is_not_touched_before_it_is_written_over(tmp_path):
    (tmp_path / "table.csv").write_text("before")
    check_writable(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "before"


def test_a_place_that_cannot_be_written_to_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/table.csv cannot be written \(.*\); name another place"):
        check_writable(tmp_path / "file" / "table.csv")
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path)


def test_a_full_disk_is_no_traceback(tmp_path):
    full = tmp_path / "table.csv"
    with pytest.raises(InputError, match=r"table.csv cannot be written \(No space left on device\)"), writing(full):
        raise OSError(28, "No space left on device")


def test_a_demo_clears_only_what_a_demo_made(tmp_path, workspace):
    with pytest.raises(KeepwellError, match="is not empty and no earlier demo"):
        run_demo(workspace.root, 500, 1, None, now=NOW)
    assert workspace.declaration.is_file()

"""A day's file becomes part of the log once, whatever it is called and however often it comes, or not at all."""

import gzip
from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.declaration import load_community
from models.intake import each_once
from models.store import Store
from pipelines.archive import forget_archived
from pipelines.deliveries import take_in_files, waiting_files
from pipelines.ingest import canonical_log
from pipelines.loading import load
from pipelines.monitor import monitor
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.empty_registry import with_registry
from tests.written_logs import NOW, declared, written

COLUMNS = {"type": "type", "value": "value", "event_id": "event_id", "channel": "channel"}
HEADER = "event_id,member,time,type,value,channel"
FIRST = datetime(2025, 3, 1, tzinfo=UTC)
BASE = f"{HEADER}\ne1,ann,2025-03-01,post,1.5,app\ne2,bob,2025-03-02,post,,app\n"
DAY = f"{HEADER}\ne2,bob,2025-03-02,post,,app\ne3,ann,2025-03-03,post,2,app\ne4,cat,2025-03-03,post,,web\n"
PLAIN_BASE = "member,time\nann,2025-03-01\nann,2025-03-01\nbob,2025-03-02\n"


def community_in(folder, base=BASE, log=COLUMNS, **schedule):
    written(folder, base)
    content = declared("events.csv", log=dict(log), schedule=schedule).model_dump(mode="json", exclude_none=True)
    written(folder, yaml.safe_dump(content, allow_unicode=True), "keepwell.yaml")
    return Workspace.find(folder)


@pytest.fixture
def workspace(tmp_path):
    return community_in(tmp_path)


def take(workspace, *files):
    return take_in_files(workspace, load_community(workspace.declaration), files, now=NOW)


def events(workspace):
    """Member and time of each event of the log, in its order."""
    log = canonical_log(workspace, load_community(workspace.declaration), now=NOW).read()
    ids = log.members["member_id"].gather(log.events["member"])
    return list(zip(ids, (at.date().isoformat() for at in log.events["timestamp"]), strict=True))


def test_a_days_file_is_appended_to_the_log(workspace):
    told = take(workspace, written(workspace.root, DAY, "day.csv"))
    assert [(one.events, one.known, one.rejected) for one in told.taken] == [(2, 1, 0)]
    assert events(workspace) == [("ann", "2025-03-01"), ("ann", "2025-03-03"), ("bob", "2025-03-02"), ("cat", "2025-03-03")]


def test_the_same_file_again_adds_nothing_whatever_it_is_called(workspace):
    day = written(workspace.root, DAY, "day.csv")
    take(workspace, day)
    before = events(workspace)
    told = take(workspace, day, written(workspace.root, DAY, "again.csv"))
    assert (told.taken, told.again) == ((), ("day.csv", "again.csv"))
    assert events(workspace) == before


def test_overlapping_files_hold_each_event_once(workspace):
    later = f"{HEADER}\ne4,cat,2025-03-03,post,,web\ne5,cat,2025-03-04,post,,web\n"
    told = take(workspace, written(workspace.root, DAY, "day.csv"), written(workspace.root, later, "later.csv"))
    assert [(one.events, one.known) for one in told.taken] == [(2, 1), (1, 1)]
    assert len(events(workspace)) == 5


def test_a_log_that_was_exported_anew_with_all_days_in_it_counts_none_twice(workspace):
    take(workspace, written(workspace.root, DAY, "day.csv"))
    before = events(workspace)
    written(workspace.root, BASE + "\n".join(DAY.splitlines()[2:]) + "\n")
    assert events(workspace) == before


def test_without_ids_equal_events_of_one_file_are_several_and_of_two_files_the_same(tmp_path):
    """Ann was there twice on the first, by both files; the file adds her third visit of that day and bob's second."""
    workspace = community_in(tmp_path, PLAIN_BASE, {})
    day = written(tmp_path, "member,time\nann,2025-03-01\nann,2025-03-01\nann,2025-03-01\nbob,2025-03-03\n", "day.csv")
    (taken,) = take(workspace, day).taken
    assert (taken.events, taken.known) == (2, 2)
    assert events(workspace) == [("ann", "2025-03-01")] * 3 + [("bob", "2025-03-02"), ("bob", "2025-03-03")]


def test_rows_that_cannot_be_used_are_left_out_and_lie_beside_the_file_with_their_reasons(tmp_path):
    workspace = community_in(tmp_path, most_rejected=0.5)
    day = written(tmp_path, DAY.replace("e3,ann,2025-03-03", "e3,ann,soon"), "day.csv")
    (taken,) = take(workspace, day).taken
    assert (taken.events, taken.known, taken.rejected) == (1, 1, 1)
    assert pl.read_csv(tmp_path / "day.rejected.csv").select("line", "reason").rows() == [(3, 'time "soon" cannot be read')]


def test_a_file_that_says_its_rows_twice_is_taken_in_once(workspace):
    head, *rows = DAY.splitlines()
    (taken,) = take(workspace, written(workspace.root, "\n".join([head, *rows, *rows, ""]), "day.csv")).taken
    assert (taken.events, taken.known, taken.repeated, taken.rejected, taken.rows) == (2, 1, 3, 0, 6)
    other = [row.replace("ann", "eve").replace("bob", "eve") for row in rows]
    told = take(workspace, written(workspace.root, "\n".join([head, *rows, *other, ""]), "other.csv"))
    assert "2 of its 6 rows cannot be used" in told.refused[0].why


def test_the_monitor_takes_rows_that_were_said_before_for_rows_that_can_be_used(tmp_path):
    """A file with each row twice, and one that says what the log says already; then one of whose ten rows one cannot be read."""
    workspace = community_in(tmp_path, most_rejected=0.5)
    with_registry(tmp_path)
    head, *rows = DAY.splitlines()
    take(workspace, written(tmp_path, "\n".join([head, *rows, *rows, ""]), "twice.csv"), written(tmp_path, BASE, "known.csv"))
    assert rejected_lately(workspace) == ("ok", 0.0)
    take(workspace, written(tmp_path, "\n".join([head, rows[0], rows[1].replace("2025-03-03", "soon"), ""]), "bad.csv"))
    assert rejected_lately(workspace) == ("alarm", 1 / 10)


def rejected_lately(workspace):
    told = {reading.name: reading for reading in monitor(workspace, as_of=None, now=NOW).readings}
    return told["rejected_lately"].status, told["rejected_lately"].value


def test_a_file_of_which_too_many_rows_cannot_be_used_is_refused_whole(workspace):
    day = written(workspace.root, DAY.replace("2025-03-03", "soon"), "day.csv")
    told = take(workspace, day)
    assert told.taken == ()
    assert "2 of its 3 rows cannot be used, and at most 10%" in told.refused[0].why
    assert len(events(workspace)) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(DAY.encode(), mtime=0)[:-12], "is damaged gzip"),
        (b"\x00\x01\xff\xfe\xfa", "holds bytes that are no text"),
        ("member,when\nann,2025-03-03\n", 'no column "time"'),
        ("", "is empty"),
        (b"PAR1 and nothing more", "cannot be read as Parquet"),
    ],
    ids=["torn", "binary", "columns", "empty", "parquet"],
)
def test_a_damaged_file_is_refused_with_the_reason_beside_it_and_the_log_stays(workspace, content, why):
    before = events(workspace)
    told = take(workspace, written(workspace.root, content, "day.csv"), written(workspace.root, DAY, "good.csv"))
    assert [one.file for one in told.refused] == ["day.csv"]
    assert pl.Series([told.refused[0].why]).str.contains(why).all()
    assert pl.read_csv(workspace.root / "day.rejected.csv")["reason"].to_list() == [told.refused[0].why]
    assert len(events(workspace)) == len(before) + 2


def test_a_file_that_was_refused_is_taken_in_once_it_is_whole(workspace):
    take(workspace, written(workspace.root, gzip.compress(DAY.encode(), mtime=0)[:-12], "day.csv"))
    assert take(workspace, written(workspace.root, DAY, "day.csv")).events == 2


def test_files_wait_where_they_are_declared_to_come_and_rejected_rows_are_none(tmp_path):
    workspace = community_in(tmp_path, deliveries="days/*.csv")
    (tmp_path / "days").mkdir()
    for name in ("2.csv", "1.csv", "1.rejected.csv", ".3.csv"):
        written(tmp_path / "days", DAY, name)
    found = waiting_files(workspace, load_community(workspace.declaration))
    assert [file.name for file in found] == ["1.csv", "2.csv"]


def test_an_erased_members_events_are_forgotten_and_do_not_come_back_with_the_file(workspace):
    day = written(workspace.root, DAY, "day.csv")
    take(workspace, day)
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(load(workspace, now=NOW).log)
        store.erase("cat", NOW)
    assert "cat" not in load(workspace, now=NOW).log.members["member_id"]
    (kept,) = workspace.deliveries.glob("*.parquet")
    assert b"cat" not in kept.read_bytes()
    assert take(workspace, day).again == ("day.csv",)


def test_what_a_later_file_says_of_an_erased_member_is_told_apart_and_never_kept(workspace):
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(load(workspace, now=NOW).log)
        store.erase("ann", NOW)
    said = keepwell("ingest", written(workspace.root, DAY, "day.csv"), "-c", workspace.root)
    assert "day.csv: 1 new event, 1 known already, 1 of erased members, not kept\n" in said.out
    (kept,) = workspace.deliveries.glob("*.parquet")
    assert pl.read_parquet(kept)["member_id"].to_list() == ["bob", "cat"]


def test_nothing_is_forgotten_where_nobody_was_erased(workspace):
    take(workspace, written(workspace.root, DAY, "day.csv"))
    (kept,) = workspace.deliveries.glob("*.parquet")
    before = kept.read_bytes()
    forget_archived(workspace, ())
    assert kept.read_bytes() == before


def test_the_command_tells_of_each_file_and_ends_with_2_where_one_is_refused(workspace):
    day, torn = written(workspace.root, DAY, "day.csv"), written(workspace.root, gzip.compress(DAY.encode(), mtime=0)[:-12], "torn.csv")
    said = keepwell("ingest", day, torn, "-c", workspace.root)
    assert said.code == 2
    assert "day.csv: 2 new events, 1 known already\n" in said.out
    assert "new in the store: 4 events, 3 members, 0 touches" in said.out
    assert "torn.csv is refused: " in said.err
    assert "day.csv: taken in before, adds nothing" in keepwell("ingest", day, "-c", workspace.root).out


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.booleans()), max_size=8)


def table(rows):
    """Where the third is true the event has an id that tells its content."""
    schema = {
        "member_id": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "type": pl.String,
        "value": pl.Float64,
        "channel": pl.String,
        "event_id": pl.String,
    }
    told = [
        (member, FIRST + timedelta(days=day), "post", None, "app", f"{member}{day}" if has_id else None) for member, day, has_id in rows
    ]
    return pl.DataFrame(told, schema=schema, orient="row")


@given(ROWS, ROWS)
def test_each_event_is_there_as_often_as_in_the_file_that_has_it_most_often(one, other):
    together = each_once([table(one), table(other)])
    found = [(member, (at - FIRST).days, key is not None) for member, at, _, _, _, key in together.rows()]
    for row in {*one, *other}:
        most = max(one.count(row), other.count(row))
        assert found.count(row) == (min(most, 1) if row[2] else most)
    assert len(together) == len(each_once([table(other), table(one)])) == len(each_once([together, table(one)]))

"""A log that is read in pieces and kept in parts is the log that it would be in one piece."""

import os
from datetime import UTC, datetime, timedelta
from itertools import cycle

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models import scattering, tables
from models.declaration import load_community
from models.intake import read_log
from models.scattering import part_ends
from pipelines.archive import deliver_events, delivery_names
from pipelines.ingest import ingest
from pipelines.workspace import Workspace
from tests.written_logs import NOW, declared

FIRST = datetime(2025, 3, 1, tzinfo=UTC)
TYPED = {"type": "type", "value": "value", "event_id": "id"}


@pytest.fixture
def small(monkeypatch):
    """Pieces and parts of a few rows."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 7)
    monkeypatch.setattr(scattering, "PART_EVENTS", 11)


def nasty(rows, start, seed):
    """Unknown and missing members, ids that come again within a file and in others, times that cannot be read, lie ahead or are missing."""
    rng = np.random.default_rng(seed)
    times = [(FIRST + timedelta(hours=int(hour))).isoformat() for hour in rng.integers(0, 2000, rows)]
    faults = {3: "soon", 5: None, 8: "2031-01-01", 13: "14.03.2025"}
    return pl.DataFrame(
        {
            "id": [None if n % 9 == 4 else f"e{(start + n) % 70}" for n in range(rows)],
            "member": [None if n % 23 == 6 else f"m{who}" for n, who in enumerate(rng.integers(0, 25, rows))],
            "time": [faults.get((start + n) % 31, at) for n, at in enumerate(times)],
            "type": [kind for _, kind in zip(range(rows), cycle(["post", "read", "post", None, "pst"]), strict=False)],
            "value": ["ten" if n % 17 == 2 else str(n) for n in range(rows)],
        }
    )


@pytest.fixture
def workspace(tmp_path):
    """Three files of events, members some of whom have no event, and touches some of which are of nobody."""
    (tmp_path / "events").mkdir()
    for number, rows in enumerate((40, 1, 35)):
        nasty(rows, 40 * number, number).write_parquet(tmp_path / "events" / f"{number}.parquet")
    joined = [*["2025-02-01"] * 20, *[None] * 20]
    pl.DataFrame({"member": [f"m{n}" for n in range(10, 50)], "joined": joined}).write_csv(tmp_path / "members.csv")
    touched = {"member": [f"m{n % 30}" for n in range(50)], "time": ["2025-03-05"] * 50, "intervention": ["question", "none"] * 25}
    pl.DataFrame(touched).write_csv(tmp_path / "touches.csv")
    sides = {name: {"path": f"{name}.csv", "member": "member"} for name in ("members", "touches")}
    sides["members"]["joined"] = "joined"
    sides["touches"] |= {"time": "time", "intervention": "intervention"}
    content = declared("events", log=TYPED, **sides).model_dump(mode="json", exclude_none=True)
    (tmp_path / "keepwell.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return Workspace.find(tmp_path)


def taken(workspace, now=NOW):
    return ingest(workspace, load_community(workspace.declaration), now=now)


def told(workspace, found):
    """Everything that is kept of a log, and the rows that were rejected."""
    log = found.log.read()
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(workspace.root.glob("*.rejected.csv"))}
    counted = (found.log.events, found.log.first, found.log.last)
    return (
        log.events.cast({"type": pl.String}),
        log.members,
        log.touches,
        found.log.first_events,
        found.findings,
        found.rejected,
        counted,
        files,
    )


def assert_equal(one, other):
    for mine, its in zip(one, other, strict=True):
        assert mine.equals(its) if isinstance(mine, pl.DataFrame) else mine == its


def test_a_nasty_log_in_pieces_is_accepted_rejected_and_told_of_as_in_one_piece(workspace, request):
    whole = told(workspace, taken(workspace))
    (workspace.log / "intake.json").unlink()
    request.getfixturevalue("small")
    found = taken(workspace)
    assert (len(found.log.ends), found.rejected > 20, len(found.findings) > 8) == (8, True, True)
    assert_equal(told(workspace, found), whole)


def test_files_that_differ_in_columns_and_types_are_in_pieces_what_they_are_together(tmp_path, small):
    files = ({"id": ["a"] * 9, "value": [1] * 9}, {"value": [0.5] * 5, "id": ["b"] * 5, "more": [1] * 5}, {"id": ["c"] * 6})
    for number, rows in enumerate(files):
        pl.DataFrame(rows).write_parquet(tmp_path / f"{number}.parquet")
    table = tables.open_table(tmp_path)
    pieces = list(table.chunks(["value", "id"]))
    assert [piece.height for piece in pieces] == [7, 7, 6]
    assert pl.concat(pieces).equals(table.read(["value", "id"]))


def test_parts_hold_whole_members_and_follow_one_another(workspace, small):
    log = taken(workspace).log
    parts = list(log.parts())
    assert pl.concat([part.members for part in parts]).equals(log.members)
    moved = [part.events.with_columns(pl.col("member") + log.begin(number)) for number, part in enumerate(parts)]
    assert pl.concat(moved).equals(log.read().events)


def delivery(number):
    """Some are in the log already, some members are new, some rows have no id and come twice."""
    hours = [number * 24 + n for n in range(12)]
    return pl.DataFrame(
        {
            "member_id": [f"m{(7 * n + number) % 40}" if n % 5 else f"new{number}" for n in range(12)],
            "timestamp": pl.Series([FIRST + timedelta(hours=hour - hour % 3) for hour in hours]).cast(pl.Datetime("us", "UTC")),
            "type": ["post"] * 12,
            "value": [1.0] * 12,
            "channel": pl.Series([None] * 12, dtype=pl.String),
            "event_id": [None if n % 4 == 3 else f"e{60 + 3 * number + n}" for n in range(12)],
        }
    )


def deliver(workspace, number):
    deliver_events(workspace, f"{'zyx'[number]}{number}", delivery(number))
    file = workspace.deliveries / f"events-{'zyx'[number]}{number}.parquet"
    os.utime(file, (1_800_000_000 + number, 1_800_000_000 + number))


def test_days_that_are_put_to_a_kept_log_make_the_log_that_reads_all_of_them_anew(workspace, small, monkeypatch):
    taken(workspace)
    for number in range(3):
        deliver(workspace, number)
        with monkeypatch.context() as patched:
            patched.setattr("models.intake.read_log", None)
            found = taken(workspace)
            grown = told(workspace, found)
    assert delivery_names(workspace) == ("events-z0.parquet", "events-y1.parquet", "events-x2.parquet")
    (workspace.log / "intake.json").unlink()
    anew = taken(workspace)
    assert_equal(grown, told(workspace, anew))
    assert anew.log.ends != found.log.ends
    assert {"new0", "new1", "new2"} < set(grown[1]["member_id"])


def test_a_second_intake_changes_no_file(workspace, small):
    taken(workspace)
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in workspace.log.rglob("*.*") if file.is_file()}
    taken(workspace)
    assert before == {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in workspace.log.rglob("*.*") if file.is_file()}


def test_an_intake_that_was_stopped_leaves_the_kept_log_and_nothing_beside_it(workspace, small, monkeypatch):
    kept = told(workspace, taken(workspace))
    deliver(workspace, 0)
    monkeypatch.setattr("models.canonical.leaks", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        taken(workspace)
    monkeypatch.undo()
    assert sorted(path.name for path in workspace.state.iterdir()) == ["deliveries", "log"]
    for file in workspace.deliveries.glob("events-*"):
        file.unlink()
    assert_equal(told(workspace, taken(workspace)), kept)


@given(st.lists(st.integers(0, 30), max_size=40))
def test_a_part_ends_before_it_is_too_large_unless_one_member_is(events):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scattering, "PART_EVENTS", 20)
        patched.setattr(scattering, "PART_MEMBERS", 6)
        ends = part_ends(np.array(events, dtype=np.int64)).tolist()
    for begin, end in zip([0, *ends], ends, strict=False):
        assert end - begin <= 6
        assert sum(events[begin:end]) <= 20 or end - begin == 1
    assert ends[-1] == len(events)


def test_pieces_are_read_by_the_marks_of_the_whole_column(tmp_path, monkeypatch):
    rows = {"member": [f"{n % 3}.0" for n in range(20)], "time": ["2025-03-01"] * 20, "value": [*["1.234"] * 19, "12,50 €"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "events.parquet")
    community = declared("events.parquet", log={"value": "value"})
    whole = read_log(community, tmp_path, now=NOW).log
    monkeypatch.setattr(tables, "CHUNK_ROWS", 7)
    parted = read_log(community, tmp_path, now=NOW).log
    assert parted.events.equals(whole.events)
    assert parted.events["value"].sum() == 19 * 1234 + 12.5
    assert parted.members["member_id"].to_list() == ["0", "1", "2"]

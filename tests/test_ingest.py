"""A log is validated once and kept; rejected rows lie beside it; what changed is read again."""

import os
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import yaml

from models.declaration import load_community
from models.errors import InputError
from pipelines.ingest import canonical_log, ingest, rejected_path
from pipelines.workspace import Workspace
from tests.written_logs import NOW, declared, written

LOG = "member,time,note\nann,2025-03-01,fine\nbob,soon,\n"


@pytest.fixture
def workspace(tmp_path):
    written(tmp_path, LOG)
    content = declared("events.csv").model_dump(mode="json", exclude_none=True)
    written(tmp_path, yaml.safe_dump(content, allow_unicode=True), "keepwell.yaml")
    return Workspace.find(tmp_path)


def ingested(workspace, now=NOW):
    return ingest(workspace, load_community(workspace.declaration), now=now)


def test_accepted_rows_are_the_canonical_log_and_rejected_ones_lie_beside_it(workspace):
    log = canonical_log(workspace, load_community(workspace.declaration), now=NOW).read()
    assert log.members["member_id"].to_list() == ["ann"]
    assert pl.read_csv(workspace.root / "events.rejected.csv").to_dicts() == [
        {"line": 3, "reason": 'time "soon" cannot be read', "member": "bob", "time": "soon", "note": None}
    ]


def test_the_kept_log_equals_the_read_one(workspace):
    first = ingested(workspace)
    events = first.log.read().events
    (workspace.root / "events.rejected.csv").unlink()
    again = ingested(workspace)
    assert not (workspace.root / "events.rejected.csv").exists()
    assert again.log.read().events.equals(events)
    assert again.log.members.equals(first.log.members)
    assert (again.findings, again.rejected, again.rejected_files) == (first.findings, 1, first.rejected_files)


def test_a_changed_log_is_read_again_and_its_old_rejected_rows_go(workspace):
    ingested(workspace)
    written(workspace.root, "member,time\nann,2025-03-01\ncid,2025-03-02\n")
    assert ingested(workspace).log.members.height == 2
    assert not (workspace.root / "events.rejected.csv").exists()


def test_a_file_of_the_same_size_written_later_is_read_again(workspace):
    ingested(workspace)
    path = written(workspace.root, LOG.replace("ann", "eve"))
    os.utime(path, (2_000_000_000, 2_000_000_000))
    assert ingested(workspace).log.members["member_id"].to_list() == ["eve"]


def test_a_changed_declaration_is_read_again(workspace):
    ingested(workspace)
    text = workspace.declaration.read_text(encoding="utf-8").replace("timezone: UTC", "timezone: Asia/Shanghai")
    workspace.declaration.write_text(text, encoding="utf-8")
    assert ingested(workspace).log.first == datetime(2025, 2, 28, 16, tzinfo=UTC)


def test_an_event_of_the_future_is_taken_in_once_its_day_has_come(workspace):
    written(workspace.root, "member,time\nann,2025-03-01\nann,2025-03-05\n")
    early = datetime(2025, 3, 3, tzinfo=UTC)
    assert ingested(workspace, early).rejected == 1
    assert ingested(workspace, early + timedelta(days=3)).rejected == 0
    assert ingested(workspace, early).rejected == 1


def test_rejected_rows_go_to_the_state_folder_where_they_cannot_lie_beside_the_log(workspace):
    (workspace.root / "events.rejected.csv").mkdir()
    found = ingested(workspace)
    assert found.rejected_files == (workspace.root / ".keepwell" / "events.rejected.csv",)
    assert pl.read_csv(found.rejected_files[0]).height == 1
    assert any("its rejected rows are in" in finding.message for finding in found.findings)


def test_rejected_rows_of_parquet_are_written_whatever_their_columns_hold(workspace):
    table = pl.DataFrame({"member": ["ann", None], "time": [NOW, NOW], "tags": [["a"], ["b", "c"]], "place": [{"x": 1}, {"x": 2}]})
    table.write_parquet(workspace.root / "events.parquet")
    community = declared("events.parquet")
    (file,) = ingest(workspace, community, now=NOW).rejected_files
    assert pl.read_csv(file)["tags"].to_list() == ["['b', 'c']"]


def test_no_half_written_log_is_left_behind(workspace):
    ingested(workspace)
    ingested(workspace)
    assert sorted(path.name for path in (workspace.root / ".keepwell").iterdir()) == ["log"]


def test_a_missing_log_is_said_even_when_one_was_kept(workspace):
    ingested(workspace)
    (workspace.root / "events.csv").unlink()
    with pytest.raises(InputError, match=r"events.csv does not exist"):
        ingested(workspace)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("log.csv", "log"),
        ("log.csv.gz", "log"),
        ("log.parquet", "log"),
        ("log", "log"),
        ("2025.05.csv", "2025.05"),
        ("log.csv.csv", "log.csv"),
    ],
)
def test_the_rejected_rows_of_a_log_are_named_after_it(tmp_path, name, beside):
    assert rejected_path(tmp_path / name) == tmp_path / f"{beside}.rejected.csv"


def test_a_workspace_is_found_from_its_file_its_folder_or_a_folder_within(workspace, monkeypatch):
    inside = workspace.root / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert Workspace.find() == Workspace.find(workspace.declaration) == Workspace.find(workspace.root)
    with pytest.raises(InputError, match=r"no keepwell.yaml in .*b; name .* with --config, or write one with `keepwell init"):
        Workspace.find(inside)


def test_the_environment_may_move_store_and_registry(workspace, monkeypatch):
    assert workspace.store_url == f"sqlite:///{workspace.root}/.keepwell/keepwell.db"
    assert workspace.mlflow_uri == f"sqlite:///{workspace.root}/.keepwell/mlflow.db"
    monkeypatch.setenv("KEEPWELL_STORE_URL", "postgresql://db/keepwell")
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", "http://mlflow:5000")
    assert (workspace.store_url, workspace.mlflow_uri) == ("postgresql://db/keepwell", "http://mlflow:5000")

"""A backup holds what was committed when it was made, whole or not at all, and a store can be made of it in either database."""

import json
import shutil
import zipfile
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import polars as pl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import MetaData, create_engine, insert

from models.api_keys import SCOPES, create_key, holder_of
from models.errors import InputError, UnknownMember
from models.in_service import LOCK, in_service, out_of_service
from models.moments import microseconds
from models.registry import MODEL_NAME, Registry
from models.store import DecisionRow, LoggedEvent, Store
from models.store_backup import TableRows
from models.store_migrations import newest
from models.store_migrations.upgrading import upgrade
from models.store_privacy import settings as store_settings
from models.store_schema import metadata
from pipelines.archive import archive_events, deliver_events
from pipelines.backup import backup
from pipelines.backup_file import MANIFEST, table_file, unpack, writing_backup
from pipelines.restore import restore
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.databases import sqlite_url
from tests.registry_world import own_registry
from tests.serving_world import NOW, serving, world, write_home

MEMBERS = [f"m{number:07d}" for number in range(1, 40)]
SCORED = MEMBERS[:12]
ERASED = MEMBERS[30]
AT = datetime(2025, 7, 21, tzinfo=UTC)
EARLIER = "0007"
TOLD = "told.json"
"""Of the service that was backed up: its key, and what it answered to whom."""


@pytest.fixture
def other_url(request, tmp_path, shared_store_url):
    """Of an empty database of the other make."""
    if shared_store_url.startswith("postgresql"):
        yield sqlite_url(tmp_path)
        return
    with request.getfixturevalue("postgres").database("template1") as url:
        yield url


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory, shared_store_url):
    """The workspace of a service that has scored, was told of events, wishes and an erasure; its registry is its own."""
    workspace = Workspace(write_home(tmp_path_factory.mktemp("lived") / "home"))
    own_registry(workspace.state)
    with serving(workspace.root, world().log, store_url=shared_store_url, mlflow_uri=workspace.mlflow_uri) as running:
        answers = {member: running.score(member, request_id=f"r-{member}").raise_for_status().json() for member in SCORED}
        (workspace.root / TOLD).write_text(json.dumps({"key": running.key, "answers": answers}))
        refused = running.client.put(f"/v1/members/{MEMBERS[20]}/preferences", json={"contact": {"email": False}})
        assert refused.status_code == 200
        assert running.client.delete(f"/v1/members/{ERASED}").status_code == 200
        running.store.add_events([LoggedEvent("新成员", microseconds(NOW), "post", "e-1", 1.5, "app")])
    columns = {"event_id": ["a"], "member_id": ["m"], "timestamp": [NOW], "type": ["post"], "value": [None], "channel": [None]}
    archive_events(workspace, pl.DataFrame(columns))
    deliver_events(workspace, "day", pl.DataFrame(columns))
    return workspace


@pytest.fixture
def here(lived_in, shared_store_url, monkeypatch):
    """It again, with its store in the environment."""
    monkeypatch.setenv("KEEPWELL_STORE_URL", shared_store_url)
    return lived_in


@pytest.fixture(scope="module")
def made(lived_in, shared_store_url, tmp_path_factory):
    """One for all tests: whoever changes what it was made of puts that back."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KEEPWELL_STORE_URL", shared_store_url)
        return backup(lived_in, tmp_path_factory.mktemp("made") / "backup.zip", now=AT)


@pytest.fixture(scope="module")
def before(made, shared_store_url):
    """What the store holds, which is what is in the backup."""
    return all_rows(shared_store_url)


def all_rows(url):
    """Of every table, in no order."""
    engine = create_engine(url)
    with engine.connect() as connection:
        told = {table.name: sorted(repr(tuple(row)) for row in connection.execute(table.select())) for table in metadata.sorted_tables}
    engine.dispose()
    return told


@contextmanager
def store_at(url):
    with closing(Store.open(url)) as store:
        yield store


def rewritten(source, target, *, tables=None, **changes):
    """The backup anew, with another manifest, and with those columns of its tables that `tables` names."""
    scratch = target.with_suffix("")
    manifest = unpack(source, scratch)
    with writing_backup(target) as (writer, manifests):
        for name in manifest.files:
            table = name.removeprefix("store/").removesuffix(".parquet")
            if tables is None or table_file(table) != name:
                writer.add(name, scratch / name)
            elif table in tables:
                held = pq.read_table(scratch / name, columns=[column for column in tables[table] if column in held_columns(scratch / name)])
                writer.add_table(TableRows(table, held.schema, held.to_batches()))
        kept = {name: rows for name, rows in manifest.tables.items() if tables is None or name in tables}
        manifests.append(replace(manifest, tables=kept, **changes))
    return target


def held_columns(file):
    return pq.read_schema(file).names


def schema_of(url, revision):
    """Columns by table of a store that stands at a revision."""
    engine, found = create_engine(url), MetaData()
    with engine.begin() as connection:
        upgrade(connection, revision)
        found.reflect(connection)
    engine.dispose()
    return {name: table.columns.keys() for name, table in found.tables.items()}


def test_a_store_moves_from_either_database_to_the_other_row_by_row(here, made, before, other_url, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPWELL_STORE_URL", other_url)
    restored = restore(Workspace(write_home(tmp_path / "there")), made.file, replace=False)
    assert all_rows(other_url) == before
    assert restored.filled.rows == made.rows == {name: len(rows) for name, rows in before.items()}
    assert min(made.rows[name] for name in ("events", "decisions", "requests", "erasures", "api_keys")) > 0
    with store_at(other_url) as store:
        assert store.add_events([LoggedEvent(MEMBERS[0], 1, "post", "later")]) == ["accepted"]
        assert store.add_events([LoggedEvent(ERASED, 1, "post", "late")]) == ["erased"]


def test_a_restored_place_serves_as_before(here, made, shared_store_url, tmp_path, monkeypatch):
    monkeypatch.delenv("KEEPWELL_STORE_URL")
    there = tmp_path / "there"
    said = keepwell("restore", made.file, "--config", there, "--json").json()
    assert said["champion"] == "1"
    assert said["replayed"] == {"same": len(SCORED), "changed": [], "not_replayable": 0}
    workspace = Workspace(there)
    assert workspace.declaration.read_bytes() == here.declaration.read_bytes()
    assert [path.name for path in sorted(workspace.state.glob("*/events-*.parquet"))] == [
        path.name for path in sorted(here.state.glob("*/events-*.parquet"))
    ]
    registry = Registry(workspace.mlflow_uri)
    assert registry.client.get_experiment_by_name(MODEL_NAME).artifact_location == workspace.mlflow_artifacts.as_uri()
    assert registry.load("1", tmp_path / "anew").version == "1"
    told = json.loads((here.root / TOLD).read_text())
    with serving(there, mlflow_uri=workspace.mlflow_uri) as running:
        running.client.headers["Authorization"] = f"Bearer {told['key']}"
        assert {member: running.score(member, request_id=f"r-{member}").json() for member in SCORED} == told["answers"]
        assert running.score(ERASED).status_code == 404
        assert running.client.get("/v1/models").json()["version"] == "1"
        assert running.client.get(f"/v1/members/{MEMBERS[20]}/preferences").json()["contact"]["email"] is False


def test_under_load_all_that_was_answered_before_is_in_the_backup_and_every_part_of_it(store_url, tmp_path, monkeypatch):
    """A decision and its contact are written in one transaction: a backup has both, or neither."""
    monkeypatch.setenv("KEEPWELL_STORE_URL", store_url)
    busy, ended, answered = Workspace(write_home(tmp_path / "busy")), Event(), []

    def decide():
        with store_at(store_url) as store:
            store.add_events([LoggedEvent("busy", 1, "post")])
            while not ended.is_set():
                number = len(answered)
                row = DecisionRow(f"d-{number:06d}", "busy", number + 1, "1", "coupon", "email", number, "{}")
                if not store.record([row]):
                    answered.append(row.decision_id)

    writer = Thread(target=decide)
    writer.start()
    try:
        while len(answered) < 20:
            ended.wait(0.01)
        before = list(answered)
        made = backup(busy, tmp_path / "backup.zip", now=AT)
    finally:
        ended.set()
        writer.join()
    monkeypatch.delenv("KEEPWELL_STORE_URL")
    there = Workspace(write_home(tmp_path / "there"))
    restore(there, made.file, replace=False)
    engine = create_engine(there.store_url)
    with engine.connect() as connection:
        asked = "SELECT decision_id FROM {} WHERE decision_id LIKE 'd-%' ORDER BY 1"
        decided, contacted = (connection.exec_driver_sql(asked.format(name)).scalars().all() for name in ("decisions", "touches"))
    engine.dispose()
    assert decided == contacted == answered[: len(decided)]
    assert set(before) <= set(decided)


def test_a_backup_of_an_earlier_revision_is_brought_up(here, made, before, shared_store_url, tmp_path):
    (tmp_path / "earlier").mkdir()
    columns = schema_of(sqlite_url(tmp_path / "earlier"), EARLIER)
    older = rewritten(made.file, tmp_path / "older.zip", tables=columns, revision=EARLIER)
    restored = restore(here, older, replace=True)
    assert (restored.filled.migration.before, restored.filled.migration.after) == (EARLIER, newest())
    assert restored.checked.same == len(SCORED)
    after = all_rows(shared_store_url)
    assert {name: after[name] for name in columns if name in before} == {name: before[name] for name in columns if name in before}
    restore(here, made.file, replace=True)


@pytest.mark.parametrize("harm", ["cut", "flipped", "nothing", "astray", "locked"])
def test_a_file_that_is_not_whole_is_refused_and_nothing_changes(harm, here, made, before, shared_store_url, tmp_path):
    content = bytearray(made.file.read_bytes())
    if harm == "flipped":
        content[content.index(b"PAR1") + 300] ^= 1
    entry = content.index(b"PK\x01\x02") + 8
    locked = content[:entry] + bytes([content[entry] | 1]) + content[entry + 1 :]
    torn = {"cut": content[: len(content) * 2 // 3], "flipped": content, "nothing": b"", "locked": locked}
    if harm == "astray":
        shutil.copy(made.file, tmp_path / "torn.zip")
        with zipfile.ZipFile(tmp_path / "torn.zip", "a") as archive:
            archive.writestr("../outside", "x")
    else:
        (tmp_path / "torn.zip").write_bytes(torn[harm])
    with pytest.raises(InputError, match="is no whole backup"):
        restore(here, tmp_path / "torn.zip", replace=True)
    assert all_rows(shared_store_url) == before
    assert not (tmp_path / "outside").exists()
    assert list(here.state.glob("restore-*")) == []


@pytest.mark.parametrize(
    ("changes", "why"), [({"revision": "9999"}, "9999, which a later release made"), ({"format": 2, "new": 1}, "of format 2")]
)
def test_a_backup_of_a_later_release_is_refused(changes, why, here, made, before, shared_store_url, tmp_path):
    later = tmp_path / "later.zip"
    shutil.copy(made.file, later)
    with zipfile.ZipFile(made.file) as whole, zipfile.ZipFile(later, "w") as archive:
        for name in whole.namelist():
            told = whole.read(name)
            archive.writestr(name, told if name != MANIFEST else json.dumps(json.loads(told) | changes))
    with pytest.raises(InputError, match=why):
        restore(here, later, replace=True)
    assert all_rows(shared_store_url) == before


def test_rows_that_are_missing_refuse_the_whole(here, made, before, shared_store_url, tmp_path):
    fewer = rewritten(made.file, tmp_path / "fewer.zip")
    with zipfile.ZipFile(fewer) as archive:
        told = json.loads(archive.read(MANIFEST))
    told["tables"]["events"] += 1
    with zipfile.ZipFile(fewer) as whole, zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name) if name != MANIFEST else json.dumps(told))
    with pytest.raises(InputError, match=r"table events: .* rows were put in, and the backup was made of"):
        restore(here, tmp_path / "more.zip", replace=True)
    assert all_rows(shared_store_url) == before


def test_a_store_that_holds_something_is_replaced_only_when_told_so(here, made, before, shared_store_url):
    with store_at(shared_store_url) as store:
        key = create_key(store, "later", SCOPES, now=NOW)
    said = keepwell("restore", made.file, "--config", here.root)
    assert "is there already; --replace puts the backup in its place" in said.refusal
    for name in ("deliveries", "archive", "runs", "model-cache", "mlflow.db"):
        path = here.state / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert "api_keys" in keepwell("restore", made.file, "--config", here.root).refusal
    (here.state / "restore-broken-off").mkdir()
    assert keepwell("restore", made.file, "--config", here.root, "--replace").code == 0
    assert all_rows(shared_store_url) == before
    assert list(here.state.glob("restore-*")) == []
    with store_at(shared_store_url) as store:
        assert holder_of(store, key, now=NOW) is None


def files_of(state):
    return {path.relative_to(state): path.read_bytes() for path in state.rglob("*") if path.is_file() and path.name != LOCK}


def test_a_file_that_cannot_be_put_in_its_place_leaves_all_where_it_was(here, made, before, shared_store_url, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", sqlite_url(tmp_path / "no-such-folder"))
    (here.deliveries / "later").write_text("since the backup")
    files = files_of(here.state)
    with pytest.raises(InputError, match=r"cannot be replaced \(No such file or directory\); nothing has been restored"):
        restore(here, made.file, replace=True)
    assert (all_rows(shared_store_url), files_of(here.state)) == (before, files)


def test_nothing_is_restored_where_a_service_runs_and_none_starts_meanwhile(here, made):
    with in_service(here.state), in_service(here.state):
        assert "a service runs on" in keepwell("restore", made.file, "--config", here.root, "--replace").refusal
    with out_of_service(here.state):
        assert "is being restored" in keepwell("serve", "--config", here.root, "--port", "0").refusal


@pytest.mark.parametrize("first_erasure", ["before", "after", "elsewhere"])
def test_whoever_was_erased_since_stays_erased(first_erasure, tmp_path, store_url, monkeypatch):
    """The tombstones are under the same key; under one that the backup does not have yet; under another."""
    monkeypatch.setenv("KEEPWELL_STORE_URL", store_url)
    workspace = Workspace(write_home(tmp_path / "home"))
    with store_at(store_url) as store:
        store.add_events([LoggedEvent(member, 1, "post") for member in ("ann", "bob", "cem", "dan")])
        if first_erasure != "after":
            store.erase("ann", 5)
        made = backup(workspace, tmp_path / "backup.zip", now=AT)
        if first_erasure == "elsewhere":
            with store._writing() as connection:  # noqa: SLF001 - another store, as it were
                connection.execute(store_settings.update().values(value="00" * 32))
        receipt = store.erase("bob", 7)
    (workspace.deliveries / "later").mkdir(parents=True)
    restored = restore(workspace, made.file, replace=True)
    assert not workspace.deliveries.exists()
    assert restored.filled.erased_again == 1
    assert restored.filled.tombstones_lost == (1 if first_erasure == "elsewhere" else 0)
    with store_at(store_url) as store:
        with pytest.raises(UnknownMember):
            store.traces("bob")
        assert store.erased(["ann", "bob", "cem"]) == ({"bob"} if first_erasure == "after" else {"ann", "bob"})
        assert store.add_events([LoggedEvent("bob", 9, "post")]) == ["erased"]
        tombstones = all_rows(store_url)["erasures"]
        assert any(receipt.receipt_id in row for row in tombstones) is (first_erasure != "elsewhere")


def test_the_command_names_the_file_by_the_time_and_only_its_owner_can_read_it(tmp_path, monkeypatch):
    workspace = Workspace(write_home(tmp_path / "home"))
    with store_at(workspace.store_url) as store, store._writing() as connection:  # noqa: SLF001 - any row will do
        connection.execute(insert(metadata.tables["loads"]).values(fingerprint="f"))
    said = keepwell("backup", "--config", workspace.root, "-o", tmp_path / "backups")
    (file,) = (tmp_path / "backups").iterdir()
    assert file.name.startswith(f"keepwell-{datetime.now(UTC) - timedelta(minutes=30):%Y}")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (said.code, "1 loads" in said.out, file.name in said.out.replace("\n", "")) == (0, True, True)
    refused = keepwell("backup", "--config", workspace.root, "-o", file / "below.zip").refusal
    assert "cannot be written" in refused

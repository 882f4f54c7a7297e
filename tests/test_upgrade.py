"""A store that an earlier release filled is brought up with all that is in it, and is served from as if nothing had happened."""

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, text
from standardwebhooks import Webhook

from models.engine_files import FORMAT
from models.errors import ModelRefused, NoChampion
from models.events import EVENTS_FILE, EventLog
from models.registry import Registry
from models.sealing import Seal, is_sealed, new_key
from models.store import LoggedEvent, Store
from models.store_migrations import VERSION_TABLE, known, newest
from models.store_migrations.upgrading import scripts, upgrade
from models.store_schema import metadata
from models.webhooks import Message
from pipelines.ingest import log_fingerprint
from pipelines.intake_record import RECORD_FILE
from serving.model_source import ModelSource
from tests.command_line import keepwell
from tests.databases import sqlite_url
from tests.patience import wait_until
from tests.registry_world import engine_folder, own_registry, put_in_force
from tests.serving_world import client_of, serving, write_home

RELEASES = Path(__file__).parent / "releases"
EARLIER = "0007"
"""What this revision's release wrote is in `releases`, as SQL: four decisions of a service under way, and rows for every other table."""
LATEST_THAT_WAS_WRITTEN = 1_753_012_800_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of an empty database."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with request.getfixturevalue("postgres").database("template1") as there:
        yield there


def fill(url, revision):
    """As the release of that revision did."""
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, revision)
        for statement in (RELEASES / f"{revision}.sql").read_text("utf-8").splitlines():
            connection.exec_driver_sql(statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement)
    engine.dispose()


def rows_of(url):
    """By table, each as the values of its columns by name."""
    engine, found = create_engine(url), MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        told = {name: [dict(row) for row in connection.execute(table.select()).mappings()] for name, table in found.tables.items()}
    engine.dispose()
    return told


def differences(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), metadata)
    engine.dispose()
    return [one for one in found if "modify_comment" not in str(one)]


def test_every_row_of_an_earlier_release_is_there_after_the_command(url, tmp_path, monkeypatch):
    """With the same values; what a revision changes on purpose is named here."""
    fill(url, EARLIER)
    before = rows_of(url)
    assert [name for name, rows in before.items() if not rows] == ["sessions"]
    monkeypatch.setenv("KEEPWELL_STORE_URL", url)
    said = keepwell("migrate", "--config", write_home(tmp_path / "home"))
    assert f"from {EARLIER} to revision {newest()}" in said.out
    after = rows_of(url)
    for row in before["overviews"]:
        row["cells"] = None
    del before[VERSION_TABLE]
    for name, rows in before.items():
        kept = [{column: row[column] for column in rows[0]} if rows else {} for row in after[name]]
        assert sorted(map(repr, kept)) == sorted(map(repr, rows)), name
    assert differences(url) == []


def test_a_service_goes_on_with_what_an_earlier_release_decided(url, tmp_path):
    fill(url, EARLIER)
    Store.migrate(url)
    told = json.loads((RELEASES / f"{EARLIER}.json").read_text("utf-8"))
    with serving(write_home(tmp_path / "home"), store_url=url) as running, client_of(str(running.client.base_url), told["key"]) as client:
        for member, answer in told["answers"].items():
            again = client.post("/v1/score", json={"member_id": member, "request_id": answer["request_id"]})
            assert (again.status_code, again.json()) == (200, answer)
            kept = client.get(f"/v1/decisions/{answer['decision_id']}").raise_for_status().json()
            assert (kept["member_id"], kept["churn"]["probability"]) == (member, answer["churn"]["probability"])
            fresh = client.post("/v1/score", json={"member_id": member})
            assert fresh.status_code == 200
        first = next(iter(told["answers"]))
        assert client.get(f"/v1/members/{first}/data").status_code == 200
        assert [row["outcome_id"] for row in running.store.traces(first)["outcomes"]] == ["o-1"]
        assert client.get(f"/v1/members/{told['refuses_email']}/preferences").json()["contact"]["email"] is False
        assert client.post("/v1/score", json={"member_id": told["erased"]}).status_code == 404
        assert running.store.add_events([LoggedEvent(told["erased"], LATEST_THAT_WAS_WRITTEN, "post")]) == ["erased"]
        assert client.get("/v1/decision-jobs/j-1").json()["status"] == "failed"
        assert [letter.message_id for letter in running.store.dead_letters()] == ["msg_old"]
        assert running.store.lease_deliveries("ep_old", 1, 1, running.settings.seal) is None


def test_a_plain_secret_of_an_earlier_release_is_sealed_and_signs_as_before(url, tmp_path):
    fill(url, EARLIER)
    Store.migrate(url)
    ((_, secret),), seal = secrets_of(url), Seal((new_key(),))
    assert not is_sealed(secret)
    with serving(write_home(tmp_path / "home"), store_url=url, seal=seal):
        wait_until(lambda: all(is_sealed(kept) for _, kept in secrets_of(url)))
    with closing(Store.open(url)) as store:
        store.post_messages([Message("model.changed", "msg_new", LATEST_THAT_WAS_WRITTEN, {"version": "2"})])
        leased = store.lease_deliveries("ep_old", LATEST_THAT_WAS_WRITTEN, 1, seal)
    (message,) = leased.deliveries
    headers = leased.endpoint.headers(message.message_id, message.body, datetime.now(UTC))
    assert Webhook(secret).verify(message.body, headers) == json.loads(message.body)


def secrets_of(url):
    """By endpoint, as they lie in the store."""
    return [(row["endpoint_id"], row["secret"]) for row in rows_of(url)["webhooks"]]


def test_revisions_only_add_so_that_processes_of_the_release_before_may_go_on(tmp_path):
    """From the earlier one on: no table and no column goes or changes, and what is new may be left out by whoever writes a row."""
    columns: dict[str, dict[str, str]] = {}
    engine = create_engine(sqlite_url(tmp_path))
    for revision in known()[known().index(EARLIER) :]:
        found = MetaData()
        with engine.begin() as connection:
            upgrade(connection, revision)
            found.reflect(connection)
        for name, kinds in columns.items():
            now = found.tables[name].columns
            assert {column: str(now[column].type) for column in kinds} == kinds, (revision, name)
            assert [one.name for one in now if one.name not in kinds and not (one.nullable or one.server_default)] == [], (revision, name)
        columns = {name: {one.name: str(one.type) for one in table.columns} for name, table in found.tables.items()}
    engine.dispose()
    assert scripts().get_current_head() == newest()


def test_an_engine_of_another_format_is_refused_with_what_to_do(tmp_path):
    registry = own_registry(tmp_path / "registry")
    files = engine_folder(tmp_path, registry)
    content = json.loads((files / "engine.json").read_text("utf-8"))
    (files / "engine.json").write_text(json.dumps(content | {"format": FORMAT - 1}), "utf-8")
    version = put_in_force(registry, files)
    with pytest.raises(ModelRefused, match=f"engine of format {FORMAT - 1}; this release reads format {FORMAT}; train again"):
        Registry(registry.uri).load(version, tmp_path / "cache")


def test_a_service_whose_champion_is_of_an_earlier_format_says_so_once_in_its_log(tmp_path, capsys):
    registry = own_registry(tmp_path / "registry")
    files = engine_folder(tmp_path, registry)
    content = json.loads((files / "engine.json").read_text("utf-8"))
    (files / "engine.json").write_text(json.dumps(content | {"format": FORMAT - 1}), "utf-8")
    put_in_force(registry, files)
    source = ModelSource(registry.uri, tmp_path / "cache", 5)
    for _ in range(2):
        source.refresh()
    assert capsys.readouterr().err.count(f"engine of format {FORMAT - 1}; this release reads format {FORMAT}; train again") == 1
    with pytest.raises(NoChampion, match=f"engine of format {FORMAT - 1}"):
        source.engine()


def small_home(folder):
    """With a log of two members."""
    home = folder / "home"
    rows = [f"{member},2025-0{1 + number // 28}-{1 + number % 28:02d}T09:00:00,post" for member in "ab" for number in range(100)]
    home.mkdir()
    (home / "events.csv").write_text("\n".join(["member,time,type", *rows, ""]))
    init = ("init", home / "events.csv", "--member", "member", "--time", "time", "--type", "type", "-o", home / "keepwell.yaml")
    assert keepwell(*init).code == 0
    return home


def test_a_log_that_an_earlier_release_kept_is_read_anew(tmp_path):
    home = small_home(tmp_path)
    first = keepwell("check", "--config", home, "--json").out
    kept = home / ".keepwell" / "log"
    anew = log_fingerprint(kept)
    keep_as_the_earlier_release(kept)
    assert keepwell("check", "--config", home, "--json").out == first
    assert log_fingerprint(kept) == anew
    record = (kept / RECORD_FILE).read_bytes()
    assert keepwell("check", "--config", home, "--json").out == first
    assert (kept / RECORD_FILE).read_bytes() == record


def keep_as_the_earlier_release(kept):
    """All events in one file, and nothing of parts in the record."""
    log, record = EventLog.read(kept), json.loads((kept / RECORD_FILE).read_text())
    shutil.rmtree(kept)
    log.write(kept)
    names = ("read_at", "last", "rejected", "findings", "rejected_files")
    (kept / RECORD_FILE).write_text(json.dumps({name: record[name] for name in names} | {"fingerprint": "of an earlier release"}))
    assert (kept / EVENTS_FILE).is_file()


def test_a_file_where_the_parts_of_a_kept_log_belong_is_no_whole_log(tmp_path):
    """Though the record beside it is of this release."""
    home = small_home(tmp_path)
    first = keepwell("check", "--config", home, "--json").out
    kept = home / ".keepwell" / "log"
    log = EventLog.read(kept)
    shutil.rmtree(kept / EVENTS_FILE)
    log.write(kept)
    assert keepwell("check", "--config", home, "--json").out == first
    assert (kept / EVENTS_FILE).is_dir()


def test_keys_of_the_first_revision_hold(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, known()[0])
        row = {"k": "k1", "n": "crm", "s": "score read", "salt": "00" * 16, "d": "11" * 32}
        connection.execute(text("INSERT INTO api_keys VALUES (:k, :n, :s, :salt, :d, 5)"), row)
    engine.dispose()
    Store.migrate(url)
    with closing(Store.open(url)) as store:
        assert [(key.name, key.expires_us) for key in store.all_keys()] == [("crm", None)]

"""The store's schema comes from its revisions, on both databases, from every earlier state, by one process at a time."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from models.errors import StoreOutdated, StoreUnavailable
from models.store import LoggedEvent, Store
from models.store_migrations import VERSION_TABLE, newest
from models.store_migrations.upgrading import scripts, upgrade
from models.store_schema import metadata
from serving.app import create_app
from tests.command_line import keepwell
from tests.databases import sqlite_url
from tests.patience import wait_until
from tests.serving_world import client_of, listening, settings_of, write_home

OLDEST = "0001"
TRACE = (
    r'{"chosen"\: "digest", "candidates"\: [{"intervention_id"\: "none", "channel"\: null, "probability"\: 0.1}, '
    r'{"intervention_id"\: "digest", "channel"\: "email", "probability"\: 0.9}]}'
)
BEFORE_REVISIONS = (
    f"DROP TABLE {VERSION_TABLE}",
    "DROP TABLE plans",
    "ALTER TABLE members DROP COLUMN attributes",
    "ALTER TABLE touches DROP COLUMN response",
    "INSERT INTO members (member_id, joined_us, source, contacts) VALUES ('anna', 7, 'log', 3)",
    "INSERT INTO touches VALUES ('t', 'anna', 9, 'email', 'digest', 'delivered')",
)


@pytest.fixture
def empty_url(request, tmp_path, kind):
    if kind == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with request.getfixturevalue("postgres").database("template1") as url:
        yield url


both = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def execute(url, *statements):
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def at_first(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, OLDEST)
    engine.dispose()


def differences(url):
    """Between the database and what the release declares, as Alembic tells them; comments are for readers of the code."""
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True})
        found = compare_metadata(context, metadata)
    engine.dispose()
    return [one for one in found if "modify_comment" not in str(one)]


def test_the_revisions_are_one_line_with_one_end():
    assert scripts().get_heads() == [newest()]
    assert scripts().get_bases() == [OLDEST]


@both
def test_the_migrated_schema_is_the_declared_one(empty_url):
    migration = Store.migrate(empty_url)
    assert (migration.before, migration.after) == (None, newest())
    assert differences(empty_url) == []
    assert Store.migrate(empty_url).before == newest()


@both
def test_a_store_from_before_the_revisions_is_brought_up_with_its_rows(empty_url):
    at_first(empty_url)
    execute(empty_url, *BEFORE_REVISIONS)
    assert Store.migrate(empty_url).before is None
    assert differences(empty_url) == []
    with closing(Store.open(empty_url)) as store:
        assert store.known(["anna"]) == {"anna"}
        assert store.add_events([LoggedEvent("anna", 11, "post", "e")]) == ["accepted"]


@both
def test_rows_of_the_first_revision_live_through_all_later_ones(empty_url):
    at_first(empty_url)
    execute(
        empty_url,
        "INSERT INTO members (member_id, joined_us, source) VALUES ('anna', 7, 'log')",
        "INSERT INTO events (event_id, member_id, timestamp_us, type, source) VALUES ('e', 'anna', 8, 'post', 'api')",
        "INSERT INTO touches (touch_id, member_id, at_us, intervention_id, state) VALUES ('d', 'anna', 9, 'digest', 'reserved')",
        f"INSERT INTO decisions VALUES ('d', 'anna', 9, '1', 'digest', '{TRACE}')",  # noqa: S608 - the trace above
        "INSERT INTO requests VALUES ('k', 'r', 'f', 9, '{}')",
        "INSERT INTO api_keys VALUES ('k', 'crm', 'score read', 'salt', 'digest', 5)",
    )
    assert Store.migrate(empty_url).before == OLDEST
    with closing(Store.open(empty_url)) as store:
        assert store.kept("d").body == TRACE.replace("\\", "")
        (assigned,) = store.assignments().to_dicts()
        assert (assigned["intervention"], assigned["channel"]) == ("digest", "email")
        assert json.loads(assigned["propensities"]) == {"none": 0.1, "digest": 0.9}
        assert store.claim("k", [("r", "f")], 10)[0].answer == "{}"
        assert store.key("k").name == "crm"
        assert store.api_events()["event_id"].to_list() == ["e"]


@both
def test_of_many_who_migrate_at_once_one_does_it(empty_url):
    with ThreadPoolExecutor(6) as pool:
        migrations = list(pool.map(Store.migrate, [empty_url] * 6))
    assert sorted(migration.before or "" for migration in migrations) == ["", *[newest()] * 5]


def test_a_store_on_a_server_is_refused_until_somebody_migrates_it(postgres):
    with postgres.database("template1") as url:
        with pytest.raises(StoreOutdated, match=r"no revision yet, .*`keepwell migrate`"):
            Store.open(url)
        Store.migrate(url)
        Store.open(url).close()


def test_a_service_on_such_a_store_says_what_to_run(tmp_path, postgres):
    with postgres.database("template1") as url:
        home = write_home(tmp_path / "home")
        settings = settings_of(home, store_url=url, mlflow_uri=f"sqlite:///{home}/keepwell.yaml")
        with (
            listening(create_app(settings)) as service,
            client_of(service, "kw_a_b") as client,
        ):
            wait_until(lambda: client.get("/livez").status_code == 200)
            refused = client.get("/v1/models")
            assert (refused.status_code, refused.json()["type"]) == (503, "/docs#store-outdated")
            assert int(refused.headers["retry-after"]) > 0
            assert "keepwell migrate" in client.get("/readyz").json()["store"]
            Store.migrate(url)
            assert client.get("/readyz").json()["store"] == "ok"


@both
def test_the_store_of_a_later_release_is_refused(empty_url):
    Store.migrate(empty_url)
    execute(empty_url, "UPDATE keepwell_revision SET version_num = '9999'")
    for attempt in (Store.open, Store.migrate):
        with pytest.raises(StoreOutdated, match="9999, which a later release made"):
            attempt(empty_url)


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path):
    with closing(sqlite3.connect(tmp_path / "keepwell.db")) as broken:
        broken.execute("CREATE VIEW touches AS SELECT 1 AS touch_id")
    with pytest.raises(StoreUnavailable, match="Cannot add a column to a view"):
        Store.migrate(sqlite_url(tmp_path))
    with closing(sqlite3.connect(tmp_path / "keepwell.db")) as broken:
        assert broken.execute("SELECT name FROM sqlite_master").fetchall() == [("touches",)]


def test_the_command_tells_from_where_to_where(tmp_path, monkeypatch, postgres):
    home = write_home(tmp_path / "home")
    with postgres.database("template1") as url:
        monkeypatch.setenv("KEEPWELL_STORE_URL", url)
        first, second = (keepwell("migrate", "--config", home).out for _ in range(2))
    assert f"from no revision to revision {newest()}" in first
    assert f"stands at revision {newest()} already" in second

"""The revisions of the store's schema, and how a database is brought from one to the last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnClause, Connection, column, table, text, update

from models.errors import StoreOutdated

VERSION_TABLE = "keepwell_revision"
CONNECTION = "connection"
_LOCK_KEY = 0x6B656570


@dataclass(frozen=True)
class Migration:
    """Revisions before and after; `before` is None where the store was made now or before there were revisions."""

    before: str | None
    after: str


@cache
def scripts() -> ScriptDirectory:
    """One file for each revision, in `versions` beside this."""
    return ScriptDirectory(Path(str(files(__name__))))


def newest() -> str:
    """The revision that this release reads and writes."""
    head = scripts().get_current_head()
    if head is None:
        raise RuntimeError("the release holds no revision of the store")
    return head


def revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def check(connection: Connection) -> None:
    """Raises StoreOutdated where the database stands at another revision than this release needs."""
    current = revision_of(connection)
    if current == newest():
        return
    if current is not None and not _is_known(current):
        raise StoreOutdated(f"the store stands at revision {current}, which a later release made; this one knows up to {newest()}")
    stands = "has no revision yet" if current is None else f"stands at revision {current}"
    raise StoreOutdated(f"the store {stands}, and this release needs {newest()}; `keepwell migrate` brings it up")


def confirm(connection: Connection) -> None:
    """Writes down once more at which revision the database stands."""
    number: ColumnClause[str] = column("version_num")
    connection.execute(update(table(VERSION_TABLE, number)).values(version_num=number))


def _is_known(revision: str) -> bool:
    return any(script.revision == revision for script in scripts().walk_revisions())


def upgrade(connection: Connection, to: str = "head") -> Migration:
    """Brings the database to a revision, all or nothing within the caller's writing transaction; of several at once one does it.

    Raises StoreOutdated for a database of a later release.
    """
    _wait_for_others(connection)
    before = revision_of(connection)
    if before is not None and not _is_known(before):
        check(connection)
    config = Config(attributes={CONNECTION: connection})
    config.set_main_option("script_location", scripts().dir.replace("%", "%%"))
    command.upgrade(config, to)
    return Migration(before, revision_of(connection) or "")


def _wait_for_others(connection: Connection) -> None:
    """Until the transaction ends nobody else migrates; on SQLite a writing transaction is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})

"""How a database is brought from one revision to another, by Alembic."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from models.store_migrations import FOLDER, Migration, check, known, revision_of

CONNECTION = "connection"
_LOCK_KEY = 0x6B656570


def scripts() -> ScriptDirectory:
    return ScriptDirectory(FOLDER)


def upgrade(connection: Connection, to: str = "head") -> Migration:
    """Brings the database to a revision, all or nothing within the caller's writing transaction; of several at once one does it.

    Raises StoreOutdated for a database of a later release.
    """
    _wait_for_others(connection)
    before = revision_of(connection)
    if before is not None and before not in known():
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

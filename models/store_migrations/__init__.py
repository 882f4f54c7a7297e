"""The revisions of the store's schema: which there are, and at which a database stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from sqlalchemy import ColumnClause, Connection, column, inspect, select, table, update

from models.errors import StoreOutdated

VERSION_TABLE = "keepwell_revision"
FOLDER = Path(str(files(__name__)))
"""Holds one file for each revision in `versions`."""
_NUMBERED = re.compile(r"r(\d{4})_\w+\.py")
_NUMBER: ColumnClause[str] = column("version_num")
_REVISION = table(VERSION_TABLE, _NUMBER)


@dataclass(frozen=True)
class Migration:
    """Revisions before and after; `before` is None where the store was made now or before there were revisions."""

    before: str | None
    after: str


@cache
def known() -> tuple[str, ...]:
    """Those that this release has, rising, by the names of their files: to read the files takes Alembic."""
    names = (_NUMBERED.fullmatch(file.name) for file in (FOLDER / "versions").iterdir())
    return tuple(sorted(name[1] for name in names if name is not None))


def newest() -> str:
    """The revision that this release reads and writes."""
    return known()[-1]


def revision_of(connection: Connection) -> str | None:
    """None where the database has no revision yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(select(_NUMBER).select_from(_REVISION))
    return found


def check(connection: Connection) -> None:
    """Raises StoreOutdated where the database stands at another revision than this release needs."""
    current = revision_of(connection)
    if current == newest():
        return
    if current is not None and current not in known():
        raise StoreOutdated(f"the store stands at revision {current}, which a later release made; this one knows up to {newest()}")
    stands = "has no revision yet" if current is None else f"stands at revision {current}"
    raise StoreOutdated(f"the store {stands}, and this release needs {newest()}; `keepwell migrate` brings it up")


def confirm(connection: Connection) -> None:
    """Writes down once more at which revision the database stands."""
    connection.execute(update(_REVISION).values(version_num=_NUMBER))

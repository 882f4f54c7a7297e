"""Statements of every request: put together once for each kind of database, and then handed to its driver as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, Dialect, Insert, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIModule
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.dml import ReturningInsert


@dataclass(frozen=True)
class _Statement:
    """As a driver takes it: `usual` are the values that the query itself holds, `places` the names in the order of SQLite's values."""

    text: str
    usual: dict[str, Any]
    places: tuple[str, ...] | None

    @classmethod
    def of(cls, compiled: SQLCompiler) -> Self:
        usual = {name: value for name, value in compiled.params.items() if value is not None}
        return cls(compiled.string, usual, None if compiled.positiontup is None else tuple(compiled.positiontup))

    def bound(self, values: dict[str, int | str | list[str]]) -> tuple[Any, ...] | dict[str, Any]:
        """SQLite takes values by their places and has no lists."""
        every = self.usual | values
        if self.places is None:
            return every
        given = [every[name] for name in self.places]
        return tuple([json.dumps(value) if isinstance(value, list) else value for value in given])


@dataclass(frozen=True, eq=False)
class Prepared:
    """What gives rows. To put it together anew and to wrap each of its rows would take longer than the database does."""

    query: Select[Any] | ReturningInsert[Any]
    _statements: dict[str, _Statement] = field(default_factory=dict)

    def rows(self, connection: Connection, **values: int | str | list[str]) -> list[tuple[Any, ...]]:
        """Plain tuples. A list is bound by OneOf. Raises DBAPIError."""
        statement = self._for(connection.dialect)
        try:
            rows: list[tuple[Any, ...]] = driver_of(connection).execute(statement.text, statement.bound(values)).fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            raise failure_of(connection, error) from error
        return rows

    def _for(self, dialect: Dialect) -> _Statement:
        if dialect.name not in self._statements:
            self._statements[dialect.name] = _Statement.of(self.query.compile(dialect=dialect))
        return self._statements[dialect.name]


@dataclass(frozen=True, eq=False)
class Many:
    """A change that is made for each of many rows."""

    change: Insert | Update
    _texts: dict[str, str] = field(default_factory=dict)

    def each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """How many rows of the database it changed. Keys of a row that the change does not name are left out. Raises DBAPIError."""
        if not rows:
            return 0
        cursor = driver_of(connection).cursor()
        try:
            cursor.executemany(self._for(connection.dialect), rows)
        except connection.dialect.loaded_dbapi.Error as error:
            raise failure_of(connection, error) from error
        return int(cursor.rowcount)

    def _for(self, dialect: Dialect) -> str:
        """With names in the place of values, which both drivers take."""
        if dialect.name not in self._texts:
            named = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
            self._texts[dialect.name] = str(self.change.compile(dialect=named))
        return self._texts[dialect.name]


def driver_of(connection: Connection) -> Any:  # noqa: ANN401 - what both drivers have in common bears no name
    """The connection of the driver, which executes a statement by itself."""
    return connection.connection.dbapi_connection


def run(connection: Connection, statement: str) -> None:
    """As it stands. Raises DBAPIError."""
    try:
        driver_of(connection).execute(statement)
    except connection.dialect.loaded_dbapi.Error as error:
        raise failure_of(connection, error) from error


def failure_of(connection: Connection, error: DBAPIModule.Error) -> BaseException:
    """An error of the driver as SQLAlchemy raises it; where the connection is lost, all are made anew."""
    dialect = connection.dialect
    if dialect.is_disconnect(error, connection.connection.dbapi_connection, None):
        connection.invalidate(error)
        connection.engine.dispose()
    return DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error, dialect=dialect)

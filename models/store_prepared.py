"""Statements that every request asks: put together once for each kind of database, and then handed to its driver as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Dialect, Engine, PoolProxiedConnection, Select, bindparam
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import NullType

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.sql.compiler import SQLCompiler


class OneOf(ColumnElement[bool]):
    """`column` is one of the texts that are bound as `name`: the statement is the same for one of them and for a thousand.

    It has no type, for what SQLite makes of a Boolean (`... = 1`) hides the column from its index.
    """

    inherit_cache = True
    type = NullType()  # type: ignore[assignment]  # as said

    def __init__(self, column: Column[str], name: str) -> None:
        self.column = column
        self.bound: BindParameter[Any] = bindparam(name)


@compiles(OneOf, "sqlite")
def _in_json(element: OneOf, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - SQLAlchemy hands on what it was given
    bound = compiler.process(element.bound, **given)
    return f"{compiler.process(element.column, **given)} IN (SELECT value FROM json_each({bound}))"  # noqa: S608 - `bound` is a placeholder


@compiles(OneOf, "postgresql")
def _in_array(element: OneOf, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return f"{compiler.process(element.column, **given)} = ANY(CAST({compiler.process(element.bound, **given)} AS TEXT[]))"


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query. To put it together anew and to wrap each of its rows would take longer than the database does."""

    query: Select[Any]
    _compiled: dict[str, SQLCompiler] = field(default_factory=dict)

    def rows(self, connection: Connection, **values: int | str | Sequence[str]) -> list[tuple[Any, ...]]:
        """Plain tuples. A list is bound by `OneOf`."""
        compiled = self._for(connection.dialect)
        result = connection.exec_driver_sql(compiled.string, _bound(compiled, values))
        try:
            return result.cursor.fetchall()  # type: ignore[return-value]  # drivers give tuples
        except connection.dialect.loaded_dbapi.Error as error:
            raise OperationalError(compiled.string, None, error) from error
        finally:
            result.close()

    def rows_alone(self, engine: Engine, **values: int | str | Sequence[str]) -> list[tuple[Any, ...]]:
        """Without a transaction, which would take longer than the query does. Raises OperationalError."""
        compiled = self._for(engine.dialect)
        with _untransacted(engine) as connection:
            cursor = connection.cursor()
            cursor.execute(compiled.string, _bound(compiled, values))
            return list(cursor.fetchall())

    def _for(self, dialect: Dialect) -> SQLCompiler:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self.query.compile(dialect=dialect)
        return self._compiled[dialect.name]


@contextmanager
def _untransacted(engine: Engine) -> Iterator[PoolProxiedConnection]:
    """The driver of PostgreSQL begins a transaction unless it is told not to. Where one connection fails, all are made anew."""
    failed = engine.dialect.loaded_dbapi.Error
    try:
        connection = engine.raw_connection()
    except failed as error:
        raise OperationalError("", None, error) from error
    try:
        _begin_by_itself(engine, connection, begin=False)
        yield connection
        _begin_by_itself(engine, connection, begin=True)
    except failed as error:
        connection.invalidate()
        engine.dispose()
        raise OperationalError("", None, error) from error
    finally:
        connection.close()


def _begin_by_itself(engine: Engine, connection: PoolProxiedConnection, *, begin: bool) -> None:
    if engine.dialect.name == "postgresql":
        connection.dbapi_connection.autocommit = not begin  # type: ignore[union-attr]  # psycopg's own


def _bound(compiled: SQLCompiler, values: dict[str, int | str | Sequence[str]]) -> tuple[Any, ...] | dict[str, Any]:
    """SQLite takes values by their places and has no lists."""
    if compiled.positiontup is None:
        return values
    given = (values[name] for name in compiled.positiontup)
    return tuple(value if isinstance(value, int | str) else json.dumps(value) for value in given)

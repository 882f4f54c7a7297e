"""The whole store as tables of Arrow, and a store made of them: one state of the database, whichever of the two it is in."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    func,
    inspect,
    select,
    text,
)

from models import store_migrations
from models import store_privacy as privacy
from models import store_schema as schema
from models.errors import InputError
from models.store_migrations import VERSION_TABLE, Migration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class TableRows:
    """One table of the store; `batches` can be read once."""

    name: str
    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Snapshot:
    """One state of the store, for as long as its transaction lasts; its tables are read one after the other."""

    revision: str
    tables: Iterator[TableRows]


@dataclass(frozen=True)
class Filled:
    """rows: by table, as they were put in; erased_again: members of the backup who were erased in the store that it replaced.

    tombstones_lost: erasures of that store which cannot be carried over, because the two keep them under different keys.
    """

    rows: Mapping[str, int]
    migration: Migration
    erased_again: int = 0
    tombstones_lost: int = 0


class BackupStore(schema.Transactions):
    """The store's part that copies all of it, and is made of such a copy."""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All committed before it begins is in it, and nothing of what comes later; nobody waits for it."""
        with self._reading() as connection:
            revision = store_migrations.revision_of(connection) or ""
            yield Snapshot(revision, (_rows_of(connection, table) for table in schema.metadata.sorted_tables))

    def fill(
        self,
        revision: str,
        rows: Mapping[str, int],
        tables: Iterable[TableRows],
        *,
        replace: bool,
        before_commit: Callable[[], None],
    ) -> Filled:
        """Makes this the store that was copied at `revision`, brought up to this release; all or nothing, `before_commit` included.

        `rows` is how many each table has to have. Raises InputError where the store holds rows and is not to be replaced, where the copy
        is of a later release or does not hold the rows that it should.
        """
        with self._writing() as connection:
            graves = _emptied(connection, replace=replace)
            filled = _filled(connection, revision, rows, tables)
            again, lost = (0, 0) if graves is None else privacy.bury_again(connection, graves)
            before_commit()
        return Filled(filled.rows, filled.migration, again, lost)


def _rows_of(connection: Connection, table: Table) -> TableRows:
    """JSON as the text that it is kept as."""
    import pyarrow as pa  # noqa: PLC0415 - a service that starts needs no Arrow

    kinds = pa.schema([(column.name, _kind(column)) for column in table.columns])
    columns = [cast(column, Text) if isinstance(column.type, JSON) else column for column in table.columns]
    return TableRows(table.name, kinds, _batches(connection, select(*columns), kinds))


def _kind(column: Column[Any]) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415 - likewise

    kinds = (
        (Integer, pa.int64()),
        (Float, pa.float64()),
        (Text | JSON, pa.large_string()),
        (LargeBinary, pa.large_binary()),
    )
    return next(kind for of, kind in kinds if isinstance(column.type, of))


def _batches(connection: Connection, query: Select[Any], kinds: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa  # noqa: PLC0415 - likewise

    for rows in connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)).partitions():
        columns = zip(*rows, strict=True)
        yield pa.record_batch([pa.array(values, kind.type) for values, kind in zip(columns, kinds, strict=True)], schema=kinds)


def _emptied(connection: Connection, *, replace: bool) -> privacy.Graves | None:
    """Who was erased in the store that stood here; None where none did, or nobody was."""
    current = store_migrations.revision_of(connection)
    if current is not None and current not in store_migrations.known():
        store_migrations.check(connection)
    there = set(inspect(connection).get_table_names())
    held = _held(connection, there)
    if held and not replace:
        told = ", ".join(f"{rows:,} {name}" for name, rows in held.items())
        raise InputError(f"the store holds {told}; --replace puts the backup in their place, or give another store in KEEPWELL_STORE_URL")
    graves = privacy.graves(connection) if {"erasures", "settings"} <= there else None
    schema.metadata.drop_all(connection)
    connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
    return graves


def _held(connection: Connection, there: set[str]) -> dict[str, int]:
    """Rows by table, of those that have any."""
    tables = [table for table in schema.metadata.sorted_tables if table.name in there]
    counts = {table.name: _count(connection, table) for table in tables}
    return {name: rows for name, rows in counts.items() if rows}


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _filled(connection: Connection, revision: str, rows: Mapping[str, int], tables: Iterable[TableRows]) -> Filled:
    if revision not in store_migrations.known():
        newest = store_migrations.newest()
        raise InputError(f"the backup is of revision {revision}, which a later release made; this one knows up to {newest}")
    from models.store_migrations.upgrading import upgrade  # noqa: PLC0415 - as for the store that is brought up

    upgrade(connection, revision)
    made = MetaData()
    made.reflect(connection)
    for table in tables:
        _insert(connection, made.tables[table.name], table)
    counts = {name: _count(connection, made.tables[name]) for name in rows}
    if counts != dict(rows):
        wrong = next(name for name in rows if counts[name] != rows[name])
        raise InputError(f"table {wrong}: {counts[wrong]:,} rows were put in, and the backup was made of {rows[wrong]:,}; take another")
    _number_on(connection, [made.tables[name] for name in rows])
    return Filled(counts, Migration(revision, upgrade(connection).after))


def _insert(connection: Connection, table: Table, told: TableRows) -> None:
    for batch in told.batches:
        rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        schema.insert_rows(connection, schema.insert_new(connection, table), told.schema.names, rows)


def _number_on(connection: Connection, tables: Iterable[Table]) -> None:
    """PostgreSQL gives running numbers by a sequence of its own, which knows nothing of rows that came with theirs."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.primary_key:
            sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
            if sequence is not None:
                last = connection.scalar(select(func.max(column)))
                connection.execute(select(func.setval(sequence, last or 1, last is not None)))

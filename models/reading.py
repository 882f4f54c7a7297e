"""What reading the log, the members and the touches have in common: where tables lie, and what a cell may hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from models.declaration import Key, line_of
from models.errors import InputError
from models.marks import Marks, plain_numbers
from models.screening import Fault
from models.table_files import header_hint
from models.tables import Table, cell_texts, open_table
from models.times import Times, read_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from models.findings import Finding
    from models.marks import Decimal

YES, NO = ("true", "1", "yes", "y", "t", "是"), ("false", "0", "no", "n", "f", "否")


@dataclass(frozen=True)
class Read:
    """The usable rows of one table, the others, and what was found."""

    rows: pl.DataFrame
    rejected: pl.DataFrame
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Habits:
    """How the cells of whole columns of one table are written, for those who read a part of it: which part tells must not matter.

    orders: of day and month, by the column of times. decimals: by the column of amounts. quantities: columns of numbers.
    """

    orders: Mapping[str, Sequence[str]]
    decimals: Mapping[str, Decimal]
    quantities: frozenset[str]


@dataclass(frozen=True)
class Place:
    """Where tables lie, how their times are read, and the lines of the declaration that names their columns.

    Without `habits` a column is taken for whole, and tells of itself how it is written.
    """

    root: Path
    lines: Mapping[Key, int]
    timezone: str
    now: datetime
    habits: Habits | None = None

    def times(self, column: pl.Series) -> Times:
        orders = None if self.habits is None else self.habits.orders.get(column.name, ())
        return read_times(column, self.timezone, orders)

    def numbers(self, column: pl.Series, *, semicolons: bool) -> pl.Series:
        """Amounts, with marks of currency and thousands: `1.234,50 €` is 1234.5 where cells of the column show what its marks mean.

        Of a table whose fields are separated by semicolons `12,50` is 12.5 also where they do not, unless some value has a point.
        """
        number = numbers(column)
        if not is_text(column) or (self.habits is None and not not_a_number(column, number).any()):
            return number
        decimal = Marks.of(column).decimal(semicolons=semicolons) if self.habits is None else self.habits.decimals.get(column.name, "")
        return numbers(plain_numbers(cell_texts(column), decimal))

    def typed(self, column: pl.Series) -> pl.Series:
        return typed(column) if self.habits is None else typed(column, quantity=column.name in self.habits.quantities)

    def open(self, path: str, section: str, columns: Mapping[str, str | None]) -> Table:
        """`columns` maps keys of the section to the columns they name; raises InputError for one that the table lacks."""
        table = open_table(located(self.root, path))
        for key, column in columns.items():
            if column is not None:
                self.require(column, table, path, section, key)
        return table

    def require(self, column: str, table: Table, path: str, section: str, key: str) -> None:
        """Raises InputError for a column that the table lacks, named by `key` of the section; of a nested key by `a.b`."""
        if column in table.columns:
            return
        has = ", ".join(f'"{name}"' for name in table.columns[:20])
        line = line_of(self.lines, (section, *(int(part) if part.isdigit() else part for part in key.split("."))))
        where = "" if line is None else f" (line {line})"
        raise InputError(f'{section}.{key}: no column "{column}" in {path}; it has {has}{where}{header_hint(table.columns)}')

    def time_faults(self, raw: pl.Series, read: Times) -> list[Fault]:
        absent = raw.is_null() if raw.dtype.is_temporal() else cell_texts(raw).is_null()
        return [
            Fault(absent, raw.name, "no_time"),
            Fault(read.timestamp.is_null() & ~absent, raw.name, "time_unread"),
            Fault(self.future(read), raw.name, "time_future"),
        ]

    def future(self, read: Times) -> pl.Series:
        return (read.timestamp > self.now).fill_null(value=False)


def located(root: Path, path: str) -> Path:
    """A declared path, from the folder of the declaration, without `..`."""
    return Path(os.path.normpath(root / path))


def is_text(column: pl.Series) -> bool:
    return not (column.dtype.is_numeric() or column.dtype == pl.Boolean)


def typed(column: pl.Series, *, quantity: bool | None = None) -> pl.Series:
    """Numbers where every cell that holds anything is one, else text; `quantity` says so of the whole column this is a part of."""
    number = numbers(column)
    return number if (is_quantity(column, number) if quantity is None else quantity) else cell_texts(column)


def is_quantity(column: pl.Series, number: pl.Series) -> bool:
    """`number`: what could be read of the column."""
    return number.count() > 0 and not not_a_number(column, number).any()


def numbers(column: pl.Series) -> pl.Series:
    """Float64; null where there is nothing or no finite number."""
    number = (cell_texts(column).str.strip_chars() if is_text(column) else column).cast(pl.Float64, strict=False)
    return number.set(~number.is_finite().fill_null(value=True), None)


def not_a_number(column: pl.Series, number: pl.Series) -> pl.Series:
    """True where a cell holds something that could not be read as a number."""
    unread = number.is_null() & column.is_not_null()
    if not unread.any():
        return unread
    rows = unread.arg_true()
    return unread.scatter(rows, cell_texts(column.gather(rows)).is_not_null())


def flags(column: pl.Series) -> pl.Series:
    """Boolean; null where the cell says neither yes nor no."""
    word = cell_texts(column).str.strip_chars().str.to_lowercase()
    return pl.select(pl.when(word.is_in(YES)).then(True).when(word.is_in(NO)).then(False)).to_series()  # noqa: FBT003 - values, not switches

"""What the partitions of a log add up to, and the rows of theirs that are refused: the one look at all before anything is decided."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow as pa

from models.census import Span
from models.errors import InputError
from models.groups import MOST_VALUES, group_findings, groups_of_log
from models.moments import EPOCH
from pipelines.distributed_parts import Assembly
from pipelines.distributed_rows import Kind, to_batches

if TYPE_CHECKING:
    from models.events import EventLog

FOUND = pa.schema([("sums", pa.string()), ("table", pa.string()), ("reason", pa.string()), ("row", pa.string())])
"""A partition's Sums as JSON in its last row, and one row for each that is refused."""

MARKS = 1 << 64
MARKED = ("member", "kind", "at_us", "type", "value", "channel", "event_id", "more")


@dataclass(frozen=True)
class Sums:
    """first_us, last_us: of the events. refused: rows by table. joined_us: of who joined first. groups: values of each group column.

    declared_us: the first and the last of the declared events, of members who were erased too.
    mark: of the rows of the tables, in whatever order and partitions they are; another one as soon as one row is another.
    """

    members: int = 0
    events: int = 0
    first_us: int | None = None
    last_us: int | None = None
    joined_us: int | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mark: int = 0
    declared_us: tuple[int, int] | None = None

    def __add__(self, other: Self) -> Self:
        groups = {name: {*self.groups.get(name, ()), *other.groups.get(name, ())} for name in {**self.groups, **other.groups}}
        return type(self)(
            self.members + other.members,
            self.events + other.events,
            _least(self.first_us, other.first_us),
            _most(self.last_us, other.last_us),
            _least(self.joined_us, other.joined_us),
            Counter(self.refused) + Counter(other.refused),
            {name: tuple(sorted(values)[: MOST_VALUES + 1]) for name, values in groups.items()},
            (self.mark + other.mark) % MARKS,
            _wider(self.declared_us, other.declared_us),
        )

    @property
    def span(self) -> Span:
        """Of the declared log; of all events where nothing of it can be used."""
        first, last = self.declared_us or (self.first_us or 0, self.last_us or 0)
        return Span(*(EPOCH + timedelta(microseconds=at) for at in (first, last)))

    @property
    def last(self) -> datetime:
        """Raises InputError where no event can be used."""
        if self.last_us is None:
            told = ", ".join(f"{rows:,} of {table}" for table, rows in sorted(self.refused.items())) or "none"
            raise InputError(f"the log has no event that can be used; rows refused: {told}; `keepwell check` on a part of it says why")
        return EPOCH + timedelta(microseconds=self.last_us)

    @property
    def first(self) -> datetime:
        """Of a log that has a last event."""
        return EPOCH + timedelta(microseconds=self.first_us or 0)

    def to_json(self) -> str:
        return json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        told = json.loads(text)
        declared = told["declared_us"]
        groups = {name: tuple(values) for name, values in told["groups"].items()}
        return cls(**told | {"groups": groups, "declared_us": None if declared is None else tuple(declared)})


def _wider(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    spans = [span for span in (one, other) if span is not None]
    return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None


def _least(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else max(one, other)


@dataclass(frozen=True)
class Add:
    """Tells of each partition its sums, and its rows that are refused."""

    assembly: Assembly

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sums = Sums()
        for taken in self.assembly.blocks(batches):
            refused = taken.refused.select("table", pl.col("channel").alias("reason"), pl.col("more").alias("row"))
            yield from to_batches(refused, FOUND)
            of_log = self._sums(taken.log, Counter(refused["table"].to_list()))
            sums += replace(of_log, mark=_mark(taken.rows), declared_us=_declared(taken.rows))
        yield from pa.Table.from_pylist([{"sums": sums.to_json()}], FOUND).to_batches()

    def _sums(self, log: EventLog, refused: Mapping[str, int]) -> Sums:
        at, joined = log.events["timestamp"].to_physical(), log.members["joined"].to_physical()
        groups = groups_of_log(log.members, self.assembly.declared)
        values = {column.name: tuple(column.drop_nulls().unique().sort().head(MOST_VALUES + 1).to_list()) for column in groups}
        return Sums(log.members.height, log.events.height, at.min(), at.max(), joined.min(), refused, values)  # type: ignore[arg-type]  # polars types a minimum as any literal


def _mark(rows: pl.DataFrame) -> int:
    """Of the declared tables."""
    hashes = rows.filter(pl.col("kind") <= int(Kind.TOUCH)).select(MARKED).hash_rows(seed=0)
    return int(hashes.to_numpy().sum(dtype=np.uint64))


def _declared(rows: pl.DataFrame) -> tuple[int, int] | None:
    at = rows.filter(pl.col("kind") == int(Kind.EVENT))["at_us"]
    return None if at.is_empty() else (at.min(), at.max())  # type: ignore[return-value]  # polars types a minimum as any literal


def check_groups_of(sums: Sums) -> None:
    """Raises InputError for the first group that has too many values."""
    for name, values in sums.groups.items():
        for finding in group_findings(pl.DataFrame({name: pl.Series(values, dtype=pl.String)})):
            raise InputError(f"{finding.message}; {finding.what_to_do}")

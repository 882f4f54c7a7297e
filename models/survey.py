"""What has to be known of a whole table of events before a part of it can be read as the whole would be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.marks import Marks, decimal_of
from models.reading import Habits, is_text
from models.scattering import Ranges
from models.tables import cell_texts, id_texts
from models.times import Unordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Integers
    from models.reading import Place
    from models.sources import LogSource
    from models.tables import Chunks


@dataclass(frozen=True)
class Survey:
    """counted: `member_id` and `events`, the rows of each, usable or not. repeated (n_rows,): rows whose event id an earlier row has.

    `habits` of the columns; None where one chunk is the table, and tells of itself.
    """

    counted: pl.DataFrame
    repeated: Flags
    habits: Habits | None

    @classmethod
    def of(cls, chunks: Chunks, source: LogSource, place: Place) -> Self:
        """Raises InputError where the day and the month of times cannot be told apart."""
        counts: list[pl.DataFrame] = []
        hashes: list[Integers] = []
        unordered: list[Unordered] = []
        marks: list[Marks] = []
        for raw in chunks:
            counts.append(_counts(id_texts(raw[source.member])))
            hashes.append(_hashes(raw, source.event_id))
            if chunks.alone is None:
                unordered.append(Unordered.of(raw[source.time], place.timezone))
                marks += [Marks.of(raw[source.value])] if source.value is not None and is_text(raw[source.value]) else []
        return cls(_summed(counts), _repeated(np.concatenate(hashes), chunks, source.event_id), _habits(source, unordered, marks))

    def ranges(self, added: Sequence[pl.DataFrame] = ()) -> Ranges:
        """Of these members and of those in tables that are added."""
        return Ranges.of(_summed([self.counted, *(_counts(rows["member_id"]) for rows in added)]))


def _habits(source: LogSource, unordered: Sequence[Unordered], marks: Sequence[Marks]) -> Habits | None:
    """None where nothing was asked; only Parquet is read in chunks, so no fields are separated by semicolons."""
    if not unordered:
        return None
    decimals = {source.value: decimal_of(marks, semicolons=False)} if source.value is not None else {}
    return Habits({source.time: reduce(add, unordered).orders(source.time)}, decimals, frozenset())


def _counts(members: pl.Series) -> pl.DataFrame:
    return members.drop_nulls().rename("member_id").to_frame().group_by("member_id").agg(events=pl.len().cast(pl.Int64))


def _summed(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(counts).group_by("member_id").agg(pl.col("events").sum())


def _hashes(raw: pl.DataFrame, event_id: str | None) -> Integers:
    """0 for rows without an id; shape (n,)."""
    if event_id is None:
        return np.zeros(raw.height, dtype=np.uint64)
    told = cell_texts(raw[event_id])
    return told.hash().set(told.is_null(), 0).to_numpy()


def _repeated(hashes: Integers, chunks: Chunks, event_id: str | None) -> Flags:
    """The texts themselves are compared where their hashes are equal."""
    repeated = np.zeros(len(hashes), dtype=np.bool_)
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][(ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)])
    if event_id is None or not len(twice):
        return repeated
    rows = np.flatnonzero(np.isin(hashes, twice))
    texts, begin = [], 0
    for raw in chunks:
        mine = rows[(rows >= begin) & (rows < begin + raw.height)] - begin
        texts.append(cell_texts(raw[event_id].gather(mine)))
        begin += raw.height
    repeated[rows] = ~pl.concat(texts).is_first_distinct().to_numpy()
    return repeated

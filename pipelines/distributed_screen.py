"""Rows are screened where they are read: on the executors, one Arrow batch after the other, by the rules of one machine."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from models.community import Community
from models.habits import Asked, Clues
from models.intake import event_rows
from models.member_columns import kept_columns
from models.screening import MISFIT
from models.side_tables import member_rows, touch_rows
from models.texts import text
from pipelines.distributed_rows import SHAPE, Kind, frame_of, refused_rows, shaped_events, shaped_touches, texts_to_json, to_batches

if TYPE_CHECKING:
    from models.reading import Place
    from models.screening import Fault

FILE, BLOCK, ROW, STRANGE = "__file", "__block", "__row", "__strange"
"""Columns beside those of a table: where a row stands - its file, the beginning of its block, its place in it -, and the text of a row of
CSV that has not as many fields as the header."""
BESIDE = (FILE, BLOCK, ROW, STRANGE)
CLUES = pa.schema([("clues", pa.string())])


@dataclass(frozen=True)
class Look:
    """Tells of each partition what it shows of the habits of its columns: JSON of Clues."""

    asked: Asked
    zone: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        clues = sum((Clues.of(frame_of(batch), self.asked, self.zone) for batch in batches), Clues())
        yield from pa.table({"clues": [clues.to_json()]}, CLUES).to_batches()


@dataclass(frozen=True)
class Screen:
    """Of one table, what turns its raw rows into those that are shuffled.

    community: JSON, for what is sent to executors is plain; files: their numbers in the order of the table; width: columns of the header;
    arms: as of `logged_arms`.
    """

    table: str
    community: str
    place: Place
    files: Mapping[str, int]
    separator: str = ","
    width: int = 0
    arms: Mapping[str, str] | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shaped = {"events": _events, "members": _members, "touches": _touches}[self.table]
        for batch in batches:
            raw = frame_of(batch)
            number = raw[FILE].replace_strict(self.files, return_dtype=pl.Int32)
            stands = [number.alias("file"), raw[BLOCK].alias("block"), raw[ROW].alias("row")]
            yield from to_batches(shaped(self, raw).with_columns(*stands, pl.lit(0, pl.Int32).alias("source")), SHAPE)

    @property
    def declared(self) -> Community:
        return community_of(self.community)

    @property
    def semicolons(self) -> bool:
        return self.separator == ";"


@dataclass(frozen=True)
class Deliveries:
    """Turns the rows of files of days, which were screened when they came, into those that are shuffled; `sources` by file."""

    sources: Mapping[str, int]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            raw = frame_of(batch)
            source = raw[FILE].replace_strict(self.sources, return_dtype=pl.Int32).alias("source")
            rows = shaped_events(raw, Kind.EVENT).with_columns(source, raw[BLOCK].alias("block"), raw[ROW].alias("row"))
            yield from to_batches(rows.with_columns(pl.lit(0, pl.Int32).alias("file")), SHAPE)


@lru_cache(maxsize=4)
def community_of(text: str) -> Community:
    return Community.model_validate_json(text)


def _events(screen: Screen, raw: pl.DataFrame) -> pl.DataFrame:
    told = event_rows(raw, screen.declared.log, screen.place, semicolons=screen.semicolons)
    return _screened(screen, raw, told.faults, shaped_events(told.rows, Kind.EVENT))


def _members(screen: Screen, raw: pl.DataFrame) -> pl.DataFrame:
    """A row that is refused stays with its member, of whom no later row is taken."""
    source = screen.declared.members
    assert source is not None  # noqa: S101 - there is such a table
    told = member_rows(raw.drop(*BESIDE, strict=False), source, screen.place, screen.declared)
    nobody, *others = told.faults
    reasons = _reasons(raw, others)
    rows = told.rows.select(
        pl.col("member_id").alias("member"),
        pl.lit(int(Kind.MEMBER), pl.Int8).alias("kind"),
        texts_to_json(told.rows.select(pl.col("joined").to_physical(), *kept_columns(screen.declared))).alias("more"),
        reasons["form"].alias("type"),
        reasons["reason"].alias("channel"),
    )
    return _screened(screen, raw, [nobody], rows)


def _touches(screen: Screen, raw: pl.DataFrame) -> pl.DataFrame:
    source = screen.declared.touches
    assert source is not None  # noqa: S101 - there is such a table
    told = touch_rows(raw, source, screen.place, screen.arms or {}, semicolons=screen.semicolons)
    return _screened(screen, raw, told.faults, shaped_touches(told.rows, Kind.TOUCH))


def _reasons(raw: pl.DataFrame, faults: Sequence[Fault]) -> pl.DataFrame:
    """`form`, the fault's code and after a blank its column, and `reason` of the first fault that holds, null where none does."""
    form, reason = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for fault in reversed(faults):
        form = pl.when(fault.mask).then(pl.lit(f"{fault.code} {fault.column}")).otherwise(form)
        reason = pl.when(fault.mask).then(fault.told).otherwise(reason)
    return raw.select(form.alias("form"), reason.alias("reason"))


def _screened(screen: Screen, raw: pl.DataFrame, faults: Sequence[Fault], rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` in their order, with those that are refused for what they are."""
    reasons = _reasons(raw, faults)
    if STRANGE in raw.columns:
        many = pl.Series([_too_many(line, screen) for line in raw[STRANGE]], dtype=pl.Boolean)
        why = {"form": MISFIT, "reason": text("en", f"fault.{MISFIT}.found")}
        reasons = reasons.select(pl.when(many).then(pl.lit(why[name])).otherwise(pl.col(name)).alias(name) for name in why)
    bad = reasons["form"].is_not_null()
    if not bad.any():
        return rows
    told = reasons.filter(bad)
    refused = refused_rows(told["form"], told["reason"], screen.table, texts_to_json(raw.filter(bad).drop(FILE, BLOCK, ROW)))
    if "event_id" in rows.columns:
        refused = refused.with_columns(rows.filter(bad)["event_id"])
    stood = np.concatenate([np.flatnonzero(~bad.to_numpy()), np.flatnonzero(bad.to_numpy())])
    return pl.concat([rows.filter(~bad), refused], how="diagonal")[np.argsort(stood)]


def _too_many(line: str | None, screen: Screen) -> bool:
    """Spark tells rows with too many fields and with too few alike; what those lack is missing, no more."""
    return line is not None and len(next(csv.reader([line], delimiter=screen.separator))) > screen.width

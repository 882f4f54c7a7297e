"""What Spark shuffles: the rows of all tables in one shape, so that a member's lie together."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from models.side_tables import known_response
from models.times import UTC_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql.types import StructType


class Kind(IntEnum):
    """In the order in which the rows of a member are told."""

    MEMBER = 0
    EVENT = 1
    TOUCH = 2
    POSTED_EVENT = 3
    POSTED_TOUCH = 4
    WISH = 5
    REFUSED = 6


SHAPE = pa.schema(
    [
        ("member", pa.string()),
        ("kind", pa.int8()),
        ("source", pa.int32()),
        ("at_us", pa.int64()),
        ("file", pa.int32()),
        ("block", pa.int64()),
        ("row", pa.int64()),
        ("type", pa.string()),
        ("value", pa.float64()),
        ("channel", pa.string()),
        ("event_id", pa.string()),
        ("more", pa.string()),
        ("table", pa.string()),
    ]
)
"""`at_us`: microseconds since 1970 UTC. `source`: 0 for the declared table, 1 and more for files of days in their order; `file`, `block`
and `row` tell the row's place in it.

A touch has its intervention in `type`, whether it was delivered in `value`, the response as it was written in `event_id`; what else it
has, and the columns of a member, stand in `more`, JSON of texts. A row that is refused has no member, its `table`, in `type` the code of
its fault and after a blank the column, the reason in `channel` and its cells in `more`. A reason has members' rows too: they stay with the
member, each may be the first.
"""
ORDER = ("member", "kind", "source", "at_us", "file", "block", "row")
_OF_TOUCHES = frozenset({"member_id", "timestamp", "intervention", "channel", "delivered", "response"})


def frame_of(batch: pa.RecordBatch) -> pl.DataFrame:
    told = pl.from_arrow(batch)
    assert isinstance(told, pl.DataFrame)  # noqa: S101 - polars gives a frame for a batch
    return told


def to_batches(frame: pl.DataFrame, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The columns of `schema`; those that the frame lacks are null."""
    arrays = [
        frame[field.name].to_arrow().cast(field.type) if field.name in frame.columns else pa.nulls(frame.height, field.type)
        for field in schema
    ]
    batches: list[pa.RecordBatch] = pa.Table.from_arrays(arrays, schema=schema).to_batches()
    return batches


def spark_schema(schema: pa.Schema) -> StructType:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)


def _kind(kind: Kind) -> pl.Expr:
    return pl.lit(int(kind), pl.Int8).alias("kind")


def shaped_events(rows: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Of the columns of `read_events`."""
    at = pl.col("timestamp").to_physical().alias("at_us")
    return rows.select(pl.col("member_id").alias("member"), _kind(kind), at, "type", "value", "channel", "event_id")


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """What `shaped_events` was given."""
    at = pl.col("at_us").cast(UTC_TIME).alias("timestamp")
    return rows.select(pl.col("member").alias("member_id"), at, "type", "value", "channel", "event_id")


def shaped_touches(rows: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Of touches with `member_id`."""
    further = rows.select(pl.col(name).to_physical() for name in rows.columns if name not in _OF_TOUCHES)
    more = texts_to_json(further) if further.width else pl.lit(None, pl.String)
    return rows.select(
        pl.col("member_id").alias("member"),
        _kind(kind),
        pl.col("timestamp").to_physical().alias("at_us"),
        pl.col("intervention").alias("type"),
        pl.col("delivered").cast(pl.Float64).alias("value"),
        "channel",
        pl.col("response").alias("event_id"),
        more.alias("more"),
    )


def touches_of(rows: pl.DataFrame, further: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """What `shaped_touches` was given; `further`: its other columns."""
    more = texts_from_json(rows["more"], further)
    return rows.select(
        pl.col("member").alias("member_id"),
        pl.col("at_us").cast(UTC_TIME).alias("timestamp"),
        pl.col("type").alias("intervention"),
        "channel",
        (pl.col("value") == 1).alias("delivered"),
        known_response(rows["event_id"]).alias("response"),
    ).hstack([_as(more[name], kind) for name, kind in further.items()])


def further_of(touches: pl.DataFrame) -> dict[str, pl.DataType]:
    return {name: kind for name, kind in touches.schema.items() if name not in _OF_TOUCHES}


def _as(text: pl.Series, kind: pl.DataType) -> pl.Series:
    if kind == pl.Boolean:
        return text.replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean)
    return text.cast(pl.Int64).cast(kind) if kind.is_temporal() else text.cast(kind)


def refused_rows(form: pl.Series, reason: pl.Series, table: str, cells: pl.Series) -> pl.DataFrame:
    told = pl.DataFrame({"type": form, "channel": reason, "more": cells})
    return told.with_columns(_kind(Kind.REFUSED), pl.lit(table).alias("table"))


def texts_to_json(frame: pl.DataFrame) -> pl.Series:
    """Numbers as texts that read back as the same number; of one column at least."""
    return frame.select(pl.struct(pl.all().cast(pl.String)).struct.json_encode()).to_series()


def texts_from_json(column: pl.Series, names: Iterable[str]) -> pl.DataFrame:
    """A text column for each name, null where a row has none."""
    fields = pl.Struct(dict.fromkeys(names, pl.String))
    return column.fill_null("{}").str.json_decode(fields).struct.unnest() if fields.fields else pl.DataFrame()

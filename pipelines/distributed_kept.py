"""What a run on Spark tells the store: the declared log and the rows of decisions, made on the executors, whole members at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from models.declared import Language
from models.events import EventLog
from models.store_rows import DecisionRow
from pipelines.distributed_parts import Assembly
from pipelines.kept_rows import rows_to_keep
from pipelines.packed_tables import packed, unpacked

if TYPE_CHECKING:
    from models.engine import Engine
    from pipelines.parts import Batch

KEPT = "__kept"
"""A column beside those of decisions: in rows of its own, in which all others are null, some rows of the store."""
AT_ONCE = 1_000
LOG = pa.schema([(name, pa.binary()) for name in ("members", "events", "touches")])
COLUMNS = {
    **dict.fromkeys(("decision_id", "member_id", "model_version", "chosen", "channel", "body", "propensities", "basis"), pl.String),
    **dict.fromkeys(("created_us", "expires_us", "drawn_us"), pl.Int64),
    "cost": pl.Float64,
    "risk_band": pl.String,
    "rests": pl.Boolean,
}
"""Of DecisionRow, but for what only the store knows, and for what nothing is kept of in a run."""


@dataclass(frozen=True)
class Keeping:
    """`event_key`: the event that had arrived last when the log had been read; None where some came meanwhile."""

    event_key: int | None

    def told(self, engine: Engine, batch: Batch, at: datetime, language: Language) -> Iterator[pl.DataFrame]:
        """Rows with KEPT alone."""
        rows = rows_to_keep(engine, batch, at, language, self.event_key)
        while some := list(islice(rows, AT_ONCE)):
            frame = pl.DataFrame({name: [getattr(row, name) for row in some] for name in COLUMNS}, schema=COLUMNS)
            yield pl.DataFrame({KEPT: [packed(frame)]})


def rows_of(kept: bytes | bytearray) -> Iterator[DecisionRow]:
    """As `Keeping` packed them; no contacts were seen."""
    return (DecisionRow(contacts_seen=0, **row) for row in unpacked(kept).iter_rows(named=True))


@dataclass(frozen=True)
class TellLog:
    """Turns the rows of a partition into the declared log of its members, in rows with LOG."""

    assembly: Assembly

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for log in self.assembly.declared_logs(batches):
            tables = (log.members, log.events, log.touches)
            cells = [pa.array([None if table is None else packed(_plain(table))], pa.binary()) for table in tables]
            yield pa.record_batch(cells, schema=LOG)


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def log_of_cells(cells: Sequence[bytes | bytearray | None]) -> EventLog:
    """Of a row with LOG; texts where a log has categories."""
    members, events, touches = (None if cell is None else unpacked(cell) for cell in cells)
    assert members is not None  # noqa: S101 - as TellLog tells
    assert events is not None  # noqa: S101 - as above
    return EventLog(events, members, touches)

"""The canonical log as it lies in a folder: read whole, or part of the members after part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from models.events import EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE, EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from models.canonical import Intake
    from models.shelves import Shelf

FIRST_FILE = "first.parquet"


def part_name(part: int) -> str:
    return f"part-{part:05d}"


@dataclass(frozen=True)
class KeptLog:
    """EVENTS_FILE in `folder` is a folder with a file for each part: part p is of the members from `ends[p - 1]`, or 0, up to `ends[p]`.

    `events` are counted, `first` and `last` are their times.
    """

    folder: Path
    ends: tuple[int, ...]
    events: int
    first: datetime
    last: datetime

    @cached_property
    def members(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / MEMBERS_FILE)

    @cached_property
    def first_events(self) -> pl.DataFrame:
        """`member_id` and `first`, of the members who have events."""
        return pl.read_parquet(self.folder / FIRST_FILE)

    @property
    def touches(self) -> pl.DataFrame | None:
        file = self.folder / TOUCHES_FILE
        return pl.read_parquet(file) if file.exists() else None

    def read(self) -> EventLog:
        """All of it. Raises OSError or PolarsError where it is damaged."""
        return EventLog.read(self.folder)

    def scan(self) -> pl.LazyFrame:
        """`EventLog.events` of all parts."""
        return pl.scan_parquet(self._events / "*.parquet")

    def parts(self) -> Iterator[EventLog]:
        for part in range(len(self.ends)):
            yield self.part(part)

    def part(self, part: int) -> EventLog:
        """As a log of its own."""
        begin = self.begin(part)
        end = self.ends[part]
        events = pl.read_parquet(self._events / f"{part_name(part)}.parquet")
        return EventLog(_counted_from(events, begin), self.members.slice(begin, end - begin), self._touches(begin, end))

    def begin(self, part: int) -> int:
        return self.ends[part - 1] if part else 0

    @property
    def _events(self) -> Path:
        return self.folder / EVENTS_FILE

    def _touches(self, begin: int, end: int) -> pl.DataFrame | None:
        file = self.folder / TOUCHES_FILE
        if not file.exists():
            return None
        return _counted_from(pl.scan_parquet(file).filter(pl.col("member").is_between(begin, end, closed="left")).collect(), begin)


def _counted_from(rows: pl.DataFrame, begin: int) -> pl.DataFrame:
    return rows.with_columns(pl.col("member") - pl.lit(begin, dtype=pl.UInt32))


def keep_rest(folder: Path, intake: Intake) -> None:
    """What belongs beside the parts, which lie there already."""
    intake.members.write_parquet(folder / MEMBERS_FILE)
    intake.first_events.write_parquet(folder / FIRST_FILE)
    if intake.touches is not None:
        intake.touches.write_parquet(folder / TOUCHES_FILE, row_group_size=1 << 18)


@dataclass(frozen=True)
class KeptPieces:
    """A shelf on which the events of a kept log lie already, under the names of its parts; what is put goes to `fresh`.

    place (n_members,): the new code of each member of the kept log.
    """

    kept: KeptLog
    place: pl.Series
    fresh: Shelf

    def put(self, name: str, table: pl.DataFrame) -> None:
        self.fresh.put(name, table)

    def get(self, name: str) -> pl.DataFrame:
        file = self.kept.folder / EVENTS_FILE / f"{name}.parquet"
        if not file.exists():
            return self.fresh.get(name)
        rows = pl.read_parquet(file)
        code = self.place.gather(rows["member"]).alias("code")
        return rows.drop("member").insert_column(0, code).with_columns(pl.col("type").cast(pl.String))

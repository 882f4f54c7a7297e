"""Reads the declared tables into the canonical log: every row is accepted, or kept whole with its line and the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.canonical import Intake, Parted, taken_in
from models.declaration import NO_LINES, Key
from models.findings import Finding
from models.reading import Place, Read, not_a_number
from models.scattering import Ranges, Scattered, new_rows, resumed, silent
from models.screening import Fault, Screened, first_fault
from models.shelves import Desk, Shelves
from models.survey import Survey
from models.tables import Table, cell_texts, id_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.findings import Told
    from models.kept_log import KeptLog
    from models.scattering import Advance
    from models.shelves import Shelf
    from models.sources import LogSource
    from models.times import Times


def read_log(
    community: Community,
    root: Path,
    *,
    now: datetime,
    lines: Mapping[Key, int] = NO_LINES,
    added: Sequence[pl.DataFrame] = (),
    shelves: Shelves | None = None,
    advance: Advance = silent,
) -> Intake:
    """Relative paths start at `root`; `lines` are those of the declaration; `added`: rows of other files, as `read_events` gives them.

    Without `shelves` everything stays in memory. Raises InputError where nothing can be read.
    """
    place, kept = Place(root, lines, community.timezone, now), Shelves(Desk(), Desk()) if shelves is None else shelves
    return taken_in(read_in_parts(community.log, place, kept.pieces, added, advance), community, place, kept.parts, advance)


def continue_log(
    community: Community,
    root: Path,
    kept: KeptLog,
    added: Sequence[pl.DataFrame],
    *,
    now: datetime,
    lines: Mapping[Key, int] = NO_LINES,
    shelves: Shelves,
    advance: Advance = silent,
) -> Intake:
    """What `read_log` would give for the log that was kept and `added` ones, without reading the declared log again.

    What was rejected and found in its rows is not told again.
    """
    place = Place(root, lines, community.timezone, now)
    scattered = resumed(kept, added, shelves.pieces)
    for rows in added:
        scattered.add(new_rows(scattered, rows))
    return taken_in(Parted(scattered, pl.DataFrame(), ()), community, place, shelves.parts, advance)


def take_in(events: Read, community: Community, place: Place) -> Intake:
    """As `read_log`, where the events were read before."""
    scattered = Scattered(Ranges.of_rows(events.rows), Desk())
    scattered.add(events.rows)
    return taken_in(Parted(scattered, events.rejected, events.findings), community, place, Desk())


def read_events(source: LogSource, place: Place) -> Read:
    """The columns of `EventLog.events`, with `member_id` for `member`, in the order of the file."""
    named = named_columns(source)
    table = place.open(source.path, "log", named)
    raw = table.read(sorted({column for column in named.values() if column is not None}))
    told = event_rows(raw, source, place, semicolons=table.semicolons)
    event_id = told.rows["event_id"]
    again = (event_id.is_not_null() & ~event_id.is_first_distinct()).to_numpy()
    screened = Screened.of(table, [*told.faults, *_given_before(source, again)])
    further = [*unused_columns(table.columns, named), *_mixed_zones(table, source, Clocks.of(told.times), place)]
    return Read(told.rows.filter(screened.accepted), screened.rejected, (*screened.findings, *further))


def read_in_parts(source: LogSource, place: Place, shelf: Shelf, added: Sequence[pl.DataFrame] = (), advance: Advance = silent) -> Parted:
    """As `read_events`, with no more than a chunk of the table in memory; then `added` events, as far as they are new."""
    named = named_columns(source)
    table = place.open(source.path, "log", named)
    chunks = table.chunks(sorted({column for column in named.values() if column is not None}))
    survey = Survey.of(chunks, source, place)
    scattered = Scattered(survey.ranges(added), shelf)
    part_of_table = place if chunks.alone is not None else replace(place, habits=survey.habits)
    codes: list[Integers] = []
    faults: list[Fault] = []
    clocks, begin = Clocks(), 0
    for number, raw in enumerate(chunks):
        advance("reading the log", number, len(chunks.begins))
        told = event_rows(raw, source, part_of_table, semicolons=table.semicolons)
        faults = [*told.faults, *_given_before(source, survey.repeated[begin : begin + raw.height])]
        codes.append(first_fault(faults))
        scattered.add(told.rows.filter(pl.Series(codes[-1] == 0)))
        clocks, begin = clocks.then(Clocks.of(told.times), begin), begin + raw.height
    screened = Screened.of_codes(table, faults, np.concatenate(codes))
    further = [*unused_columns(table.columns, named), *_mixed_zones(table, source, clocks, place)]
    for rows in added:
        scattered.add(new_rows(scattered, rows))
    return Parted(scattered, screened.rejected, (*screened.findings, *further))


def _given_before(source: LogSource, repeated: Flags) -> list[Fault]:
    if source.event_id is None:
        return []
    return [Fault(pl.Series(repeated), source.event_id, "event_id_again")]


def repeated_rows(source: LogSource, place: Place) -> int:
    """Rows that say once more all that an earlier row with their id says."""
    if source.event_id is None:
        return 0
    named = {column for column in named_columns(source).values() if column is not None}
    raw = place.open(source.path, "log", named_columns(source)).read(sorted(named))
    with_id = raw.filter(cell_texts(raw[source.event_id]).is_not_null())
    return with_id.height - with_id.n_unique()


def named_columns(source: LogSource) -> dict[str, str | None]:
    """By the key that names each."""
    return {key: getattr(source, key) for key in ("member", "time", "type", "value", "event_id", "channel")}


class EventRows(NamedTuple):
    """`rows` as `read_events` gives them, before any is refused; `faults`: what one row alone shows, in the order of their rank."""

    rows: pl.DataFrame
    faults: tuple[Fault, ...]
    times: Times


def event_rows(raw: pl.DataFrame, source: LogSource, place: Place, *, semicolons: bool) -> EventRows:
    """Of the table, or of a part of it where `place` knows its habits."""
    named = named_columns(source)
    times = place.times(raw[source.time])
    member = id_texts(raw[source.member])
    event_id, channel = (_texts_or_null(raw, named[key]) for key in ("event_id", "channel"))
    kind = (
        _texts_or_null(raw, source.type) if source.type_is is None else pl.repeat(source.type_is, raw.height, dtype=pl.String, eager=True)
    )
    value = (
        pl.repeat(None, raw.height, dtype=pl.Float64, eager=True)
        if source.value is None
        else place.numbers(raw[source.value], semicolons=semicolons)
    )
    faults = [Fault(member.is_null(), source.member, "no_member"), *place.time_faults(raw[source.time], times)]
    if source.type is not None:
        faults.append(Fault(kind.is_null(), source.type, "no_event_type"))
    if source.value is not None:
        faults.append(Fault(not_a_number(raw[source.value], value), source.value, "value_no_number"))
    rows = pl.DataFrame(
        {"member_id": member, "timestamp": times.timestamp, "type": kind, "value": value, "channel": channel, "event_id": event_id}
    )
    return EventRows(rows, tuple(faults), times)


def each_once(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The events of several files, each once, by its id; one without an id is the n-th of those of the same content in its file."""
    content = ("member_id", "timestamp", "type", "value", "channel")
    columns, named, nth = (*content, "event_id"), pl.col("event_id").is_not_null(), pl.int_range(pl.len()).over(content)
    by_id = pl.concat([table.filter(named).select(columns) for table in tables])
    by_content = pl.concat([table.filter(~named).select(*columns, nth.alias("nth")) for table in tables])
    return pl.concat(
        [
            by_id.unique("event_id", keep="first", maintain_order=True),
            by_content.unique([*content, "nth"], keep="first", maintain_order=True).drop("nth"),
        ]
    )


def _texts_or_null(raw: pl.DataFrame, column: str | None) -> pl.Series:
    return pl.repeat(None, raw.height, dtype=pl.String, eager=True) if column is None else cell_texts(raw[column])


def unused_columns(columns: Sequence[str], named: Mapping[str, str | None]) -> list[Finding]:
    unused = [f'"{name}"' for name in columns if name not in named.values()]
    if not unused:
        return []
    return [Finding("advice", None, None, "columns_unread", {"columns": unused})]


class Clocks(NamedTuple):
    """How many times were read, how many of them by the community's clock, and the row of the first of these, None without any."""

    read: int = 0
    local: int = 0
    row: int | None = None

    @classmethod
    def of(cls, times: Times) -> Self:
        read = times.timestamp.is_not_null()
        local = times.local & read
        return cls(int(read.sum()), int(local.sum()), local.arg_max() if local.any() else None)

    def then(self, later: Self, rows: int) -> Self:
        """With what was read after so many `rows`."""
        row = self.row if self.row is not None or later.row is None else rows + later.row
        return type(self)(self.read + later.read, self.local + later.local, row)


def _mixed_zones(table: Table, source: LogSource, clocks: Clocks, place: Place) -> list[Finding]:
    if clocks.row is None or clocks.local == clocks.read:
        return []
    told: Told = {"local": clocks.local, "total": clocks.read, "timezone": place.timezone}
    return [Finding("warning", source.time, table.line(clocks.row), "mixed_zones", told)]

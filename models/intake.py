"""Reads the declared tables into the canonical log: every row is accepted, or kept whole with its line and the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from models.declaration import NO_LINES, Key, line_of
from models.events import EventLog, event_arrays
from models.features import feature_spec
from models.findings import Finding, Step
from models.leakage import Leak, leaks
from models.log_findings import log_findings
from models.member_columns import kept_columns
from models.reading import Place, Read, not_a_number
from models.screening import Fault, Screened
from models.side_tables import read_members, read_touches
from models.snapshots import Activity
from models.tables import Table, cell_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from models.community import Community
    from models.findings import Level, Told
    from models.sources import LogSource
    from models.times import Times

_ABSENT = Read(pl.DataFrame(), pl.DataFrame(), ())


@dataclass(frozen=True)
class Intake:
    """Accepted and rejected rows of the log are all its rows; likewise those of the other tables."""

    log: EventLog
    rejected: pl.DataFrame
    findings: tuple[Finding, ...]
    rejected_members: pl.DataFrame
    rejected_touches: pl.DataFrame
    leaks: tuple[Leak, ...]


def read_log(
    community: Community, root: Path, *, now: datetime, lines: Mapping[Key, int] = NO_LINES, added: Sequence[pl.DataFrame] = ()
) -> Intake:
    """Relative paths start at `root`; `lines` are those of the declaration; `added`: rows of other files, as `read_events` gives them.

    Raises InputError where nothing can be read.
    """
    place = Place(root, lines, community.timezone, now)
    events = read_events(community.log, place)
    return take_in(replace(events, rows=each_once([events.rows, *added])) if added else events, community, place)


def take_in(events: Read, community: Community, place: Place) -> Intake:
    """As `read_log`, where the events were read before."""
    first = events.rows.group_by("member_id").agg(pl.col("timestamp").min().alias("first"))
    declared = _ABSENT if community.members is None else read_members(community.members, place, community, first)
    members = _everyone(first, declared.rows)
    ids = members["member_id"]
    touches = _ABSENT if community.touches is None else read_touches(community.touches, place, community, ids)
    log = EventLog(
        _coded(events.rows, ids).with_columns(pl.col("type").cast(pl.Categorical)),
        members.select("member_id", "joined", *kept_columns(community)),
        None if community.touches is None else _coded(touches.rows, ids),
    )
    activity = Activity.of(event_arrays(log, community), feature_spec(community).layout.qualifying)
    leaking = leaks(members.drop("member_id", "joined"), log, activity, community.churn)
    found: dict[Step, Sequence[Finding]] = {
        "events": events.findings,
        "members": declared.findings,
        "touches": touches.findings,
        "leakage": _leak_findings(leaking, community, place.lines),
        "log": log_findings(log, activity, community, place.lines),
    }
    told = tuple(replace(finding, step=step) for step, findings in found.items() for finding in findings)
    return Intake(log, events.rejected, told, declared.rejected, touches.rejected, leaking)


def read_events(source: LogSource, place: Place) -> Read:
    """The columns of `EventLog.events`, with `member_id` for `member`, in the order of the file."""
    named = named_columns(source)
    table = place.open(source.path, "log", named)
    raw = table.read(sorted({column for column in named.values() if column is not None}))
    told = event_rows(raw, source, place, semicolons=table.semicolons)
    faults = [*told.faults]
    if source.event_id is not None:
        event_id = told.rows["event_id"]
        again = event_id.is_not_null() & ~event_id.is_first_distinct()
        faults.append(Fault(again, source.event_id, "event_id_again"))
    screened = Screened.of(table, faults)
    further = [*_unused_columns(table, named), *_mixed_zones(table, source, told.times, place)]
    return Read(told.rows.filter(screened.accepted), screened.rejected, (*screened.findings, *further))


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
    member, event_id, channel = (_texts_or_null(raw, named[key]) for key in ("member", "event_id", "channel"))
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


def _coded(rows: pl.DataFrame, member_ids: pl.Series) -> pl.DataFrame:
    """Ids become positions in the sorted ids; rows are sorted by member and time, and keep their order where both are equal."""
    code = rows["member_id"].cast(pl.Enum(member_ids)).to_physical().cast(pl.UInt32).alias("member")
    coded = rows.drop("member_id").insert_column(0, code)
    member, at = coded["member"], coded["timestamp"]
    rises = (member > member.shift()) | ((member == member.shift()) & (at >= at.shift()))
    return coded if rises.slice(1).all() else coded.sort("member", "timestamp", maintain_order=True)


def _everyone(first: pl.DataFrame, declared: pl.DataFrame) -> pl.DataFrame:
    """Those of the table and those of the log alike; joined when the table says so, else at the first event."""
    if declared.is_empty():
        return first.rename({"first": "joined"}).sort("member_id")
    both = declared.join(first, on="member_id", how="full", coalesce=True)
    return both.with_columns(pl.coalesce("joined", "first")).drop("first").sort("member_id")


def _unused_columns(table: Table, named: Mapping[str, str | None]) -> list[Finding]:
    unused = [f'"{name}"' for name in table.columns if name not in named.values()]
    if not unused:
        return []
    return [Finding("advice", None, None, "columns_unread", {"columns": unused})]


def _mixed_zones(table: Table, source: LogSource, times: Times, place: Place) -> list[Finding]:
    read = times.timestamp.is_not_null()
    local = int((times.local & read).sum())
    if local in {0, int(read.sum())}:
        return []
    told: Told = {"local": local, "total": int(read.sum()), "timezone": place.timezone}
    return [Finding("warning", source.time, table.line(int((times.local & read).arg_max() or 0)), "mixed_zones", told)]


def _leak_findings(leaking: tuple[Leak, ...], community: Community, lines: Mapping[Key, int]) -> list[Finding]:
    """Every column of the members table is measured; one that is declared as an attribute is an error."""
    attributes = () if community.members is None else community.members.attributes
    findings = []
    for leak in leaking:
        told: Told = {"name": leak.column, "correlation": leak.correlation, "members": leak.members}
        declared = leak.column in attributes
        line = line_of(lines, ("members", "attributes", attributes.index(leak.column))) if declared else None
        level: Level = "error" if declared else "warning"
        findings.append(Finding(level, leak.column, line, "leak_declared" if declared else "leak", told))
    return findings

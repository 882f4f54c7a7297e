"""Sorted rows cut into parts of whole members, and each part's log put together as one machine puts together the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from models.canonical import everyone, log_of
from models.declared_and_kept import with_touches
from models.events import with_events, without_members
from models.member_columns import kept_columns
from models.preferences import Preferences
from models.scattering import CONTENT, not_among
from models.texts import text
from models.times import UTC_TIME
from models.tombstones import Tombstones
from pipelines.distributed_rows import Kind, events_of, frame_of, refused_rows, texts_from_json, texts_to_json, touches_of
from pipelines.distributed_screen import community_of
from pipelines.parts import PART_MEMBERS, Part

if TYPE_CHECKING:
    import pyarrow as pa

    from models.community import Community
    from models.events import EventLog

ROWS_AT_ONCE = 400_000
"""A part is cut at the first end of a member from so many rows on; one member's rows are never cut."""


def whole_members(batches: Iterable[pa.RecordBatch], rows_at_once: int = ROWS_AT_ONCE) -> Iterator[pl.DataFrame]:
    """Of rows in the order of their members, none without any."""
    held: list[pl.DataFrame] = []
    rows = 0
    for batch in batches:
        frame = frame_of(batch)
        if frame.is_empty():
            continue
        cut = _begin_of_last(frame)
        if rows + cut >= rows_at_once and (cut or _begins_anew(held, frame)):
            yield pl.concat([*held, frame.head(cut)])
            held, frame, rows = [], frame.slice(cut), 0
        held.append(frame)
        rows += frame.height
    if held:
        yield pl.concat(held)


def _begin_of_last(frame: pl.DataFrame) -> int:
    member = frame["member"]
    return int(member.eq_missing(member[-1]).arg_max() or 0)


def _begins_anew(held: list[pl.DataFrame], frame: pl.DataFrame) -> bool:
    return bool(held) and held[-1]["member"][-1] != frame["member"][0]


@dataclass(frozen=True)
class Assembly:
    """What is to be known beside its rows to put a part together. community: JSON.

    deliveries: are there files of days beside the log? further: columns of touches, of the declared table and of what came through the
    service, beside those that all have; None where there is no such table.
    """

    community: str
    tombstones: Tombstones = field(default_factory=Tombstones)
    deliveries: bool = False
    touches: Mapping[str, pl.DataType] | None = None
    posted_touches: Mapping[str, pl.DataType] | None = None

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Part]:
        """Of at most PART_MEMBERS members each."""
        return (part for taken in self.blocks(batches) for part in self.cut(taken))

    def blocks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Taken]:
        """Of some whole members each, or of none and rows that are refused."""
        return (self.taken(rows) for rows in whole_members(batches))

    def cut(self, taken: Taken) -> Iterator[Part]:
        return (Part.of(self.declared, log, taken.preferences) for log in _cut(taken.log))

    def declared_logs(self, batches: Iterable[pa.RecordBatch]) -> Iterator[EventLog]:
        """As `parts`, without what came through the service."""
        declared = (rows.filter(pl.col("kind") <= int(Kind.TOUCH)) for rows in whole_members(batches))
        return (log for rows in declared for log in _cut(self.taken(rows).log))

    @property
    def declared(self) -> Community:
        return community_of(self.community)

    def taken(self, rows: pl.DataFrame) -> Taken:
        """Of all rows of some members."""
        of_kind = {kind: rows.filter(pl.col("kind") == int(kind)) for kind in Kind}
        events = self._events(of_kind[Kind.EVENT])
        first = _first_events(events)
        members = _members(of_kind[Kind.MEMBER], first, self.declared)
        known = everyone(first, members.rows)
        touches = of_kind[Kind.TOUCH]
        strange = ~touches["member"].is_in(known["member_id"].implode())
        declared = log_of(events, known, self._touches(touches.filter(~strange)), self.declared)
        log = without_members(declared, self.tombstones.erased(declared.members["member_id"].to_list()))
        posted = events_of(of_kind[Kind.POSTED_EVENT])
        contacts = of_kind[Kind.POSTED_TOUCH]
        log = with_touches(with_events(log, posted), touches_of(contacts, self.posted_touches or {}), self.declared.same_touch_us)
        wishes = dict(of_kind[Kind.WISH].select("member", "more").iter_rows())
        refused = [of_kind[Kind.REFUSED], members.refused, _strangers(touches.filter(strange), self.declared)]
        preferences = {member_id: Preferences.from_json(told) for member_id, told in wishes.items()}
        return Taken(log, preferences, pl.concat(refused, how="diagonal"), rows, declared, members.rows, first)

    def _events(self, rows: pl.DataFrame) -> pl.DataFrame:
        log, *days = [rows] if not self.deliveries else _by_source(rows)
        events = events_of(log)
        for day in days:
            nameless = events.filter(pl.col("event_id").is_null()).select(CONTENT)
            events = pl.concat([events, not_among(nameless, events["event_id"].drop_nulls(), events_of(day))])
        return events

    def _touches(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        return None if self.touches is None else touches_of(rows, self.touches)


def _cut(log: EventLog) -> Iterator[EventLog]:
    members = log.members.height
    return (log.of_range(begin, min(begin + PART_MEMBERS, members)) for begin in range(0, members, PART_MEMBERS))


def _by_source(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Of the log, be it nothing, and of each file of a day."""
    days = rows.filter(pl.col("source") > 0).sort("source", maintain_order=True).partition_by("source", maintain_order=True)
    return [rows.filter(pl.col("source") == 0), *days]


def _first_events(events: pl.DataFrame) -> pl.DataFrame:
    return events.group_by("member_id").agg(pl.col("timestamp").min().alias("first"))


class Taken(NamedTuple):
    """The log of some members, what they refused, and the rows of theirs that are refused, as `refused_rows` tells.

    rows: all that it was made of. declared: the log without what came through the service, with members who were erased. members: rows of
    the members table that are taken; first: the first event of each member, `member_id` and `first`.
    """

    log: EventLog
    preferences: dict[str, Preferences]
    refused: pl.DataFrame
    rows: pl.DataFrame
    declared: EventLog
    members: pl.DataFrame
    first: pl.DataFrame


class _Members(NamedTuple):
    rows: pl.DataFrame
    refused: pl.DataFrame


def _members(rows: pl.DataFrame, first: pl.DataFrame, community: Community) -> _Members:
    """`member_id`, `joined` and the columns that a log keeps; the first row of each member counts, be it refused or not."""
    more = texts_from_json(rows["more"], ("joined", *kept_columns(community)))
    told = pl.DataFrame({"member_id": rows["member"]}).hstack(more).with_columns(pl.col("joined").cast(pl.Int64).cast(UTC_TIME))
    again = ~told["member_id"].is_first_distinct()
    idle = told["joined"].is_null() & ~told["member_id"].is_in(first["member_id"].implode())
    source = community.members
    member, joined = ("", "") if source is None else (source.member, source.joined)
    twice, neither = pl.lit(f"member_again {member}"), pl.lit(f"neither {joined}")
    form = pl.select(pl.when(again).then(twice).when(rows["type"].is_not_null()).then(rows["type"]).when(idle).then(neither)).to_series()
    bad = form.is_not_null()
    told_before = rows["channel"].set(again, None).filter(bad)
    reason = pl.select(pl.coalesce(told_before, _reasons(form.filter(bad), told.filter(bad)["member_id"]))).to_series()
    refused = refused_rows(form.filter(bad), reason, "members", texts_to_json(told.filter(bad)))
    return _Members(told.filter(~bad), refused)


def _reasons(form: pl.Series, member: pl.Series) -> pl.Series:
    told = zip(form.to_list(), member.to_list(), strict=True)
    return pl.Series([text("en", f"fault.{code.partition(' ')[0]}.found", value=member_id) for code, member_id in told], dtype=pl.String)


def _strangers(rows: pl.DataFrame, community: Community) -> pl.DataFrame:
    column = "" if community.touches is None else community.touches.member
    form = pl.repeat(f"unknown_member {column}", rows.height, dtype=pl.String, eager=True)
    cells = texts_to_json(rows.select("member", "at_us", "type", "channel"))
    return refused_rows(form, _reasons(form, rows["member"]), "touches", cells).with_columns(rows["event_id"])

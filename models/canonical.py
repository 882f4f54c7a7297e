"""The accepted rows of all tables become the canonical log, part of the members after part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from models.arm_counts import ArmCounts
from models.census import Census, Span
from models.declaration import line_of
from models.events import EventLog
from models.findings import Finding, Step
from models.kept_log import part_name
from models.leakage import Leak, leaks
from models.log_findings import log_findings
from models.member_columns import kept_columns
from models.reading import Place, Read
from models.scattering import silent, sought
from models.side_tables import read_members, read_touches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from models.community import Community
    from models.declaration import Key
    from models.findings import Level, Told
    from models.scattering import Advance, Ranges, Scattered
    from models.shelves import Shelf

_ABSENT = Read(pl.DataFrame(), pl.DataFrame(), ())


@dataclass(frozen=True)
class Parted:
    """The usable events of the log, scattered into parts, the other rows, and what was found."""

    scattered: Scattered
    rejected: pl.DataFrame
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Intake:
    """Accepted and rejected rows of the log are all its rows; likewise those of the other tables.

    The accepted events lie on the shelf `parts`, part by part as `EventLog.events` has them; part p is of the members from `ends[p - 1]`,
    or 0, up to `ends[p]`. `first_events`: `member_id` and `first`, of the members who have any.
    """

    members: pl.DataFrame
    touches: pl.DataFrame | None
    parts: Shelf
    ends: tuple[int, ...]
    events: int
    span: Span
    first_events: pl.DataFrame
    rejected: pl.DataFrame
    findings: tuple[Finding, ...]
    rejected_members: pl.DataFrame
    rejected_touches: pl.DataFrame
    leaks: tuple[Leak, ...]

    @property
    def log(self) -> EventLog:
        """All of it, in memory."""
        return EventLog(pl.concat([self.parts.get(part_name(part)) for part in range(len(self.ends))]), self.members, self.touches)


def taken_in(events: Parted, community: Community, place: Place, parts: Shelf, advance: Advance = silent) -> Intake:
    """The events with members and touches, put on the shelf `parts` as they belong into the log."""
    first = events.scattered.first_events()
    declared = _ABSENT if community.members is None else read_members(community.members, place, community, first)
    members = everyone(first, declared.rows)
    ids = members["member_id"]
    touches = _ABSENT if community.touches is None else read_touches(community.touches, place, community, ids)
    span, kept = events.scattered.span, members.select("member_id", "joined", *kept_columns(community))
    ends = _ends(events.scattered.ranges, ids)
    census = Census()
    for part, rows in enumerate(_placed(events.scattered, ids)):
        advance("keeping the log", part, len(ends))
        parts.put(part_name(part), rows)
        census += Census.of(EventLog(rows, kept).of_range(ends[part - 1] if part else 0, ends[part]), community, span)
    coded = None if community.touches is None else _coded(touches.rows, ids)
    arms = ArmCounts.of(kept, coded, community)
    leaking = leaks(members.drop("member_id", "joined"), census.pasts)
    found: dict[Step, Sequence[Finding]] = {
        "events": events.findings,
        "members": declared.findings,
        "touches": touches.findings,
        "leakage": leak_findings(leaking, community, place.lines),
        "log": (*log_findings(census, span, community, place.lines), *arms.findings(community, place.lines)),
    }
    return Intake(
        members=kept,
        touches=coded,
        parts=parts,
        ends=ends,
        events=events.scattered.events,
        span=span,
        first_events=first,
        rejected=events.rejected,
        findings=tuple(replace(finding, step=step) for step, findings in found.items() for finding in findings),
        rejected_members=declared.rejected,
        rejected_touches=touches.rejected,
        leaks=leaking,
    )


def log_of(events: pl.DataFrame, members: pl.DataFrame, touches: pl.DataFrame | None, community: Community) -> EventLog:
    """Of accepted rows, in memory: `members` as `everyone` tells; events and touches are theirs, with `member_id` for `member`."""
    ids = members["member_id"]
    return EventLog(
        _coded(events, ids).with_columns(pl.col("type").cast(pl.Categorical)),
        members.select("member_id", "joined", *kept_columns(community)),
        None if touches is None else _coded(touches, ids),
    )


def _ends(ranges: Ranges, ids: pl.Series) -> tuple[int, ...]:
    """Where parts end among all members; those who have no event belong to the part between whose members they lie."""
    first_after = ranges.ids.gather(ranges.ends[:-1])
    return (*sought(ids, first_after).tolist(), len(ids))


def _placed(scattered: Scattered, ids: pl.Series) -> Iterator[pl.DataFrame]:
    """The events of each part, with codes by `ids`, the ids of all members."""
    place = scattered.ranges.ids.cast(pl.Enum(ids), strict=False).to_physical().cast(pl.UInt32)
    for part in range(len(scattered.pieces)):
        rows = scattered.rows(part)
        code = place.gather(rows["code"]).alias("member")
        yield _sorted(rows.drop("code").insert_column(0, code)).with_columns(pl.col("type").cast(pl.Categorical))


def _coded(rows: pl.DataFrame, member_ids: pl.Series) -> pl.DataFrame:
    """Ids become positions in the sorted ids; rows are sorted by member and time, and keep their order where both are equal."""
    code = rows["member_id"].cast(pl.Enum(member_ids)).to_physical().cast(pl.UInt32).alias("member")
    return _sorted(rows.drop("member_id").insert_column(0, code))


def _sorted(coded: pl.DataFrame) -> pl.DataFrame:
    member, at = coded["member"], coded["timestamp"]
    rises = (member > member.shift()) | ((member == member.shift()) & (at >= at.shift()))
    return coded if rises.slice(1).all() else coded.sort("member", "timestamp", maintain_order=True)


def everyone(first: pl.DataFrame, declared: pl.DataFrame) -> pl.DataFrame:
    """Those of the table and those of the log alike; joined when the table says so, else at the first event."""
    if not declared.width:
        return first.rename({"first": "joined"}).sort("member_id")
    both = declared.join(first, on="member_id", how="full", coalesce=True)
    return both.with_columns(pl.coalesce("joined", "first")).drop("first").sort("member_id")


def leak_findings(leaking: tuple[Leak, ...], community: Community, lines: Mapping[Key, int]) -> list[Finding]:
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

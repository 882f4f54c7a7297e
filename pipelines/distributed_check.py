"""What the check finds in the declared tables, counted by each part of a run on Spark as it decides: counts of parts add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.arm_counts import ArmCounts
from models.canonical import leak_findings
from models.census import Census, Past, Span
from models.findings import UNTOLD, Finding
from models.intake import named_columns, unused_columns
from models.leakage import leaks
from models.log_findings import log_findings
from models.logged_chances import alike, alike_findings
from models.member_columns import as_written, rule_findings
from models.member_sample import MemberSample
from models.reading import typed
from models.screening import MISFIT, counted_findings
from models.side_counts import Early, MemberCounts, TouchCounts
from pipelines.distributed_rows import Kind
from pipelines.packed_tables import packed, unpacked

if TYPE_CHECKING:
    from models.community import Community
    from models.declaration import Key
    from models.findings import Step
    from models.sources import TouchesSource
    from pipelines.distributed_parts import Taken

CHECKED = "__checked"
"""A column beside those of decisions, filled in one row for each block of members, in which all others are null."""
TABLES: Mapping[int, str] = {Kind.MEMBER: "members", Kind.EVENT: "events", Kind.TOUCH: "touches"}
RANKS: Mapping[str, tuple[str, ...]] = {
    "events": ("no_member", "no_time", "time_unread", "time_future", "no_event_type", "value_no_number", "event_id_again", MISFIT),
    "members": ("no_member", "member_again", "join_unread", "join_future", "neither", MISFIT),
    "touches": (
        *("no_member", "no_time", "time_unread", "time_future", "unknown_member"),
        *("no_intervention", "delivered_unread", "no_probability", MISFIT),
    ),
}
"""Codes of the faults of each table, in the order in which they are asked for."""
PASTS, COLUMN = tuple(Past.__dataclass_fields__), "column:"


class Columns(NamedTuple):
    """Of the declared tables, named by the declaration or not."""

    events: tuple[str, ...]
    touches: tuple[str, ...] = ()


class PagesLook(NamedTuple):
    """What is looked at for the pages: some members for drift and leaks, and the time from the first to the last event of the log."""

    sample: MemberSample
    span: Span


@dataclass(frozen=True)
class Checked:
    """rows: those of each table. faults: refused rows by table and by the code and the column of their fault, parted by blanks.

    chances: of touches, as `logged_chances.alike` tells. unread: cells that rules cannot read, by code and column. census: without pasts.
    sampled: some members with `member_id`, the columns that a log keeps, and of each cut of the span what `Past` tells.
    """

    rows: Counter[str]
    faults: Counter[str]
    members: MemberCounts
    touches: TouchCounts
    unread: Counter[str]
    census: Census
    sampled: pl.DataFrame
    chances: pl.DataFrame
    arms: ArmCounts

    @classmethod
    def of(cls, taken: Taken, community: Community, look: PagesLook) -> Self:
        source, census = community.members, Census.of(taken.declared, community, look.span)
        unread = [] if source is None else rule_findings(taken.members, source, community)
        return cls(
            _rows(taken.rows),
            Counter(taken.refused.select(pl.format("{} {}", "table", "type")).to_series().to_list()),
            MemberCounts() if source is None else MemberCounts.of(taken.members, taken.first),
            _touches(taken, community),
            Counter({f"{one.code} {one.column}": int(str(one.told["count"])) for one in unread}),
            replace(census, pasts=()),
            _sampled(taken.declared.members, census.pasts, look.sample),
            pl.DataFrame() if taken.declared.touches is None else alike(taken.declared.touches),
            ArmCounts.of(taken.declared.members, taken.declared.touches, community),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.rows + other.rows,
            self.faults + other.faults,
            self.members + other.members,
            self.touches + other.touches,
            self.unread + other.unread,
            self.census + other.census,
            pl.concat([self.sampled, other.sampled]),
            pl.concat([self.chances, other.chances], how="diagonal"),
            self.arms + other.arms,
        )

    def to_bytes(self) -> bytes:
        counts = {name: getattr(self, name) for name in ("rows", "faults", "unread")}
        sides = {name: asdict(getattr(self, name)) for name in ("members", "touches")}
        told = {"counts": json.dumps(counts | sides), "census": self.census.to_json()}
        tables = {"sampled": self.sampled, "chances": self.chances, "arms": self.arms.table}
        return packed(pl.DataFrame([told | {name: packed(table) for name, table in tables.items()}]))

    @classmethod
    def from_bytes(cls, written: bytes | bytearray) -> Self:
        counts, census, sampled, chances, arms = unpacked(written).row(0)
        told = json.loads(counts)
        example = told["members"].pop("example")
        return cls(
            Counter(told["rows"]),
            Counter(told["faults"]),
            MemberCounts(**told["members"], example=None if example is None else Early(*example)),
            TouchCounts(**told["touches"] | {"strange": tuple(told["touches"]["strange"])}),
            Counter(told["unread"]),
            Census.from_json(census),
            unpacked(sampled),
            unpacked(chances),
            ArmCounts(unpacked(arms)),
        )

    def findings(self, community: Community, columns: Columns, span: Span, lines: Mapping[Key, int]) -> tuple[Finding, ...]:
        """In the order of the check."""
        members, touches = community.members, community.touches
        found: dict[Step, Sequence[Finding]] = {
            "events": (*self._refused("events"), *unused_columns(columns.events, named_columns(community.log))),
            "members": () if members is None else (*self._refused("members"), *self.members.findings(members), *self._unread()),
            "touches": () if touches is None else (*self._refused("touches"), *self._assigned(columns.touches, community, touches)),
            "leakage": leak_findings(leaks(*self._measured(community)), community, lines),
            "log": (*log_findings(self.census, span, community, lines), *self.arms.findings(community, lines)),
        }
        return tuple(replace(finding, step=step) for step, findings in found.items() for finding in findings)

    def _refused(self, table: str) -> tuple[Finding, ...]:
        counts: dict[tuple[str, str | None], int] = {}
        for told, count in self.faults.items():
            of, _, form = told.partition(" ")
            code, _, column = form.partition(" ")
            if of == table:
                counts[code, column or None] = count
        return counted_findings(counts, self.rows[table], RANKS[table])

    def _unread(self) -> Iterator[Finding]:
        for told, count in sorted(self.unread.items()):
            code, _, column = told.partition(" ")
            yield Finding("warning", column, None, code, {"count": count, "value": UNTOLD})

    def _assigned(self, columns: Sequence[str], community: Community, source: TouchesSource) -> list[Finding]:
        chances = alike_findings(self.chances, columns, community, source) if self.chances.height else []
        return [*self.touches.findings(source), *chances]

    def _measured(self, community: Community) -> tuple[pl.DataFrame, list[Past]]:
        """Columns of the sampled members by their ids, and their pasts."""
        sampled, written = self.sampled.sort("member_id"), as_written(community)
        names = {name: name.removeprefix(COLUMN) for name in sampled.columns if name.startswith(COLUMN)}
        columns = sampled.select(*names).rename(names)
        cuts = [name.partition(":")[0] for name in sampled.columns if name.endswith(f":{PASTS[0]}") and name not in names]
        pasts = [Past(*(sampled[f"{cut}:{name}"].to_numpy() for name in PASTS)) for cut in cuts]
        return columns.select(column if column.name in written else typed(column) for column in columns), pasts


def _rows(rows: pl.DataFrame) -> Counter[str]:
    """Of the declared tables, refused ones too."""
    kinds = pl.col("kind").replace_strict(TABLES, default=None, return_dtype=pl.String)
    told = rows.filter(pl.col("source") == 0).select(pl.coalesce("table", kinds)).to_series()
    return Counter(told.drop_nulls().to_list())


def _touches(taken: Taken, community: Community) -> TouchCounts:
    if taken.declared.touches is None:
        return TouchCounts()
    responses = taken.rows.filter((pl.col("kind") == int(Kind.TOUCH)) | (pl.col("table") == TABLES[Kind.TOUCH]))["event_id"]
    rows = taken.declared.touches.select(pl.col("member").alias("member_id"), "timestamp", pl.col("intervention").cast(pl.String))
    return TouchCounts.of(rows, responses, community)


def _sampled(members: pl.DataFrame, pasts: Sequence[Past], sample: MemberSample) -> pl.DataFrame:
    rows = np.flatnonzero(sample.picks(members["member_id"].to_list()))
    columns = members[rows].drop("joined").rename(lambda name: name if name == "member_id" else f"{COLUMN}{name}")
    told = {f"{cut}:{name}": getattr(past, name)[rows] for cut, past in enumerate(pasts) for name in PASTS}
    return columns.hstack(pl.DataFrame(told))

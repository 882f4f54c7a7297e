"""What is counted of the tables beside the log before anything is said of them: counts of parts can be added."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, Self

import polars as pl

from models.actions import NO_ACTION
from models.findings import Finding
from models.sources import RESPONSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.community import Community
    from models.findings import Told
    from models.sources import MembersSource, TouchesSource

MOST_NAMES = 1_000
MOST_ERRORS = 4.0
"""Standard errors that the share of an arm may lie away from its probability; by chance that of one arm does once in 16,000."""


class Early(NamedTuple):
    """A member who did something before joining, and when."""

    value: str
    first: str
    joined: str


@dataclass(frozen=True)
class MemberCounts:
    """Of the members table.

    declared: rows that are taken. active: members with events. both: those of both; early: of these, those who did something before they
    joined; example: the first of them by id.
    """

    declared: int = 0
    active: int = 0
    both: int = 0
    early: int = 0
    example: Early | None = None

    @classmethod
    def of(cls, rows: pl.DataFrame, first_events: pl.DataFrame) -> Self:
        """rows: `member_id` and `joined`; first_events: `member_id` and `first`."""
        both = rows.select("member_id", "joined").join(first_events, on="member_id", how="inner")
        early = both.filter(pl.col("first") < pl.col("joined")).sort("member_id")
        example = None if early.is_empty() else _early(early)
        return cls(rows.height, first_events.height, both.height, early.height, example)

    def __add__(self, other: Self) -> Self:
        examples = [one for one in (self.example, other.example) if one is not None]
        counts = (self.declared + other.declared, self.active + other.active, self.both + other.both, self.early + other.early)
        return type(self)(*counts, min(examples, default=None))

    def findings(self, source: MembersSource) -> list[Finding]:
        findings = []
        if idle := self.declared - self.both:
            findings.append(Finding("advice", source.member, None, "no_events", {"count": idle, "total": self.declared}))
        if strange := self.active - self.both:
            told: Told = {"count": strange, "total": self.active, "path": source.path}
            findings.append(Finding("warning", source.member, None, "not_in_table", told))
        if self.example is not None:
            findings.append(Finding("warning", source.joined, None, "before_joining", {"count": self.early} | self.example._asdict()))
        return findings


def _early(early: pl.DataFrame) -> Early:
    one = early.row(0, named=True)
    return Early(one["member_id"], *(f"{one[name]:%Y-%m-%d %H:%M}" for name in ("first", "joined")))


@dataclass(frozen=True)
class TouchCounts:
    """Of the table of touches.

    assigned: rows that are taken. strange: interventions that the declaration lacks, of parts the first MOST_NAMES. alone: are there rows
    where nothing was done? unknown: responses that nobody knows; example: one of them. by_arm: rows of each arm that is declared; members:
    who have any such. again: rows that repeat another one, or contradict it: of one time something and nothing.
    """

    assigned: int = 0
    strange: tuple[str, ...] = ()
    alone: bool = False
    unknown: int = 0
    example: str | None = None
    members: int = 0
    by_arm: Mapping[str, int] = field(default_factory=dict)
    again: int = 0

    @classmethod
    def of(cls, rows: pl.DataFrame, responses: pl.Series, community: Community) -> Self:
        """rows: `member_id`, `timestamp` and `intervention` of those that are taken; responses: of all, as they were written."""
        interventions = rows["intervention"]
        known = {NO_ACTION, *(intervention.id for intervention in community.interventions)}
        strange = tuple(name for name in interventions.unique().sort() if name not in known)
        said = responses.drop_nulls()
        unknown = said.filter(~said.is_in(RESPONSES))
        alone = bool((interventions == NO_ACTION).any())
        example = None if unknown.is_empty() else unknown[0]
        declared = rows.filter(interventions.is_in(known))
        by_arm = dict(declared["intervention"].value_counts().sort("intervention").iter_rows())
        return cls(len(interventions), strange, alone, len(unknown), example, declared["member_id"].n_unique(), by_arm, _again(rows))

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.assigned + other.assigned,
            tuple(sorted({*self.strange, *other.strange}))[:MOST_NAMES],
            self.alone or other.alone,
            self.unknown + other.unknown,
            other.example if self.example is None else self.example,
            self.members + other.members,
            dict(Counter(self.by_arm) + Counter(other.by_arm)),
            self.again + other.again,
        )

    def findings(self, source: TouchesSource) -> list[Finding]:
        findings = []
        if self.strange:
            names: Told = {"count": len(self.strange), "names": [f'"{name}"' for name in self.strange[:5]]}
            findings.append(Finding("warning", source.intervention, None, "unknown_arms", names))
        if self.assigned and not self.alone:
            findings.append(Finding("warning", source.intervention, None, "nobody_left_alone", {"count": self.assigned}))
        if self.again:
            findings.append(Finding("warning", source.member, None, "touches_again", {"count": self.again}))
        if self.example is not None:
            told: Told = {"count": self.unknown, "value": self.example, "known": RESPONSES}
            findings.append(Finding("warning", source.response, None, "unknown_responses", told))
        return [*findings, *self._unlike(source.propensities)]

    def _unlike(self, declared: Mapping[str, float]) -> list[Finding]:
        """Of the arm whose share lies furthest from what is declared, if it is further than chance explains.

        As many draws are counted as there are members, since one draw may have been for all rows of a member: with a draw for each row
        the test is the stricter on what it calls unlike.
        """
        total = sum(self.by_arm.values())
        if not total or not declared:
            return []
        away = {arm: self.by_arm.get(arm, 0) / total - share for arm, share in declared.items()}
        errors = {arm: sqrt(share * (1 - share) / self.members) for arm, share in declared.items()}
        arm = max(declared, key=lambda name: abs(away[name]) / errors[name] if errors[name] else 0.0)
        if abs(away[arm]) <= MOST_ERRORS * errors[arm]:
            return []
        told: Told = {"arm": arm, "seen": self.by_arm.get(arm, 0) / total, "declared": declared[arm]}
        return [Finding("warning", "touches.propensities", None, "unlike_declared", told)]


def _again(rows: pl.DataFrame) -> int:
    """Rows of one member and time beyond the first of each arm, and those times at which it was given something and nothing."""
    nothing = (pl.col("intervention") == NO_ACTION).any()
    told = rows.group_by("member_id", "timestamp").agg(rows=pl.len(), arms=pl.col("intervention").n_unique(), nothing=nothing)
    return int(
        told.select((pl.col("rows") - pl.col("arms") + (pl.col("nothing") & (pl.col("arms") > 1)).cast(pl.UInt32)).sum()).item() or 0
    )

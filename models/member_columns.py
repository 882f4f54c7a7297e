"""Columns of the members table that rules read and models never do: consents, channels, time zones, dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from models.attributes import as_numbers, declared_attributes, rows_at
from models.declared import known_zones
from models.findings import Finding
from models.groups import group_columns
from models.once import Once
from models.reading import flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.snapshots import Snapshots
    from models.sources import MembersSource


NOWHERE = -1


def positions_of(told: pl.Series, names: Sequence[str]) -> Integers:
    """(n,): of the same text among the names, else of the same number however it is written; NOWHERE for what is none of them."""
    found = told.cast(pl.String).replace_strict(list(names), range(len(names)), default=NOWHERE, return_dtype=pl.Int64).to_numpy().copy()
    number = as_numbers(told)
    for position, asked in enumerate(as_numbers(pl.Series(names, dtype=pl.String))):
        found[(found == NOWHERE) & (number == asked)] = position
    return found


def rule_columns(community: Community) -> tuple[str, ...]:
    """Each once, in the order in which the declaration names them; an attribute that a rule reads is one of them too."""
    return _read(community, date_columns(community))


@Once
def decided_on(community: Community) -> tuple[str, ...]:
    """Those that a decision reads: not the dates of scenes that no intervention names."""
    named = {scene for intervention in community.interventions for scene in intervention.eligibility.scenes or ()}
    return _read(community, [scene.on_date for scene in community.scenes if scene.on_date is not None and scene.name in named])


def _read(community: Community, dates: Iterable[str]) -> tuple[str, ...]:
    members = community.members
    if members is None:
        return ()
    asked = (name for intervention in community.interventions for name in intervention.eligibility.attributes or ())
    zone = () if members.timezone is None else (members.timezone,)
    read = (column for experiment in community.experiments for column in (experiment.column, experiment.cluster))
    touched = () if community.touches is None else (community.touches.cluster,)
    assigned = (column for column in (*read, *touched) if column is not None)
    return tuple(dict.fromkeys((*zone, *members.reachable.values(), *members.consents.values(), *dates, *asked, *assigned)))


def date_columns(community: Community) -> tuple[str, ...]:
    """Columns whose day every year is the moment of a scene."""
    return tuple(dict.fromkeys(scene.on_date for scene in community.scenes if scene.on_date is not None))


def kept_columns(community: Community) -> tuple[str, ...]:
    """What a log keeps of the members table: what models read, what rules read, and the groups."""
    return tuple(dict.fromkeys((*declared_attributes(community), *rule_columns(community), *group_columns(community))))


def as_written(community: Community) -> frozenset[str]:
    """Those of them that are texts whatever they look like: no model reads them."""
    read_by_models = set(declared_attributes(community))
    others = (name for name in (*rule_columns(community), *group_columns(community)) if name not in read_by_models)
    return frozenset({*date_columns(community), *others})


def rule_findings(members: pl.DataFrame, source: MembersSource, community: Community) -> list[Finding]:
    """Cells that the rules and experiments cannot read, and what they then count as."""
    unread = [_unread(members[name], flags(members[name]), name, "not_yes_or_no") for name in _yes_or_no(source) if name in members.columns]
    if source.timezone is not None and source.timezone in members.columns:
        told = members[source.timezone].cast(pl.String)
        unread.append(_unread(told, told.set(~told.is_in(list(known_zones())), None), source.timezone, "no_zone"))
    for column, arms in _arms_by_column(community).items():
        if column in members.columns:
            told = members[column].cast(pl.String)
            unread.append(_unread(told, told.set(pl.Series(positions_of(told, arms) == NOWHERE), None), column, "no_arm"))
    return [finding for finding in unread if finding is not None]


def _arms_by_column(community: Community) -> dict[str, list[str]]:
    """Of all experiments whose arms another system wrote into it."""
    arms: dict[str, list[str]] = {}
    for experiment in community.experiments:
        if experiment.column is not None:
            arms.setdefault(experiment.column, []).extend(arm.id for arm in experiment.arms)
    return {column: list(dict.fromkeys(ids)) for column, ids in arms.items()}


def _yes_or_no(source: MembersSource) -> list[str]:
    return list(dict.fromkeys((*source.reachable.values(), *source.consents.values())))


def _unread(told: pl.Series, read: pl.Series, column: str, code: str) -> Finding | None:
    wrong = told.is_not_null() & read.is_null()
    if not wrong.any():
        return None
    return Finding("warning", column, None, code, {"count": int(wrong.sum()), "value": str(told.filter(wrong)[0])})


@dataclass(frozen=True)
class Zones:
    """code (n_members,): position of each member's time zone in `zones`."""

    zones: tuple[ZoneInfo, ...]
    code: Integers


@dataclass(frozen=True)
class DaysOfYear:
    """month, day: shape (n_members,), 0 where no date is known."""

    month: Integers
    day: Integers


@dataclass(frozen=True)
class MemberColumns:
    """texts: a row for each of n members; a column that it does not have is missing for all of them."""

    texts: pl.DataFrame
    n_members: int

    @classmethod
    def of(cls, events: EventArrays, snapshots: Snapshots) -> Self:
        held = pl.DataFrame() if events.rule_columns is None else rows_at(events.rule_columns, snapshots.member)
        return cls(held, len(snapshots))

    def text(self, column: str) -> pl.Series:
        if column in self.texts.columns:
            return self.texts[column]
        return pl.repeat(None, self.n_members, dtype=pl.String, eager=True)

    def says_yes(self, column: str) -> Flags:
        """False for no, for anything else and for nothing."""
        told = self.text(column)
        yes: Flags = flags(told).fill_null(value=False).to_numpy() | (as_numbers(told) == 1)
        return yes

    def is_one_of(self, column: str, allowed: Sequence[str]) -> Flags:
        """The same text, or the same number however it is written; what is missing is none of them."""
        found: Flags = positions_of(self.text(column), allowed) != NOWHERE
        return found

    def days_of_year(self, column: str) -> DaysOfYear:
        """Of dates as `YYYY-MM-DD`."""
        day = self.text(column).str.to_date("%Y-%m-%d", strict=False)
        return DaysOfYear(day.dt.month().fill_null(0).to_numpy(), day.dt.day().fill_null(0).to_numpy())

    def zones(self, column: str | None, otherwise: ZoneInfo) -> Zones:
        """`otherwise` for members whose zone is missing or unknown."""
        if column is None or column not in self.texts.columns:
            return Zones((otherwise,), np.zeros(self.n_members, dtype=np.int64))
        told = self.texts[column].fill_null("")
        names = told.unique(maintain_order=True)
        zones = tuple(ZoneInfo(name) if name in known_zones() else otherwise for name in names)
        code = told.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
        return Zones(zones, code.cast(pl.Int64).to_numpy())  # of nobody polars returns texts

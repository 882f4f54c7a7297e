"""Members counted by group and arm, and what that tells of experiments and touches that are read member by member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

from models.actions import NO_ACTION
from models.declaration import line_of
from models.experiment_arms import written_arms
from models.findings import Finding
from models.groups import group_columns
from models.logged_chances import PREFIX, logged_columns
from models.whole_groups import COUNTED, WholeGroups, counted, largest, whole_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from models.community import Community
    from models.declaration import Key
    from models.experiment_declaration import Experiment
    from models.findings import Told

TOUCHED = " touches"
"""Asked beside the ids of experiments."""
MOST_DAYS = 16
"""Of the touches that are counted, the first in an order that has nothing to do with time."""
SCATTER, RANGE = 2_654_435_761, 1 << 32
ASKED: dict[str, type[pl.DataType]] = {"asked": pl.String, "column": pl.String, **COUNTED}


@dataclass(frozen=True)
class ArmCounts:
    """`table` in columns of ASKED: for each experiment that is asked about, and each column of groups, as `counted` tells."""

    table: pl.DataFrame

    @classmethod
    def of(cls, members: pl.DataFrame, touches: pl.DataFrame | None, community: Community) -> Self:
        """`members` and `touches` as of an EventLog."""
        columns = [name for name in group_columns(community) if name in members.columns]
        if not columns:
            return cls(pl.DataFrame(schema=ASKED))
        asked = [(one.id, _written(members, one)) for one in asked_about(community)]
        told = [*_tables(members.select(columns), asked)]
        if touches is not None and not _told_by_group(community):
            told += _of_touches(members.select(columns), touches, community)
        return cls(_few_days(pl.concat([pl.DataFrame(schema=ASKED), *told])))

    def __add__(self, other: Self) -> Self:
        sums = pl.concat([self.table, other.table]).group_by(list(ASKED)[:-2], maintain_order=True)
        return type(self)(_few_days(sums.agg(pl.col("members").sum(), pl.col("log_chance").sum())))

    def findings(self, community: Community, lines: Mapping[Key, int]) -> Iterator[Finding]:
        for place, experiment in enumerate(community.experiments):
            if found := self._largest(experiment.id):
                line = line_of(lines, ("experiments", place))
                told: Told = {**_told(found), "experiment": experiment.id}
                yield Finding("warning", f"experiments.{experiment.id}.cluster", line, "groups_in_arms", told)
        touched = self._largest(TOUCHED)
        if touched is not None and touched.column not in clusters_of_experiments(community):
            yield Finding("warning", "touches.cluster", line_of(lines, ("touches",)), "groups_touched", _told(touched))

    def _largest(self, asked: str) -> WholeGroups | None:
        return _largest(self.table.filter(pl.col("asked") == asked))


def asked_about(community: Community) -> tuple[Experiment, ...]:
    """Experiments whose arms another system wrote, and of which no groups are declared."""
    return tuple(one for one in community.experiments if one.column is not None and one.cluster is None)


def clusters_of_experiments(community: Community) -> tuple[str, ...]:
    """Each once, in the order of the declaration."""
    return tuple(dict.fromkeys(one.cluster for one in community.experiments if one.cluster is not None))


def chance_of_done(touches: pl.DataFrame) -> pl.Series:
    """The log of the logged chance of what was done, NaN where there is none; shape (n,)."""
    logged = [
        pl.when(pl.col("intervention").cast(pl.String) == name.removeprefix(PREFIX)).then(pl.col(name)) for name in logged_columns(touches)
    ]
    chance = pl.coalesce([*logged, pl.lit(None, pl.Float64)])
    known = pl.when(chance > 0).then(chance.log()).otherwise(float("nan"))
    return touches.select(pl.repeat(0.0, pl.len()) + known).to_series()


def touched_groups(groups: pl.DataFrame, touches: pl.DataFrame, community: Community) -> WholeGroups | None:
    """The column of `groups`, in the rows of members, by which touches were given to groups as wholes."""
    return _largest(_few_days(pl.concat(_of_touches(groups, touches, community))))


def _told_by_group(community: Community) -> bool:
    return community.touches is not None and community.touches.cluster is not None


def _written(members: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    """`arm` in the rows of `members`, null for those who are in none."""
    if experiment.column not in members.columns:
        return pl.DataFrame({"arm": pl.repeat(None, members.height, dtype=pl.String, eager=True)})
    names = {position: arm.id for position, arm in enumerate(experiment.arms)}
    positions = pl.Series("arm", written_arms(members[experiment.column].cast(pl.String), experiment))
    return positions.replace_strict(names, default=None, return_dtype=pl.String).to_frame()


def _of_touches(groups: pl.DataFrame, touches: pl.DataFrame, community: Community) -> list[pl.DataFrame]:
    """In columns of ASKED, the first row that each member has on a day."""
    known = [NO_ACTION, *(intervention.id for intervention in community.interventions)]
    rows = touches.filter(pl.col("intervention").cast(pl.String).is_in(known))
    day = pl.col("timestamp").dt.convert_time_zone(community.timezone).dt.date().to_physical().alias("day")
    told = rows.select("member", day, arm=pl.col("intervention").cast(pl.String), log_chance=chance_of_done(rows))
    once = told.unique(["member", "day"], keep="first", maintain_order=True)
    texts = (column.cast(pl.String).gather(once["member"]) for column in groups)
    return [_asked(TOUCHED, column.name, counted(column, once["arm"], once["log_chance"], once["day"])) for column in texts]


def _tables(groups: pl.DataFrame, asked: Iterable[tuple[str, pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    return (_asked(name, column.name, counted(column, told["arm"])) for name, told in asked for column in groups)


def _asked(name: str, column: str, counts: pl.DataFrame) -> pl.DataFrame:
    return counts.select(pl.lit(name).alias("asked"), pl.lit(column).alias("column"), *COUNTED)


def _few_days(table: pl.DataFrame) -> pl.DataFrame:
    """Of each column MOST_DAYS of those that it has; the same of sums of parts as of the whole."""
    order = (pl.col("day") * SCATTER % RANGE).rank("dense").over("asked", "column")
    return table.filter(order <= MOST_DAYS)


def _largest(table: pl.DataFrame) -> WholeGroups | None:
    parts = table.sort("column").partition_by("column", as_dict=True)
    return largest(whole_groups(str(column), counts) for (column,), counts in parts.items())


def _told(found: WholeGroups) -> Told:
    return {"column": found.column, "groups": found.groups, "alike": found.alike, "members": found.members}

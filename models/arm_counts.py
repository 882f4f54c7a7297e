"""Members counted by group and arm, and what that tells of experiments and touches that are read member by member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

from models.actions import NO_ACTION
from models.declaration import line_of
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

FIRST, LAST = " first touch", " last touch"
"""Asked beside the ids of experiments: the action of each member's first and last row of the touches."""
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
            return cls(_empty())
        asked = [(one.id, _written(members, one)) for one in asked_about(community)]
        asked += [] if touches is None or _told_by_group(community) else _touched(touches, members.height, community)
        return cls(pl.concat([_empty(), *_tables(members.select(columns), asked)]))

    def __add__(self, other: Self) -> Self:
        sums = pl.concat([self.table, other.table]).group_by("asked", "column", "value", "arm")
        return type(self)(sums.agg(pl.col("members").sum(), pl.col("log_chance").sum()))

    def findings(self, community: Community, lines: Mapping[Key, int]) -> Iterator[Finding]:
        for place, experiment in enumerate(community.experiments):
            if found := self._largest(experiment.id):
                line = line_of(lines, ("experiments", place))
                told: Told = {**_told(found), "experiment": experiment.id}
                yield Finding("warning", f"experiments.{experiment.id}.cluster", line, "groups_in_arms", told)
        touched = largest(self._largest(asked) for asked in (FIRST, LAST))
        if touched is not None and touched.column not in clusters_of_experiments(community):
            yield Finding("warning", "touches.cluster", line_of(lines, ("touches",)), "groups_touched", _told(touched))

    def _largest(self, asked: str) -> WholeGroups | None:
        parts = self.table.filter(pl.col("asked") == asked).sort("column").partition_by("column", as_dict=True)
        return largest(whole_groups(str(column), counts) for (column,), counts in parts.items())


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
    asked = _touched(touches, groups.height, community)
    return largest(whole_groups(column.name, counted(column, told["arm"], told["log_chance"])) for _, told in asked for column in groups)


def _told_by_group(community: Community) -> bool:
    return community.touches is not None and community.touches.cluster is not None


def _written(members: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    """`arm` in the rows of `members`, null for those who are in none."""
    arms = [arm.id for arm in experiment.arms]
    if experiment.column not in members.columns:
        return pl.DataFrame({"arm": pl.repeat(None, members.height, dtype=pl.String, eager=True)})
    return members.select(arm=pl.col(experiment.column).cast(pl.String)).with_columns(
        arm=pl.when(pl.col("arm").is_in(arms)).then(pl.col("arm"))
    )


def _touched(touches: pl.DataFrame, n_members: int, community: Community) -> list[tuple[str, pl.DataFrame]]:
    """`arm` and `log_chance` of each member's first and last row, null for those who have none."""
    known = [NO_ACTION, *(intervention.id for intervention in community.interventions)]
    rows = touches.filter(pl.col("intervention").cast(pl.String).is_in(known))
    told = rows.select("member", "timestamp", arm=pl.col("intervention").cast(pl.String), log_chance=chance_of_done(rows))
    places = pl.DataFrame({"member": pl.int_range(n_members, dtype=pl.UInt32, eager=True)})
    each = told.sort("member", "timestamp", maintain_order=True).group_by("member", maintain_order=True)
    ends = ((FIRST, each.first()), (LAST, each.last()))
    return [(asked, places.join(one, on="member", how="left", maintain_order="left")) for asked, one in ends]


def _tables(groups: pl.DataFrame, asked: Iterable[tuple[str, pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    for name, told in asked:
        for column in groups:
            counts = counted(column, told["arm"], told["log_chance"] if "log_chance" in told.columns else None)
            yield counts.select(pl.lit(name).alias("asked"), pl.lit(column.name).alias("column"), *COUNTED)


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema=ASKED)


def _told(found: WholeGroups) -> Told:
    return {"column": found.column, "groups": found.groups, "alike": found.alike, "members": found.members}

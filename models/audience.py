"""Members by their risk and by what group they are in: cells that any selection is counted from, without a look at the members again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import polars as pl

from models.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

BINS = 20
"""Of equal width, from risk 0 to 1; the last one holds 1 too."""

NORMAL_90 = 1.644854
GROUPS = ("risk_band", "stage", "tier", "cohort")
CELL_COLUMNS = {
    "bin": pl.Int64,
    "risk_band": pl.String,
    "stage": pl.String,
    "tier": pl.String,
    "tags": pl.String,
    "cohort": pl.String,
    "members": pl.Int64,
    "expected": pl.Float64,
    "variance": pl.Float64,
    "value_at_risk": pl.Float64,
}
STANDING_COLUMNS = ("member_id", "bin", "probability", "risk_band", "stage", "tier", "tags", "cohort", "value", "value_at_risk", "chosen")


def standings_of(table: pl.DataFrame, joined: pl.Series, timezone: str) -> pl.DataFrame:
    """Where each member of a decision table stands, with STANDING_COLUMNS. `joined` (Datetime UTC) follows its rows.

    `cohort` is the month of joining by the clock of `timezone`, `tags` have a comma before and after each.
    """
    risk = pl.col("churn_probability")
    cohort = joined.dt.convert_time_zone(timezone).dt.strftime("%Y-%m")
    tags = pl.when(pl.col("tags") == "").then(pl.lit("")).otherwise("," + pl.col("tags") + ",")
    return table.with_columns(
        probability=risk,
        bin=(risk * BINS).floor().clip(0, BINS - 1).cast(pl.Int64),
        tags=tags,
        cohort=pl.when(pl.col("stage").is_null()).then(None).otherwise(pl.Series(cohort)),
    ).select(STANDING_COLUMNS)


@dataclass(frozen=True)
class Selection:
    """Bins in `[low, high)`; a group that is None is not asked for."""

    low: int = 0
    high: int = BINS
    risk_band: str | None = None
    stage: str | None = None
    tier: str | None = None
    tag: str | None = None
    cohort: str | None = None

    @property
    def shares(self) -> tuple[float, float]:
        """The bounds as risks."""
        return self.low / BINS, self.high / BINS

    def at_any_risk(self) -> Self:
        return replace(self, low=0, high=BINS)


@dataclass(frozen=True)
class Counted:
    """Members with a score; how many of them are expected to go, with a 90 % interval of chance alone; money at risk."""

    members: int
    expected: Estimate
    value_at_risk: float


@dataclass(frozen=True)
class Audience:
    """`total` is the selection, `histogram` the members in each bin whatever their risk, `choices` by group what else can be chosen."""

    selection: Selection
    total: Counted
    everyone: Counted
    histogram: tuple[int, ...]
    choices: Mapping[str, Mapping[str, int]]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Cells:
    """One row for each combination of bin, band, stage, tier, set of tags and cohort: members, and sums of risk, its variance and money."""

    rows: pl.DataFrame

    @classmethod
    def of(cls, standings: pl.DataFrame) -> Self:
        """Of members with a score."""
        risk = pl.col("probability")
        return cls(
            standings.filter(risk.is_not_null())
            .group_by("bin", "risk_band", "stage", "tier", "tags", "cohort")
            .agg(
                members=pl.len().cast(pl.Int64),
                expected=risk.sum().cast(pl.Float64),
                variance=(risk * (1 - risk)).sum().cast(pl.Float64),
                value_at_risk=pl.col("value_at_risk").sum().cast(pl.Float64),
            )
            .sort("bin", "risk_band", "stage", "tier", "tags", "cohort")
        )

    def to_json(self) -> str:
        return json.dumps(self.rows.to_dict(as_series=False))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(pl.DataFrame(json.loads(text), schema=CELL_COLUMNS))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        worn = self.rows["tags"].unique().to_list()
        return tuple(sorted({tag for tags in worn for tag in tags.split(",") if tag}))

    def audience(self, selection: Selection) -> Audience:
        """A group's choices are counted with all other groups, and the range of risk, as selected."""
        of_any_risk = self._chosen(selection.at_any_risk())
        by_bin = of_any_risk.group_by("bin").agg(pl.col("members").sum())
        held = dict(by_bin.iter_rows())
        return Audience(
            selection,
            total=_counted(self._chosen(selection)),
            everyone=_counted(self.rows),
            histogram=tuple(held.get(bin_, 0) for bin_ in range(BINS)),
            choices={
                "risk_band": self._by_group("risk_band", replace(selection, risk_band=None)),
                "stage": self._by_group("stage", replace(selection, stage=None)),
                "tier": self._by_group("tier", replace(selection, tier=None)),
                "cohort": self._by_group("cohort", replace(selection, cohort=None)),
                "tag": self._by_tag(selection),
            },
        )

    def _chosen(self, selection: Selection) -> pl.DataFrame:
        asked = {name: getattr(selection, name) for name in GROUPS}
        kept = pl.col("bin").is_between(selection.low, selection.high - 1)
        for name, value in asked.items():
            if value is not None:
                kept &= pl.col(name) == value
        if selection.tag is not None:
            kept &= pl.col("tags").str.contains(f",{selection.tag},", literal=True)
        return self.rows.filter(kept)

    def _by_group(self, name: str, selection: Selection) -> dict[str, int]:
        counted = self._chosen(selection).group_by(name).agg(pl.col("members").sum()).sort(name)
        return dict(counted.iter_rows())

    def _by_tag(self, selection: Selection) -> dict[str, int]:
        return {tag: _members(self._chosen(replace(selection, tag=tag))) for tag in self.tags}


def _members(rows: pl.DataFrame) -> int:
    return int(rows["members"].sum())


def _counted(rows: pl.DataFrame) -> Counted:
    members, expected = _members(rows), float(rows["expected"].sum())
    spread = NORMAL_90 * float(rows["variance"].sum()) ** 0.5
    bounds = max(0.0, expected - spread), min(float(members), expected + spread)
    return Counted(members, Estimate(expected, *bounds), float(rows["value_at_risk"].sum()))

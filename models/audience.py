"""Members by their risk and by what group they are in: cells that any selection is counted from, without a look at the members again."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.groups import groups_to_json
from models.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Integers

BINS = 20
"""Of equal width, from risk 0 to 1; the last one holds 1 too."""

FEW = 5_000
NORMAL_90 = 1.644854
GROUPS = ("risk_band", "stage", "tier", "cohort")
GROUP_PREFIX = "group:"
"""Before the name of a column of the members table, where the choices of all groups stand side by side."""

CELL_KEYS = ("bin", "risk_band", "stage", "tier", "tags", "cohort", "groups")
STANDING_COLUMNS = (
    "member_id",
    "bin",
    "probability",
    "risk_band",
    "stage",
    "tier",
    "tags",
    "cohort",
    "groups",
    "value",
    "value_at_risk",
    "chosen",
)


def standings_of(table: pl.DataFrame, joined: pl.Series, timezone: str, groups: pl.DataFrame | None = None) -> pl.DataFrame:
    """Where each member of a decision table stands, with STANDING_COLUMNS. `joined` (Datetime UTC) and `groups` follow its rows.

    `cohort` is the month of joining by the clock of `timezone`, `tags` have a comma before and after each, `groups` are JSON.
    """
    risk = pl.col("churn_probability")
    tags = pl.when(pl.col("tags") == "").then(pl.lit("")).otherwise("," + pl.col("tags") + ",")
    told = groups_to_json(pl.DataFrame() if groups is None else groups, table.height)
    return table.with_columns(
        probability=risk,
        bin=(risk * BINS).floor().clip(0, BINS - 1).cast(pl.Int64),
        tags=tags,
        cohort=pl.when(pl.col("stage").is_null()).then(None).otherwise(cohort_of(joined, timezone)),
        groups=pl.when(pl.col("stage").is_null()).then(None).otherwise(told),
    ).select(STANDING_COLUMNS)


def cohort_of(joined: pl.Series, timezone: str) -> pl.Series:
    """Year and month of joining (Datetime UTC) by the clock of `timezone`."""
    return joined.dt.convert_time_zone(timezone).dt.strftime("%Y-%m")


@dataclass(frozen=True)
class Selection:
    """Bins in `[low, high)`; a group that is None is not asked for. `groups` are columns of the members table, each with one value."""

    low: int = 0
    high: int = BINS
    risk_band: str | None = None
    stage: str | None = None
    tier: str | None = None
    tag: str | None = None
    cohort: str | None = None
    groups: tuple[tuple[str, str], ...] = ()

    @property
    def shares(self) -> tuple[float, float]:
        """The bounds as risks."""
        return self.low / BINS, self.high / BINS

    @property
    def named(self) -> dict[str, str]:
        """What is asked for but risk and tag, by the names of the choices."""
        asked = {name: getattr(self, name) for name in GROUPS}
        of_columns = {GROUP_PREFIX + name: value for name, value in self.groups}
        return {name: value for name, value in asked.items() if value is not None} | of_columns

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
    """`total` is the selection, `histogram` the members in each bin whatever their risk, `choices` by group what else can be chosen.

    A column of the members table stands in `choices` as `group:<column>`.
    """

    selection: Selection
    total: Counted
    everyone: Counted
    histogram: tuple[int, ...]
    choices: Mapping[str, Mapping[str, int]]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class _Coded:
    """code (n_cells,): position in `names`, len(names) where there is none."""

    names: tuple[str, ...]
    code: Integers

    @classmethod
    def of(cls, told: pl.Series) -> Self:
        names = told.drop_nulls().unique().sort()
        code = told.cast(pl.Enum(names)).to_physical().fill_null(len(names))
        return cls(tuple(names), code.to_numpy())

    def has(self, name: str) -> Flags:
        """Nobody has a name that is not there."""
        if name not in self.names:
            return np.zeros(len(self.code), dtype=np.bool_)
        flags: Flags = self.code == self.names.index(name)
        return flags


@dataclass(frozen=True)
class Cells:
    """One row for each combination of CELL_KEYS that there is: members, and sums of risk, its variance and money."""

    rows: pl.DataFrame

    @classmethod
    def of(cls, standings: pl.DataFrame) -> Self:
        """Of members with a score."""
        risk = pl.col("probability")
        return cls(
            standings.filter(risk.is_not_null())
            .group_by(CELL_KEYS)
            .agg(
                members=pl.len().cast(pl.Int64),
                expected=risk.sum().cast(pl.Float64),
                variance=(risk * (1 - risk)).sum().cast(pl.Float64),
                value_at_risk=pl.col("value_at_risk").sum().cast(pl.Float64),
            )
            .sort(CELL_KEYS)
        )

    def placed(self, standings: pl.DataFrame) -> pl.DataFrame:
        """With one column more, `cell`: the row in which each member is counted, null for those without a score."""
        places = self.rows.select(CELL_KEYS).with_row_index("cell")
        found = standings.join(places, on=CELL_KEYS, how="left", nulls_equal=True, maintain_order="left")
        return found.with_columns(pl.when(pl.col("probability").is_not_null()).then(pl.col("cell").cast(pl.Int64)))

    def to_text(self) -> str:
        """Parquet in base64: a community of a million may have several 100,000 rows, which JSON takes seconds to read."""
        written = io.BytesIO()
        self.rows.write_parquet(written)
        return base64.b64encode(written.getvalue()).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        return cls(pl.read_parquet(io.BytesIO(base64.b64decode(text))))

    @cached_property
    def group_columns(self) -> tuple[str, ...]:
        """Columns of the members table that somebody has a value of."""
        known = (json.loads(told) for told in self.rows["groups"].drop_nulls().unique())
        return tuple(sorted({name for groups in known for name in groups}))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        worn = self._coded["tags"].names
        return tuple(sorted({tag for tags in worn for tag in tags.split(",") if tag}))

    def audience(self, selection: Selection) -> Audience:
        """A group's choices are counted with all other groups, and the range of risk, as selected."""
        asked = self._asked(selection)
        of_any_risk = self._among(asked, without="bin")
        return Audience(
            selection,
            total=self._counted(self._among(asked)),
            everyone=self._counted(self._among({})),
            histogram=tuple(np.bincount(self._bin[of_any_risk], self._members[of_any_risk], BINS).astype(int).tolist()),
            choices={
                **{name: self._by_group(coded, self._among(asked, without=name)) for name, coded in self._coded.items() if name != "tags"},
                "tag": self._by_tag(self._among(asked, without="tag")),
            },
        )

    def cells_of_few(self, selection: Selection) -> tuple[int, ...] | None:
        """The rows, by their number, in which a selection of few members is counted; None for one of more than FEW."""
        among = self._among(self._asked(selection))
        return tuple(np.flatnonzero(among).tolist()) if self._members[among].sum() <= FEW else None

    @cached_property
    def _coded(self) -> dict[str, _Coded]:
        """By the names of the choices."""
        written = self.rows["groups"].unique()
        known = [{} if told is None else json.loads(told) for told in written]
        of_columns = {
            GROUP_PREFIX + name: self.rows["groups"].replace_strict(written, pl.Series([told.get(name) for told in known], dtype=pl.String))
            for name in self.group_columns
        }
        return {name: _Coded.of(told) for name, told in ({name: self.rows[name] for name in (*GROUPS, "tags")} | of_columns).items()}

    @cached_property
    def _bin(self) -> Integers:
        return self.rows["bin"].to_numpy()

    @cached_property
    def _members(self) -> Integers:
        return self.rows["members"].to_numpy()

    def _asked(self, selection: Selection) -> dict[str, Flags]:
        """Which rows agree with each thing that is asked for. Shape (n_cells,) each."""
        nobody = _Coded((), np.zeros(self.rows.height, dtype=np.int64))
        asked = {name: self._coded.get(name, nobody).has(value) for name, value in selection.named.items()}
        if (selection.low, selection.high) != (0, BINS):
            asked["bin"] = (self._bin >= selection.low) & (self._bin < selection.high)
        if selection.tag is not None:
            asked["tag"] = self._wears(selection.tag)
        return asked

    def _wears(self, tag: str) -> Flags:
        sets = self._coded["tags"]
        worn: Flags = np.array([*(f",{tag}," in tags for tags in sets.names), False])[sets.code]
        return worn

    def _among(self, asked: Mapping[str, Flags], without: str | None = None) -> Flags:
        kept = np.ones(self.rows.height, dtype=np.bool_)
        for name, flags in asked.items():
            if name != without:
                kept &= flags
        return kept

    def _by_group(self, coded: _Coded, among: Flags) -> dict[str, int]:
        """Those that somebody is in."""
        counted = np.bincount(coded.code[among], self._members[among], len(coded.names) + 1).astype(int)
        return {name: count for name, count in zip(coded.names, counted.tolist(), strict=False) if count}

    def _by_tag(self, among: Flags) -> dict[str, int]:
        return {tag: int(self._members[among & self._wears(tag)].sum()) for tag in self.tags}

    def _counted(self, among: Flags) -> Counted:
        return counted_of(self.rows, among)


def counted_of(rows: pl.DataFrame, among: Flags | slice = slice(None)) -> Counted:
    """Of rows with `members`, `expected`, `variance` and `value_at_risk`."""
    members, expected, variance, money = (
        float(rows[name].to_numpy()[among].sum()) for name in ("members", "expected", "variance", "value_at_risk")
    )
    spread = NORMAL_90 * variance**0.5
    return Counted(round(members), Estimate(expected, max(0.0, expected - spread), min(members, expected + spread)), money)

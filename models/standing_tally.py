"""What all members' standings add up to: everything that is told of a community without a look at single members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl

from models.audience import CELL_KEYS, Cells

KEYS = (*CELL_KEYS, "chosen")
SCORED = ("members", "expected", "variance", "value_at_risk")
"""Members with a score, and sums of their risk, its variance and money at risk."""
SUMS = ("everyone", *SCORED, "valued", "value")


@dataclass(frozen=True)
class StandingTally:
    """One row for each combination of KEYS that there is, with SUMS: `everyone` are all members, `valued` those with a `value`."""

    rows: pl.DataFrame

    @classmethod
    def of(cls, standings: pl.DataFrame) -> Self:
        risk, money = pl.col("probability").cast(pl.Float64), pl.col("value_at_risk").cast(pl.Float64)
        return cls(
            standings.group_by(KEYS)
            .agg(
                everyone=pl.len().cast(pl.Int64),
                members=risk.count().cast(pl.Int64),
                expected=risk.sum(),
                variance=(risk * (1 - risk)).sum(),
                value_at_risk=money.filter(risk.is_not_null()).sum(),
                valued=pl.col("value").count().cast(pl.Int64),
                value=pl.col("value").cast(pl.Float64).sum(),
            )
            .sort(KEYS)
        )

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Of members of all parts; one part at least."""
        return cls(_summed(pl.concat([part.rows for part in parts]), KEYS, SUMS))

    @property
    def members(self) -> int:
        return int(self.rows["everyone"].sum())

    @property
    def mean_value(self) -> float | None:
        valued = int(self.rows["valued"].sum())
        return float(self.rows["value"].sum()) / valued if valued else None

    @property
    def cells(self) -> Cells:
        return Cells(_summed(self.rows.filter(pl.col("members") > 0), CELL_KEYS, SCORED))

    @property
    def places(self) -> pl.DataFrame:
        """By CELL_KEYS, with SCORED; members without a score have places too."""
        return _summed(self.rows, CELL_KEYS, SCORED)

    def counted(self, column: str) -> dict[str, int]:
        """Members by what they have in one of KEYS, those without anything left out."""
        return dict(self.rows.drop_nulls(column).group_by(column).agg(pl.col("everyone").sum()).sort(column).iter_rows())


def _summed(rows: pl.DataFrame, keys: Sequence[str], sums: Sequence[str]) -> pl.DataFrame:
    return rows.group_by(keys).agg(pl.col(sums).sum()).sort(keys)

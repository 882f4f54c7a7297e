"""How soon members who come back do so, which tells how long a silence is unusual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

USUAL_RETURN = 0.75
"""A silence is unusual once so large a share of the returns of a member would have come; with 1 in 4 still to come it is not."""
FEWEST_RETURNING = 30


@dataclass(frozen=True)
class Rhythm:
    """returning: members with two active days or more.

    within: by days, the share of their returns that come in so many, each member counting as much as any other; empty where too few return.
    """

    returning: int
    within: dict[int, float]

    @classmethod
    def of(cls, rows: pl.DataFrame, types: Collection[str], days: Sequence[int]) -> Self:
        """rows: `member_id`, `timestamp`, `type`; of them only those of the given types, which keep a member from being silent."""
        active = (
            rows.filter(pl.col("type").is_in(list(types)))
            .select("member_id", day=pl.col("timestamp").dt.date())
            .unique()
            .sort("member_id", "day")
        )
        gap = pl.col("day").diff().over("member_id").dt.total_days()
        returns = (
            active.with_columns(gap=gap)
            .drop_nulls("gap")
            .group_by("member_id")
            .agg((pl.col("gap") <= end).mean().alias(str(end)) for end in days)
        )
        if returns.height < FEWEST_RETURNING:
            return cls(returns.height, {})
        return cls(returns.height, {end: float(returns[str(end)].mean()) for end in days})  # type: ignore[arg-type]  # polars types a mean as any literal

    def fitting(self, days: Sequence[int]) -> int | None:
        """The first of them within which most returns come; None where that is so for none, or nothing is known."""
        return next((end for end in days if self.within.get(end, 0.0) >= USUAL_RETURN), None)

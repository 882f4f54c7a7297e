"""What came through the service, as touches of an EventLog: its decisions as assignments, and contacts of other systems."""

from __future__ import annotations

import json

import polars as pl


def posted_touches(assignments: pl.DataFrame, contacts: pl.DataFrame, now_us: int) -> pl.DataFrame:
    """`member_id` and the columns of an EventLog's touches, from what `Store.assignments` and `Store.other_contacts` tell.

    A contact that is reserved and not over by `now_us` is `pending`. Contacts of other systems have no propensities.
    """
    made = assignments.select(
        "member_id",
        "timestamp",
        "intervention",
        "channel",
        "delivered",
        "response",
        "decision_id",
        "touched",
        (pl.col("held_until") > now_us).fill_null(value=False).alias("pending"),
    )
    return pl.concat([made.hstack(_propensities(assignments["propensities"])), contacts], how="diagonal")


def _propensities(told: pl.Series) -> pl.DataFrame:
    """One column `propensity_<candidate>` for each that any row names; null in rows that do not."""
    rows = [{} if text is None else json.loads(text) for text in told.to_list()]
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame({f"propensity_{name}": pl.Series([row.get(name) for row in rows], dtype=pl.Float64) for name in names})

"""What came through the service, as touches of an EventLog: its decisions as assignments, and contacts of other systems."""

from __future__ import annotations

import json

import polars as pl

IDS_APART = "\x1f"
"""Between ids; none that was reported has it."""


def posted_touches(assignments: pl.DataFrame, contacts: pl.DataFrame, now_us: int) -> pl.DataFrame:
    """`member_id` and the columns of an EventLog's touches, from what `Store.assignments` and `Store.other_contacts` tell.

    A contact that is reserved and not over by `now_us` is `pending`. Contacts of other systems have no propensities. `touch_ids` are those
    under which a touch was reported, with IDS_APART; null where none was.
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
        "touch_ids",
    )
    return pl.concat([made.hstack(chance_columns(assignments["propensities"])), contacts], how="diagonal")


def chance_columns(told: pl.Series) -> pl.DataFrame:
    """One column `propensity_<candidate>` for each that any row of JSON names; null in rows that do not."""
    read = {None: {}} | {text: json.loads(text) for text in told.drop_nulls().unique(maintain_order=True)}
    rows = [read[text] for text in told]
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame({f"propensity_{name}": pl.Series([row.get(name) for row in rows], dtype=pl.Float64) for name in names})

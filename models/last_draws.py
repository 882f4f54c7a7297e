"""When chance last decided on members, as a log tells it: what the rest after a draw is counted from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.community import DAY_US
from models.interventions import NOT_DRAWN, ContactHistory
from models.logged_chances import PREFIX, logged_columns

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.community import Community


def by_chance(propensity: Floats) -> Flags:
    """Whether anything else could have been chosen: shape (n,) for (n, n_actions)."""
    uncertain: Flags = np.logical_and(propensity > 0, propensity < 1)
    drawn: Flags = uncertain.max(axis=1)
    return drawn


def contacts_of(touches: pl.DataFrame | None, members: Integers, as_of_us: Integers, community: Community) -> ContactHistory:
    """All that the rules on contacts ask of an EventLog's touches; members and as_of_us (n,): code in the log and moment of each row."""
    if touches is None:
        return ContactHistory.empty()
    made = ContactHistory.of_touches(touches, members)
    return replace(made, drawn_us=last_draws(touches, members, as_of_us)) if community.contact_policy.draw_cooldown_days else made


def last_draws(touches: pl.DataFrame, members: Integers, as_of_us: Integers) -> Integers:
    """`ContactHistory.drawn_us` by the logged chances, shape (n,).

    NOT_DRAWN too where chance decides at `as_of` itself: then no draw before held it back, whatever is asked about that moment later.
    """
    made = touches.filter(_by_chance(touches)).select(_member(), drawn_us=pl.col("timestamp").to_physical()).sort("drawn_us")
    asked = pl.DataFrame({"member": members.astype(np.int64), "as_of_us": as_of_us}).with_row_index("row").sort("as_of_us")
    last = asked.join_asof(
        made, left_on="as_of_us", right_on="drawn_us", by="member", strategy="backward", coalesce=False, check_sortedness=False
    )
    before = pl.when(pl.col("drawn_us") < pl.col("as_of_us")).then("drawn_us").otherwise(NOT_DRAWN)
    found: Integers = last.sort("row").select(before.fill_null(NOT_DRAWN)).to_series().to_numpy()
    return found


def at_rest(rows: pl.DataFrame, touches: pl.DataFrame, community: Community) -> Flags:
    """Which of these rows, some of the touches, did nothing for certain while their members rested from a draw, shape (n,)."""
    days = community.contact_policy.draw_cooldown_days
    if not days or f"{PREFIX}{NO_ACTION}" not in rows.columns:
        return np.zeros(rows.height, dtype=np.bool_)
    as_of_us = rows["timestamp"].to_physical().to_numpy()
    last_us = last_draws(touches, rows["member"].to_numpy(), as_of_us)
    certain = (rows[f"{PREFIX}{NO_ACTION}"] == 1).fill_null(value=False).to_numpy()
    resting: Flags = certain & (last_us > as_of_us - days * DAY_US)
    return resting


def _by_chance(touches: pl.DataFrame) -> pl.Expr:
    logged = logged_columns(touches)
    return pl.any_horizontal(pl.lit(value=False), *((pl.col(name) > 0) & (pl.col(name) < 1) for name in logged))


def _member() -> pl.Expr:
    return pl.col("member").cast(pl.Int64)

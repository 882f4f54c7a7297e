"""Whether days were put into arms and not members: a switchback, in which everybody is given the same until all are switched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.whole_groups import FEWEST_GROUPS, counted, whole_groups

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from models.balance import Draw
    from models.snapshots import Snapshots

FEWEST_UNITS = 20
"""Days on which fewer were assigned are not looked at."""


def switched_days(draw: Draw, snapshots: Snapshots, zone: ZoneInfo) -> int:
    """Days by the clock of `zone`, where drawing these as wholes explains the arms better than the logged chances do; else 0.

    By the same odds as `whole_groups`, a day as the group of those who were assigned on it, of whom each counts once.
    """
    at = pl.Series(snapshots.as_of_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(str(zone))
    chance = np.where(draw.treated, draw.chance, 1 - draw.chance)
    rows = pl.DataFrame({"day": at.dt.date(), "unit": draw.unit, "arm": draw.treated, "log_chance": np.log(chance)})
    once = rows.unique(["day", "unit"], keep="first", maintain_order=True).filter(pl.len().over("day") >= FEWEST_UNITS)
    if once["day"].n_unique() < 2 * FEWEST_GROUPS:
        return 0
    found = whole_groups("day", counted(once["day"], once["arm"], once["log_chance"]))
    return 0 if found is None else found.groups

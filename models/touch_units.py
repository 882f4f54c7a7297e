"""Members who were given the same together: what is learned from touches, and judged on them, takes such a group for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.arm_counts import clusters_of_experiments, touched_groups

if TYPE_CHECKING:
    from models.arrays import Integers
    from models.community import Community


@dataclass(frozen=True)
class TouchUnits:
    """of_member (n_members,): codes of the groups that `column` tells, 1 to `most`; a member of none is a unit of its own, and above."""

    column: str
    of_member: Integers
    most: int

    @classmethod
    def of(cls, groups: pl.Series) -> Self:
        told = groups.cast(pl.String)
        known = told.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
        alone = told.is_null().to_numpy()
        most = int(known.max(initial=0))
        return cls(groups.name, np.where(alone, most + np.cumsum(alone), known), most)

    def like(self, members: Integers) -> Integers:
        """All members who share a unit with any of these."""
        return np.flatnonzero(np.isin(self.of_member, self.of_member[members]))


def units_of_touches(touches: pl.DataFrame, columns: pl.DataFrame | None, community: Community) -> TouchUnits | None:
    """By `touches.cluster`; else by the `cluster` of an experiment where `touches` were in fact given to its groups as wholes.

    None where each member is a unit. columns: `rule_columns` of EventArrays.
    """
    if columns is None:
        return None
    declared = None if community.touches is None else community.touches.cluster
    if declared is not None:
        return TouchUnits.of(columns[declared]) if declared in columns.columns else None
    candidates = columns.select(name for name in clusters_of_experiments(community) if name in columns.columns)
    found = touched_groups(candidates, touches, community) if candidates.width else None
    return None if found is None else TouchUnits.of(columns[found.column])

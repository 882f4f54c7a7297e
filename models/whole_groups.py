"""Whether groups of members were put into arms as wholes, told from who is in which arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from scipy.special import gammaln, logsumexp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.arrays import Floats, Integers

MOVED = 0.02
"""So many members are expected in another arm than their group: those who changed groups since."""
ODDS = 1e4
FEWEST_GROUPS = 2
COUNTED: dict[str, type[pl.DataType]] = {
    "day": pl.Int64,
    "value": pl.String,
    "arm": pl.String,
    "members": pl.Int64,
    "log_chance": pl.Float64,
}


class WholeGroups(NamedTuple):
    """`groups` with at least two members each, counted on each day anew, of which in `alike` ones all `members` are in one arm."""

    column: str
    groups: int
    alike: int
    members: int


@dataclass(frozen=True)
class Cells:
    """members (g, k): of each group in each arm; log_chance (g, k): the sum of the logs of their chances of being there."""

    members: Integers
    log_chance: Floats

    @property
    def alone(self) -> float:
        """Log-likelihood of the arms, each member drawn by itself."""
        return float(self.log_chance.sum())

    @property
    def arm(self) -> Integers:
        """(g,): that of most members of each group."""
        arm: Integers = self.members.argmax(axis=1)
        return arm

    @property
    def several(self) -> bool:
        """Have at least two arms FEWEST_GROUPS groups?"""
        return int((np.bincount(self.arm) >= FEWEST_GROUPS).sum()) > 1

    @property
    def together(self) -> float:
        """That of each group drawn as a whole, by shares that are learned as the groups are drawn (Krichevsky and Trofimov 1981).

        Each member is in its group's arm with 1 - MOVED, else anywhere by its own chance.
        """
        groups, arms = self.members.shape
        own = np.arange(arms) == self.arm[:, None]
        drawn = np.bincount(self.arm, minlength=arms)
        shares = gammaln(arms / 2) - gammaln(groups + arms / 2) + (gammaln(drawn + 0.5) - gammaln(0.5)).sum()
        stayed = self.members[own].sum() * np.log(1 - MOVED)
        moved = (self.members[~own] * np.log(MOVED) + self.log_chance[~own]).sum()
        return float(shares + stayed + moved)


def counted(group: pl.Series, arm: pl.Series, log_chance: pl.Series | None = None, day: pl.Series | None = None) -> pl.DataFrame:
    """Members with a group and an arm in columns of COUNTED; `log_chance` is NaN where that of any is not known, `day` 0 without any."""
    told = pl.lit(float("nan")) if log_chance is None else log_chance.alias("log_chance")
    on = pl.lit(0) if day is None else day.alias("day")
    rows = pl.DataFrame({"value": group.cast(pl.String), "arm": arm.cast(pl.String)}).with_columns(log_chance=told, day=on)
    there = rows.drop_nulls(["value", "arm"])
    return there.group_by("day", "value", "arm").agg(members=pl.len(), log_chance=pl.col("log_chance").sum()).cast(pl.Schema(COUNTED))


def whole_groups(column: str, counts: pl.DataFrame) -> WholeGroups | None:
    """Of `counts` in columns of COUNTED, a row for each day, group and arm.

    Where drawing groups as wholes makes the arms of a day, in the mean of the days, more than ODDS times as likely as drawing members one
    by one, and on some day at least two arms have FEWEST_GROUPS groups. Chances that are not known are the shares of the arms, which makes
    the second as likely as it can be; so members who were drawn one by one pass for groups with a probability of at most 1 / ODDS
    (Wasserman, Ramdas and Balakrishnan 2020), whether they are drawn each day anew or keep their arms: a mean of such ratios needs no
    independent days, as their product would (Vovk and Wang 2021, Annals of Statistics 49, 1736-1754).
    """
    days = [cells for day in counts.partition_by("day") if (cells := _cells(day)).members.shape[1] > 1]
    least = np.log(ODDS * counts["day"].n_unique())
    if not any(cells.several for cells in days) or logsumexp([cells.together - cells.alone for cells in days]) <= least:
        return None
    sizes = np.concatenate([cells.members.sum(axis=1) for cells in days])
    largest_arms = np.concatenate([cells.members.max(axis=1) for cells in days])
    return WholeGroups(column, len(sizes), int((largest_arms == sizes).sum()), int(sizes.sum()))


def largest(found: Iterable[WholeGroups | None]) -> WholeGroups | None:
    """The one of fewest groups: where branches were put into arms, the chat groups of a branch were too."""
    return min((one for one in found if one is not None), key=lambda one: one.groups, default=None)


def _cells(counts: pl.DataFrame) -> Cells:
    """Of groups of at least two members; without any, of shape (0, 0)."""
    rows = counts.filter(pl.col("members").sum().over("value") > 1)
    group, arm = (rows[name].rank("dense").cast(pl.Int64).to_numpy() - 1 for name in ("value", "arm"))
    shape = (int(group.max(initial=-1)) + 1, int(arm.max(initial=-1)) + 1)
    members, log_chance = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    members[group, arm], log_chance[group, arm] = rows["members"].to_numpy(), rows["log_chance"].to_numpy()
    if np.isnan(log_chance).any():
        share = members.sum(axis=0) / members.sum()
        log_chance = members * np.log(share)
    return Cells(members, log_chance)

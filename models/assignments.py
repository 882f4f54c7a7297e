"""What was tried on whom and what followed: the rows that effects are learned from and policies are proved on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.balance import Draw
from models.community import DAY_US
from models.histories import EventHistories
from models.last_draws import at_rest
from models.logged_chances import PREFIX, chances_of
from models.snapshots import Snapshots
from models.statements import Statement
from models.switched_days import switched_days
from models.touch_units import units_of_touches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.events import EventArrays
    from models.histories import Histories
    from models.touch_units import TouchUnits

AssignmentKind = Literal["logged", "as_if_random", "observational"]
MOST_SENT, FEWEST_ALONE, EARLY = 0.25, 100, 0.9
"""What is sent in the last tenth of the horizon comes too late to change much of what is counted."""


@dataclass(frozen=True)
class Assignments:
    """One row for each (member, time) at which an action was assigned, doing nothing included, delivered or not (intention to treat).

    arm (n,): 0 for `none`, else 1 + position in `interventions`; propensities (n, 1 + n_interventions), `none` first, each row adding up to
    1, or None where they were not logged; retained (n,): 1.0 where the member was not gone over the horizon from the assignment on.
    `notes`: which rows were left out. `units`: groups that were given the same together; None where members were not. `switched`: of
    interventions that days were drawn for, and not members, how many days.
    """

    snapshots: Snapshots
    interventions: tuple[str, ...]
    arm: Integers
    propensities: Floats | None
    retained: Floats
    notes: tuple[Statement, ...] = ()
    units: TouchUnits | None = None
    switched: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.arm)

    def __getitem__(self, rows: Integers | Flags) -> Self:
        shares = None if self.propensities is None else self.propensities[rows]
        return replace(self, snapshots=self.snapshots[rows], arm=self.arm[rows], propensities=shares, retained=self.retained[rows])

    @property
    def warnings(self) -> tuple[Statement, ...]:
        """The notes, whether days were drawn, and over how many groups intervals are, and over how many members who belong to none."""
        notes = (*self.notes, *(Statement("proof.days_drawn", {"arm": name, "days": days}) for name, days in self.switched.items()))
        if self.units is None:
            return notes
        named = np.unique(self.unit) <= self.units.most
        told = {"column": self.units.column, "groups": int(named.sum())}
        if named.all():
            return (*notes, Statement("proof.by_group", told))
        return (*notes, Statement("proof.by_group_and_alone", told | {"alone": int((~named).sum())}))

    @property
    def unit(self) -> Integers:
        """Of each row a code, shape (n,): rows with the same one depend on each other."""
        member = self.snapshots.member
        return member if self.units is None else self.units.of_member[member]

    def like(self, rows: Flags) -> Integers:
        """All members of the units that these rows belong to."""
        members = np.unique(self.snapshots.member[rows])
        return members if self.units is None else self.units.like(members)

    def draws(self) -> Iterator[tuple[str, Integers, Draw]]:
        """Of each intervention the rows that were it or `none` and could have been either, where the propensities were logged."""
        for position, name in enumerate(self.interventions, start=1):
            if self.propensities is not None:
                none, other = self.propensities[:, 0], self.propensities[:, position]
                rows = np.flatnonzero((none > 0) & (other > 0) & np.isin(self.arm, (0, position)))
                yield name, rows, Draw(self.arm[rows] == position, other[rows] / (none[rows] + other[rows]), self.unit[rows])

    @property
    def names(self) -> Names:
        """The id of what was assigned, `none` included, shape (n,)."""
        return np.array([NO_ACTION, *self.interventions])[self.arm]


def assignments_of(touches: pl.DataFrame, events: EventArrays, community: Community, *, until_us: int) -> Assignments:
    """As `assignments_among`, of events that are held here."""
    return assignments_among(touches, EventHistories.of(events, community), community, until_us=until_us)


def assignments_among(touches: pl.DataFrame, histories: Histories, community: Community, *, until_us: int) -> Assignments:
    """The assignments of an EventLog's touches whose whole outcome lies before `until_us`.

    Kept are those of members who were in the population when they were assigned, with an action that the catalogue has, but for what was
    certain to be `none` because the members rested from a draw: nothing was asked about them. Propensities are
    conditional on that: divided by their sum over the catalogue's arms. `notes` tell which rows `chances_of` leaves out, and where
    members who were left alone did not stay so.
    """
    interventions = tuple(intervention.id for intervention in community.interventions)
    codes = {NO_ACTION: 0} | {name: position for position, name in enumerate(interventions, start=1)}
    known = touches.filter(pl.col("intervention").is_in(list(codes)))
    snapshots = snapshots_of_touches(known, histories.joined_us)
    arm = known["intervention"].cast(pl.String).replace_strict(codes, return_dtype=pl.Int64).to_numpy()
    due = histories.present(snapshots) & (snapshots.as_of_us + community.churn.horizon_days * DAY_US <= until_us)
    due &= ~at_rest(known, touches, community)
    chances = chances_of(known, list(codes), due)
    kept = np.flatnonzero(due & chances.kept)
    rows = snapshots[kept]
    retained = 1.0 - histories.churned(rows, (community.churn.horizon_days,))[:, 0]
    shares = _propensities(known[kept], list(codes)) if chances.logged else None
    units = units_of_touches(known, histories.rule_columns, community)
    notes = (*chances.notes, *_sent_after_all(known, kept, shares, community))
    made = Assignments(rows, interventions, arm[kept], shares, retained, notes, units)
    days = {name: switched_days(draw, made.snapshots[drawn], community.zone) for name, drawn, draw in made.draws()}
    return replace(made, switched={name: count for name, count in days.items() if count})


def _sent_after_all(touches: pl.DataFrame, kept: Integers, shares: Floats | None, community: Community) -> tuple[Statement, ...]:
    """Where many of the `kept` rows who could have been given something, and were not, were given it within most of the horizon.

    shares (n_kept, n_arms), None where they were not logged. A row counts by the odds that it would have been given something.
    """
    days, arm = community.churn.horizon_days, pl.col("intervention").cast(pl.String)
    weighed = [intervention.id for intervention in community.interventions if intervention.message_class == "marketing"]
    given = touches.filter(arm.is_in(weighed)).select("member", "timestamp", sent="timestamp").sort("timestamp")
    odds = np.ones(len(kept)) if shares is None else 1 / np.maximum(shares[:, 0], np.finfo(float).tiny) - 1
    alone = touches[kept].with_columns(odds=odds).filter(arm == NO_ACTION, pl.col("odds") > 0)
    after = (
        alone.select("member", "timestamp", "odds")
        .sort("timestamp")
        .join_asof(given, on="timestamp", by="member", strategy="forward", allow_exact_matches=False, check_sortedness=False)
        .select("odds", waited=(pl.col("sent") - pl.col("timestamp")).dt.total_seconds() * 1_000_000 / DAY_US)
    )
    waited, counts = after["waited"].to_numpy(), after["odds"].to_numpy()
    early = waited < EARLY * days
    if len(waited) < FEWEST_ALONE or (share := float(counts[early].sum() / counts.sum())) < MOST_SENT:
        return ()
    return (Statement("proof.sent_after_all", {"share": share, "waited": ceil(np.median(waited[early])), "days": days}),)


def snapshots_of_touches(touches: pl.DataFrame, joined_us: Integers) -> Snapshots:
    member = touches["member"].to_numpy().astype(np.int64)
    return Snapshots(member, touches["timestamp"].to_physical().to_numpy(), joined_us[member])


def _propensities(touches: pl.DataFrame, arms: Sequence[str]) -> Floats:
    """Conditional on these arms, shape (n, n_arms); those without a column were never assigned."""
    nothing = np.zeros(touches.height)
    columns = [f"{PREFIX}{name}" for name in arms]
    shares = np.column_stack([touches[name].fill_null(0.0).to_numpy() if name in touches.columns else nothing for name in columns])
    conditional: Floats = shares / shares.sum(axis=1, keepdims=True)
    return conditional

"""What was tried on whom and what followed: the rows that effects are learned from and policies are proved on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.community import DAY_US
from models.histories import EventHistories
from models.snapshots import Snapshots
from models.statements import Statement

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.events import EventArrays
    from models.histories import Histories

AssignmentKind = Literal["logged", "as_if_random", "observational"]
ROUNDING = 0.01
"""Logged propensities of a row may miss a sum of 1 by so much."""
FEWEST_LOGGED = 500


@dataclass(frozen=True)
class Assignments:
    """One row for each (member, time) at which an action was assigned, doing nothing included, delivered or not (intention to treat).

    arm (n,): 0 for `none`, else 1 + position in `interventions`; propensities (n, 1 + n_interventions), `none` first, each row adding up to
    1, or None where they were not logged; retained (n,): 1.0 where the member was not gone over the horizon from the assignment on.
    """

    snapshots: Snapshots
    interventions: tuple[str, ...]
    arm: Integers
    propensities: Floats | None
    retained: Floats
    warnings: tuple[Statement, ...] = ()

    def __len__(self) -> int:
        return len(self.arm)

    def __getitem__(self, rows: Integers | Flags) -> Self:
        shares = None if self.propensities is None else self.propensities[rows]
        return replace(self, snapshots=self.snapshots[rows], arm=self.arm[rows], propensities=shares, retained=self.retained[rows])

    @property
    def names(self) -> Names:
        """The id of what was assigned, `none` included, shape (n,)."""
        return np.array([NO_ACTION, *self.interventions])[self.arm]


def assignments_of(touches: pl.DataFrame, events: EventArrays, community: Community, *, until_us: int) -> Assignments:
    """As `assignments_among`, of events that are held here."""
    return assignments_among(touches, EventHistories.of(events, community), community, until_us=until_us)


def assignments_among(touches: pl.DataFrame, histories: Histories, community: Community, *, until_us: int) -> Assignments:
    """The assignments of an EventLog's touches whose whole outcome lies before `until_us`.

    Kept are those of members who were in the population when they were assigned, with an action that the catalogue has. Propensities are
    conditional on that: divided by their sum over the catalogue's arms. Rows whose logged propensities cannot be right (no chance of what
    was done, a sum away from 1) are left out, and counted in `warnings`. Beside at least FEWEST_LOGGED rows with logged propensities, those
    without any are left out too: the ones are an experiment, the others are not. Beside fewer, all propensities are to be estimated.
    """
    interventions = tuple(intervention.id for intervention in community.interventions)
    codes = {NO_ACTION: 0} | {name: position for position, name in enumerate(interventions, start=1)}
    known = touches.filter(pl.col("intervention").is_in(list(codes)))
    snapshots = _snapshots(known, histories.joined_us)
    arm = known["intervention"].cast(pl.String).replace_strict(codes, return_dtype=pl.Int64).to_numpy()
    due = histories.present(snapshots) & (snapshots.as_of_us + community.churn.horizon_days * DAY_US <= until_us)
    told = _told(known)
    silent, enough = int((due & ~told).sum()), int((due & told).sum())
    notes: tuple[Statement, ...] = ()
    if silent and 0 < enough < FEWEST_LOGGED:
        known = known.drop(logged_columns(known))
        notes = (Statement("proof.few_logged", {"enough": enough, "silent": silent}),)
    elif silent and enough:
        known, snapshots, arm, due = known.filter(told), snapshots[told], arm[told], due[told]
        notes = (Statement("proof.unlogged_left_out", {"enough": enough, "silent": silent}),)
    shares, sound, warnings = _propensities(known, arm, interventions)
    kept = np.flatnonzero(due & sound)
    rows = snapshots[kept]
    retained = 1.0 - histories.churned(rows, (community.churn.horizon_days,))[:, 0]
    lost = int(np.count_nonzero(due & ~sound))
    if lost:
        warnings += (Statement("proof.unsound_left_out", {"lost": lost}),)
    return Assignments(rows, interventions, arm[kept], None if shares is None else shares[kept], retained, (*notes, *warnings))


def logged_columns(touches: pl.DataFrame) -> list[str]:
    return [name for name in touches.columns if name.startswith("propensity_")]


def _told(touches: pl.DataFrame) -> Flags:
    """Which rows have any logged propensity, shape (n,)."""
    logged = logged_columns(touches)
    if not logged:
        return np.zeros(touches.height, dtype=np.bool_)
    told: Flags = touches.select(pl.any_horizontal(pl.col(logged).is_not_null())).to_series().to_numpy()
    return told


def _snapshots(touches: pl.DataFrame, joined_us: Integers) -> Snapshots:
    member = touches["member"].to_numpy().astype(np.int64)
    return Snapshots(member, touches["timestamp"].to_physical().to_numpy(), joined_us[member])


def _propensities(
    touches: pl.DataFrame, arm: Integers, interventions: tuple[str, ...]
) -> tuple[Floats | None, Flags, tuple[Statement, ...]]:
    """Conditional propensities, which rows can be believed, and what to say; None where no arm's were logged."""
    logged = logged_columns(touches)
    if not logged:
        return None, np.ones(len(arm), dtype=np.bool_), ()
    columns = [f"propensity_{name}" for name in (NO_ACTION, *interventions)]
    absent = [name.removeprefix("propensity_") for position, name in enumerate(columns) if name not in logged and (arm == position).any()]
    if absent:
        return None, np.ones(len(arm), dtype=np.bool_), (Statement("proof.none_logged_for", {"arms": ", ".join(absent)}),)
    zero = np.zeros(len(arm))
    shares = np.column_stack([touches[name].fill_null(0.0).to_numpy() if name in logged else zero for name in columns])
    total = touches.select(pl.sum_horizontal(logged)).to_series().to_numpy()
    sound = (np.abs(total - 1) <= ROUNDING) & (shares[np.arange(len(arm)), arm] > 0)
    return shares / np.where(sound, shares.sum(axis=1), 1.0)[:, None], sound, ()

"""With which probability each action was assigned, as touches tell it: the rules that `check` tells and `train` goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.findings import Finding
from models.sources import ROUNDING
from models.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.sources import TouchesSource

PREFIX = "propensity_"
"""Before the id of an arm, in the columns of `EventLog.touches`; tables that `keepwell simulate` writes have it too."""
FEWEST_LOGGED = 500
FOUND = {
    "proof.few_logged": "few_logged",
    "proof.unlogged_left_out": "unlogged_left_out",
    "proof.none_logged_for": "none_logged_for",
    "proof.unsound_left_out": "unsound_left_out",
}
"""By the key of what `train` says, the code of what `check` finds."""
KEY, ALIKE = "touches.propensity_prefix", "__alike"


@dataclass(frozen=True)
class Chances:
    """`logged`: are the logged propensities gone by? kept (n,): the rows that are learned from. `notes` tell of what is not."""

    logged: bool
    kept: Flags
    notes: tuple[Statement, ...]


def chances_of(touches: pl.DataFrame, arms: Sequence[str], counted: Flags | Integers) -> Chances:
    """Of touches with these `arms` only. counted (n,): how many each row stands for; those that stand for none are in no number.

    Rows whose logged propensities cannot be right (no chance of what was done, a sum away from 1) are left out. Beside at least
    FEWEST_LOGGED rows with logged propensities, those without any are left out too: the ones are an experiment, the others are not. Beside
    fewer, and where an arm that was assigned has no column, all propensities are to be estimated.
    """
    every, told = np.ones(touches.height, dtype=np.bool_), told_chances(touches)
    numbers = {"enough": int(counted[told].sum()), "silent": int(counted[~told].sum())}
    if not logged_columns(touches) or (numbers["silent"] and not numbers["enough"]):
        return Chances(logged=False, kept=every, notes=())
    if numbers["silent"] and numbers["enough"] < FEWEST_LOGGED:
        return Chances(logged=False, kept=every, notes=(Statement("proof.few_logged", numbers),))
    kept = told if numbers["silent"] else every
    notes = (Statement("proof.unlogged_left_out", numbers),) if numbers["silent"] else ()
    if absent := _unlogged(touches.filter(kept), arms):
        return Chances(logged=False, kept=kept, notes=(*notes, Statement("proof.none_logged_for", {"arms": ", ".join(absent)})))
    sound = kept & believable(touches)
    if lost := int(counted[kept & ~sound].sum()):
        notes = (*notes, Statement("proof.unsound_left_out", {"lost": lost}))
    return Chances(logged=True, kept=sound, notes=notes)


def logged_columns(touches: pl.DataFrame) -> list[str]:
    return [name for name in touches.columns if name.startswith(PREFIX)]


def told_chances(touches: pl.DataFrame) -> Flags:
    """Which rows have any logged propensity, shape (n,)."""
    logged = logged_columns(touches)
    if not logged:
        return np.zeros(touches.height, dtype=np.bool_)
    told: Flags = touches.select(pl.any_horizontal(pl.col(logged).is_not_null())).to_series().to_numpy()
    return told


def _unlogged(touches: pl.DataFrame, arms: Sequence[str]) -> list[str]:
    """Arms that were assigned and have no column."""
    assigned = set(touches["intervention"].unique())
    return [name for name in arms if name in assigned and f"{PREFIX}{name}" not in touches.columns]


def believable(touches: pl.DataFrame) -> Flags:
    """Rows whose logged propensities add up to 1 and give what was done a chance, shape (n,)."""
    arm, logged = pl.col("intervention").cast(pl.String), logged_columns(touches)
    done = pl.max_horizontal(pl.when(arm == name.removeprefix(PREFIX)).then(pl.col(name)) for name in logged)
    sound = ((pl.sum_horizontal(logged) - 1).abs() <= ROUNDING) & (done > 0)
    found: Flags = touches.select(sound.fill_null(value=False)).to_series().to_numpy()
    return found


def chance_findings(touches: pl.DataFrame, columns: Collection[str], community: Community, source: TouchesSource) -> list[Finding]:
    """What `train` will say of them, before it is run. `touches` are the accepted rows, `columns` those of their table."""
    return alike_findings(touches.with_columns(**{ALIKE: pl.lit(1, pl.Int64)}), columns, community, source)


def alike(touches: pl.DataFrame) -> pl.DataFrame:
    """One row for each intervention and each way in which its chances are told, and how many there are, in ALIKE."""
    logged = logged_columns(touches)
    sound = believable(touches) if logged else np.zeros(touches.height, dtype=np.bool_)
    rows = touches.select(pl.col("intervention").cast(pl.String), *logged, told=told_chances(touches), sound=sound)
    return (
        rows.group_by("intervention", "told", "sound")
        .agg(pl.col(logged).first(), pl.len().cast(pl.Int64).alias(ALIKE))
        .drop("told", "sound")
    )


def alike_findings(touches: pl.DataFrame, columns: Collection[str], community: Community, source: TouchesSource) -> list[Finding]:
    """As `chance_findings`, of rows that stand for so many as they have in ALIKE."""
    arms = [NO_ACTION, *(intervention.id for intervention in community.interventions)]
    known = touches.filter(pl.col("intervention").is_in(arms))
    if known.is_empty():
        return []
    if not logged_columns(known):
        return [_none_read(columns, source)]
    notes = chances_of(known, arms, known[ALIKE].to_numpy()).notes
    return [Finding("warning", KEY, None, FOUND[note.key], {**note.told, "need": FEWEST_LOGGED}) for note in notes]


def _none_read(columns: Collection[str], source: TouchesSource) -> Finding:
    written = [f'"{name}"' for name in columns if name.startswith(PREFIX)]
    if written:
        return Finding("warning", KEY, None, "chances_undeclared", {"columns": written[:5], "prefix": PREFIX})
    if source.propensity_prefix is not None:
        return Finding("warning", KEY, None, "no_chances", {"prefix": source.propensity_prefix, "path": source.path})
    return Finding("advice", KEY, None, "chances_not_logged", {})

"""What models say of assignments whose members they have not seen: outcomes across folds, effects in turn, and scores that judge them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.arm_outcomes import arm_outcomes
from models.balance import MOST_NAMED, SIZE, unlike
from models.calibration_fit import assign_folds
from models.community import DAY_US
from models.doubly_robust import scores_of
from models.in_turn import turns
from models.log_uplift import learn_uplift
from models.propensity import propensities_of
from models.statements import Statement
from models.trial import trial_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Floats, Integers
    from models.assignments import Assignments
    from models.balance import Unlike
    from models.doubly_robust import Scores
    from models.engine import Engine
    from models.events import EventArrays
    from models.propensity import Propensities


@dataclass(frozen=True)
class HeldOut:
    """n assignments, k interventions. fold (n,): rows of one unit share theirs; retention (n, 1 + k): expected by action, `none` first.

    `propensities` are the logged ones, else estimated; `scores` the doubly robust ones. No model saw the unit, a member or a
    group that was given the same together, that it was asked about.
    """

    assignments: Assignments
    features: Floats
    fold: Integers
    propensities: Propensities
    retention: Floats
    scores: Scores
    unlike: tuple[Unlike, ...] = ()

    def warnings(self, names: Sequence[str]) -> tuple[Statement, ...]:
        """Those of the assignments, and what their logged chances do not explain; names of the features."""
        columns = dict.fromkeys(names[one.column].removesuffix(":") for one in self.unlike if one.column != SIZE)
        arms = dict.fromkeys(self.assignments.interventions[one.arm - 1] for one in self.unlike if one.column == SIZE)
        said = {"proof.unlike_before": ("columns", columns), "proof.unlike_sizes": ("arms", arms)}
        amiss = (Statement(key, {what: ", ".join([*told][:MOST_NAMED])}) for key, (what, told) in said.items() if told)
        return (*self.assignments.warnings, *amiss)


def hold_out(features: Floats, assignments: Assignments, *, rng: np.random.Generator) -> HeldOut:
    """One row of features (n, d) for each assignment, as they were when it was made.

    Raises InputError, and NotEnoughData where nobody was left alone.
    """
    trial = trial_of(
        features,
        assignments.names,
        assignments.retained,
        assignments.propensities,
        interventions=assignments.interventions,
        groups=assignments.unit,
    )
    folding, estimating, seeding = rng.spawn(3)
    fold = assign_folds(trial.member.astype(np.int64), rng=folding, n_folds=trial.folds)
    propensities = propensities_of(trial, estimating)
    outcomes = arm_outcomes(trial, fold, int(seeding.integers(1 << 30)))
    scores = scores_of(trial.arm, trial.outcome, propensities.shares, outcomes.mean)
    return HeldOut(assignments, features, fold, propensities, outcomes.mean, scores, unlike(trial))


def engines_in_turn(
    engine: Engine, held: HeldOut, part: Integers, events: EventArrays, touches: pl.DataFrame, *, until_us: int, rng: np.random.Generator
) -> Sequence[Engine]:
    """For each part but the first the engine with effects learned from the touches of the parts before it.

    So are those of the members of later parts whose outcome was known before any assignment that is judged was made; no outcome lies after
    `until_us`. Where touches are too few the catalogue's beliefs stand, as they would in training.
    """
    columns = np.arange(held.features.shape[1]) if engine.learned_uplift is None else engine.learned_uplift.columns
    made, days = held.assignments, engine.community.churn.horizon_days
    member, at = pl.col("member"), pl.col("timestamp")
    known = at.dt.epoch("us") + days * DAY_US <= int(made.snapshots.as_of_us.min())
    each = list(turns(part))
    engines = []
    for (taught, asked), child in zip(each, rng.spawn(len(each)), strict=True):
        own, later = (made.like(rows).tolist() for rows in (asked, ~taught & ~asked))
        others = touches.filter(~member.is_in(own) & (~member.is_in(later) | known))
        learned = learn_uplift(engine, events, others, columns, until_us=until_us, rng=child)
        engines.append(replace(engine, learned_uplift=learned.uplift))
    return engines


def effects_in_turn(engines: Sequence[Engine], held: HeldOut, part: Integers, probability: Floats) -> Floats:
    """Effects (n, k) by the engine of each row's part, NaN in the first; probability (n,) of churn if nothing is done."""
    effects = np.full(held.scores.score.shape, np.nan)
    for engine, (_, asked) in zip(engines, turns(part), strict=True):
        effects[asked] = engine.uplift.effect(held.features[asked], probability[asked])
    return effects

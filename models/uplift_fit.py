"""The effect of each intervention on each member, learned from what was tried."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.arm_outcomes import arm_outcomes
from models.balance import unlike
from models.calibration_fit import assign_folds
from models.distilling import distil
from models.doubly_robust import Averages, averages_of, scores_of
from models.errors import InputError, NotEnoughData
from models.propensity import propensities_of
from models.trial import priors_of, trial_of
from models.uplift import Uplift, column_names
from models.uplift_candidates import candidate_effects, usual_spread
from models.uplift_evidence import FEW_ASSIGNED, evidence_of, expected_averages
from models.uplift_weights import dimensions_of, missed_spread, weigh_candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from models.arrays import Flags, Floats
    from models.doubly_robust import Scores
    from models.propensity import Propensities
    from models.trial import Given, Prior, Trial

FEWEST_ROWS, FEWEST_UNITS = 50, 2
MOST_STRETCH = 1.6


def fit_uplift(
    features: Given,
    assignment: Given,
    outcome: Given,
    propensities: Given = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    *,
    rng: np.random.Generator,
    interventions: Sequence[str] | None = None,
    groups: Given = None,
) -> Uplift:
    """Learn what each intervention changes from n rows (member, time) of which each was assigned one action.

    Guesses of different bias (models.uplift_candidates) are fitted out of fold on doubly robust scores, weighed by how far they hold
    (models.uplift_weights) around the average effects, and distilled into one small LightGBM model.

    Args:
        features: (n, d), NaN where unknown.
        assignment: the action assigned in each row, delivered or not.
        outcome: 0/1 or real, higher is better.
        propensities: (n, 1 + k), the probability of each action as it was when it was drawn, `none` first and then as `interventions`, or
            a data frame with a column for each; 0 where an action was not possible. None: they are estimated, and the evidence says so.
        priors: for each intervention the change believed before any data, and how many members a trial would need to be worth as much.
        rng: decides the folds and the boosters' samples.
        interventions: their order, with those that no row has; by default the columns of `propensities`, else by name.
        groups: the member of each row, or the group that was given the same together; rows of one stay together and count as one in the
            errors.

    Raises:
        InputError: arrays that do not fit together; an intervention that has neither rows nor a prior.
        NotEnoughData: fewer than 50 rows, none that was left alone, or rows of one group alone; an intervention without a prior that
            one group alone had, or could have had.
    """
    known = interventions if interventions is not None or priors is None else _with_priors(assignment, propensities, priors)
    trial = trial_of(features, assignment, outcome, propensities, interventions=known, groups=groups)
    if len(trial) < FEWEST_ROWS:
        raise NotEnoughData(f"effects: {len(trial)} rows; at least {FEWEST_ROWS} are needed")
    beliefs = priors_of(priors, trial.interventions)
    _check_known(trial, beliefs)
    folding, propensing, seeding = rng.spawn(3)
    fold = assign_folds(trial.member.astype(np.int64), rng=folding, n_folds=trial.folds)
    seed = int(seeding.integers(1 << 30))
    shares = propensities_of(trial, propensing)
    return replace(_fitted(trial, shares, beliefs, fold, seed), columns=column_names(features), unlike=unlike(trial))


def _fitted(trial: Trial, propensities: Propensities, priors: Mapping[str, Prior], fold: np.ndarray, seed: int) -> Uplift:
    outcomes = arm_outcomes(trial, fold, seed)
    scores = scores_of(trial.arm, trial.outcome, propensities.shares, outcomes.mean)
    averages = _honest(trial, propensities, scores, averages_of(scores, trial.member))
    _check_seen(trial, averages, priors)
    expected = expected_averages(trial, averages, priors)
    centred = Averages(expected.effect, expected.error)
    weighted = weigh_candidates(candidate_effects(trial, outcomes, scores, centred, fold, seed), scores, fold, trial.member)
    known = _learnable(scores)
    student = distil(trial.features, weighted.centred, known, seed)
    said = student(trial.features)
    found = _by_arm(weighted.specific, known, np.var)
    return Uplift(
        evidence=evidence_of(trial, averages, expected, weighted, propensities, priors),
        student=student,
        average=expected.effect,
        centre=_by_arm(said, known, np.mean),
        stretch=_stretch(_by_arm(weighted.centred, known, np.var), _by_arm(said, known, np.var)),
        error=expected.error,
        missed=missed_spread(found, expected.error, trial.features.shape[1], usual_spread(trial)),
        slope_error=weighted.slope_error,
        dimensions=dimensions_of(trial.features),
        bound=1.0 if trial.binary else np.inf,
    )


def _stretch(taught: Floats, said: Floats) -> Floats:
    """The student averages over the folds' models and so says less than each: its slope is the quotient of the variances."""
    return np.clip(np.divide(taught, said, out=np.ones_like(taught), where=said > 0), 1.0, MOST_STRETCH)


def _by_arm(values: Floats, known: Flags, of: Callable[[Floats], float]) -> Floats:
    """Over the known rows of each column."""
    return np.array([of(column[rows]) for column, rows in zip(values.T, known.T, strict=True)])


def _learnable(scores: Scores) -> Flags:
    """Comparable rows; all rows of an intervention that has none, whose effects follow the untreated outcome alone."""
    known = scores.comparable.copy()
    known[:, ~known.any(axis=0)] = True
    return known


def _honest(trial: Trial, propensities: Propensities, scores: Scores, averages: Averages) -> Averages:
    """A handful of rows may agree by chance: their error is at least that of outcomes with the variance of all rows.

    Of what one member or group alone had nothing is told, for its effect is not told apart from that group's own story.
    """
    variance = float(trial.outcome.var())
    effect, error = averages.effect.copy(), averages.error.copy()
    for arm, rows in enumerate(scores.comparable.T):
        if min(_units(trial, arm + 1), _units(trial, 0)) < FEWEST_UNITS:
            effect[arm] = error[arm] = np.nan
        elif trial.rows[arm + 1] < FEW_ASSIGNED:
            spread = 1 / propensities.shares[rows, arm + 1] + 1 / propensities.shares[rows, 0]
            error[arm] = max(error[arm], float(np.sqrt(variance * spread.mean() / rows.sum())))
    return Averages(effect, error)


def _units(trial: Trial, arm: int) -> int:
    """Members, or groups, of the rows of an arm."""
    return len(np.unique(trial.member[trial.arm == arm]))


def _check_known(trial: Trial, priors: Mapping[str, Prior]) -> None:
    unknown = [name for name, rows in zip(trial.interventions, trial.rows[1:], strict=True) if rows == 0 and name not in priors]
    if unknown:
        raise InputError(f"interventions: {', '.join(unknown)} was never assigned and has no prior, so nothing is known of it; give one")


def _check_seen(trial: Trial, averages: Averages, priors: Mapping[str, Prior]) -> None:
    unseen = [name for name, effect in zip(trial.interventions, averages.effect, strict=True) if np.isnan(effect) and name not in priors]
    if unseen:
        raise NotEnoughData(
            f"interventions: {', '.join(unseen)} was tried on one member or group alone, or against one, and has no prior; give one"
        )


def _with_priors(assignment: Given, propensities: Given, priors: Mapping[str, tuple[float, float]]) -> Sequence[str] | None:
    """Those with a prior join those found, unless named columns of propensities settle the order."""
    if hasattr(propensities, "columns"):
        return None
    found = {str(name) for name in np.unique(np.asarray(assignment, dtype=str))} - {"none"}
    return sorted(found | set(priors))

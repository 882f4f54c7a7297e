"""The outcome that each member would have under each arm, predicted by models that did not see the member."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from models.standardising import Standard

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.trial import Trial

THREADS = 2
FEW_ROWS, MANY_ROWS = 2_000, 30_000
LINEAR_PENALTY = 20.0
MAX_BIN, BINNED_ROWS = 63, 50_000


@dataclass(frozen=True)
class Scale:
    """How an outcome is modelled: LightGBM's objective, and the mean that belongs to a margin."""

    objective: str
    mean: Callable[[Floats], Floats]


BINARY = Scale("binary", lambda margin: np.asarray(expit(margin)))
REAL = Scale("regression", lambda margin: margin)


def scale_of(trial: Trial) -> Scale:
    return BINARY if trial.binary else REAL


@dataclass(frozen=True)
class ArmOutcomes:
    """margin and mean (n, 1 + k), `none` first: out-of-fold predictions of one model with all arms (an S-learner).

    `sensitivity` (n,): how much a shift of the margin moves the outcome of the untreated: p0 (1 - p0) where it is 0/1; the untreated mean
    itself where outcomes are never negative, so that an effect in proportion to it is a constant ratio; else 1.
    """

    margin: Floats
    mean: Floats
    sensitivity: Floats


def arm_outcomes(trial: Trial, fold: Integers, seed: int) -> ArmOutcomes:
    """A penalised linear model, and LightGBM on what it leaves, both with the arm among the features."""
    held = range(int(fold.max()) + 1)
    arms = 1 + len(trial.interventions)
    margin = np.empty((len(trial), arms))
    binned = binned_once(np.column_stack([trial.features, _dummies(trial.arm, arms)]))

    def fill(left_out: int) -> None:
        asked = np.flatnonzero(fold == left_out)
        margin[asked] = _margins(trial, binned, np.flatnonzero(fold != left_out), asked, seed)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, held))
    mean = scale_of(trial).mean(margin)
    return ArmOutcomes(margin, mean, _sensitivity(trial, mean[:, 0]))


def _sensitivity(trial: Trial, untreated: Floats) -> Floats:
    if trial.binary:
        return untreated * (1 - untreated)
    return np.maximum(untreated, 0.0) if (trial.outcome >= 0).all() else np.ones(len(untreated))


def _margins(trial: Trial, binned: lgb.Dataset, rows: Integers, asked: Integers, seed: int) -> Floats:
    """(n_asked, 1 + k)."""
    arms = range(1 + len(trial.interventions))
    standard = Standard.of(trial.features[rows])
    seen, new = standard(trial.features[rows]), standard(trial.features[asked])
    linear = _fit_linear(np.column_stack([seen, _dummies(trial.arm[rows], len(arms))]), trial.outcome[rows], binary=trial.binary)
    margins = np.column_stack([linear(_with_arm(new, arm, len(arms))) for arm in arms])
    if len(rows) < FEW_ROWS:
        return margins
    offset = linear(np.column_stack([seen, _dummies(trial.arm[rows], len(arms))]))
    booster = _fit_booster(trial, binned, rows, offset, seed)
    added = [np.asarray(booster.predict(_with_arm(trial.features[asked], arm, len(arms)), raw_score=True, num_threads=1)) for arm in arms]
    summed: Floats = margins + np.column_stack(added)
    return summed


def _fit_linear(features: Floats, outcome: Floats, *, binary: bool) -> Callable[[Floats], Floats]:
    """Its margin as a function of the features."""
    if not binary:
        ridge = Ridge(alpha=LINEAR_PENALTY).fit(features, outcome)
        return lambda asked: np.asarray(ridge.predict(asked))
    if outcome.min() == outcome.max():
        usual = float(np.log((outcome.sum() + 0.5) / (len(outcome) - outcome.sum() + 0.5)))
        return lambda asked: np.full(len(asked), usual)
    logistic = LogisticRegression(C=1 / LINEAR_PENALTY, solver="newton-cholesky", max_iter=100).fit(features, outcome)
    return lambda asked: np.asarray(logistic.decision_function(asked))


def _fit_booster(trial: Trial, binned: lgb.Dataset, rows: Integers, offset: Floats, seed: int) -> lgb.Booster:
    many = len(rows) >= MANY_ROWS
    parameters = booster_parameters(
        scale_of(trial).objective,
        seed,
        num_leaves=16 if many else 8,
        max_depth=5,
        learning_rate=0.05,
        min_child_samples=max(20, len(rows) // 500),
    )
    data = part_of(binned, rows, trial.outcome[rows])
    data.set_init_score(offset)
    return lgb.train(parameters, data, 150 if many else 60)


def binned_once(features: Floats) -> lgb.Dataset:
    """All rows, sorted into bins; models of some of them take their part of it."""
    parameters = {"max_bin": MAX_BIN, "bin_construct_sample_cnt": BINNED_ROWS, "feature_pre_filter": False, "verbose": -1, "num_threads": 1}
    return lgb.Dataset(features, np.zeros(len(features)), params=parameters, free_raw_data=True).construct()


def part_of(binned: lgb.Dataset, rows: Integers, target: Floats) -> lgb.Dataset:
    """`rows` rising."""
    part = binned.subset(rows.tolist()).construct()
    part.set_label(target)
    return part


def booster_parameters(objective: str, seed: int, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - LightGBM's own parameters
    """What all boosters of effects share: small, penalised, on one thread, and the same whenever they are fitted again."""
    return {
        "objective": objective,
        "lambda_l2": 10.0,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "num_threads": 1,
        "verbose": -1,
        **settings,
    }


def _dummies(arm: Integers, arms: int) -> Floats:
    own: Floats = (arm[:, None] == np.arange(1, arms)).astype(np.float64)
    return own


def _with_arm(features: Floats, arm: int, arms: int) -> Floats:
    own: Floats = np.tile(np.arange(1, arms) == arm, (len(features), 1)).astype(np.float64)
    return np.column_stack([features, own])

"""Additive risk margins fitted: logistic and log-linear regressions, and small boosted trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression, TweedieRegressor

from models.margins import BoosterMargin, LinearMargin
from models.standardising import medians, signed_log

MAX_BIN = 63
BINNED_ROWS = 50_000
TWEEDIE_POWER = 1.5


def fit_linear(
    features: np.ndarray, churned: np.ndarray, columns: np.ndarray, missing: np.ndarray, *, penalties: Sequence[float]
) -> list[LinearMargin]:
    """Logistic regressions with an L2 penalty of `penalty` x n/2 x |coefficient|^2 on standardised signed logs, one for each penalty.

    missing: the value that stands for NaN, shape of `columns`; where it is NaN itself, the median of the column. Each fit starts from
    the one before it.
    """
    unfitted = _standardised(features, columns, missing)
    z = unfitted.standard(features)
    regression = LogisticRegression(solver="newton-cholesky", max_iter=100, tol=1e-5, warm_start=True)
    fits = []
    for penalty in penalties:
        regression.set_params(C=1 / (penalty * len(z))).fit(z, churned)
        fits.append(replace(unfitted, coefficient=regression.coef_[0].copy(), intercept=float(regression.intercept_[0])))
    return fits


def fit_log_linear(features: np.ndarray, amount: np.ndarray, columns: np.ndarray, missing: np.ndarray, *, penalty: float) -> LinearMargin:
    """The log of the mean of an amount >= 0 that is not all 0, by Tweedie regression on standardised signed logs; `missing` as above.

    Minimises half the mean deviance of amount / its mean at TWEEDIE_POWER plus penalty / 2 x |coefficient|^2.
    """
    unfitted = _standardised(features, columns, missing)
    typical = float(amount.mean())
    regression = TweedieRegressor(power=TWEEDIE_POWER, link="log", alpha=penalty, solver="newton-cholesky")
    regression.fit(unfitted.standard(features), amount / typical)
    return replace(unfitted, coefficient=regression.coef_.copy(), intercept=float(regression.intercept_) + math.log(typical))


def _standardised(features: np.ndarray, columns: np.ndarray, missing: np.ndarray) -> LinearMargin:
    """All coefficients 0."""
    chosen = features[:, columns]
    fill = np.where(np.isnan(missing), medians(chosen), missing)
    logs = signed_log(chosen, fill)
    mean, spread = logs.mean(axis=0), logs.std(axis=0)
    return LinearMargin(columns, fill, mean, np.where(spread > 0, spread, 1.0), np.zeros(len(columns)), 0.0)


def mean_of(fits: Sequence[LinearMargin]) -> LinearMargin:
    """The margin that is the mean of others with the same columns and standardisation."""
    coefficient = np.mean([fit.coefficient for fit in fits], axis=0)
    return replace(fits[0], coefficient=coefficient, intercept=float(np.mean([fit.intercept for fit in fits])))


@dataclass(frozen=True)
class BoosterSettings:
    """Small trees, strongly regularised: on logs of this kind larger ones predict no better and cost more to explain.

    objective: `binary` gives log-odds, `tweedie` (variance proportional to mean^TWEEDIE_POWER) and `gamma` the log of the mean.
    """

    trees: int
    objective: Literal["binary", "tweedie", "gamma"] = "binary"
    num_leaves: int = 8
    max_depth: int = 4
    learning_rate: float = 0.05
    lambda_l2: float = 10.0
    bagging_fraction: float = 0.7
    feature_fraction: float = 0.4
    seed: int = 0


def fit_booster(
    features: np.ndarray, outcome: np.ndarray, columns: np.ndarray, settings: BoosterSettings, *, shift: float = 0.0
) -> BoosterMargin:
    """`shift` is added to every margin, in the leaves of the first tree.

    On one thread: small trees leave others little to do, and where a core is busy elsewhere they wait for one another at every node.

    Whoever has several models to fit fits them side by side; LightGBM lets go of the interpreter meanwhile.
    """
    parameters: dict[str, Any] = {
        "objective": settings.objective,
        "num_leaves": settings.num_leaves,
        "max_depth": settings.max_depth,
        "learning_rate": settings.learning_rate,
        "lambda_l2": settings.lambda_l2,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "feature_fraction": settings.feature_fraction,
        "min_child_samples": int(np.clip(len(outcome) // 200, 10, 100)),
        "max_bin": MAX_BIN,
        "bin_construct_sample_cnt": BINNED_ROWS,
        "deterministic": True,
        "force_col_wise": True,
        "seed": settings.seed,
        "num_threads": 1,
        "verbose": -1,
    }
    if settings.objective == "tweedie":
        parameters["tweedie_variance_power"] = TWEEDIE_POWER
    data = lgb.Dataset(features[:, columns], outcome.astype(np.float32), free_raw_data=True)
    booster = lgb.train(parameters, data, settings.trees)
    if shift:
        _shift(booster, shift)
    return BoosterMargin(columns, booster.model_to_string())


def _shift(booster: lgb.Booster, by: float) -> None:
    leaves = booster.dump_model(num_iteration=1)["tree_info"][0]["num_leaves"]
    for leaf in range(leaves):
        booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + by)


def staged_margins(part: BoosterMargin, features: np.ndarray, stages: tuple[int, ...]) -> np.ndarray:
    """Margins after the first so many trees, rising, shape (n, n_stages). Each tree is asked once."""
    chosen = features[:, part.columns]
    steps: list[np.ndarray] = [
        part.booster.margins(chosen, first_tree=start, trees=end - start)[:, 0] for start, end in pairwise((0, *stages))
    ]
    return np.cumsum(np.stack(steps, axis=1), axis=1)

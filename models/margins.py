"""Additive risk margins in log-odds: what is fitted, how it is stored, and how it splits over the features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Protocol, Self

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression, TweedieRegressor

from models.standardising import medians, signed_log

LARGEST_STANDARD_SCORE = 5.0
ALL_THREADS = 0
MAX_BIN = 63
BINNED_ROWS = 50_000
TWEEDIE_POWER = 1.5


@dataclass(frozen=True)
class Contributions:
    """`base + values.sum(axis=1)` is the margin; values has one column for each feature of the whole matrix, shape (n, n_features)."""

    base: float
    values: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        margin: np.ndarray = self.base + self.values.sum(axis=1)
        return margin


class Margin(Protocol):
    """A fitted part: feature matrix (n, n_features) -> log-odds of churn (n,)."""

    def __call__(self, features: np.ndarray) -> np.ndarray: ...

    def contributions(self, features: np.ndarray) -> Contributions: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class LinearMargin:
    """intercept + sum_j coefficient_j z_j, with z = (slog(x) - mean) / scale held within +-5 and slog(x) = sign(x) log(1 + |x|).

    A missing x is replaced by `fill` first. All arrays have the shape of `columns`, positions in the feature matrix. Since z has mean 0
    over the training rows, coefficient_j z_j is the exact Shapley value of feature j against independent training rows.
    """

    columns: np.ndarray
    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficient: np.ndarray
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        margin: np.ndarray = self.intercept + (self.standard(features) * self.coefficient).sum(axis=1)
        return margin

    def contributions(self, features: np.ndarray) -> Contributions:
        values = np.zeros(features.shape)
        values[:, self.columns] = self.standard(features) * self.coefficient
        return Contributions(self.intercept, values)

    def to_dict(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("columns", "fill", "mean", "scale", "coefficient")}
        return {"kind": "linear", "intercept": self.intercept, **arrays}

    def standard(self, features: np.ndarray) -> np.ndarray:
        z = (signed_log(features.take(self.columns, axis=1), self.fill) - self.mean) / self.scale
        held: np.ndarray = np.clip(z, -LARGEST_STANDARD_SCORE, LARGEST_STANDARD_SCORE)
        return held


@dataclass(frozen=True)
class BoosterMargin:
    """A LightGBM model of the log-odds on some columns of the feature matrix."""

    columns: np.ndarray
    model_text: str

    @cached_property
    def booster(self) -> lgb.Booster:
        return lgb.Booster(model_str=self.model_text)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(features[:, self.columns], raw_score=True, num_threads=_threads(len(features))))

    def contributions(self, features: np.ndarray) -> Contributions:
        """Exact TreeSHAP (Lundberg et al. 2020), path dependent."""
        values = np.zeros(features.shape)
        if len(features) == 0:
            return Contributions(0.0, values)
        shap = np.asarray(self.booster.predict(features[:, self.columns], pred_contrib=True, num_threads=_threads(len(features))))
        values[:, self.columns] = shap[:, :-1]
        return Contributions(float(shap[0, -1]), values)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "booster", "columns": self.columns.tolist(), "model_text": self.model_text}


@dataclass(frozen=True)
class BlendedMargin:
    """The weighted sum of parts: both the margin and its contributions add."""

    weights: tuple[float, ...]
    parts: tuple[Margin, ...]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        margin: np.ndarray = np.sum([w * part(features) for w, part in zip(self.weights, self.parts, strict=True)], axis=0)
        return margin

    def contributions(self, features: np.ndarray) -> Contributions:
        each = [part.contributions(features) for part in self.parts]
        base = sum(w * part.base for w, part in zip(self.weights, each, strict=True))
        values = np.sum([w * part.values for w, part in zip(self.weights, each, strict=True)], axis=0)
        return Contributions(float(base), values)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "blend", "weights": list(self.weights), "parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def of(cls, weighted: Mapping[str, float], parts: Mapping[str, Margin]) -> Self:
        """Parts of weight 0 are left out."""
        used = {name: weight for name, weight in weighted.items() if weight > 0}
        return cls(tuple(used.values()), tuple(parts[name] for name in used))


def margin_from_dict(stored: Mapping[str, Any]) -> Margin:
    """The inverse of `to_dict` of any margin; raises KeyError for an unknown kind."""
    return READERS[stored["kind"]](stored)


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


def fit_booster(features: np.ndarray, outcome: np.ndarray, columns: np.ndarray, settings: BoosterSettings) -> BoosterMargin:
    """On one thread: small trees leave others little to do, and where a core is busy elsewhere they wait for one another at every node.

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
    return BoosterMargin(columns, lgb.train(parameters, data, settings.trees).model_to_string())


def staged_margins(part: BoosterMargin, features: np.ndarray, stages: tuple[int, ...]) -> np.ndarray:
    """Margins after the first so many trees, rising, shape (n, n_stages). Each tree is asked once."""
    chosen = features[:, part.columns]
    steps: list[np.ndarray] = [
        np.asarray(part.booster.predict(chosen, raw_score=True, start_iteration=start, num_iteration=end - start))
        for start, end in pairwise((0, *stages))
    ]
    return np.cumsum(np.stack(steps, axis=1), axis=1)


def _threads(n: int) -> int:
    """One for a few rows: to wake the others costs more than they save."""
    return 1 if n < 1000 else ALL_THREADS


def _linear_from(stored: Mapping[str, Any]) -> LinearMargin:
    return LinearMargin(
        np.array(stored["columns"], dtype=np.int64),
        np.array(stored["fill"]),
        np.array(stored["mean"]),
        np.array(stored["scale"]),
        np.array(stored["coefficient"]),
        stored["intercept"],
    )


def _booster_from(stored: Mapping[str, Any]) -> BoosterMargin:
    return BoosterMargin(np.array(stored["columns"], dtype=np.int64), stored["model_text"])


def _blend_from(stored: Mapping[str, Any]) -> BlendedMargin:
    return BlendedMargin(tuple(stored["weights"]), tuple(margin_from_dict(part) for part in stored["parts"]))


READERS: dict[str, Callable[[Mapping[str, Any]], Margin]] = {"linear": _linear_from, "booster": _booster_from, "blend": _blend_from}

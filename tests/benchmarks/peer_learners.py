"""The learners of causalml and econml, set up as their documentation recommends, on a trial read from an NPZ file.

`PYTHON -m tests.benchmarks.peer_learners REQUEST FOLDER LEARNER...`, where PYTHON has what peers-requirements.txt names, reads the arrays
of REQUEST (see `Request`) and writes FOLDER/LEARNER.npz for each learner (see `Answer`).

The settings of the trees are the best of the handful that were tried on `strong` and `crossed`: small trees, and for X and the forest
leaves that grow with the log. Trees of twice the size cost every learner but S 5 to 12 points of gain at 50,000 rows.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, ClassifierMixin

LEVEL = 0.9
BOUNDED = 20_000
"""New members, the first ones, whose intervals are asked for."""
CALLS = 50
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))


@dataclass(frozen=True)
class Members:
    """features (n, k) without NaN; propensities (n, 1 + n_interventions), `none` first, or None where they are unknown."""

    features: np.ndarray
    propensities: np.ndarray | None

    def first(self, n: int) -> Members:
        return Members(self.features[:n], None if self.propensities is None else self.propensities[:n])

    def against_none(self) -> dict[int, np.ndarray] | None:
        """P(arm | arm or none) by arm: what a learner needs that looks at the members of one arm and of `none` alone."""
        known = self.propensities
        return None if known is None else {arm: known[:, arm] / (known[:, arm] + known[:, 0]) for arm in range(1, known.shape[1])}


@dataclass(frozen=True)
class Request:
    """code (n,): 0 for `none`, 1.. for the arms; outcome (n,) 0/1."""

    logged: Members
    code: np.ndarray
    outcome: np.ndarray
    new: Members

    @classmethod
    def read(cls, path: Path) -> Request:
        """Keys: features, code, outcome, new; and propensities, new_propensities where they are known. NaN becomes the log's median."""
        with np.load(path, allow_pickle=False) as arrays:
            given = dict(arrays)
        usual = np.nanmedian(given["features"], axis=0)
        logged, new = (np.where(np.isnan(given[key]), usual, given[key]) for key in ("features", "new"))
        return cls(
            Members(logged, given.get("propensities")),
            given["code"],
            given["outcome"],
            Members(new, given.get("new_propensities")),
        )


@dataclass(frozen=True)
class Fitted:
    """effect and both ends of the interval at LEVEL: (n, n_interventions)."""

    effect: Callable[[Members], np.ndarray]
    interval: Callable[[Members], tuple[np.ndarray, np.ndarray]] | None = None


@dataclass(frozen=True)
class Answer:
    """effect (n, n_interventions); lower and upper (BOUNDED, n_interventions) or (0, 0); seconds to fit, ms for one member, MB at most."""

    effect: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    fit_s: float
    one_ms: float
    memory_mb: float

    def write(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @classmethod
    def read(cls, path: Path) -> Answer:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                arrays["effect"], arrays["lower"], arrays["upper"], *(float(arrays[key]) for key in ("fit_s", "one_ms", "memory_mb"))
            )


class KnownPropensities(ClassifierMixin, BaseEstimator):
    """Reads the propensities from the last columns, where econml puts the controls, instead of fitting them."""

    def fit(self, features: np.ndarray, code: np.ndarray) -> KnownPropensities:  # noqa: ARG002 - scikit-learn's signature
        self.classes_ = np.unique(code)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return features[:, -len(self.classes_) :]

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(features).argmax(axis=1)]


def trees(n: int) -> int:
    return round(50 * (n / 50_000) ** 0.5)


def outcome_learner() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=100, learning_rate=0.05, num_leaves=8, min_child_samples=100, n_jobs=THREADS, verbose=-1)


def joint_learner() -> LGBMClassifier:
    """Of the outcome with the arm among the features: trees too small never split on the arm."""
    return LGBMClassifier(n_estimators=200, learning_rate=0.05, num_leaves=15, min_child_samples=50, n_jobs=THREADS, verbose=-1)


def effect_learner(n: int) -> LGBMRegressor:
    """Of the pseudo-outcomes of n rows."""
    return LGBMRegressor(n_estimators=trees(n), learning_rate=0.05, num_leaves=4, min_child_samples=300, n_jobs=THREADS, verbose=-1)


def smooth_learner(n: int) -> LGBMRegressor:
    """Of the imputed effects, whose noise the outcome models have taken out in part."""
    return LGBMRegressor(n_estimators=100, learning_rate=0.03, num_leaves=5, min_child_samples=n // 25, n_jobs=THREADS, verbose=-1)


TREES = (trees, outcome_learner, joint_learner, effect_learner, smooth_learner)


def causalml(name: str, **learners: Any) -> Any:
    """Imported by name: causalml is no dependency of the project."""
    return getattr(import_module("causalml.inference.meta"), name)(**learners, control_name=0)


def s_learner(asked: Request) -> Fitted:
    model = causalml("BaseSClassifier", learner=joint_learner())
    model.fit(asked.logged.features, asked.code, asked.outcome)
    return Fitted(lambda members: model.predict(members.features, verbose=False))


def t_learner(asked: Request) -> Fitted:
    model = causalml("BaseTClassifier", learner=outcome_learner())
    model.fit(asked.logged.features, asked.code, asked.outcome)
    return Fitted(lambda members: model.predict(members.features, verbose=False))


def x_learner(asked: Request) -> Fitted:
    model = causalml("BaseXClassifier", outcome_learner=outcome_learner(), effect_learner=smooth_learner(len(asked.code)))
    model.fit(asked.logged.features, asked.code, asked.outcome, p=asked.logged.against_none())
    return Fitted(lambda members: model.predict(members.features, p=members.against_none(), verbose=False))


def r_learner(asked: Request) -> Fitted:
    model = causalml("BaseRClassifier", outcome_learner=outcome_learner(), effect_learner=effect_learner(len(asked.code)), random_state=0)
    model.fit(asked.logged.features, asked.code, asked.outcome, p=asked.logged.against_none(), verbose=False)
    return Fitted(lambda members: model.predict(members.features))


def dr_learner(asked: Request) -> Fitted:
    model = causalml(
        "BaseDRClassifier",
        control_outcome_learner=outcome_learner(),
        treatment_outcome_learner=outcome_learner(),
        treatment_effect_learner=effect_learner(len(asked.code)),
    )
    model.fit(asked.logged.features, asked.code, asked.outcome, p=asked.logged.against_none(), seed=0)
    return Fitted(lambda members: model.predict(members.features, verbose=False))


def econml(path: str, asked: Request, propensity_model: str, **settings: Any) -> Fitted:
    """`path`: module and class; `propensity_model`: what the class calls its model of the assignment."""
    module, _, name = path.rpartition(".")
    settings[propensity_model] = outcome_learner() if asked.logged.propensities is None else KnownPropensities()
    model = getattr(import_module(module), name)(discrete_outcome=True, cv=3, random_state=0, **settings)
    model.fit(asked.outcome, asked.code, X=asked.logged.features, W=asked.logged.propensities)

    def effect(members: Members) -> np.ndarray:
        return model.const_marginal_effect(members.features).reshape(len(members.features), -1)

    def interval(members: Members) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = model.const_marginal_effect_interval(members.features, alpha=1 - LEVEL)
        return lower.reshape(len(members.features), -1), upper.reshape(len(members.features), -1)

    return Fitted(effect, None if name == "DRLearner" else interval)


def econml_dr(asked: Request) -> Fitted:
    settings = {"model_regression": outcome_learner(), "model_final": effect_learner(len(asked.code))}
    return econml("econml.dr.DRLearner", asked, "model_propensity", **settings)


def econml_linear_dr(asked: Request) -> Fitted:
    return econml("econml.dr.LinearDRLearner", asked, "model_propensity", model_regression=outcome_learner())


def econml_linear_dml(asked: Request) -> Fitted:
    return econml("econml.dml.LinearDML", asked, "model_t", model_y=outcome_learner(), discrete_treatment=True)


def econml_forest(asked: Request) -> Fitted:
    settings = {"n_estimators": 200, "min_samples_leaf": len(asked.code) // 125, "max_features": 0.5, "n_jobs": THREADS}
    return econml("econml.dml.CausalForestDML", asked, "model_t", model_y=outcome_learner(), discrete_treatment=True, **settings)


LEARNERS = {
    "causalml S": s_learner,
    "causalml T": t_learner,
    "causalml X": x_learner,
    "causalml R": r_learner,
    "causalml DR": dr_learner,
    "econml DR": econml_dr,
    "econml linear DR": econml_linear_dr,
    "econml linear DML": econml_linear_dml,
    "econml forest": econml_forest,
}


def one_ms(fitted: Fitted, new: Members) -> float:
    """Median over CALLS calls of the effects of one member; the first, which may compile or allocate, is not counted."""
    one, times = new.first(1), []
    for _ in range(CALLS + 1):
        began = time.perf_counter()
        fitted.effect(one)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[1:])


def answer(name: str, asked: Request) -> Answer:
    began = time.perf_counter()
    fitted = LEARNERS[name](asked)
    fit_s = time.perf_counter() - began
    effect = fitted.effect(asked.new)
    lower, upper = fitted.interval(asked.new.first(BOUNDED)) if fitted.interval else (np.empty((0, 0)), np.empty((0, 0)))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Answer(effect, lower, upper, fit_s, one_ms(fitted, asked.new), memory_mb)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = Request.read(Path(sys.argv[1]))
    for name in sys.argv[3:]:
        answer(name, asked).write(Path(sys.argv[2]) / f"{name}.npz")

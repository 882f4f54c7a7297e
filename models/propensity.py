"""Probabilities of assignment that were not logged: estimated out of fold, with a report on how comparable the arms are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np
from scipy.special import ndtr, ndtri, stdtrit
from sklearn.linear_model import LogisticRegression

from models.calibration_fit import assign_folds
from models.standardising import Standard

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.assignments import AssignmentKind
    from models.trial import Trial

SMALLEST = 0.01
"""Estimated probabilities below it are held there; logged ones never are."""
PENALTY = 20.0
TREES, LEAVES = 60, 8
NOISE, CHANCE, FEWEST = 2.0, 0.05, 30
"""Propensities as logged; not logged, and no feature tells who got what, which proves no draw by chance; not logged, and features do."""


@dataclass(frozen=True)
class Overlap:
    """How comparable each arm is with `none`; arrays of shape (k,).

    Attributes:
        smallest: the lowest propensity of the arm among the rows.
        effective: effective sample size (sum w)^2 / sum w^2 of the arm's rows under weights 1 / propensity, as a share of its rows.
        before: largest standardised mean difference of a feature between the arm and `none`.
        after: the same with weights 1 / propensity. Below 0.1 is usually called balanced (Austin 2011).
    """

    smallest: Floats
    effective: Floats
    before: Floats
    after: Floats


@dataclass(frozen=True)
class Propensities:
    """shares (n, 1 + k), `none` first, each row adding up to 1."""

    shares: Floats
    kind: AssignmentKind
    overlap: Overlap


def propensities_of(trial: Trial, rng: np.random.Generator) -> Propensities:
    """As logged, else estimated."""
    if trial.propensities is not None:
        return Propensities(trial.propensities, "logged", overlap(trial, trial.propensities))
    shares, kind = _estimated(trial, rng)
    return Propensities(shares, kind, overlap(trial, shares))


def overlap(trial: Trial, shares: Floats) -> Overlap:
    arms = range(1, 1 + len(trial.interventions))
    filled = Standard.of(trial.features)(trial.features)
    none = trial.arm == 0
    weight = 1 / np.maximum(shares[np.arange(len(trial)), trial.arm], 1e-9)
    return Overlap(
        smallest=np.array([shares[:, arm].min() for arm in arms]),
        effective=np.array([_effective(weight[trial.arm == arm]) for arm in arms]),
        before=np.array([_imbalance(filled, trial.arm == arm, none, np.ones(len(trial))) for arm in arms]),
        after=np.array([_imbalance(filled, trial.arm == arm, none, weight) for arm in arms]),
    )


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / (len(weight) * (weight**2).sum())) if len(weight) else 0.0


def _imbalance(filled: Floats, treated: Flags, none: Flags, weight: Floats) -> float:
    """Features have standard deviation 1 over all rows."""
    if not treated.any() or not none.any() or not filled.shape[1]:
        return float("nan")
    means = [np.average(filled[rows], axis=0, weights=weight[rows]) for rows in (treated, none)]
    return float(np.abs(means[0] - means[1]).max())


def _estimated(trial: Trial, rng: np.random.Generator) -> tuple[Floats, AssignmentKind]:
    """The plain shares of the arms where no feature tells who got what, else the models' out-of-fold shares mixed with the plain ones.

    A feature tells where the models lower the log loss by more than NOISE standard errors, or where its means in two arms differ by more
    than chance allows the largest of all such differences (Bonferroni at CHANCE). The mixture is that of the lowest out-of-fold log loss.
    Both tests go by member or group: rows of one that were given the same are one draw.
    """
    fold = assign_folds(trial.member.astype(np.int64), rng=rng, n_folds=trial.folds)
    plain = np.maximum(trial.rows / len(trial), 1e-12)
    modelled = np.zeros((len(trial), len(plain)))
    seed = int(rng.integers(1 << 30))
    for held in range(int(fold.max()) + 1):
        rows, asked = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        modelled[asked] = _modelled(trial, rows, asked, seed)
    present = trial.rows > 0
    modelled = np.where(present, np.maximum(modelled, SMALLEST), 0.0)
    modelled /= modelled.sum(axis=1, keepdims=True)
    share = trial.rows / len(trial)
    own = np.arange(len(trial)), trial.arm
    mixed = _mixed(modelled[own], plain[trial.arm])
    gained = np.log((1 - mixed) * plain[trial.arm] + mixed * modelled[own]) - np.log(plain[trial.arm])
    if _beyond_noise(gained, trial.member) or _unbalanced(trial):
        return (1 - mixed) * share + mixed * modelled, "observational"
    return np.tile(share, (len(trial), 1)), "as_if_random"


def _mixed(modelled: Floats, plain: Floats) -> float:
    """The weight of the models at which the mean log of the mixture is largest."""
    steps = np.linspace(0, 1, 21)
    return float(steps[np.argmax([np.log((1 - step) * plain + step * modelled).mean() for step in steps])])


def _beyond_noise(gained: Floats, member: Integers) -> bool:
    """Is the mean gain of the rows, shape (n,), above NOISE standard errors of Student's t over the members?"""
    members = int(member.max()) + 1
    centred = np.bincount(member, weights=gained - gained.mean(), minlength=members)
    error = np.sqrt(members / (members - 1) * np.square(centred).sum()) / len(gained)
    return bool(gained.mean() > stdtrit(members - 1, ndtr(NOISE)) * error)


def _unbalanced(trial: Trial) -> bool:
    """Where no feature x decides the draw, sum (A - mean A) (x - mean x) over the root of its squares by member is standard normal.

    With few members its tails are lighter (Efron 1969, J. Am. Stat. Assoc. 64, 1278-1302).
    """
    filled = Standard.of(trial.features)(trial.features)
    away = filled - filled.mean(axis=0)
    largest, pairs = 0.0, 0
    for arm in np.flatnonzero(trial.rows >= FEWEST):
        drawn = (trial.arm == arm) - trial.rows[arm] / len(trial)
        if not drawn.any():
            continue
        together = _by_member(away * drawn[:, None], trial.member)
        spread = np.sqrt(np.square(together).sum(axis=0))
        told = np.divide(np.abs(together.sum(axis=0)), spread, out=np.zeros_like(spread), where=spread > 0)
        largest, pairs = max(largest, float(told.max(initial=0.0))), pairs + filled.shape[1]
    return pairs > 0 and largest > float(ndtri(1 - CHANCE / (2 * pairs)))


def _by_member(rows: Floats, member: Integers) -> Floats:
    """Sums (n_members, d) of rows (n, d)."""
    summed = np.zeros((int(member.max()) + 1, rows.shape[1]))
    np.add.at(summed, member, rows)
    return summed


def _modelled(trial: Trial, rows: Integers, asked: Integers, seed: int) -> Floats:
    """The mean of two models of different shape; where `rows` hold one arm alone there is nothing to tell apart, and it is certain."""
    found = np.unique(trial.arm[rows])
    if len(found) == 1:
        return _spread(np.ones((len(asked), 1)), found, 1 + len(trial.interventions))
    return (_linear(trial, rows, asked) + _boosted(trial, rows, asked, seed)) / 2


def _linear(trial: Trial, rows: Integers, asked: Integers) -> Floats:
    standard = Standard.of(trial.features[rows])
    model = LogisticRegression(C=1 / PENALTY, max_iter=200).fit(standard(trial.features[rows]), trial.arm[rows])
    return _spread(model.predict_proba(standard(trial.features[asked])), model.classes_, 1 + len(trial.interventions))


def _boosted(trial: Trial, rows: Integers, asked: Integers, seed: int) -> Floats:
    found, codes = np.unique(trial.arm[rows], return_inverse=True)
    parameters = {
        "objective": "multiclass",
        "num_class": len(found),
        "num_leaves": LEAVES,
        "learning_rate": 0.05,
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "min_child_samples": max(20, len(rows) // 200),
        "max_bin": 63,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "num_threads": 1,
        "verbose": -1,
    }
    model = lgb.train(parameters, lgb.Dataset(trial.features[rows], codes), TREES)
    return _spread(np.asarray(model.predict(trial.features[asked], num_threads=1)), found, 1 + len(trial.interventions))


def _spread(probability: Floats, found: Integers, arms: int) -> Floats:
    """Columns of the arms that were found, at their places among all arms."""
    spread = np.zeros((len(probability), arms))
    spread[:, found] = probability
    return spread

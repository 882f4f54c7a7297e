"""One number for each arm: what a learner of individual effects has to beat."""

from __future__ import annotations

import numpy as np
from lightgbm import LGBMClassifier

from tests.uplift_worlds import ARMS, Trial

FOLDS = 3
NAMES = np.array(["none", *ARMS])


def learned_averages(log: Trial, propensities: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """(4,): means of the cross-fitted doubly robust scores mu_a + 1(A = a) (y - mu_a) / e_a, less that of `none`.

    mu is one LightGBM over the features and the arm; e, where it is unknown, one LightGBM of the arm on the features.
    """
    code = (log.assignment[:, None] == NAMES).argmax(axis=1)
    fold = rng.permutation(len(code)) % FOLDS
    scores = np.empty((len(code), len(NAMES)))
    for out in range(FOLDS):
        held = fold == out
        mean = expected(log, code, held)
        chance = assigned(log, code, held) if propensities is None else propensities[held]
        took = code[held][:, None] == np.arange(len(NAMES))
        scores[held] = mean + took * (log.outcome[held][:, None] - mean) / chance
    means = scores.mean(axis=0)
    return means[1:] - means[0]


def expected(log: Trial, code: np.ndarray, held: np.ndarray) -> np.ndarray:
    """mu (n_held, 5), learned from the rows that are not held out."""
    learner = trees().fit(np.column_stack([log.features, code])[~held], log.outcome[~held], categorical_feature=[log.features.shape[1]])
    new = log.features[held]
    return np.column_stack([learner.predict_proba(np.column_stack([new, np.full(len(new), arm)]))[:, 1] for arm in range(len(NAMES))])


def assigned(log: Trial, code: np.ndarray, held: np.ndarray) -> np.ndarray:
    """e (n_held, 5), learned from the rows that are not held out."""
    return np.asarray(trees().fit(log.features[~held], code[~held]).predict_proba(log.features[held]))


def trees() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=100, learning_rate=0.05, num_leaves=8, min_child_samples=100, n_jobs=1, verbose=-1)


def one_for_all(new: Trial) -> float:
    """True mean money of the one action that is best for all together, or of none."""
    return float(max(0.0, (new.effects * new.value[:, None] - new.cost).mean(axis=0).max()))

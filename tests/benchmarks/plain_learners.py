"""S-, T-, X- and DR-learners of one arm against none, as textbooks write them, on LightGBM with small trees: references for rankings."""

from __future__ import annotations

from collections.abc import Callable

import lightgbm as lgb
import numpy as np

Effect = Callable[[np.ndarray], np.ndarray]
FOLDS = 2
SETTINGS = {"num_leaves": 8, "learning_rate": 0.05, "min_child_samples": 100, "num_threads": 1, "seed": 0, "verbose": -1}
TREES = 100


def mean_of(features: np.ndarray, outcome: np.ndarray) -> Effect:
    model = lgb.train(SETTINGS, lgb.Dataset(features, outcome), TREES)
    return lambda new: np.asarray(model.predict(new))


def s_learner(features: np.ndarray, treated: np.ndarray, outcome: np.ndarray, _share: float) -> Effect:
    joint = mean_of(np.column_stack([features, treated]), outcome)
    return lambda new: joint(np.column_stack([new, np.ones(len(new))])) - joint(np.column_stack([new, np.zeros(len(new))]))


def t_learner(features: np.ndarray, treated: np.ndarray, outcome: np.ndarray, _share: float) -> Effect:
    with_it, without = (mean_of(features[rows], outcome[rows]) for rows in (treated, ~treated))
    return lambda new: with_it(new) - without(new)


def x_learner(features: np.ndarray, treated: np.ndarray, outcome: np.ndarray, share: float) -> Effect:
    """Künzel et al. 2019."""
    with_it, without = (mean_of(features[rows], outcome[rows]) for rows in (treated, ~treated))
    gained = mean_of(features[treated], outcome[treated] - without(features[treated]))
    missed = mean_of(features[~treated], with_it(features[~treated]) - outcome[~treated])
    return lambda new: (1 - share) * gained(new) + share * missed(new)


def dr_learner(features: np.ndarray, treated: np.ndarray, outcome: np.ndarray, share: float) -> Effect:
    """Kennedy 2023; outcomes predicted by the other half."""
    score, fold = np.zeros(len(outcome)), np.arange(len(outcome)) % FOLDS
    for number in range(FOLDS):
        rows, others = fold == number, fold != number
        with_it, without = (mean_of(features[others & arm], outcome[others & arm])(features[rows]) for arm in (treated, ~treated))
        seen = np.where(treated[rows], (outcome[rows] - with_it) / share, -(outcome[rows] - without) / (1 - share))
        score[rows] = with_it - without + seen
    return mean_of(features, score)


LEARNERS = {"S": s_learner, "T": t_learner, "X": x_learner, "DR": dr_learner}

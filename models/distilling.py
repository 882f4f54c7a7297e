"""A Student that is taught to repeat what a costly ensemble says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np

from models.arm_outcomes import THREADS, binned_once, booster_parameters, part_of
from models.student import Student, merged

if TYPE_CHECKING:
    from models.arrays import Flags, Floats

TREES, LEAVES, DEPTH = 100, 12, 4


def distil(features: Floats, targets: Floats, known: Flags, seed: int) -> Student:
    """Of shape (n, k), `targets` and `known`: what to repeat, and in which rows."""

    def fit(arm: int) -> str:
        rows = np.flatnonzero(known[:, arm])
        parameters = booster_parameters(
            "regression",
            seed,
            num_leaves=LEAVES,
            max_depth=DEPTH,
            learning_rate=0.15,
            lambda_l2=0.0,
            feature_fraction=0.8,
            min_child_samples=max(10, len(rows) // 200),
        )
        return lgb.train(parameters, part_of(binned, rows, targets[rows, arm]), TREES).model_to_string()

    binned = binned_once(features)
    with ThreadPoolExecutor(THREADS) as pool:
        texts = list(pool.map(fit, range(targets.shape[1])))
    return Student(len(texts), merged(texts))

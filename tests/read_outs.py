"""What an experiment says of its arms on average: means, differences with intervals, and which of several differences stand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtr

from models.intervals import Estimate, Members, members_of_rows
from models.measured import Measured, ratio_of
from tests.experiment_logs import Experiment

LEVEL = 0.9


@dataclass(frozen=True)
class Difference:
    """The mean of `arm` minus that of `other`; `adjusted` is the two-sided p after Holm (1979) over the differences told together."""

    arm: str
    other: str
    estimate: Estimate
    p: float
    adjusted: float


def blocks_of(experiment: Experiment) -> Members:
    """The rows that count as one in errors."""
    return members_of_rows(np.arange(len(experiment)) if experiment.block is None else experiment.block, len(experiment))


def arm_means(experiment: Experiment, outcome: str) -> dict[str, Measured]:
    members, y = blocks_of(experiment), experiment.outcomes[outcome]
    inside = {arm: (experiment.assignment == arm).astype(float) for arm in experiment.arms}
    return {arm: ratio_of(rows * y, rows, members) for arm, rows in inside.items()}


def ratio_of_means(experiment: Experiment, outcome: str, arm: str, *, level: float = LEVEL) -> Estimate:
    """Of the arm over `none`; the interval is that of the log of the ratio, by block."""
    means = arm_means(experiment, outcome)
    with_it, without = means[arm], means["none"]
    log_ratio = Measured(
        float(np.log(with_it.value / without.value)), with_it.influence / with_it.value - without.influence / without.value
    )
    told = log_ratio.interval(level)
    return Estimate(*(float(np.exp(end)) for end in (told.value, told.lower, told.upper)))


def differences(experiment: Experiment, outcome: str, *, level: float = LEVEL) -> list[Difference]:
    """Of all pairs of arms, the later minus the earlier."""
    means = arm_means(experiment, outcome)
    pairs = [(later, earlier) for earlier, later in combinations(experiment.arms, 2)]
    gaps = [means[arm] - means[other] for arm, other in pairs]
    p = np.array([2 * ndtr(-abs(gap.value) / gap.standard_error) for gap in gaps])
    told = zip(pairs, gaps, p.tolist(), holm(p).tolist(), strict=True)
    return [Difference(*pair, gap.interval(level), one, adjusted) for pair, gap, one, adjusted in told]


def holm(p: np.ndarray) -> np.ndarray:
    """Step-down Bonferroni: the k-th smallest of m times m - k + 1, never below an earlier one, at most 1."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted

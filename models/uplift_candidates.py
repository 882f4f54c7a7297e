"""Guesses at how the effect of an intervention differs between members, of different bias, each out of fold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import lightgbm as lgb
import numpy as np

from models.arm_outcomes import FEW_ROWS, THREADS, ArmOutcomes, binned_once, booster_parameters, part_of, scale_of
from models.standardising import Standard

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.doubly_robust import Averages, Scores
    from models.trial import Trial

ARM_ROWS, LINEAR_ROWS = 100, 50
"""An arm with fewer rows is not fitted by itself; nor by the ridge where the other folds have fewer."""
USUAL_SPREAD = 0.06
"""Of effects between members, in standard deviations of the outcome: the ridge believes in so much before it sees the data."""
SHARPEST = 30.0
STEPS = 60


@dataclass(frozen=True)
class Candidate:
    """usual, doubt: mean and standard deviation of the belief about its weight before the weights are learned."""

    name: str
    usual: float
    doubt: float


CANDIDATES = (
    Candidate("constant_shift", 0.5, 0.5),
    Candidate("all_arms", 0.5, 0.5),
    Candidate("own_arm", 0.2, 0.3),
    Candidate("boosted_scores", 0.1, 0.2),
    Candidate("linear_scores", 0.3, 0.5),
)


def usual_spread(trial: Trial) -> float:
    return USUAL_SPREAD * max(float(trial.outcome.std()), 1e-9)


def candidate_effects(trial: Trial, outcomes: ArmOutcomes, scores: Scores, averages: Averages, fold: Integers, seed: int) -> Floats:
    """(n, k, n_candidates), in the order of CANDIDATES.

    constant_shift: the one shift of the margin that has the average effect, so an effect in proportion to p0 (1 - p0).
    all_arms: the S-learner's difference. own_arm: the arm's own rows refine the S-learner's margin (an X-learner's treated half).
    boosted_scores, linear_scores: DR-learners with the prognostic score and its sensitivity as features (Hahn, Murray and Carvalho 2020),
    boosted and ridge, weighted by the inverse of the scores' variance (Kennedy 2023; Foster and Syrgkanis 2023).
    """
    n, k = scores.score.shape
    effects = np.zeros((n, k, len(CANDIDATES)))
    effects[:, :, 0] = constant_shifts(trial, outcomes, averages.effect)
    effects[:, :, 1] = outcomes.mean[:, 1:] - outcomes.mean[:, :1]
    effects[:, :, 2] = effects[:, :, 1]
    fitter = _Fitter.of(trial, outcomes, scores, seed)

    def fill(part: tuple[int, int]) -> None:
        left_out, arm = part
        rows, asked = fitter.split(fold, left_out, arm)
        if len(rows) >= FEW_ROWS:
            effects[asked, arm, 3] = fitter.boosted(rows, asked, arm)
        own = np.flatnonzero((fold != left_out) & (trial.arm == arm + 1))
        if len(own) >= ARM_ROWS:
            effects[asked, arm, 2] = fitter.own_arm(own, asked, arm)

    def fill_linear(arm: int) -> None:
        if np.count_nonzero(scores.comparable[:, arm]) >= ARM_ROWS:
            effects[:, arm, 4] = fitter.linear(fold, arm)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill_linear, range(k)))
        list(pool.map(fill, [(left_out, arm) for left_out in range(int(fold.max()) + 1) for arm in range(k)]))
    return effects


def constant_shifts(trial: Trial, outcomes: ArmOutcomes, average: Floats) -> Floats:
    """(n, k): what one shift of the untreated margin does to each row, chosen by bisection so that its mean is the average effect.

    On the scale of a real outcome it is in proportion to the sensitivity instead; 0 where the average is unknown.
    """
    known = np.nan_to_num(average)
    if not trial.binary:
        proportion = outcomes.sensitivity / max(float(outcomes.sensitivity.mean()), 1e-12)
        return proportion[:, None] * known
    untreated, mean = outcomes.margin[:, 0], scale_of(trial).mean
    return np.column_stack([_shifted(untreated, mean(untreated), mean, value) for value in known])


def _shifted(margin: Floats, untreated: Floats, mean: object, average: float) -> Floats:
    low, high = -SHARPEST, SHARPEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if (mean(margin + middle) - untreated).mean() < average else (low, middle)  # type: ignore[operator]
    moved: Floats = mean(margin + (low + high) / 2) - untreated  # type: ignore[operator]
    return moved


@dataclass(frozen=True)
class _Fitter:
    trial: Trial
    outcomes: ArmOutcomes
    scores: Scores
    features: Floats
    binned: lgb.Dataset
    columns: Floats
    seed: int

    @classmethod
    def of(cls, trial: Trial, outcomes: ArmOutcomes, scores: Scores, seed: int) -> _Fitter:
        """features: for trees; columns: for the ridge, the standardised features alone and times the sensitivity."""
        prognosis, sensitivity = outcomes.mean[:, 0], outcomes.sensitivity
        standard = Standard.of(trial.features)(trial.features)
        two = np.column_stack([_scaled(prognosis), _scaled(sensitivity)])
        relative = sensitivity / max(float(sensitivity.mean()), 1e-12)
        columns = np.column_stack([standard, two, standard * relative[:, None]])
        features = np.column_stack([trial.features, prognosis, sensitivity])
        return cls(trial, outcomes, scores, features, binned_once(features), columns, seed)

    def split(self, fold: Integers, left_out: int, arm: int) -> tuple[Integers, Integers]:
        """Comparable rows to learn from, and all rows to ask about."""
        return np.flatnonzero((fold != left_out) & self.scores.comparable[:, arm]), np.flatnonzero(fold == left_out)

    def own_arm(self, rows: Integers, asked: Integers, arm: int) -> Floats:
        margin = self.outcomes.margin[:, arm + 1]
        parameters = booster_parameters(
            scale_of(self.trial).objective,
            self.seed,
            num_leaves=8,
            max_depth=4,
            learning_rate=0.04,
            lambda_l2=20.0,
            min_child_samples=max(20, len(rows) // 60),
        )
        data = part_of(self.binned, rows, self.trial.outcome[rows])
        data.set_init_score(margin[rows])
        booster = lgb.train(parameters, data, 50)
        refined = margin[asked] + np.asarray(booster.predict(self.features[asked], raw_score=True, num_threads=1))
        effect: Floats = scale_of(self.trial).mean(refined) - self.outcomes.mean[asked, 0]
        return effect

    def boosted(self, rows: Integers, asked: Integers, arm: int) -> Floats:
        parameters = booster_parameters(
            "regression", self.seed, num_leaves=6, max_depth=3, learning_rate=0.04, min_child_samples=max(50, len(rows) // 60)
        )
        data = part_of(self.binned, rows, self.scores.score[rows, arm])
        weight = self.scores.weight[rows, arm]
        data.set_weight(weight / weight.mean())
        booster = lgb.train(parameters, data, 80)
        return np.asarray(booster.predict(self.features[asked], num_threads=1))

    def linear(self, fold: Integers, arm: int) -> Floats:
        """Ridge whose penalty is noise variance over believed variance of a coefficient, the usual spread shared by all columns; (n,).

        The sums of each fold are taken once, and those of the others are the total less its own. 0 where the others have fewer than
        LINEAR_ROWS, as where an arm was possible in one group alone.
        """
        sums = [self._sums(np.flatnonzero((fold == held) & self.scores.comparable[:, arm]), arm) for held in range(int(fold.max()) + 1)]
        total = _Sums(*(np.sum(parts, axis=0) for parts in zip(*sums, strict=True)))
        believed = usual_spread(self.trial) ** 2 / self.columns.shape[1]
        predicted = np.zeros(len(fold))
        for held, own in enumerate(sums):
            rest = _Sums(*(whole - part for whole, part in zip(total, own, strict=True)))
            if rest.rows >= LINEAR_ROWS:
                asked = fold == held
                predicted[asked] = rest.solved(believed, self.columns[asked])
        return predicted

    def _sums(self, rows: Integers, arm: int) -> _Sums:
        columns, score, weight = self.columns[rows], self.scores.score[rows, arm], self.scores.weight[rows, arm]
        weighted = columns * weight[:, None]
        return _Sums(
            np.array(float(len(rows))),
            weight.sum(),
            weighted.sum(axis=0),
            np.array(weight @ score),
            columns.T @ weighted,
            weighted.T @ score,
            np.array(weight @ score**2),
        )


class _Sums(NamedTuple):
    """Over rows of columns c (p), score s and weight w: their number, sums of w, w c, w s, w c c', w c s and w s^2."""

    rows: Floats
    weight: Floats
    column: Floats
    score: Floats
    gram: Floats
    cross: Floats
    square: Floats

    def solved(self, believed: float, asked: Floats) -> Floats:
        """Predictions of the ridge; weights are scaled to a mean of 1."""
        scale, centre, middle = self.rows / self.weight, self.column / self.weight, self.score / self.weight
        gram = scale * (self.gram - self.weight * np.outer(centre, centre))
        cross = scale * (self.cross - self.weight * centre * middle)
        noise = self.square / self.weight - middle**2
        coefficient = np.linalg.solve(gram + noise / believed * np.eye(len(gram)), cross)
        predicted: Floats = middle + (asked - centre) @ coefficient
        return predicted


def _scaled(values: Floats) -> Floats:
    """Mean 0, standard deviation 1, or all 0."""
    scaled: Floats = (values - values.mean()) / max(float(values.std()), 1e-12)
    return scaled

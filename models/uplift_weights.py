"""How far each guess about differing effects is believed: weights learned out of fold, shrunk towards the constant effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from models.uplift_candidates import CANDIDATES

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.doubly_robust import Scores

LEAST_CERTAINTY = 1e-4
"""Of a slope, 1 / error^2; below it the learners claim no differences whose share could be told, and it is NaN."""
LEARNED = tuple(position for position, candidate in enumerate(CANDIDATES) if candidate.name not in {"constant_shift", "all_arms"})


@dataclass(frozen=True)
class Weighted:
    """The weights of the guesses, and what they come to.

    weights (n_candidates,), the same for all interventions; centred (n, k): the weighted guesses, mean 0 within each fold; specific (n, k):
    the part that learners of one arm give; slope_error: standard error of the factor by which `centred` is right; held, held_error (k,):
    the share of the spread claimed by the learners of one arm that was found again out of fold, the slope of the scores on the mean of
    their guesses.
    """

    weights: Floats
    centred: Floats
    specific: Floats
    slope_error: float
    held: Floats
    held_error: Floats


@dataclass(frozen=True)
class _Moments:
    """gram (k, c, c) and cross (k, c) of the guesses and with the scores, in units of the noise of a score."""

    gram: Floats
    cross: Floats


def weigh_candidates(effects: Floats, scores: Scores, fold: Integers, member: Integers) -> Weighted:
    """Weights w >= 0 that minimise sum_a sum_i v_ia (s_ia - sum_c w_c f_iac)^2 / noise_a + sum_c ((w_c - usual_c) / doubt_c)^2.

    s and f are the scores and guesses less their means within the fold, v the weights of the scores. Without that centring a guess that is
    low where its fold was high, as any mean out of fold is, makes a sound candidate look harmful: its slope came out at -2 where
    it was 1 (15,000 rows). One set of weights for all arms has a fraction of the noise of a set for each.

    noise_a is the variance of a score, times how much more the sums of v s f over the rows of a member vary than with rows of equal and
    independent noise: outcomes vary most where much is expected, as money does, and rows of one member depend on one another.
    """
    centred = _centred(effects, scores.weight, fold)
    moments = _moments(centred, scores, fold, member)
    usual, doubt = (np.array([getattr(candidate, name) for candidate in CANDIDATES]) for name in ("usual", "doubt"))
    precision = 1 / doubt**2
    gram, cross = moments.gram.sum(axis=0) + np.diag(precision), moments.cross.sum(axis=0) + precision * usual
    root = np.linalg.cholesky(gram)
    weights, _ = nnls(root.T, np.linalg.solve(root, cross))
    held, held_error = _held(moments)
    specific = centred[:, :, list(LEARNED)] @ weights[list(LEARNED)]
    certainty = float(weights @ gram @ weights)
    return Weighted(weights, centred @ weights, specific, 1 / np.sqrt(max(certainty, 1e-12)), held, held_error)


def _centred(values: Floats, weight: Floats, fold: Integers) -> Floats:
    """The values (n, k, ...) less their weighted means within each fold, for each arm; plain means where all weights are 0."""
    centred = values.copy()
    weight = np.where(weight.any(axis=0), weight, 1.0)
    spread = weight.reshape(*weight.shape, *(1,) * (values.ndim - 2))
    for number in range(int(fold.max()) + 1):
        rows = fold == number
        total = np.maximum(spread[rows].sum(axis=0), 1e-12)
        centred[rows] -= (values[rows] * spread[rows]).sum(axis=0) / total
    return centred


def _moments(centred: Floats, scores: Scores, fold: Integers, member: Integers) -> _Moments:
    score = _centred(scores.score, scores.weight, fold)
    k, c = centred.shape[1:]
    gram, cross = np.zeros((k, c, c)), np.zeros((k, c))
    for arm in range(k):
        rows = scores.comparable[:, arm]
        if not rows.any():
            continue
        weight = scores.weight[rows, arm] / scores.weight[rows, arm].mean()
        guesses, target = centred[rows, arm], score[rows, arm]
        noise = max(float(np.average(target**2 * weight, weights=weight)), 1e-12)
        plain = (guesses * weight[:, None]).T @ guesses
        noise *= _excess(guesses * (weight * target)[:, None], member[rows], noise * np.diag(plain))
        gram[arm], cross[arm] = plain / noise, guesses.T @ (weight * target) / noise
    return _Moments(gram, cross)


def _excess(parts: Floats, member: Integers, usual: Floats) -> float:
    """Squared sums of `parts` (n, c) by member, over their `usual` size (c,) for rows of equal noise; mean of the columns, at least 1."""
    seen = usual > 0
    if not seen.any():
        return 1.0
    summed = np.column_stack([np.bincount(member, weights=column) for column in parts[:, seen].T])
    return max(1.0, float(np.mean((summed**2).sum(axis=0) / usual[seen])))


def _held(moments: _Moments) -> tuple[Floats, Floats]:
    """Where nothing holds, each pair of rows of two folds counts twice, since either taught the guess about the other.

    So the variance is 2 / certainty and not 1 / certainty; where all holds, it is too large by that.
    """
    mean = np.zeros(len(CANDIDATES))
    mean[list(LEARNED)] = 1 / len(LEARNED)
    certainty = np.einsum("kcd,c,d->k", moments.gram, mean, mean)
    certainty = np.where(certainty > LEAST_CERTAINTY, certainty, np.nan)
    return moments.cross @ mean / certainty, np.sqrt(2 / certainty)


def missed_spread(found: Floats, error: Floats, features: int, usual: float) -> Floats:
    """Standard deviation of the differences between members that were not found, shape (k,).

    found (k,): variance of those that were; error (k,): standard error of the average effect; usual: standard deviation believed before
    the data. A learner with d features that shrinks to the noise finds of a variance H^2 the part x / (1 + x), x = H^2 / (d error^2), as
    ridge regression on d independent features does. Solved for H^2 this tells what there is from what was found; where little could have
    been found the belief stands, so H^2 is at least the mean of both, weighted by the part x / (1 + x) at the belief. What is left is
    H^2 / (1 + x): much where little was found in few data, little in many data.
    """
    unit = np.maximum(features * error**2, 1e-18)
    told = (found + np.sqrt(found**2 + 4 * found * unit)) / 2
    findable = usual**2 / (usual**2 + unit)
    total = np.maximum(told, (1 - findable) * usual**2 + findable * told)
    left: Floats = np.sqrt(total / (1 + total / unit))
    return left


def dimensions_of(features: Floats) -> float:
    """Participation ratio of the eigenvalues of the columns' correlations C (d, d), trace(C)^2 / trace(C^2); NaN stands at the mean.

    From 1, where all columns tell the same, to d, where none tells anything of another.
    """
    known = ~np.isnan(features)
    mean = np.where(known, features, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    apart = np.where(known, features - mean, 0.0)
    size = np.sqrt(np.square(apart).sum(axis=0))
    unit = apart[:, size > 0] / size[size > 0]
    return float(unit.shape[1] ** 2 / np.square(unit.T @ unit).sum()) if unit.size else 1.0

"""Doubly robust scores: for each row and intervention a number whose mean is the average effect, whatever decided who got what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers

LEVEL = 0.9
"""Of the intervals of effects."""


@dataclass(frozen=True)
class Scores:
    """Arrays of shape (n, k).

    score: mu_a - mu_0 + 1[A = a] (y - mu_a) / e_a - 1[A = 0] (y - mu_0) / e_0, with mu out of fold (Robins, Rotnitzky and Zhao 1994; for
    several arms Cattaneo 2010). weight: 1 / (1 / e_a + 1 / e_0), the inverse of the score's variance up to that of the outcome. comparable:
    both arms were possible; elsewhere score and weight are 0 and nothing can be learned.
    """

    score: Floats
    weight: Floats
    comparable: Flags


@dataclass(frozen=True)
class Averages:
    """The mean score over the comparable rows and its standard error by member, or group, each of shape (k,)."""

    effect: Floats
    error: Floats


def scores_of(arm: Integers, outcome: Floats, shares: Floats, expected: Floats) -> Scores:
    """arm, outcome (n,); shares, expected (n, 1 + k), `none` first: the propensities of all arms, each as it was, not of a pair, and mu."""
    residual = outcome - expected[np.arange(len(arm)), arm]
    none, arms = shares[:, :1], shares[:, 1:]
    comparable = (none > 0) & (arms > 0)
    treated = arm[:, None] == np.arange(1, shares.shape[1])
    untreated = (arm == 0)[:, None]
    with np.errstate(divide="ignore"):
        inverse_arms, inverse_none = np.where(comparable, 1 / arms, 0.0), np.where(comparable, 1 / none, 0.0)
    corrected = residual[:, None] * (treated * inverse_arms - untreated * inverse_none)
    plain = expected[:, 1:] - expected[:, :1]
    weight = np.divide(1.0, inverse_arms + inverse_none, out=np.zeros_like(arms), where=comparable)
    return Scores(np.where(comparable, plain + corrected, 0.0), weight, comparable)


def averages_of(scores: Scores, member: Integers) -> Averages:
    """Error: sqrt(G / (G - 1) sum over G members of (sum of their centred scores)^2) / n, of the G that have comparable rows.

    Times Student's t of G - 1 degrees at LEVEL over the normal, so that intervals by few groups hold (Cameron and Miller 2015, section VI).
    Both are NaN where fewer than two have any: what happened to one alone may be that one's own story.
    """
    number = scores.comparable.sum(axis=0)
    groups = np.array([len(np.unique(member[rows])) for rows in scores.comparable.T])
    with np.errstate(invalid="ignore", divide="ignore"):
        few = _for_few(groups)
        effect = np.where(groups > 1, scores.score.sum(axis=0) / number, np.nan)
        centred = np.where(scores.comparable, scores.score - effect, 0.0)
        summed = np.column_stack([np.bincount(member, weights=column) for column in centred.T])
        error = few * np.sqrt((summed**2).sum(axis=0)) / number
    return Averages(effect, error)


def _for_few(groups: Integers) -> Floats:
    """NaN for one alone, and for none."""
    factor: Floats = np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2)
    return factor

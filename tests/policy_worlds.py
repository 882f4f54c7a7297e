"""Logs of a policy whose probabilities are known, of clustered rows and skewed rewards, with what other policies truly earn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

COST = np.array([0.0, 0.5, 1.0, 3.0])
LOG_VALUE, SPREAD = 3.0, 0.9
MEAN_VALUE = float(np.exp(LOG_VALUE + SPREAD**2 / 2))
ACTIONS = len(COST)
EVERYBODY = 200_000
OVERLAPS = {"wide": 0.5, "middle": 1.0, "narrow": 2.5}
"""How sharply the log's policy chose; each action kept a chance of 0.05."""


@dataclass(frozen=True)
class Logged:
    """member, chosen, reward (n,); propensities, kept (the true chance of staying under each action) and x (n, 4)."""

    member: np.ndarray
    x: np.ndarray
    propensities: np.ndarray
    chosen: np.ndarray
    reward: np.ndarray
    kept: np.ndarray


def log_of(members: int, sharpness: float, rng: np.random.Generator) -> Logged:
    """About three rows a member, twelve for one in twenty; rows of a member share their taste and their log-normal value."""
    rows = 1 + rng.poisson(1.5, members)
    rows = np.where(rng.random(members) < 0.05, 4 * rows, rows)
    member = np.repeat(np.arange(members), rows)
    n = len(member)
    x = 0.7 * rng.normal(size=(n, 3)) + 0.7 * rng.normal(size=(members, 3))[member]
    value = np.exp(LOG_VALUE + SPREAD * rng.normal(size=members)[member])
    taste = 0.8 * rng.normal(size=members)[member]
    logit = sharpness * np.column_stack([np.full(n, 0.8), x[:, 0], 0.5 * x[:, 1] - 0.5, 0.5 * x[:, 2] - 1])
    share = np.exp(logit - logit.max(axis=1, keepdims=True))
    propensities = 0.8 * share / share.sum(axis=1, keepdims=True) + 0.2 / ACTIONS
    chosen = (rng.random(n)[:, None] >= propensities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    shift = np.column_stack([np.zeros(n), 0.3 + 0.3 * x[:, 1], 0.2 - 0.4 * x[:, 0], 0.6 * np.tanh(x[:, 2])])
    kept = expit((0.3 - 0.6 * x[:, 0] + taste)[:, None] + shift)
    reward = (rng.random(n) < kept[np.arange(n), chosen]) * value - COST[chosen]
    return Logged(member, np.column_stack([x, np.log(value)]), propensities, chosen, reward, kept)


def targets_of(log: Logged) -> dict[str, np.ndarray]:
    """Policies further and further away from the logged one; each row of (n, 4) adds up to 1."""
    n, x = len(log.chosen), log.x
    best = np.column_stack([np.zeros(n), 0.1 + 0.3 * x[:, 1], 0.1 - 0.4 * x[:, 0], 0.3 * x[:, 2]]).argmax(axis=1)
    greedy = np.eye(ACTIONS)[best]
    dearest = np.zeros((n, ACTIONS))
    dearest[:, 3] = 1
    return {
        "near": 0.7 * log.propensities + 0.3 * greedy,
        "explored": 0.92 * greedy + 0.02,
        "greedy": greedy,
        "constant": dearest,
    }


def true_values(sharpness: float) -> dict[str, float]:
    """The value of a member is independent of all that the policies look at, so its mean may be put in its place."""
    everybody = log_of(EVERYBODY, sharpness, np.random.default_rng(99))
    expected = everybody.kept * MEAN_VALUE - COST
    return {name: float((target * expected).sum(axis=1).mean()) for name, target in targets_of(everybody).items()}


def predicted(log: Logged, rng: np.random.Generator, folds: int = 5) -> np.ndarray:
    """Rewards by a linear regression for each action, learned on other members; wrong in form, shape (n, 4)."""
    columns = np.column_stack([np.ones(len(log.x)), log.x, np.exp(log.x[:, 3])])
    fold = rng.integers(0, folds, log.member.max() + 1)[log.member]
    told = np.empty_like(log.propensities)
    for held in range(folds):
        for action in range(ACTIONS):
            seen = (fold != held) & (log.chosen == action)
            gram = columns[seen].T @ columns[seen] + np.eye(columns.shape[1])
            told[fold == held, action] = columns[fold == held] @ np.linalg.solve(gram, columns[seen].T @ log.reward[seen])
    return told

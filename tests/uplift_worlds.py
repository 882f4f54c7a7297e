"""Trials whose true effects are known: what was tried on whom, what followed, and what would have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

ARMS = ("gift", "digest", "call", "badge")
FEATURES = 40
FARTHEST = 2.5
"""Standard deviations; what lies beyond is held there, so that no single row rules a world."""
LIKING = np.array([[0.1, 0.4, -0.2, 0.2, -0.3], [-0.2, 0.1, 0.3, -0.1, 0.2], [0.2, -0.3, 0.1, 0.2, -0.1]])
"""Weights of three features in the logit of the assignment to each arm, beside the risk."""


@dataclass(frozen=True)
class World:
    """What is planted.

    Attributes:
        base: mean log-odds of staying without any intervention.
        average: shift of the log-odds by each arm.
        spread: standard deviation of that shift over the members, for each arm.
        confounding: weight of the risk in the logit of the assignment.
        logged: whether the propensities are known to the learner.
        drift: share of the heterogeneity that turns round, from 0 (stays) to 1 (reversed) between the log and the time of use.
    """

    base: float = 0.4
    average: tuple[float, ...] = (0.16, 0.08, 0.24, 0.03)
    spread: tuple[float, ...] = (0.14, 0.12, 0.20, 0.10)
    cost: tuple[float, ...] = (0.8, 0.1, 2.0, 0.1)
    confounding: float = 0.8
    logged: bool = True
    drift: float = 0.0


WORLDS = {
    "strong": World(),
    "crossed": World(average=(0.10, 0.06, 0.14, 0.02), spread=(0.25, 0.20, 0.30, 0.15)),
    "weak": World(spread=(0.05, 0.05, 0.05, 0.05)),
    "no_heterogeneity": World(spread=(0.0, 0.0, 0.0, 0.0)),
    "harmful": World(average=(0.10, 0.03, -0.20, -0.05), spread=(0.15, 0.15, 0.30, 0.15)),
    "confounded": World(confounding=1.6, logged=False),
    "rare": World(base=-3.4, average=(0.35, 0.15, 0.5, 0.05), spread=(0.25, 0.2, 0.3, 0.15)),
    "drifting": World(drift=0.35),
}


@dataclass(frozen=True)
class Trial:
    """features (n, 40), NaN in some; assignment (n,) names; outcome (n,) 0/1; propensities (n, 5), `none` first; effects (n, 4) and
    untreated (n,) are the truth; value (n,) and cost (4,) money."""

    features: np.ndarray
    assignment: np.ndarray
    outcome: np.ndarray
    propensities: np.ndarray
    effects: np.ndarray
    untreated: np.ndarray
    value: np.ndarray
    cost: np.ndarray

    def gain(self, effect: np.ndarray) -> float:
        """True mean money of acting on `effect` (n, 4): the best action where it pays by that estimate, else none."""
        net = effect * self.value[:, None] - self.cost
        best = net.argmax(axis=1)
        rows = np.arange(len(net))
        true = self.effects[rows, best] * self.value - self.cost[best]
        return float(np.where(net[rows, best] > 0, true, 0.0).mean())

    @property
    def oracle(self) -> float:
        return self.gain(self.effects)


def simulate_trial(name: str, n: int, rng: np.random.Generator, *, of_use: bool = False) -> Trial:
    """`of_use`: members of the time when the model is used, after the drift where there is one."""
    world = WORLDS[name]
    features = _features(n, rng)
    risk = _standard(_risk(features))
    untreated = expit(world.base - 0.9 * risk)
    shift = world.average + world.spread * _moderators(features, world.drift if of_use else 0.0)
    effects = expit(world.base - 0.9 * risk[:, None] + shift) - untreated[:, None]
    propensities = _propensities(risk, features, world)
    code = (rng.random(n)[:, None] >= propensities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    retained = untreated + np.where(code > 0, effects[np.arange(n), np.maximum(code, 1) - 1], 0.0)
    outcome = (rng.random(n) < retained).astype(float)
    value = np.exp(rng.normal(3.6, 0.5, n) + 0.3 * _standard(features[:, 3]))
    seen = np.where(rng.random((n, 6)) < 0.08, np.nan, features[:, 10:16])
    features[:, 10:16] = seen
    return Trial(features, np.array(["none", *ARMS])[code], outcome, propensities, effects, untreated, value, np.array(world.cost))


def _features(n: int, rng: np.random.Generator) -> np.ndarray:
    common = rng.normal(size=(n, 4))
    normal = 0.5 * common[:, np.arange(20) % 4] + 0.87 * rng.normal(size=(n, 20))
    counts = rng.poisson(np.exp(0.6 + 0.5 * common[:, np.arange(10) % 4]))
    flags = rng.random((n, 6)) < np.linspace(0.15, 0.6, 6)
    kinds = rng.integers(0, 5, (n, 4))
    return np.column_stack([normal, counts, flags, kinds]).astype(float)


def _standard(values: np.ndarray) -> np.ndarray:
    return np.clip((values - values.mean(axis=0)) / values.std(axis=0), -FARTHEST, FARTHEST)


def _risk(x: np.ndarray) -> np.ndarray:
    return (
        x[:, 0]
        + 0.6 * np.maximum(x[:, 1], 0)
        - 0.5 * np.log1p(x[:, 20])
        + 0.5 * x[:, 30] * x[:, 2]
        + 0.4 * np.sin(x[:, 4])
        - 0.3 * x[:, 31]
    )


def _moderators(x: np.ndarray, turned: float) -> np.ndarray:
    """(n, 4), each of mean 0 and standard deviation 1."""
    gift = 0.8 * x[:, 5] + 0.8 * (x[:, 32] - 0.4) - 0.5 * np.log1p(x[:, 21])
    digest = np.tanh(x[:, 6]) + 0.6 * x[:, 0] * (x[:, 33] > 0)
    call = 1.2 * (x[:, 7] > 0.4) - 0.9 * (x[:, 36] == 2) + 0.4 * np.log1p(x[:, 22])
    badge = 0.7 * x[:, 8] - 0.7 * np.abs(x[:, 9])
    now = _standard(np.column_stack([gift, digest, call, badge]))
    return _standard((1 - turned) * now - turned * np.roll(now, 1, axis=1)) if turned else now


def _propensities(risk: np.ndarray, x: np.ndarray, world: World) -> np.ndarray:
    logits = np.array([1.2, -0.4, 0.1, -0.9, -0.3]) + np.column_stack([x[:, 5], x[:, 1], np.log1p(x[:, 20])]) @ LIKING
    logits[:, [1, 3]] += world.confounding * risk[:, None]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return 0.9 * weights / weights.sum(axis=1, keepdims=True) + 0.1 / 5

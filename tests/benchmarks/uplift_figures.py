"""How good estimated effects are, where the true ones are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.uplift_worlds import Trial

LIMIT = 0.2
"""Share of the members who may be contacted, in the limited gain."""


@dataclass(frozen=True)
class Figures:
    """What is found on members who were not learned from.

    Attributes:
        gain: true money of acting on the effects, in % of the oracle's.
        limited: the same where only the LIMIT of the members that promise most may be contacted.
        pehe: root mean squared error of the effect, mean over the arms.
        slope_within: of the true effect on the estimated, both centred for each arm; NaN for a constant.
        slope: the same over all arms together.
        coverage: share of the true effects in their intervals; NaN without intervals.
        width: mean width of the intervals.
    """

    gain: float
    limited: float = np.nan
    pehe: float = np.nan
    slope_within: float = np.nan
    slope: float = np.nan
    coverage: float = np.nan
    width: float = np.nan
    fit_s: float = np.nan
    one_ms: float = np.nan


@dataclass(frozen=True)
class Estimated:
    """effect (n, 4); lower and upper of the first members, (m, 4) or (0, 0)."""

    effect: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    fit_s: float = np.nan
    one_ms: float = np.nan


def constant(effects: np.ndarray, n: int, fit_s: float = np.nan) -> Estimated:
    """effects: (4,)."""
    return Estimated(np.tile(effects, (n, 1)), np.empty((0, 0)), np.empty((0, 0)), fit_s)


def limited_gain(trial: Trial, effect: np.ndarray) -> float:
    net = effect * trial.value[:, None] - trial.cost
    best = net.argmax(axis=1)
    rows = np.arange(len(net))
    promised = net[rows, best]
    chosen = (promised > 0) & (promised >= np.quantile(promised, 1 - LIMIT))
    true = trial.effects[rows, best] * trial.value - trial.cost[best]
    return float(np.where(chosen, true, 0.0).mean())


def slope(true: np.ndarray, estimated: np.ndarray) -> float:
    """NaN where the estimate is constant."""
    spread = estimated.var()
    return float(((true - true.mean()) * (estimated - estimated.mean())).mean() / spread) if spread > 1e-14 else np.nan


def figures(trial: Trial, estimated: Estimated) -> Figures:
    effect, true = estimated.effect, trial.effects
    bounded = true[: len(estimated.lower)]
    has_bounds = len(bounded) > 0
    return Figures(
        gain=100 * trial.gain(effect) / trial.oracle,
        limited=100 * limited_gain(trial, effect) / limited_gain(trial, true),
        pehe=float(np.sqrt(((effect - true) ** 2).mean(axis=0)).mean()),
        slope_within=slope(true - true.mean(axis=0), effect - effect.mean(axis=0)),
        slope=slope(true, effect),
        coverage=float(((estimated.lower <= bounded) & (bounded <= estimated.upper)).mean()) if has_bounds else np.nan,
        width=float((estimated.upper - estimated.lower).mean()) if has_bounds else np.nan,
        fit_s=estimated.fit_s,
        one_ms=estimated.one_ms,
    )

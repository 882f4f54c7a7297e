"""A rare churn learned from all snapshots and from a share of those who stayed: CPU seconds, AUC and log loss on later rows, mean risk.

The truth is planted: log-odds of 20 of 60 features, with steps and products, shifted until the mean risk is as wanted.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from models.churn_fit import TrainingRows, fit_horizon
from models.community import DAY_US
from models.evaluation import auc, log_loss
from models.features import FeatureSpec, SignalUse

SPEC = FeatureSpec(tuple(SignalUse(name, qualifying=True, valued=False) for name in ("post", "read")), (7, 30), 60, "UTC", touches=False)
HORIZON, CUTS = 28, 20
ROWS, TEST_ROWS = 300_000, 200_000
SHARES = (1.0, None, 0.3, 0.1, 0.03)


def log_odds(features: np.ndarray) -> np.ndarray:
    weights = np.linspace(0.5, 0.05, 20) * np.where(np.arange(20) % 2, 1, -1)
    steps = 0.6 * (features[:, 0] > 1) * (features[:, 1] < 0) - 0.5 * features[:, 2] * features[:, 3] + 0.4 * np.abs(features[:, 4])
    return features[:, :20] @ weights + steps


def planted(rows: int, rate: float, seed: int) -> tuple[TrainingRows, np.ndarray]:
    """Rows with outcomes, and the true risk of each."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(SPEC.names))).astype(np.float32)
    told = log_odds(features)
    risk = expit(told + brentq(lambda shift: expit(told + shift).mean() - rate, -20, 5))
    as_of_us = np.sort(rng.integers(0, CUTS, rows)) * 7 * DAY_US
    return TrainingRows(features, rng.random(rows) < risk, rng.permutation(rows), as_of_us), risk


def report(rate: float, seed: int) -> None:
    rows, _ = planted(ROWS, rate, seed)
    test, truth = planted(TEST_ROWS, rate, seed + 1)
    kept = np.arange(len(SPEC.names))
    whole: np.ndarray | None = None
    print(f"  {ROWS:,} snapshots, {rate:.1%} churn: true mean risk {truth.mean():.5f}, true log loss {log_loss(test.churned, truth):.5f}")
    print(f"    {'share':>10s}{'CPU s':>8s}{'AUC':>8s}{'log loss':>10s}{'more than with all':>28s}{'mean risk':>11s}{'error':>9s}")
    for share in SHARES:
        begun = time.process_time()
        model = fit_horizon(rows, HORIZON, SPEC, kept, majority_share=share, rng=np.random.default_rng(seed)).model
        seconds = time.process_time() - begun
        risk = model.probability(test.features)
        loss = -np.where(test.churned, np.log(risk), np.log1p(-risk))
        whole = loss if whole is None else whole
        more, error = (loss - whole).mean(), (loss - whole).std() / np.sqrt(len(loss))
        print(
            f"    {'automatic' if share is None else f'{share:.0%}':>10s}{seconds:8.1f}{auc(test.churned, risk):8.4f}{loss.mean():10.5f}"
            f"{more:+14.5f} +- {1.64 * error:.5f}{risk.mean():13.5f}{np.abs(risk - truth).mean():9.5f}"
        )


def main() -> None:
    for rate in (0.005, 0.02):
        report(rate, 1)

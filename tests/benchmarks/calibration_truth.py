"""Risks against the outcomes and against the true risks that only a simulation knows, beside a logistic regression on RFM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.metrics import ece, equal_mass_bins
from tests.trained_world import TrainedWorld, train_on_world

WORLDS = ((20_000, 365, 1), (3000, 365, 2), (3000, 365, 3), (3000, 240, 4), (3000, 240, 5))
BINS = 10


@dataclass(frozen=True)
class Told:
    """A risk of one horizon for the members of the test, shape (n,)."""

    name: str
    probability: np.ndarray

    def line(self, churned: np.ndarray, truth: np.ndarray) -> str:
        return (
            f"      {self.name:20s}{self.probability.mean():9.3f}{ece(churned, self.probability):13.4f}"
            f"{error_against_truth(self.probability, truth):13.4f}{np.corrcoef(self.probability, truth)[0, 1]:13.3f}"
        )


def error_against_truth(probability: np.ndarray, truth: np.ndarray) -> float:
    """The calibration error with the true risk in place of the outcome: sum_b |sum of (truth - p) in bin b| / n, ten bins of equal mass."""
    order = np.argsort(probability, kind="stable")
    bins = equal_mass_bins(np.ones(len(order)), BINS)
    return float(np.abs(np.bincount(bins, weights=(truth - probability)[order], minlength=BINS)).sum() / len(order))


def chance(truth: np.ndarray) -> float:
    """What the calibration error against outcomes of the true risks themselves would be, for n members in ten bins."""
    return float(np.sqrt(2 * BINS * (truth * (1 - truth)).mean() / (np.pi * len(truth))))


def silent(world: TrainedWorld, horizon_days: int) -> np.ndarray:
    """Who is gone, for horizons that the log holds."""
    end_us = world.test_as_of_us + horizon_days * 86_400_000_000
    qualifying = world.trained.engine.qualifying[world.events.signal]
    inside = (world.events.timestamp_us >= world.test_as_of_us) & (world.events.timestamp_us < end_us) & qualifying
    seen = np.concatenate([[0], np.cumsum(inside)])[world.events.offsets]
    return np.diff(seen)[world.scored] == 0


def report(members: int, days: int, seed: int) -> None:
    world = train_on_world(members, days, seed)
    tested = world.trained.churn
    print(f"  {members:,} members, {days} days, seed {seed}: {world.trained.members:,} in the test, grade {tested.compared.grade}")
    for fitted in world.trained.horizons:
        horizon_days = fitted.model.horizon_days
        truth = world.true_risk(horizon_days)[world.scored]
        known = horizon_days <= world.declared.churn.horizon_days
        churned = silent(world, horizon_days) if known else np.random.default_rng(seed).random(len(truth)) < truth
        how = "" if known else "; outcomes drawn from the truth, the log ends before"
        print(f"    {horizon_days} days: true risk {truth.mean():.3f}, ECE by chance {chance(truth):.4f}{how}")
        print(f"      {'':20s}{'mean':>9s}{'ECE':>13s}{'ECE (truth)':>13s}{'correlation':>13s}")
        for name, model in {"blend": fitted.model, **fitted.baselines}.items():
            print(Told(name, model.probability(world.trained.test_features)).line(churned, truth))


def main() -> None:
    for world in WORLDS:
        report(*world)

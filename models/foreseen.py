"""What AUC, log loss and losses are to be expected of risks whose outcomes are not known yet, if the risks are calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from models.errors import NotEnoughData
from models.intervals import Estimate
from models.metrics import SMALLEST_RISK, Tally

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.intervals import FloatArray

DRAWS = 300
LEVEL = 0.95


@dataclass(frozen=True)
class Foreseen:
    """Each with the interval in which 95 of 100 outcomes drawn from the risks lie. `churn_rate` is a share of the `n` members."""

    n: int
    auc: Estimate
    log_loss: Estimate
    churn_rate: Estimate

    def to_dict(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in ("auc", "log_loss", "churn_rate")}
        return {"members": self.n} | {name: estimate.to_dict() for name, estimate in told.items()}


def expected_auc(probability: Floats) -> float:
    """Expected concordant pairs over expected pairs of a member who goes and one who stays; equal risks count half. Shape (n,).

    sum over i != j of p_i (1 - p_j) ([p_i > p_j] + [p_i = p_j] / 2) / sum over i != j of p_i (1 - p_j). Raises NotEnoughData where no such
    pair can occur.
    """
    risk, place = np.unique(probability, return_inverse=True)
    times = np.bincount(place).astype(np.float64)
    going, staying = times * risk, times * (1 - risk)
    below = np.cumsum(staying) - staying
    alone = times * risk * (1 - risk)
    pairs = going.sum() * staying.sum() - alone.sum()
    if pairs <= 0:
        message = "AUC: these risks let no member go, or let none stay; there is nothing to rank"
        raise NotEnoughData(message)
    return float((going * below + (going * staying - alone) / 2).sum() / pairs)


def expected_log_loss(probability: Floats) -> float:
    """Mean of -p ln p - (1 - p) ln(1 - p), in nats."""
    return float((entr(probability) + entr(1 - probability)).mean())


def foresee(probability: Floats, *, rng: np.random.Generator, draws: int = DRAWS) -> Foreseen:
    """For risks of shape (n,), none NaN. Raises NotEnoughData where no draw has both who go and who stay."""
    if not len(probability):
        message = "nobody has a score, so nothing can be foreseen"
        raise NotEnoughData(message)
    falling = np.sort(probability.astype(np.float64))[::-1]
    told = np.array([_drawn(falling, rng) for _ in range(draws)])
    sound = told[np.isfinite(told[:, 0])]
    if not len(sound):
        message = f"none of {draws} draws from these risks has both members who go and members who stay"
        raise NotEnoughData(message)
    low, high = np.quantile(sound, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    point = (expected_auc(probability), expected_log_loss(probability), float(probability.mean()))
    estimates = [Estimate(value, min(a, value), max(b, value)) for value, a, b in zip(point, low.tolist(), high.tolist(), strict=True)]
    return Foreseen(len(probability), *estimates)


def _drawn(falling: FloatArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """AUC, log loss and share of those who go in one draw; AUC is NaN where all go or all stay."""
    going = (rng.random(len(falling)) < falling).astype(np.float64)
    starts = np.flatnonzero(np.diff(falling, prepend=np.inf))
    churned = np.add.reduceat(going, starts)
    tally = Tally(falling[starts], churned, np.add.reduceat(1 - going, starts))
    said = np.clip(np.where(going > 0, falling, 1 - falling), SMALLEST_RISK, None)
    return tally.auc() if tally.has_both_classes() else np.nan, float(-np.log(said).mean()), float(going.mean())

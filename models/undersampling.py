"""Fitting on all rows of the rarer outcome and a share of the others, to log-odds as they are among all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Flags, Integers

COMMON_FOR_EACH_RARE = 20
MANY_ROWS = 100_000


@dataclass(frozen=True)
class Undersample:
    """`rows`: rising positions of those kept. `shift` turns log-odds fitted on them into log-odds among all rows.

    With all churned rows and a share b of the retained ones, a probability q fitted on them stands for p = b q / (b q + 1 - q)
    (Dal Pozzolo et al. 2015, section 2): logit p = logit q + ln b. Where the churned ones are the many, logit p = logit q - ln b.
    """

    rows: Integers
    shift: float


def undersample_share(churned: Flags, asked: float | None) -> float:
    """Without one asked for, of the commoner outcome so many that twenty stand against each of the rarer; all below 100,000 rows."""
    if asked is not None:
        return asked
    rare = min(int(churned.sum()), int((~churned).sum()))
    return 1.0 if len(churned) < MANY_ROWS else min(1.0, COMMON_FOR_EACH_RARE * rare / max(len(churned) - rare, 1))


def undersample(churned: Flags, share: float | None, rng: np.random.Generator) -> Undersample:
    """A share of the rows of the commoner outcome, as of `undersample_share`, drawn one by one; nothing is drawn where it is 1."""
    kept = undersample_share(churned, share)
    if kept >= 1:
        return Undersample(np.arange(len(churned)), 0.0)
    churn_is_rare = 2 * int(churned.sum()) <= len(churned)
    rare = churned if churn_is_rare else ~churned
    rows = np.flatnonzero(rare | (rng.random(len(churned)) < kept))
    return Undersample(rows, math.log(kept) if churn_is_rare else -math.log(kept))

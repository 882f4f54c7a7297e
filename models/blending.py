"""Weights of a blend: which of them the validation rows cannot tell from the best, and the nearest to an even blend among those."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Floats, Integers


def weight_grid(n_parts: int, steps: int) -> Floats:
    """All weights in multiples of 1 / steps that sum to one, shape (n_candidates, n_parts)."""
    whole = [taken for taken in product(range(steps + 1), repeat=n_parts) if sum(taken) == steps]
    return np.array(whole) / steps


def nearest_within_one_error(losses: Floats, grid: Floats, even: Floats, member: Integers) -> Floats:
    """The row of `grid` nearest to `even` whose mean loss lies within one standard error of the least.

    losses: one column for each row of `grid`, shape (n_rows, n_candidates). The standard error is that of the paired difference to the
    best over members (Breiman et al. 1984, section 3.4.3); so few rows, which cannot tell the blends apart, give `even`, and many the best.
    """
    excess = losses - losses[:, [int(losses.mean(axis=0).argmin())]]
    code = np.unique(member, return_inverse=True)[1]
    by_member = np.stack([np.bincount(code, weights=column) for column in excess.T], axis=1)
    error = np.sqrt(((by_member - by_member.mean(axis=0)) ** 2).sum(axis=0)) / len(losses)
    distance = ((grid - even) ** 2).sum(axis=1)
    chosen: Floats = grid[int(np.where(excess.mean(axis=0) <= error, distance, np.inf).argmin())]
    return chosen

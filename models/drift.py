"""Has what a model reads, or what it says, moved since it was tested? The population stability index of each column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import chdtri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Floats, Integers

BINS = 10
MOST_ROWS = 20_000
HALF = 0.5
"""Added to the count of every bin (Jeffreys), so that an empty one does not make the index infinite."""
CHANCE_LEVEL = 0.999


@dataclass(frozen=True)
class Bins:
    """`edges` rise; a value equal to an edge lies above it, NaN in a last bin of its own. `counts` (n_edges + 2,): of the reference."""

    edges: Floats
    counts: Integers

    @classmethod
    def of(cls, reference: Floats, most: int = BINS) -> Self:
        """Of about equal mass, as far as the values of the reference differ; shape (n,)."""
        known = reference[~np.isnan(reference)]
        edges = np.unique(np.quantile(known, np.arange(1, most) / most, method="higher")) if len(known) else np.empty(0)
        edges = edges[edges > known.min()] if len(known) else edges
        return cls(edges, _counted(reference, edges))

    def count(self, values: Floats) -> Integers:
        return _counted(values, self.edges)


@dataclass(frozen=True)
class Shift:
    """How far one column has moved.

    `psi` = sum of (q - p) ln(q / p) over the bins, p and q the shares of reference and now. `chance`: where nothing has moved,
    psi / (1/n + 1/m) is about chi-square of bins - 1 (Yurdakul 2018, section 3.2), and psi is below this in 999 of 1,000 cases.
    `weight`: how much of the model rests on the column, a share of 1; 1 for the score itself.
    """

    name: str
    psi: float
    chance: float
    weight: float = 1.0

    def beyond(self, threshold: float) -> bool:
        """Large enough to matter, and not by chance."""
        return self.psi > threshold and self.psi > self.chance


def stability_index(reference: Integers, now: Integers) -> float:
    """PSI of two counts by bin, shape (n_bins,) each; bins that are empty in both count for nothing."""
    filled = (reference + now) > 0
    p, q = ((counts[filled] + HALF) / (counts[filled].sum() + HALF * filled.sum()) for counts in (reference, now))
    return float(((q - p) * np.log(q / p)).sum())


def shift_of(name: str, reference: Floats, now: Floats, *, weight: float = 1.0, looks: int = 1) -> Shift:
    """Columns of shape (n,) and (m,); `looks`: of how many columns this is one, which `chance` allows for."""
    if not len(reference) or not len(now):
        return Shift(name, 0.0, 0.0, weight)
    bins = Bins.of(reference)
    counts = bins.count(now)
    free = int(((bins.counts + counts) > 0).sum()) - 1
    spread = 1 / len(reference) + 1 / len(now)
    chance = float(chdtri(free, (1 - CHANCE_LEVEL) / looks)) * spread if free else 0.0
    return Shift(name, stability_index(bins.counts, counts), chance, weight)


def shifts_of(names: Sequence[str], reference: Floats, now: Floats, weights: Floats) -> tuple[Shift, ...]:
    """Of every column that carries any weight, those that moved most first; shapes (n, k), (m, k) and (k,).

    Of more than MOST_ROWS rows every so many-th is looked at.
    """
    looked = np.flatnonzero(weights > 0)
    before, after = _thinned(reference), _thinned(now)
    told = [
        shift_of(names[column], before[:, column], after[:, column], weight=float(weights[column]), looks=len(looked))
        for column in looked.tolist()
    ]
    return tuple(sorted(told, key=lambda shift: -shift.psi))


def _thinned(rows: Floats) -> Floats:
    return rows[:: 1 + (len(rows) - 1) // MOST_ROWS]


def _counted(values: Floats, edges: Floats) -> Integers:
    missing = np.isnan(values)
    place = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right"))
    counted: Integers = np.bincount(place, minlength=len(edges) + 2)
    return counted

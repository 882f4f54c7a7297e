"""The map from a margin to a probability that is chosen among several by cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.calibration import Beta, Calibration, Identity, Isotonic, Platt, beta_columns
from models.errors import NotEnoughData
from models.intervals import FloatArray, IntArray
from models.metrics import equal_mass_bins

MAX_CELLS = 4096
N_FOLDS = 10
SLOPE_PRECISION = 1.0
INTERCEPT_PRECISION = 0.01


@dataclass(frozen=True)
class Cells:
    """Rows merged by margin, in rising order: mean margin and masses, each of shape (n_cells,)."""

    margin: FloatArray
    churned: FloatArray
    retained: FloatArray


@dataclass(frozen=True)
class FoldedCells:
    """Sums per fold and margin bin, each of shape (n_folds, n_bins)."""

    margin_sum: FloatArray
    mass: FloatArray
    churned: FloatArray

    def only(self, fold: int) -> Cells:
        return _cells(self.margin_sum[fold], self.mass[fold], self.churned[fold])

    def without(self, fold: int) -> Cells:
        keep = np.arange(len(self.mass)) != fold
        return _cells(self.margin_sum[keep].sum(0), self.mass[keep].sum(0), self.churned[keep].sum(0))

    def all(self) -> Cells:
        return _cells(self.margin_sum.sum(0), self.mass.sum(0), self.churned.sum(0))


def fit_calibration(margin: npt.ArrayLike, churned: npt.ArrayLike, groups: npt.ArrayLike, *, rng: np.random.Generator) -> Calibration:
    """The simplest map whose cross-validated log loss lies within one standard error of the best.

    Order of simplicity: Identity, Platt, Beta, Isotonic. Folds hold whole groups (members). The standard error is
    that of the paired difference to the best map over the folds (Breiman et al. 1984, section 3.4.3). Rows are first
    merged into at most 4096 equal-mass cells of margin, so that the time grows only with one sort.
    Raises NotEnoughData unless there are two groups, a churned and a retained row.
    """
    rows = np.asarray(margin, dtype=np.float64)
    outcome = np.asarray(churned, dtype=np.float64)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    _require_both_classes(outcome, codes)
    folded = _fold_cells(rows, outcome, assign_folds(codes, rng=rng))
    losses = np.array([_held_out_losses(fit, folded) for fit in FITS])
    return FITS[_simplest_within_one_error(losses)](folded.all())


def assign_folds(codes: IntArray, *, rng: np.random.Generator, n_folds: int = N_FOLDS) -> IntArray:
    """Fold of each row, at most `n_folds`; rows of one group share a fold and folds hold equally many groups."""
    n_groups = int(codes.max()) + 1
    fold_of_group = rng.permutation(n_groups) % min(n_folds, n_groups)
    return fold_of_group[codes].astype(np.int64)


def fit_logistic(
    columns: FloatArray,
    churned: FloatArray,
    retained: FloatArray,
    *,
    prior: FloatArray,
    precision: FloatArray,
    offset: FloatArray | float = 0.0,
) -> FloatArray:
    """Coefficients, shape (k,), of a logistic regression on `columns`, shape (n, k), with masses as outcomes.

    Minimises `-sum(churned ln q + retained ln(1 - q)) + sum(precision (coefficient - prior)^2) / 2` by Newton steps,
    halved until the objective falls; `precision` > 0 keeps it finite where the classes separate.
    """

    def objective(at: FloatArray) -> float:
        score = columns @ at + offset
        fit = churned @ np.logaddexp(0, -score) + retained @ np.logaddexp(0, score)
        return float(fit + precision @ (at - prior) ** 2 / 2)

    mass = churned + retained
    found = prior.copy()
    for _ in range(50):
        risk = expit(columns @ found + offset)
        gradient = columns.T @ (churned - mass * risk) - precision * (found - prior)
        hessian = (columns * (mass * risk * (1 - risk))[:, None]).T @ columns + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        before, size = objective(found), 1.0
        while objective(found + size * step) > before and size > 1e-6:
            size /= 2
        found = found + size * step
        if float(gradient @ step) < 1e-10:
            break
    return found


def _fit_identity(_cells: Cells) -> Identity:
    return Identity()


def _fit_platt(cells: Cells) -> Platt:
    slope, intercept = _fit_rising(np.column_stack([cells.margin, np.ones_like(cells.margin)]), cells)
    return Platt(slope, intercept)


def _fit_beta(cells: Cells) -> Beta:
    a, b, c = _fit_rising(beta_columns(cells.margin), cells)
    return Beta(a, b, c)


def _fit_isotonic(cells: Cells) -> Isotonic:
    """Pools after one pseudo-row at the base rate was added to either end, so that no block is 0 or 1."""
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 - half a second that no answer of the service needs

    mass = cells.churned + cells.retained
    base = float((cells.churned.sum() + 0.5) / (mass.sum() + 1.0))
    churned = cells.churned.copy()
    mass[[0, -1]] += 1.0
    churned[[0, -1]] += base
    blocks = isotonic_regression(churned / mass, weights=mass).blocks[:-1]
    block_mass = np.add.reduceat(mass, blocks)
    centre = np.add.reduceat(mass * cells.margin, blocks) / block_mass
    height = logit(np.add.reduceat(churned, blocks) / block_mass)
    return Isotonic(tuple(centre.tolist()), tuple(height.tolist()), _fit_platt(cells).slope)


FITS: tuple[Callable[[Cells], Calibration], ...] = (_fit_identity, _fit_platt, _fit_beta, _fit_isotonic)


def _fit_rising(columns: FloatArray, cells: Cells) -> list[float]:
    """Logistic fit, last column the intercept, in which a slope that came out negative is held at zero."""
    rising = np.ones(columns.shape[1], dtype=bool)
    prior = np.append(np.ones(columns.shape[1] - 1), 0.0)
    precision = np.append(np.full(columns.shape[1] - 1, SLOPE_PRECISION), INTERCEPT_PRECISION)
    found = np.zeros(columns.shape[1])
    while True:
        fitted = fit_logistic(columns[:, rising], cells.churned, cells.retained, prior=prior[rising], precision=precision[rising])
        found[:] = 0.0
        found[rising] = fitted
        slopes = found[:-1]
        if slopes.min() >= 0:
            return [float(coefficient) for coefficient in found]
        rising[int(slopes.argmin())] = False


def _fold_cells(margin: FloatArray, churned: FloatArray, fold: IntArray) -> FoldedCells:
    values, inverse, counts = np.unique(margin, return_inverse=True, return_counts=True)
    bins = equal_mass_bins(counts.astype(np.float64), MAX_CELLS) if len(values) > MAX_CELLS else np.arange(len(values))
    shape = (int(fold.max()) + 1, int(bins[-1]) + 1)
    cell = fold * shape[1] + bins[inverse]

    def summed(weight: FloatArray | None) -> FloatArray:
        return np.bincount(cell, weights=weight, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    return FoldedCells(summed(margin), summed(None), summed(churned))


def _cells(margin_sum: FloatArray, mass: FloatArray, churned: FloatArray) -> Cells:
    present = mass > 0
    margin_sum, mass, churned = margin_sum[present], mass[present], churned[present]
    return Cells(margin_sum / mass, churned, mass - churned)


def _held_out_losses(fit: Callable[[Cells], Calibration], folded: FoldedCells) -> list[float]:
    """Mean log loss on each held-out fold."""
    n_folds = len(folded.mass)
    return [_log_loss(fit(folded.without(fold)), folded.only(fold)) for fold in range(n_folds)]


def _log_loss(calibration: Calibration, cells: Cells) -> float:
    tiny = np.finfo(np.float64).eps
    risk = np.clip(calibration(cells.margin), tiny, 1 - tiny)
    loss = -(cells.churned @ np.log(risk) + cells.retained @ np.log1p(-risk))
    return float(loss / (cells.churned.sum() + cells.retained.sum()))


def _simplest_within_one_error(losses: FloatArray) -> int:
    """Index of the first row of `losses`, shape (n_maps, n_folds), that the best row does not clearly beat."""
    best = int(losses.mean(axis=1).argmin())
    excess = losses - losses[best]
    error = excess.std(axis=1, ddof=1) / np.sqrt(losses.shape[1])
    return int(np.argmax(excess.mean(axis=1) <= error))


def _require_both_classes(churned: FloatArray, codes: IntArray) -> None:
    n_churned, n_groups = int(churned.sum()), int(codes.max(initial=-1)) + 1
    if n_groups < 2 or n_churned in {0, len(churned)}:
        raise NotEnoughData(
            f"too little to set the risk right: {len(churned)} rows of {n_groups} members with {n_churned} churned; "
            "it needs some who churned and some who stayed; bring a longer log, or another churn horizon"
        )

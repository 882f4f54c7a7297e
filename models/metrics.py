"""Point metrics of predicted risks: ranking, error, calibration and profit, under row weights."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import InputError, NotEnoughData
from models.intervals import FloatArray, IntArray, dot
from models.profit import DEFAULT_ECONOMICS, CampaignEconomics, maximum_profit

ECE_BINS = 10
SMALLEST_RISK = float(np.finfo(np.float64).eps)


def equal_mass_bins(mass: FloatArray, n_bins: int) -> IntArray:
    """Bin of each sorted value, 0 .. n_bins - 1, never falling: the bin in which the middle of its mass lies."""
    middle = np.cumsum(mass) - mass / 2
    bins: IntArray = np.minimum(middle * (n_bins / mass.sum()), n_bins - 1).astype(np.int64)
    return bins


@dataclass(frozen=True)
class Tally:
    """Masses of churned and retained rows per distinct probability, highest first, each of shape (n_distinct,)."""

    probability: FloatArray
    churned: FloatArray
    retained: FloatArray

    @cached_property
    def mass(self) -> FloatArray:
        return self.churned + self.retained

    @cached_property
    def found(self) -> FloatArray:
        """Churned mass at or above each probability."""
        return np.cumsum(self.churned)

    @cached_property
    def reached(self) -> FloatArray:
        """All mass at or above each probability."""
        return np.cumsum(self.mass)

    def has_both_classes(self) -> bool:
        return bool(0 < self.found[-1] < self.reached[-1])

    def auc(self) -> float:
        churned = self.found[-1]
        retained = self.reached[-1] - churned
        return float(dot(self.retained, self.found - self.churned / 2) / (churned * retained))

    def average_precision(self) -> float:
        precision = self.found / np.maximum(self.reached, np.finfo(np.float64).tiny)
        return float(dot(self.churned, precision) / self.found[-1])

    def ece(self, n_bins: int = ECE_BINS) -> float:
        gap = np.cumsum(self.churned - self.mass * self.probability)
        ends = np.searchsorted(equal_mass_bins(self.mass, n_bins), np.arange(n_bins), side="right")
        return float(np.abs(np.diff(np.append(0.0, gap)[np.append(0, ends)])).sum() / self.reached[-1])

    def lift_at(self, share: float) -> float:
        wanted = share * self.reached[-1]
        cut = int(np.searchsorted(self.reached, wanted))
        rate_at_cut = self.churned[cut] / self.mass[cut]
        found = self.found[cut] - (self.reached[cut] - wanted) * rate_at_cut
        return float(found / (share * self.found[-1]))

    def empc(self, economics: CampaignEconomics = DEFAULT_ECONOMICS) -> float:
        return maximum_profit(self.churned, self.retained, economics).profit


@dataclass(frozen=True)
class Ranking:
    """Rows sorted once by falling probability, to be tallied under any row weights."""

    order: IntArray
    starts: IntArray
    probability: FloatArray
    churned: FloatArray

    def tally(self, weight: FloatArray) -> Tally:
        """Tally under `weight`, given in the order of the rows as they came."""
        sorted_weight = weight[self.order]
        churned = sorted_weight * self.churned
        retained = sorted_weight - churned
        if len(self.starts) < len(self.order):
            churned = np.add.reduceat(churned, self.starts)
            retained = np.add.reduceat(retained, self.starts)
        return Tally(self.probability, churned, retained)


def rank_rows(churned: npt.ArrayLike, probability: npt.ArrayLike) -> Ranking:
    """Raises InputError on unequal lengths or a value outside [0, 1], NotEnoughData where one class is missing."""
    outcome, risk = _checked_rows(churned, probability)
    if not 0 < outcome.sum() < len(outcome):
        raise NotEnoughData(
            f"evaluation: {int(outcome.sum())} of {len(outcome)} rows churned; "
            "churned and retained rows are both needed; choose another cut or horizon"
        )
    order = np.argsort(-risk, kind="stable")
    starts = np.flatnonzero(np.diff(risk[order], prepend=np.inf))
    return Ranking(order, starts, risk[order][starts], outcome[order])


def auc(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """P(p of a churned row > p of a retained one) + P(equal) / 2: the Mann-Whitney statistic over its maximum."""
    return _tally(churned, probability, weight).auc()


def average_precision(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """sum_k (recall_k - recall_{k-1}) precision_k over the distinct probabilities, highest first."""
    return _tally(churned, probability, weight).average_precision()


def brier(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean of (p - y)^2 (Brier 1950, in its two-class form, 0 best, 1 worst)."""
    outcome, risk = _checked_rows(churned, probability)
    return float(np.average((risk - outcome) ** 2, weights=None if weight is None else np.asarray(weight)))


def log_loss(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean of `row_log_loss`."""
    return float(np.average(row_log_loss(churned, probability), weights=None if weight is None else np.asarray(weight)))


def row_log_loss(churned: npt.ArrayLike, probability: npt.ArrayLike) -> FloatArray:
    """-(y ln p + (1 - y) ln(1 - p)) in nats, shape (n_rows,), p kept within [eps, 1 - eps] of a double."""
    outcome, risk = _checked_rows(churned, probability)
    risk = np.clip(risk, SMALLEST_RISK, 1 - SMALLEST_RISK)
    return np.asarray(-np.log(np.where(outcome > 0, risk, 1 - risk)))


def ece(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None, n_bins: int = ECE_BINS) -> float:
    """Expected calibration error: sum_b |sum of (y - p) in bin b| / n, over bins of equal mass.

    Bins are cut on p (Naeini, Cooper and Hauskrecht 2015; equal mass: Nixon et al. 2019); rows of equal p
    lie in the bin of the middle of their mass, so a tie is never split. A perfect model still shows about
    sqrt(2 n_bins p (1 - p) / (pi n)) by chance.
    """
    return _tally(churned, probability, weight).ece(n_bins)


def lift_at(share: float, churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Churn rate among the `share` of rows with the highest p over the churn rate of all.

    Rows that tie across the cut count with the fraction of them that fits, as if ties were ordered at random.
    """
    return _tally(churned, probability, weight).lift_at(share)


def empc(
    churned: npt.ArrayLike,
    probability: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    economics: CampaignEconomics = DEFAULT_ECONOMICS,
) -> float:
    """Expected maximum profit for churn in currency per member; see `profit.maximum_profit`."""
    return _tally(churned, probability, weight).empc(economics)


@dataclass(frozen=True)
class CalibrationBin:
    """Mean prediction, observed churned share and number of rows of one bin."""

    predicted: float
    observed: float
    n: int


def calibration_curve(churned: npt.ArrayLike, probability: npt.ArrayLike, n_bins: int = ECE_BINS) -> tuple[CalibrationBin, ...]:
    """Bins of equal mass as in `ece`, lowest risk first; bins that ties leave empty are absent."""
    tally = _tally(churned, probability, None)
    bins = equal_mass_bins(tally.mass, n_bins)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    n = np.add.reduceat(tally.mass, starts)
    predicted = np.add.reduceat(tally.mass * tally.probability, starts) / n
    observed = np.add.reduceat(tally.churned, starts) / n
    found = [CalibrationBin(float(p), float(o), int(m)) for p, o, m in zip(predicted, observed, n, strict=True)]
    return tuple(reversed(found))


def _tally(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None) -> Tally:
    ranking = rank_rows(churned, probability)
    n_rows = len(ranking.order)
    return ranking.tally(np.ones(n_rows) if weight is None else np.asarray(weight, dtype=np.float64))


class _Rows(NamedTuple):
    churned: FloatArray
    probability: FloatArray


def _checked_rows(churned: npt.ArrayLike, probability: npt.ArrayLike) -> _Rows:
    rows = _Rows(np.asarray(churned, dtype=np.float64), np.asarray(probability, dtype=np.float64))
    if rows.churned.shape != rows.probability.shape or rows.churned.ndim != 1:
        raise InputError(
            f"evaluation: {rows.churned.shape} outcomes for {rows.probability.shape} probabilities; "
            "give one outcome and one probability per row"
        )
    unlabelled = ~np.isin(rows.churned, [0.0, 1.0])
    if unlabelled.any():
        raise InputError(
            f"evaluation: outcome {rows.churned[unlabelled][0]} is neither 0 (retained) nor 1 (churned); leave censored rows out"
        )
    outside = ~((rows.probability >= 0) & (rows.probability <= 1))
    if outside.any():
        raise InputError(f"evaluation: probability {rows.probability[outside][0]} lies outside [0, 1]; give probabilities, not margins")
    return rows

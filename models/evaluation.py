"""Evaluation of churn models: metrics with intervals over members, paired differences, and the quality grade."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.calibration_fit import fit_logistic
from models.intervals import (
    Estimate,
    FloatArray,
    Members,
    bootstrap_members,
    dot,
    members_of_rows,
    percentile_interval,
    reflected_interval,
)
from models.metrics import (
    Tally,
    auc,
    average_precision,
    brier,
    calibration_curve,
    ece,
    empc,
    lift_at,
    log_loss,
    rank_rows,
    row_log_loss,
)
from models.profit import DEFAULT_ECONOMICS, CampaignEconomics
from models.training_cuts import FEWEST_TO_GRADE

__all__ = [
    "ChurnMetrics",
    "Estimate",
    "Grade",
    "auc",
    "auc_difference",
    "average_precision",
    "best_baseline",
    "brier",
    "calibration_curve",
    "ece",
    "empc",
    "evaluate_churn",
    "grade",
    "lift_at",
    "log_loss",
    "log_loss_difference",
]

Grade = Literal["A", "B", "C"]
SMALLEST_RISK_IN_SLOPE = 1e-6
FIT_PRECISION = 1e-6


@dataclass(frozen=True)
class ChurnMetrics:
    """Metrics of one model on one set of rows; the formulas stand in `models.metrics`.

    `calibration_slope` is the slope of the outcome's log-odds on the predicted log-odds (1 best, below 1 overconfident);
    `calibration_intercept` is their mean difference with the slope held at 1 (0 best, above 0 risk is underestimated)
    (Van Calster et al. 2019). `empc` is in currency per member.
    """

    n: int
    n_members: int
    n_churned: int
    base_rate: float
    auc: Estimate
    average_precision: Estimate
    brier: Estimate
    log_loss: Estimate
    ece: Estimate
    lift_at_1: Estimate
    lift_at_5: Estimate
    lift_at_10: Estimate
    empc: Estimate
    calibration_slope: Estimate
    calibration_intercept: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Flat, for JSON: `{"n": .., "auc": .., "auc_interval": [lower, upper], ..}`."""
        flat: dict[str, Any] = {}
        for field in fields(self):
            held = getattr(self, field.name)
            if isinstance(held, Estimate):
                flat |= {field.name: held.value, f"{field.name}_interval": held.interval}
            else:
                flat[field.name] = held
        return flat


@dataclass(frozen=True)
class CalibrationFit:
    """Logistic fit of the outcome on the predicted log-odds, with its gradient and curvature per member.

    `solution` has shape (k,), `gradient` (n_members, k), `curvature` (n_members, k * k).
    """

    solution: FloatArray
    gradient: FloatArray
    curvature: FloatArray

    def on_draw(self, draw: FloatArray) -> FloatArray:
        """One Newton step from the solution: the one-step bootstrap of Schucany and Wang (1991)."""
        gradient = dot(draw, self.gradient)
        curvature = dot(draw, self.curvature).reshape(len(gradient), -1) + FIT_PRECISION * np.eye(len(gradient))
        return self.solution + np.linalg.solve(curvature, gradient)


@dataclass(frozen=True)
class MemberSums:
    """Sums over the rows of each member, shape (n_members,), from which the smooth metrics of any draw follow."""

    rows: FloatArray
    squared_error: FloatArray
    log_loss: FloatArray
    line: CalibrationFit
    shift: CalibrationFit


@dataclass(frozen=True)
class Resample:
    """How often each member was drawn, and the tally of their rows."""

    draw: FloatArray
    tally: Tally
    sums: MemberSums

    def mean(self, per_member: FloatArray) -> float:
        return float(dot(self.draw, per_member) / dot(self.draw, self.sums.rows))


@dataclass(frozen=True)
class Metric:
    of: Callable[[Resample], float]
    interval: Callable[[float, FloatArray, float], Estimate] = percentile_interval


METRICS: dict[str, Metric] = {
    "auc": Metric(lambda r: r.tally.auc()),
    "average_precision": Metric(lambda r: r.tally.average_precision()),
    "brier": Metric(lambda r: r.mean(r.sums.squared_error)),
    "log_loss": Metric(lambda r: r.mean(r.sums.log_loss)),
    "ece": Metric(lambda r: r.tally.ece(), reflected_interval),
    "lift_at_1": Metric(lambda r: r.tally.lift_at(0.01)),
    "lift_at_5": Metric(lambda r: r.tally.lift_at(0.05)),
    "lift_at_10": Metric(lambda r: r.tally.lift_at(0.10)),
    "calibration_slope": Metric(lambda r: float(r.sums.line.on_draw(r.draw)[0])),
    "calibration_intercept": Metric(lambda r: float(r.sums.shift.on_draw(r.draw)[0])),
}


def evaluate_churn(
    churned: npt.ArrayLike,
    probability: npt.ArrayLike,
    member_code: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 500,
    economics: CampaignEconomics = DEFAULT_ECONOMICS,
) -> ChurnMetrics:
    """All metrics of one model, with `level` intervals from a bootstrap over members (all rows of a member follow).

    One row per member or many. Raises InputError on rows that do not fit together, NotEnoughData on a single class.
    """
    ranking = rank_rows(churned, probability)
    outcome, risk = np.asarray(churned, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    members = members_of_rows(member_code, len(outcome))
    sums = _member_sums(outcome, risk, members)
    metrics = METRICS | {"empc": Metric(lambda r: r.tally.empc(economics))}

    def values(draw: FloatArray) -> FloatArray:
        resample = Resample(draw, ranking.tally(draw[members.codes]), sums)
        if not resample.tally.has_both_classes():
            return np.full(len(metrics), np.nan)
        return np.array([metric.of(resample) for metric in metrics.values()])

    point = values(members.once())
    draws = bootstrap_members(values, members, rng=rng, resamples=resamples)
    estimates = {name: metric.interval(float(point[i]), draws[:, i], level) for i, (name, metric) in enumerate(metrics.items())}
    return ChurnMetrics(
        n=len(outcome),
        n_members=members.n,
        n_churned=int(outcome.sum()),
        base_rate=float(outcome.mean()),
        **estimates,
    )


def auc_difference(
    churned: npt.ArrayLike,
    p_a: npt.ArrayLike,
    p_b: npt.ArrayLike,
    member_code: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 500,
) -> Estimate:
    """AUC of a minus AUC of b, both on the same resamples of members: above 0, a ranks better."""
    rankings = rank_rows(churned, p_a), rank_rows(churned, p_b)
    members = members_of_rows(member_code, len(rankings[0].order))

    def difference(draw: FloatArray) -> FloatArray:
        a, b = (ranking.tally(draw[members.codes]) for ranking in rankings)
        return np.array([a.auc() - b.auc() if a.has_both_classes() else np.nan])

    value = float(difference(members.once())[0])
    draws = bootstrap_members(difference, members, rng=rng, resamples=resamples)
    return percentile_interval(value, draws[:, 0], level)


def log_loss_difference(
    churned: npt.ArrayLike,
    p_a: npt.ArrayLike,
    p_b: npt.ArrayLike,
    member_code: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 500,
) -> Estimate:
    """Log loss of a minus log loss of b, in nats, on the same resamples of members: below 0, a is better."""
    excess = row_log_loss(churned, p_a) - row_log_loss(churned, p_b)
    members = members_of_rows(member_code, len(excess))
    totals, rows = members.sums(excess), members.sums(np.ones(len(excess)))

    def difference(draw: FloatArray) -> FloatArray:
        return np.array([dot(draw, totals) / dot(draw, rows)])

    draws = bootstrap_members(difference, members, rng=rng, resamples=resamples)
    return percentile_interval(float(excess.mean()), draws[:, 0], level)


def best_baseline(churned: npt.ArrayLike, baselines: Mapping[str, npt.ArrayLike]) -> str:
    """Name of the baseline with the highest AUC on these rows; the first of equals."""
    return max(baselines, key=lambda name: auc(churned, baselines[name]))


def grade(difference: Estimate, rarer: int) -> Grade:
    """Quality grade of a model from its paired AUC difference against the best baseline.

    A, clearly better: the lower bound is above 0. B, better: the difference is above 0. C, not shown to be better: the rest, and
    whatever was tested on fewer than FEWEST_TO_GRADE members with the `rarer` outcome; then the baseline is used.
    """
    if rarer < FEWEST_TO_GRADE:
        return "C"
    if difference.lower > 0:
        return "A"
    return "B" if difference.value > 0 else "C"


def _member_sums(churned: FloatArray, probability: FloatArray, members: Members) -> MemberSums:
    margin = logit(np.clip(probability, SMALLEST_RISK_IN_SLOPE, 1 - SMALLEST_RISK_IN_SLOPE))
    ones = np.ones_like(margin)
    return MemberSums(
        rows=members.sums(ones),
        squared_error=members.sums((probability - churned) ** 2),
        log_loss=members.sums(row_log_loss(churned, probability)),
        line=_calibration_fit(np.column_stack([margin - margin.mean(), ones]), churned, members, np.zeros_like(margin)),
        shift=_calibration_fit(ones[:, None], churned, members, margin),
    )


def _calibration_fit(columns: FloatArray, churned: FloatArray, members: Members, offset: FloatArray) -> CalibrationFit:
    n_columns = columns.shape[1]
    solution = fit_logistic(
        columns,
        churned,
        1 - churned,
        prior=np.zeros(n_columns),
        precision=np.full(n_columns, FIT_PRECISION),
        offset=offset,
    )
    risk = expit(columns @ solution + offset)
    spread = risk * (1 - risk)
    gradient = [members.sums(column * (churned - risk)) for column in columns.T]
    curvature = [members.sums(a * b * spread) for a in columns.T for b in columns.T]
    return CalibrationFit(solution, np.stack(gradient, axis=-1), np.stack(curvature, axis=-1))

"""Two arms of an experiment compared on one metric: means, shares and ratios, adjusted for behaviour before (CUPED)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtridf

from models.intervals import Estimate

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates
    from tea_tasting.metrics.mean import MeanResult
    from tea_tasting.metrics.proportion import ProportionResult

    from models.arrays import Flags, Floats, Integers
    from models.experiment_declaration import MetricKind

ALPHA = 0.05
POWER = 0.8
REACH = float(ndtri(1 - ALPHA / 2))
LEAST_ADJUSTED = 20
NOTHING = 1e-12
"""Of the square of a mean: a smaller variance is rounding."""


@dataclass(frozen=True)
class Measure:
    """A metric of n members, arrays of shape (n,).

    `value` over the window from enrolment on, for a ratio its numerator, with `per` the denominator; `before` and `before_per` the same
    over the window before, None where that is not known. due: the whole window has been seen.
    """

    name: str
    kind: MetricKind
    days: int
    smallest_lift: float
    value: Floats
    due: Flags
    per: Floats | None = None
    before: Floats | None = None
    before_per: Floats | None = None


@dataclass(frozen=True)
class Compared:
    """`mean` and `control_mean` are plain, `lift` and `relative` adjusted where `adjusted`; `members` are those of both arms together.

    `degrees`: of Student's t in `lift` and `p`, infinite for the normal.
    """

    members: int
    mean: float
    control_mean: float
    lift: Estimate
    relative: Estimate | None
    p: float
    adjusted: bool = False
    degrees: float = inf

    @property
    def smallest_detectable(self) -> float:
        """The lift that would be found with POWER at ALPHA, two-sided: (z(1 - ALPHA / 2) + z(POWER)) standard errors."""
        error = (self.lift.upper - self.lift.lower) / (2 * REACH)
        return error * (REACH + float(ndtri(POWER)))

    def members_needed(self, target: float) -> int:
        """Of both arms, at their sizes to each other, to find a lift of `target` above 0: the variance falls with their number."""
        return ceil(self.members * (self.smallest_detectable / target) ** 2)


class _Columns(NamedTuple):
    """Names in the aggregates."""

    value: str = "value"
    per: str | None = None
    before: str | None = None
    before_per: str | None = None


def compare_clusters(measure: Measure, treated: Flags, control: Flags, cluster: Integers) -> Compared | None:
    """As `compare_arms`, where whole clusters were put into arms; None too where an arm has fewer than two of them.

    The unit is the cluster: each metric is the ratio of its sums over the members of the clusters (Deng, Knoblich and Lu 2018, section
    3.1). What members did before is left out where an arm has fewer than LEAST_ADJUSTED clusters: the slope, fitted to so few, would take
    out chance.
    """
    rows = np.flatnonzero(treated | control)
    codes, unit = np.unique(2 * cluster[rows] + treated[rows], return_inverse=True)
    is_treated = codes % 2 == 1
    fewest = min(is_treated.sum(), (~is_treated).sum())
    if fewest < 2:
        return None
    found = compare_arms(_summed(measure, rows, unit, adjusted=fewest >= LEAST_ADJUSTED), is_treated, ~is_treated)
    return None if found is None else replace(found, members=len(rows))


def _summed(measure: Measure, rows: Integers, unit: Integers, *, adjusted: bool) -> Measure:
    """Sums over the members of each unit, by their number where the metric has no denominator of its own."""

    def total(values: Floats | None) -> Floats:
        return np.bincount(unit, weights=None if values is None else values[rows]).astype(np.float64)

    known = adjusted and measure.before is not None
    return replace(
        measure,
        value=total(measure.value),
        due=np.ones(int(unit.max()) + 1, dtype=np.bool_),
        per=total(measure.per),
        before=total(measure.before) if known else None,
        before_per=total(measure.before_per) if known else None,
    )


def compare_arms(measure: Measure, treated: Flags, control: Flags) -> Compared | None:
    """Of members who are due; None where a ratio has nothing to divide by, or in neither arm anything varies.

    Means and ratios by Welch's t with the delta method (Deng, Knoblich and Lu 2018), adjusted for the same behaviour before enrolment
    where that varies (CUPED; Deng, Xu, Kohavi and Walker 2013); a share without such behaviour by the unpooled z of two proportions. An arm
    in which nothing varies, as where all of a dozen members stayed, is not known without error: the variance is then that of both arms
    pooled. Both arms hold at least two members.
    """
    from tea_tasting import Proportion, RatioOfMeans  # noqa: PLC0415 - brings pandas and scipy.stats, seconds that only a read-out needs

    columns = _columns(measure, treated | control)
    if columns is None:
        return None
    one, other = (_aggregates(measure, columns, rows) for rows in (treated, control))
    varies = [arm.ratio_var("value", columns.per) > NOTHING * arm.mean("value") ** 2 for arm in (one, other)]
    if not any(varies):
        return None
    pooled = not all(varies)
    adjusted = columns.before is not None
    if measure.kind == "retention" and measure.per is None and not adjusted:
        found: MeanResult | ProportionResult = Proportion(
            "value", method="norm", correction=False, equal_var=pooled, confidence_level=1 - ALPHA
        ).analyze_aggregates(other, one)
    else:
        means = RatioOfMeans(*columns, confidence_level=1 - ALPHA, equal_var=pooled, use_t=True)
        try:
            found = means.analyze_aggregates(other, one)
        except OverflowError:
            far = [_aggregates(_far_from_nothing(measure), columns, rows) for rows in (control, treated)]
            found = means.analyze_aggregates(*far)._replace(rel_effect_size=nan)
    return Compared(
        members=one.count() + other.count(),
        mean=float(one.mean("value") / one.mean(columns.per)),
        control_mean=float(other.mean("value") / other.mean(columns.per)),
        lift=Estimate(float(found.effect_size), float(found.effect_size_ci_lower), float(found.effect_size_ci_upper)),
        relative=_relative(found),
        p=float(found.pvalue),
        adjusted=adjusted,
        degrees=_degrees(found),
    )


def _far_from_nothing(measure: Measure) -> Measure:
    """The same differences between means that are far from 0, where the relative lift of the library has no bounds."""
    unit = np.ones(len(measure.value)) if measure.per is None else measure.per
    return replace(measure, value=measure.value + 10 * (1 + np.abs(measure.value).max()) * unit)


def _degrees(found: MeanResult | ProportionResult) -> float:
    """Those with which half of the interval is t times the error, which the statistic tells."""
    statistic = getattr(found, "statistic", 0.0)
    reach = (found.effect_size_ci_upper - found.effect_size) * statistic / found.effect_size if statistic else REACH
    return float(stdtridf(1 - ALPHA / 2, reach)) if reach > REACH + NOTHING else inf


def _relative(found: MeanResult | ProportionResult) -> Estimate | None:
    told = (found.rel_effect_size, found.rel_effect_size_ci_lower, found.rel_effect_size_ci_upper)
    return Estimate(*(float(one) for one in told)) if all(isfinite(one) for one in told) else None


def _columns(measure: Measure, rows: Flags) -> _Columns | None:
    """Behaviour before is left out where it does not vary, or where its own denominator is nowhere."""
    if measure.per is not None and not measure.per[rows].any():
        return None
    per = None if measure.per is None else "per"
    before, before_per = measure.before, measure.before_per
    known = before is not None and float(np.ptp(before[rows])) > 0 and (before_per is None or bool(before_per[rows].any()))
    return _Columns("value", per, "before" if known else None, "before_per" if known and before_per is not None else None)


def _aggregates(measure: Measure, columns: _Columns, rows: Flags) -> Aggregates:
    from tea_tasting.aggr import Aggregates  # noqa: PLC0415 - as above

    names = [name for name in columns if name is not None]
    table = np.array([getattr(measure, name)[rows] for name in names], dtype=np.float64)
    covariance = np.atleast_2d(np.cov(table))
    pairs = {(one, other): (i, j) for i, one in enumerate(names) for j, other in enumerate(names) if one < other}
    return Aggregates(
        count_=table.shape[1],
        mean_=dict(zip(names, table.mean(axis=1).tolist(), strict=True)),
        var_=dict(zip(names, np.diag(covariance).tolist(), strict=True)),
        cov_={pair: float(covariance[at]) for pair, at in pairs.items()},
    )

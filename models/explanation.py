"""Exact contributions to a risk, turned into reasons that add up and that a person can read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from models.decision import Reason
from models.once import Once
from models.reason_choice import speaking
from models.reason_groups import OTHER
from models.texts import text
from models.wording import Told, attribute_sentence, reason_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from models.arrays import Floats, Integers
    from models.attributes import Attribute
    from models.declared import Language
    from models.margins import Contributions
    from models.reason_groups import ReasonGroup, ReasonGroups

TINY_MARGIN = 1e-6
STEEPEST = 1.0
PLACES = 4
SLOPE_STEP = 1e-3


def shap_summary(contributions: Contributions, X: Floats, names: Sequence[str], *, max_display: int = 20) -> Figure:
    """The beeswarm of SHAP: a dot per row and feature, the strongest features on top. Draws without a display."""
    import shap
    from matplotlib.figure import Figure

    explanation = shap.Explanation(
        values=contributions.values,
        base_values=np.full(len(X), contributions.base),
        data=np.asarray(X, dtype=np.float64),
        feature_names=list(names),
    )
    figure = Figure(figsize=(9, 1.5 + 0.35 * min(max_display, len(names))), layout="constrained")
    shap.plots.beeswarm(explanation, max_display=max_display, ax=figure.subplots(), show=False, plot_size=None)
    return figure


@dataclass(frozen=True)
class Typical:
    """The usual member: risk at the base, d risk / d margin there, and the median of each feature, NaN for never, shape (k,)."""

    probability: float
    slope: float
    values: Floats

    @classmethod
    def of(cls, calibrate: Callable[[Floats], Floats], base: float, values: Floats) -> Self:
        low, at, high = calibrate(np.array([base - SLOPE_STEP, base, base + SLOPE_STEP]))
        return cls(float(at), float(high - low) / (2 * SLOPE_STEP), values)


@dataclass(frozen=True)
class Points:
    """Percentage points: row i of `values` (n, k) and `rest` (n,) add up to 100 (p_i - p_typical)."""

    values: Floats
    rest: Floats


def percentage_points(contributions: Floats, probability: Floats, typical: Typical) -> Points:
    """pp_j = 100 c_j (p - p_typical) / sum_j c_j.

    This is the Aumann-Shapley value of p = calibrate(base + sum_j c_j): the gradient along the straight path from the base to
    the member has g' in common, so each c_j gets the same average of it. On a flat stretch of the calibration all are 0: the
    score differs there and the risk does not.

    The average says nothing where the contributions cancel (their sum below 1e-6) and where the risk was moved by something
    else than the margin (a factor below 0 or above 1, four times the steepest of the logistic curve). The slope at the base
    stands in for it there, and what it leaves unexplained is the rest, which is 0 everywhere else.
    """
    total = contributions.sum(axis=1)
    change = probability - typical.probability
    factor = change / np.where(np.abs(total) < TINY_MARGIN, np.nan, total)
    average = (factor >= 0) & (factor <= STEEPEST)
    factor = np.where(average, factor, typical.slope)
    values = 100 * contributions * factor[:, None]
    return Points(values, np.where(average, 0.0, 100 * change - values.sum(axis=1)))


def reasons_of(
    contributions: Floats,
    features: Floats,
    probability: Floats,
    typical: Typical,
    groups: ReasonGroups,
    language: Language,
    *,
    max_reasons: int | None = None,
) -> list[tuple[Reason, ...]]:
    """The reasons of every row, strongest first, ties in the order of `groups`; each row adds up to 100 (p - p_typical).

    `contributions` (n, k) are log-odds, `features` (n, k), `probability` (n,). The points of a reason are those of its whole group: a sum
    of Shapley values is faithful where one feature out of many that overlap is not. Its sentence, value and typical value are of the one
    feature that `speaking` picks. Beyond `max_reasons` the weaker ones are told together, under the code `other`, last. Groups that
    contribute nothing are left out.
    """
    contributions = contributions.astype(np.float64)
    by_group = groups.sums(contributions)
    points = percentage_points(by_group, probability, typical)
    spoken = speaking(contributions, by_group, features, typical.values, groups)
    order, rows = np.argsort(-np.abs(by_group), axis=1, kind="stable"), np.arange(len(features))[:, None]
    count = order.shape[1] if max_reasons is None else max_reasons
    rest = points.values[rows, order[:, count:]].sum(axis=1) + points.rest
    strongest = order[:, :count]
    position = spoken.position[rows, strongest]
    contribution, told, drives = (table[rows, strongest] for table in (by_group, points.values, spoken.drives))
    counts = contribution != 0
    tables = (np.broadcast_to(rows, counts.shape), position, np.greater(contribution, 0), told, drives)
    columns = (table[counts].tolist() for table in (*tables, *_shown(features, position, groups)))
    teller = _Teller(groups, language, typical.values, features)
    each = [teller.reason(_One(*one)) for one in zip(*columns, strict=True)]
    ends = accumulate(counts.sum(axis=1).tolist(), initial=0)
    return [(*each[begin:end], *teller.other(left)) for (begin, end), left in zip(pairwise(ends), rest.tolist(), strict=True)]


class _ShownFigures(NamedTuple):
    """Of the feature that speaks for each group: its value as told; of a trend the events in its window and in twice that."""

    value: Floats
    recent: Floats
    both: Floats


def _shown(features: Floats, position: Integers, groups: ReasonGroups) -> _ShownFigures:
    """`position` (n, most) in `ReasonGroups.shown`."""
    shown, rows = groups.arrays, np.arange(len(features))[:, None]
    value, recent, both = (features[rows, columns[position]] for columns in (shown.columns, *shown.counts.T))
    return _ShownFigures(value.astype(np.float64).round(PLACES), recent, both)


def reasons(
    contributions: Floats,
    features: Floats,
    probability: float,
    typical: Typical,
    groups: ReasonGroups,
    language: Language,
    *,
    max_reasons: int | None = None,
) -> tuple[Reason, ...]:
    """`reasons_of` for one member: `contributions` and `features` of shape (k,)."""
    one = np.array([probability])
    return reasons_of(contributions[None], features[None], one, typical, groups, language, max_reasons=max_reasons)[0]


class _One(NamedTuple):
    """One reason: whose, the position in `ReasonGroups.shown` of what speaks for its group, whether its points are a raise, and how many.

    `drives`: what speaks is what moves the group; its value and counts are as of `_ShownFigures`.
    """

    row: int
    position: int
    raises: bool
    points: float
    drives: bool
    value: float
    recent: float
    both: float


@dataclass(frozen=True)
class _Teller:
    """`typical` (k,); `features` (n, k)."""

    groups: ReasonGroups
    language: Language
    typical: Floats
    features: Floats

    def reason(self, one: _One) -> Reason:
        group, shown = self.groups.speakers[one.position]
        if group.attribute is not None:
            return self._of_attribute(one, group, group.attribute)
        value, usual = None if math.isnan(one.value) else one.value, _usual(self.typical)[shown.column]
        counts = (0.0, 0.0) if shown.counts is None else (one.recent, one.both - one.recent)
        text = reason_sentence(group, Told(shown, value, usual, counts, one.drives), self.groups.currency, self.language)
        direction = _direction(one.raises)
        return Reason(group.code, direction, one.points, value, usual, text, shown.feature.name, shown.feature.window_days)

    def _of_attribute(self, one: _One, group: ReasonGroup, attribute: Attribute) -> Reason:
        columns = list(group.columns)
        told, usual = (attribute.told(of[columns].astype(np.float64)) for of in (self.features[one.row], self.typical))
        value, typical = (round(at, PLACES) if isinstance(at, float) else None for at in (told, usual))
        return Reason(
            code=group.code,
            direction=_direction(one.raises),
            contribution_pp=one.points,
            value=value,
            typical=typical,
            text=attribute_sentence(attribute.name, told, usual, self.language),
            feature=attribute.name,
        )

    def other(self, contribution_pp: float) -> tuple[Reason, ...]:
        """Nothing where nothing is left over."""
        if contribution_pp == 0:
            return ()
        return (Reason(OTHER, _direction(contribution_pp > 0), contribution_pp, None, None, text(self.language, "reason.together")),)


def _direction(raises: bool) -> Literal["raises", "lowers"]:  # noqa: FBT001 - what it says is all that there is
    return "raises" if raises else "lowers"


@Once
def _usual(typical: Floats) -> list[float | None]:
    """As they are told, None where most members have none."""
    return [None if math.isnan(value) else value for value in typical.astype(np.float64).round(PLACES).tolist()]

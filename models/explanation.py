"""Exact contributions to a risk, turned into reasons that add up and that a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from models.decision import Reason
from models.reason_choice import speaking
from models.reason_groups import OTHER
from models.texts import text
from models.wording import Told, attribute_sentence, reason_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from models.arrays import Floats
    from models.attributes import Attribute
    from models.declared import Language
    from models.margins import Contributions
    from models.reason_choice import Speaking
    from models.reason_groups import ReasonGroup, ReasonGroups, Shown

TINY_MARGIN = 1e-6
STEEPEST = 1.0
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
    teller = _Teller(groups, language, features, typical.values, speaking(contributions, by_group, features, typical.values, groups))
    order = np.argsort(-np.abs(by_group), axis=1, kind="stable")
    count = order.shape[1] if max_reasons is None else max_reasons
    rows = []
    for row, strongest in enumerate(order):
        told = [teller.reason(row, j, by_group[row, j], points.values[row, j]) for j in strongest[:count].tolist() if by_group[row, j] != 0]
        rest = points.values[row, strongest[count:]].sum() + points.rest[row]
        rows.append((*told, *teller.other(float(rest))))
    return rows


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


@dataclass(frozen=True)
class _Teller:
    groups: ReasonGroups
    language: Language
    features: Floats
    typical: Floats
    speaking: Speaking

    def reason(self, row: int, position: int, contribution: float, contribution_pp: float) -> Reason:
        group = self.groups.groups[position]
        if group.attribute is not None:
            return self._of_attribute(row, group, group.attribute, contribution, contribution_pp)
        shown = self.groups.shown[self.speaking.position[row, position]]
        value, usual = _known(self.features[row, shown.column]), _known(self.typical[shown.column])
        told = Told(shown, value, usual, self._counts(row, shown), drives=bool(self.speaking.drives[row, position]))
        return Reason(
            code=group.code,
            direction="raises" if contribution > 0 else "lowers",
            contribution_pp=float(contribution_pp),
            value=value,
            typical=usual,
            text=reason_sentence(group, told, self.groups.currency, self.language),
            feature=shown.feature.name,
            window_days=shown.feature.window_days,
        )

    def _of_attribute(self, row: int, group: ReasonGroup, attribute: Attribute, contribution: float, contribution_pp: float) -> Reason:
        columns = list(group.columns)
        told, usual = attribute.told(self.features[row, columns]), attribute.told(self.typical[columns])
        value, typical = (round(one, 4) if isinstance(one, float) else None for one in (told, usual))
        return Reason(
            code=group.code,
            direction="raises" if contribution > 0 else "lowers",
            contribution_pp=float(contribution_pp),
            value=value,
            typical=typical,
            text=attribute_sentence(attribute.name, told, usual, self.language),
            feature=attribute.name,
        )

    def _counts(self, row: int, shown: Shown) -> tuple[float, float]:
        """Of a trend: events in the window, and in the one before it."""
        if shown.counts is None:
            return 0.0, 0.0
        recent, both = (float(self.features[row, column]) for column in shown.counts)
        return recent, both - recent

    def other(self, contribution_pp: float) -> tuple[Reason, ...]:
        """Nothing where nothing is left over."""
        if contribution_pp == 0:
            return ()
        direction: Literal["raises", "lowers"] = "raises" if contribution_pp > 0 else "lowers"
        return (Reason(OTHER, direction, contribution_pp, None, None, text(self.language, "reason.together")),)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)

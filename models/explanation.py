"""Exact contributions to a risk, turned into reasons that add up and that a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from models.decision import Reason
from models.reason_groups import OTHER
from models.texts import text
from models.wording import attribute_sentence, reason_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from models.arrays import Floats, Integers
    from models.attributes import Attribute
    from models.community import Language
    from models.margins import Contributions
    from models.reason_groups import ReasonGroup, ReasonGroups

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

    `contributions` (n, k) are log-odds, `features` (n, k), `probability` (n,). Beyond `max_reasons` the weaker ones are told
    together, under the code `other`, last. Groups that contribute nothing are left out.
    """
    by_group = contributions.astype(np.float64) @ groups.membership
    points = percentage_points(by_group, probability, typical)
    teller = _Teller.of(features, typical, groups, language)
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
    """What each row shows for each group: `wording` per column, `column`, `value` and `typical` of shape (n, n_groups).

    `features` (n, k) and `usual` (k,) hold the levels of attributes.
    """

    groups: ReasonGroups
    language: Language
    wording: dict[int, str]
    column: Integers
    value: Floats
    typical: Floats
    features: Floats
    usual: Floats

    @classmethod
    def of(cls, features: Floats, typical: Typical, groups: ReasonGroups, language: Language) -> Self:
        column = np.tile([group.shown[0].column for group in groups.groups], (len(features), 1))
        for position, group in enumerate(groups.groups):
            if len(group.shown) > 1:
                column[:, position] = _most(features, [shown.column for shown in group.shown])
        wording = {shown.column: shown.wording for group in groups.groups for shown in group.shown}
        value = np.take_along_axis(features, column, axis=1)
        return cls(groups, language, wording, column, value, typical.values[column], features, typical.values)

    def reason(self, row: int, position: int, contribution: float, contribution_pp: float) -> Reason:
        group = self.groups.groups[position]
        direction: Literal["raises", "lowers"] = "raises" if contribution > 0 else "lowers"
        if group.attribute is not None:
            return self._of_attribute(row, group, group.attribute, direction, contribution_pp)
        value, usual = _known(self.value[row, position]), _known(self.typical[row, position])
        wording = self.wording[int(self.column[row, position])]
        sentence = reason_sentence(group, wording, value, usual, self.groups.currency, self.language)
        return Reason(group.code, direction, float(contribution_pp), value, usual, sentence)

    def _of_attribute(
        self, row: int, group: ReasonGroup, attribute: Attribute, direction: Literal["raises", "lowers"], contribution_pp: float
    ) -> Reason:
        columns = list(group.columns)
        told, usual = attribute.told(self.features[row, columns]), attribute.told(self.usual[columns])
        value, typical = (None if isinstance(one, str) or one is None else round(one, 4) for one in (told, usual))
        sentence = attribute_sentence(attribute.name, told, usual, self.language)
        return Reason(group.code, direction, float(contribution_pp), value, typical, sentence)

    def other(self, contribution_pp: float) -> tuple[Reason, ...]:
        """Nothing where nothing is left over."""
        if contribution_pp == 0:
            return ()
        direction: Literal["raises", "lowers"] = "raises" if contribution_pp > 0 else "lowers"
        return (Reason(OTHER, direction, contribution_pp, None, None, text(self.language, "reason.together")),)


def _most(features: Floats, columns: list[int]) -> Integers:
    """The column with the greatest value of each row, the first of equals; NaN counts as least."""
    part = features[:, columns]
    most: Integers = np.asarray(columns)[np.argmax(np.where(np.isnan(part), -np.inf, part), axis=1)]
    return most


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)

"""Exact contributions to a risk, turned into reasons that add up and that a person can read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from models.decision import Reason
from models.reason_choice import speaking
from models.reason_groups import OTHER
from models.texts import text
from models.usual_member import PLACES, usual_member
from models.wording import attribute_sentence, reason_sentence, trend_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from models.arrays import Floats, Integers
    from models.attributes import Attribute
    from models.decision import Direction
    from models.declared import Language
    from models.margins import Contributions
    from models.reason_groups import ReasonGroups, Shown
    from models.wording import Speaker

WEEK = 7
TINY_MARGIN = 1e-6
STEEPEST = 1.0
SLOPE_STEP = 1e-3
ENDLESS = 1e6
"""Days, longer than any window: what is not known cuts none short."""


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
    contributions, usual = contributions.astype(np.float64), usual_member(groups, typical.values)
    by_group = groups.sums(contributions)
    n, width = by_group.shape
    points = percentage_points(by_group, probability, typical)
    spoken = speaking(contributions, by_group, features, usual)
    places = np.argsort(-np.abs(by_group), axis=1, kind="stable") + np.arange(0, n * width, width)[:, None]
    count = width if max_reasons is None else max_reasons
    rest = points.values.take(places[:, count:]).sum(axis=1) + points.rest
    strongest = places[:, :count]
    contribution = by_group.take(strongest)
    counts = contribution != 0
    told, row = strongest[counts], np.nonzero(counts)[0]
    position = spoken.position.take(told)
    figures = _figures(features, row, groups.arrays.told.take(position, axis=0))
    lives = _lives(features, groups).take(row)
    columns = (row, position, contribution[counts] > 0, points.values.take(told), spoken.drives.take(told), figures, lives)
    speakers = usual.speakers(language)
    each = [
        _reason(speakers[at], features[of], raises, contribution_pp, drives, shown, life)
        for of, at, raises, contribution_pp, drives, shown, life in zip(*(column.tolist() for column in columns), strict=True)
    ]
    ends = accumulate(counts.sum(axis=1).tolist(), initial=0)
    return [(*each[begin:end], *_other(left, language)) for (begin, end), left in zip(pairwise(ends), rest.tolist(), strict=True)]


def _lives(features: Floats, groups: ReasonGroups) -> Floats:
    """Days, begun ones in full, for which there has been something to see of each member: since joining, or an earlier event."""
    seen = np.fmax.reduce(features.take(groups.life, axis=1), axis=1).astype(np.float64)
    return np.maximum(np.ceil(np.where(np.isnan(seen), ENDLESS, seen)), 1)


def _figures(features: Floats, row: Integers, columns: Integers) -> Floats:
    """Of `features` (n, k), as they are told: in each of m rows three columns, both shapes (m, 3)."""
    figures: Floats = features.take(columns + features.shape[1] * row[:, None]).astype(np.float64).round(PLACES)
    return figures


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


def _reason(
    speaker: Speaker,
    features: Floats,
    raises: bool,  # noqa: FBT001 - columns
    points: float,
    drives: bool,  # noqa: FBT001 - columns
    figures: Sequence[float],
    life: float,
) -> Reason:
    """`features` (k,) of the member; `figures`: the value of what speaks, and of a trend the events in its window and in twice that."""
    shown, direction = speaker.shown, _direction(raises)
    if speaker.group.attribute is not None:
        return _of_attribute(speaker, speaker.group.attribute, features, direction, points)
    number, recent, both = figures
    value = None if math.isnan(number) else number
    if shown.unit == "trend":
        said = trend_sentence(speaker, recent, both, int(life))
    else:
        said = reason_sentence(speaker, value, _days_told(shown, features, life), drives=drives)
    return Reason(speaker.group.code, direction, points, value, speaker.typical, said, shown.feature.name, shown.feature.window_days)


def _days_told(shown: Shown, features: Floats, life: float) -> int:
    """The window, or as many days as there have been of the member; the window too where some of what is told is from before them.

    Weeks are told of whole weeks: the first has seven days, however long a member has been there.
    """
    if life >= shown.window_days:
        return shown.window_days
    enough = next((column for window, column in shown.shorter if window >= life), shown.column)
    part, whole = float(features[enough]), float(features[shown.column])
    seen = min(WEEK * math.ceil(max(life, 1) / WEEK), shown.window_days) if shown.unit == "weeks" else int(life)
    return seen if part == whole or (math.isnan(part) and math.isnan(whole)) else shown.window_days


def _of_attribute(speaker: Speaker, attribute: Attribute, features: Floats, direction: Direction, points: float) -> Reason:
    told = attribute.told(features[list(speaker.group.columns)].astype(np.float64))
    value = round(told, PLACES) if isinstance(told, float) else None
    return Reason(speaker.group.code, direction, points, value, speaker.typical, attribute_sentence(speaker, told), attribute.name)


def _other(points: float, language: Language) -> tuple[Reason, ...]:
    """Nothing where nothing is left over."""
    if points == 0:
        return ()
    return (Reason(OTHER, _direction(points > 0), points, None, None, text(language, "reason.together")),)


def _direction(raises: bool) -> Direction:  # noqa: FBT001 - what it says is all that there is
    return "raises" if raises else "lowers"

"""Does a predicted effect rank members by the effect they have? Curves and bins of one intervention against doing nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from models.doubly_robust import scores_of
from models.errors import InputError, NotEnoughData
from models.intervals import Estimate, bootstrap_members, dot, members_of_rows
from models.measured import mean_of, ratio_of
from models.metrics import equal_mass_bins

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.arrays import Flags, Floats, Integers
    from models.intervals import FloatArray, Members

LEVEL = 0.9
RESAMPLES = 200
SHARES = np.linspace(0.0, 1.0, 101)
_FIGURES = 3


@dataclass(frozen=True)
class ArmEffects:
    """What the rows say about one intervention against `none`: effect (n_kept,), of which each is noise and the mean is not.

    Effects are doubly robust scores (models.doubly_robust), unbiased for the row's own effect. A row of another intervention counts neither
    as treated nor as untreated: it is no control. `rows` are those that could have had either; the others, `left_out` of them, say nothing.
    """

    effect: FloatArray
    rows: Integers
    left_out: int
    members: Members

    @classmethod
    def of_scores(cls, score: Floats, comparable: Flags, member: npt.ArrayLike) -> Self:
        """From doubly robust scores of one intervention that are there already, all (n,); raises NotEnoughData where none is comparable."""
        rows = np.flatnonzero(comparable)
        if len(rows) == 0:
            raise NotEnoughData("uplift curve: no row could have had both the intervention and nothing; log assignments with a control")
        members = members_of_rows(np.asarray(member)[rows], len(rows))
        return cls(score[rows].astype(np.float64), rows, len(score) - len(rows), members)


def arm_effects(
    outcome: npt.ArrayLike,
    chosen: npt.ArrayLike,
    propensities: npt.ArrayLike,
    arm: int,
    groups: npt.ArrayLike | None = None,
    predictions: npt.ArrayLike | None = None,
) -> ArmEffects:
    """outcome, chosen, groups (n,); propensities, predictions (n, 1 + n_interventions), `none` first; arm 1 .. n_interventions.

    `predictions` come from models that have not seen the row's member. Raises NotEnoughData where no row could have had both.
    """
    logged, told = np.asarray(propensities, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    expected = np.zeros_like(logged) if predictions is None else np.asarray(predictions, dtype=np.float64)
    _check(told, np.asarray(chosen), logged, expected, arm)
    scores = scores_of(np.asarray(chosen), told, logged, expected)
    member = np.arange(len(told)) if groups is None else groups
    return ArmEffects.of_scores(scores.score[:, arm - 1], scores.comparable[:, arm - 1], member)


@dataclass(frozen=True)
class UpliftCurve:
    """The Qini curve of a ranking, and what it comes to; outcomes per row of the population.

    gain (101,) at `share`: effect gathered by treating that share, best predicted first; rows of one prediction are treated in
    proportion. `low` and `high` hold it pointwise. Treating at random gathers share x `average`.

    - `qini`: area between the curve and that line, in outcome per row: the Qini of Radcliffe (2007), and the RATE with weight u of
      Yadlowsky et al. (2021, section 2); half the average effect is the most that a harmless intervention leaves to find.
    - `qini_share`: that area over the area of the ranking by the rows' own noisy effects, Radcliffe's best possible curve for these
      outcomes. No ranking passes it at any share and none stays further below the line than its reverse, so the share lies within
      [-1, 1] by construction; it is 0 where all rows are alike. Noise counts among what could be found: real values are small.
    - `autoc`: mean over shares of what the treated ones gain above `average` (RATE with weight 1): looks at the very top first.
    """

    share: FloatArray
    gain: FloatArray
    low: FloatArray
    high: FloatArray
    average: Estimate
    qini: Estimate
    qini_share: Estimate
    autoc: Estimate
    level: float
    n: int
    left_out: int


def qini_curve(
    predicted: npt.ArrayLike,
    effects: ArmEffects,
    *,
    rng: np.random.Generator,
    part: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> UpliftCurve:
    """`predicted` (n,): one for each row that `arm_effects` was given, from models that learned from none of the rows.

    `part` (n,): where there was a model for each part of the rows, which learned from those of the parts before it alone (models.in_turn);
    rows are then ranked within each part, since the models of two parts differ in level.

    Intervals: of the curve the quantiles of a bootstrap over members, of the areas the value and its standard deviation over the same
    draws, times the normal quantile (Yadlowsky et al. 2021, section 3), cut at what is possible.
    """
    ranking = _Ranking.of(_standing(predicted, effects, part), effects.effect)
    best = _Ranking.of(effects.effect, effects.effect)
    codes = effects.members.codes

    def values(draw: FloatArray) -> FloatArray:
        weight = draw[codes]
        curve, limit = ranking.curve(weight), best.curve(weight).area
        return np.concatenate([[curve.area, curve.area / limit if limit > 0 else 0.0, curve.autoc], curve.at(SHARES)])

    point = values(effects.members.once())
    draws = bootstrap_members(values, effects.members, rng=rng, resamples=resamples)
    reach = float(ndtri((1 + level) / 2)) * draws[:, :_FIGURES].std(axis=0, ddof=1)
    qini, share, autoc = (
        Estimate(value, value - by, value + by) for value, by in zip(point[:_FIGURES].tolist(), reach.tolist(), strict=True)
    )
    low, high = np.quantile(draws[:, _FIGURES:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return UpliftCurve(
        share=SHARES,
        gain=point[_FIGURES:],
        low=low,
        high=high,
        average=mean_of(effects.effect, effects.members).interval(level),
        qini=qini,
        qini_share=Estimate(share.value, max(share.lower, -1.0), min(share.upper, 1.0)),
        autoc=autoc,
        level=level,
        n=len(effects.rows),
        left_out=effects.left_out,
    )


@dataclass(frozen=True)
class UpliftBin:
    """Rows of neighbouring predictions: the mean prediction and the effect that was seen, its interval endless with one member alone."""

    n: int
    predicted: float
    effect: Estimate


def uplift_by_decile(
    predicted: npt.ArrayLike, effects: ArmEffects, *, part: npt.ArrayLike | None = None, bins: int = 10, level: float = LEVEL
) -> tuple[UpliftBin, ...]:
    """Highest predictions first, at most `bins` bins of about equal size; rows of one prediction stay together. Intervals by member.

    `part`: as in `qini_curve`.
    """
    score = np.asarray(predicted, dtype=np.float64)[effects.rows]
    ranking = _Ranking.of(_standing(predicted, effects, part), effects.effect)
    block = np.repeat(np.arange(len(ranking.ends)), np.diff(ranking.ends, prepend=-1))
    sizes = np.diff(ranking.ends, prepend=-1).astype(np.float64)
    place = np.empty(len(score), dtype=np.int64)
    place[ranking.order] = equal_mass_bins(sizes, bins)[block]
    return tuple(_bin(score, effects, place == number, level) for number in np.unique(place))


def _standing(predicted: npt.ArrayLike, effects: ArmEffects, part: npt.ArrayLike | None) -> FloatArray:
    """Predictions of the effects' rows; within parts the share of the part that has lower ones."""
    score = np.asarray(predicted, dtype=np.float64)[effects.rows]
    if part is None:
        return score
    own, standing = np.asarray(part)[effects.rows], np.empty(len(score))
    for number in np.unique(own):
        rows = own == number
        standing[rows] = (rankdata(score[rows]) - 0.5) / rows.sum()
    return standing


def _bin(score: FloatArray, effects: ArmEffects, inside: npt.NDArray[np.bool_], level: float) -> UpliftBin:
    predicted, seen = float(score[inside].mean()), float(effects.effect[inside].mean())
    if len(np.unique(effects.members.codes[inside])) == 1:
        return UpliftBin(int(inside.sum()), predicted, Estimate(seen, -np.inf, np.inf))
    measured = ratio_of(inside * effects.effect, inside.astype(np.float64), effects.members)
    return UpliftBin(int(inside.sum()), predicted, measured.interval(level))


@dataclass(frozen=True)
class _Curve:
    """reached, gained (n_blocks + 1,): share of the weight and effect per row at the end of each block of equal scores, from (0, 0)."""

    reached: FloatArray
    gained: FloatArray

    def at(self, shares: FloatArray) -> FloatArray:
        return np.interp(shares, self.reached, self.gained)

    @property
    def area(self) -> float:
        """Between the curve and the straight line to its end."""
        between = dot(np.diff(self.reached), (self.gained[1:] + self.gained[:-1]) / 2)
        return float(between) - float(self.gained[-1]) / 2

    @property
    def autoc(self) -> float:
        above = self.gained[1:] / np.maximum(self.reached[1:], np.finfo(np.float64).tiny)
        return float(dot(np.diff(self.reached), above)) - float(self.gained[-1])


@dataclass(frozen=True)
class _Ranking:
    """Rows in the order of falling scores; `ends`: position of the last row of each distinct score."""

    order: Integers
    ends: Integers
    effect: FloatArray

    @classmethod
    def of(cls, score: FloatArray, effect: FloatArray) -> _Ranking:
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.diff(score[order], append=np.inf))
        return cls(order, ends, effect[order])

    def curve(self, weight: FloatArray) -> _Curve:
        """Under row weights, given in the order of the rows as they came."""
        ranked = weight[self.order]
        reached, gained = np.cumsum(ranked), np.cumsum(ranked * self.effect)
        return _Curve(*(np.append(0.0, total[self.ends] / reached[-1]) for total in (reached, gained)))


def _check(outcome: FloatArray, chosen: Integers, logged: FloatArray, expected: FloatArray, arm: int) -> None:
    if logged.ndim != 2 or len(logged) != len(outcome) or chosen.shape != outcome.shape or expected.shape != logged.shape:
        raise InputError(
            f"uplift curve: outcome {outcome.shape}, chosen {chosen.shape}, propensities {logged.shape}, predictions {expected.shape}; "
            "one row for each outcome and one column for each action are needed"
        )
    if not 1 <= arm < logged.shape[1]:
        raise InputError(f"uplift curve: arm {arm}; the interventions are the columns 1 to {logged.shape[1] - 1} of the propensities")
    if (logged[np.arange(len(chosen)), chosen] <= 0).any():
        raise InputError("uplift curve: a row had what the log gave no chance; log the probabilities that were in force")

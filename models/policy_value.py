"""What a policy would have earned, from the log of another one whose probabilities were written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from models.errors import InputError
from models.intervals import members_of_rows
from models.measured import Measured, Swings, mean_of, ratio_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.arrays import Floats, Integers
    from models.intervals import Members

Estimator = Literal["ips", "snips", "dr"]
LEVEL = 0.9
ROUNDING = 0.01
"""Probabilities of a row may miss a sum of 1 by so much."""


@dataclass(frozen=True)
class Stakes:
    """Rewards that hang on whether a member stays, each of shape (n,).

    `worth`: the reward of staying over that of leaving; `chance`: of staying under what was chosen, predicted without the row's member;
    `stayed`: 1 or 0.
    """

    worth: Floats
    chance: Floats
    stayed: Floats

    def __getitem__(self, rows: Integers) -> Self:
        return replace(self, worth=self.worth[rows], chance=self.chance[rows], stayed=self.stayed[rows])


@dataclass(frozen=True)
class PolicyValue:
    """Reward per row under a policy, with its interval and with what the weights w = target / logged say about its worth.

    Attributes:
        level: of the interval from `low` to `high`, which follows the members and not the rows.
        effective_sample_size: (sum w)^2 / sum w^2, in rows (Kish 1965), or what the logged probabilities foresee of it where that is less:
            of rarely explored rows there may be none.
        mean_weight: before clipping; 1 - `outside_support` up to `mean_weight_error`, where the logged probabilities are right.
        mean_weight_error: its standard error, as seen or as the logged probabilities foresee it, the larger.
        largest_weight: before clipping.
        clip: the bound put on the weights, None where none was; a clipped estimate is biased towards what was logged.
        clipped_share: share of the rows whose weight was above it.
        outside_support: mean probability that the policy gives to actions to which the log gave none. Of those the log knows nothing:
            IPS counts their reward as 0, SNIPS as the mean of the others, DR as predicted.
        measured: what each member contributed, so that policies are compared on the same rows.
    """

    estimator: Estimator
    value: float
    low: float
    high: float
    level: float
    standard_error: float
    n: int
    n_members: int
    effective_sample_size: float
    mean_weight: float
    mean_weight_error: float
    largest_weight: float
    clip: float | None
    clipped_share: float
    outside_support: float
    measured: Measured = field(repr=False, compare=False)


@dataclass(frozen=True)
class PolicyDifference:
    """Reward per row of one policy minus that of another, on the same rows: what both share is no part of the interval."""

    value: float
    low: float
    high: float
    level: float
    standard_error: float


def estimate_ips(
    reward: npt.ArrayLike,
    chosen: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    clip: float | None = None,
    level: float = LEVEL,
) -> PolicyValue:
    """mean(w r) with w = target / logged probability of what was chosen (Horvitz and Thompson 1952). Arguments as for `Log.of`."""
    log = Log.of(reward, chosen, propensities, target, groups)
    return log.told("ips", mean_of(log.weights(clip) * log.reward, log.members), clip, level)


def estimate_snips(
    reward: npt.ArrayLike,
    chosen: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    clip: float | None = None,
    level: float = LEVEL,
) -> PolicyValue:
    """sum(w r) / sum(w): a weighted mean of rewards that were seen (Swaminathan and Joachims 2015). Arguments as for `Log.of`."""
    log = Log.of(reward, chosen, propensities, target, groups)
    weights = log.weights(clip)
    if not weights.any():
        raise InputError("policy value: the policy never does what was logged, so the log says nothing about it; choose another policy")
    return log.told("snips", ratio_of(weights * log.reward, weights, log.members), clip, level)


def estimate_dr(  # noqa: PLR0913 - the log, the policy, what is predicted and how it is told
    reward: npt.ArrayLike,
    chosen: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target: npt.ArrayLike,
    predictions: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    stakes: Stakes | None = None,
    clip: float | None = None,
    level: float = LEVEL,
) -> PolicyValue:
    """mean(sum_a target_a q_a + w (r - q_chosen)): right where either weights or predictions are (Dudik et al. 2014).

    `predictions` q (n, 1 + n_interventions): the reward of each action, learned without the row's own member, or the interval is too
    narrow. With `stakes`, the interval reckons with leavers of whom few explored rows hold none. The other arguments as for `Log.of`.
    """
    log = Log.of(reward, chosen, propensities, target, groups)
    expected = np.asarray(predictions, dtype=np.float64)
    if expected.shape != log.target.shape or not np.isfinite(expected).all():
        raise InputError(f"policy value: predictions of shape {expected.shape}; one finite number for each of {log.target.shape} is needed")
    weights = log.weights(clip)
    measured = mean_of(robust_rewards(log.reward, log.chosen, log.target, expected, weights), log.members)
    if stakes is not None:
        swings = Swings(weights * stakes.worth / len(weights), np.clip(stakes.chance, 0, 1), stakes.stayed)
        measured = replace(measured, swings=swings)
    return log.told("dr", measured, clip, level)


def robust_rewards(reward: Floats, chosen: Integers, target: Floats, predictions: Floats, weight: Floats) -> Floats:
    """Of each row, sum_a target_a q_a + w (r - q_chosen), shape (n,): unbiased for the reward that the target policy would have had."""
    expected: Floats = (target * predictions).sum(axis=1)
    return expected + weight * (reward - predictions[np.arange(len(chosen)), chosen])


def policy_difference(policy: PolicyValue, other: PolicyValue) -> PolicyDifference:
    """`policy` minus `other`, both estimated on the same rows by the same estimator; raises InputError where they were not."""
    if (policy.n, policy.n_members, policy.estimator) != (other.n, other.n_members, other.estimator):
        raise InputError("policy value: only policies estimated by one estimator on the same rows can be compared")
    gap = policy.measured - other.measured
    bounds = gap.interval(policy.level)
    return PolicyDifference(gap.value, bounds.lower, bounds.upper, policy.level, gap.standard_error)


class _Foreseen(NamedTuple):
    """By the logged probabilities, each row drawn for itself: the standard error of the mean weight, and effective rows."""

    error: float
    effective: float


@dataclass(frozen=True)
class Log:
    """Checked rows: reward (n,), chosen (n,) positions, propensities and target (n, 1 + n_interventions)."""

    reward: Floats
    chosen: Integers
    propensities: Floats
    target: Floats
    members: Members

    @classmethod
    def of(
        cls,
        reward: npt.ArrayLike,
        chosen: npt.ArrayLike,
        propensities: npt.ArrayLike,
        target: npt.ArrayLike,
        groups: npt.ArrayLike | None,
    ) -> Log:
        """`groups` (n,): the member of each row, any codes; None where every row is another member's.

        Raises InputError on shapes that do not fit together, rewards that are not finite, probabilities that do not add up to 1, a choice
        that does not exist or to which the log gave no chance.
        """
        earned, logged, wanted = (np.asarray(given, dtype=np.float64) for given in (reward, propensities, target))
        actions = np.asarray(chosen)
        _check_shapes(earned, actions, logged, wanted)
        _check_probabilities("logged propensities", logged)
        _check_probabilities("target probabilities", wanted)
        _check_choices(actions, logged)
        rows = len(earned)
        members = members_of_rows(np.arange(rows) if groups is None else groups, rows)
        return cls(earned, actions.astype(np.int64), logged, wanted, members)

    def weights(self, clip: float | None = None) -> Floats:
        """Of each row, w = target / logged probability of what was chosen, at most `clip`, shape (n,)."""
        rows = np.arange(len(self.chosen))
        weight: Floats = self.target[rows, self.chosen] / self.propensities[rows, self.chosen]
        return weight if clip is None else np.minimum(weight, clip)

    def _foreseen(self, clip: float | None) -> _Foreseen:
        possible = self.propensities > 0
        weight = np.divide(self.target, self.propensities, out=np.zeros_like(self.target), where=possible)
        if clip is not None:
            weight = np.minimum(weight, clip)
        mean = (self.propensities * weight).sum(axis=1)
        square = (self.propensities * weight**2).sum(axis=1)
        error = float(np.sqrt(np.maximum(square - mean**2, 0).sum())) / len(mean)
        return _Foreseen(error, float(mean.sum()) ** 2 / float(square.sum()) if square.any() else 0.0)

    def told(self, estimator: Estimator, measured: Measured, clip: float | None, level: float) -> PolicyValue:
        raw, used, foreseen = self.weights(), self.weights(clip), self._foreseen(clip)
        bounds, squares = measured.interval(level), float(np.square(used).sum())
        return PolicyValue(
            estimator=estimator,
            value=measured.value,
            low=bounds.lower,
            high=bounds.upper,
            level=level,
            standard_error=measured.standard_error,
            n=len(raw),
            n_members=self.members.n,
            effective_sample_size=min(float(used.sum()) ** 2 / squares, foreseen.effective) if squares else 0.0,
            mean_weight=float(raw.mean()),
            mean_weight_error=max(mean_of(raw, self.members).standard_error, self._foreseen(None).error),
            largest_weight=float(raw.max()),
            clip=clip,
            clipped_share=0.0 if clip is None else float((raw > clip).mean()),
            outside_support=float((self.target * (self.propensities == 0)).sum(axis=1).mean()),
            measured=measured,
        )


def _check_shapes(reward: Floats, chosen: Integers, logged: Floats, target: Floats) -> None:
    rows = len(reward)
    shapes = f"reward {reward.shape}, chosen {chosen.shape}, propensities {logged.shape}, target {target.shape}"
    if rows == 0 or reward.shape != chosen.shape or reward.ndim != 1:
        raise InputError(f"policy value: {shapes}; reward and chosen must have one entry for each of at least one row")
    if logged.ndim != 2 or len(logged) != rows or target.shape != logged.shape:
        raise InputError(f"policy value: {shapes}; propensities and target must have a row for each reward and a column for each action")
    if not np.isfinite(reward).all():
        raise InputError(f"policy value: {int((~np.isfinite(reward)).sum())} rewards are not finite; leave such rows out")


def _check_probabilities(name: str, probability: Floats) -> None:
    wrong = ~((probability >= 0).all(axis=1) & (np.abs(probability.sum(axis=1) - 1) <= ROUNDING))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"policy value: {name} of row {row} are {probability[row].round(4).tolist()}; each must be at least 0 and all add up to 1"
        )


def _check_choices(chosen: Integers, logged: Floats) -> None:
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.min() < 0 or chosen.max() >= logged.shape[1]:
        raise InputError(f"policy value: chosen must hold positions from 0 to {logged.shape[1] - 1}, the columns of the propensities")
    impossible = np.flatnonzero(logged[np.arange(len(chosen)), chosen] == 0)
    if len(impossible):
        raise InputError(
            f"policy value: row {impossible[0]} chose action {chosen[impossible[0]]}, to which the log gave probability 0 "
            f"({len(impossible)} such rows); log the probabilities that were in force, or leave such rows out"
        )

"""Policies side by side on the decisions of a log: what each would have earned, and by how much it beats the champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.in_turn import turns
from models.policy_value import LEVEL, estimate_dr, estimate_snips, policy_difference, robust_rewards
from models.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Floats, Integers
    from models.policy_value import PolicyDifference, PolicyValue, Stakes

FEWEST_EFFECTIVE = 100.0
"""Below so many effective rows an interval is a guess: its coverage was measured from here on."""
MOST_OUTSIDE = 0.05
"""A policy that gives more of its probability to what the log never tried cannot be told from it."""
NOISE = 4.0
FIGURES = (
    "value",
    "low",
    "high",
    "standard_error",
    "effective_sample_size",
    "mean_weight",
    "mean_weight_error",
    "largest_weight",
    "clip",
    "clipped_share",
    "outside_support",
)


@dataclass(frozen=True)
class DecisionRows:
    """n logged decisions among 1 + k actions, `none` first.

    chosen, member, unit, part (n,); reward (n,) money; propensities (n, 1 + k) as logged; predictions (n, 1 + k): the reward of each action
    by models that have not seen the row's unit. Rows of one unit, a member or a group that was given the same together, depend on each
    other and are in one part; those of part 0 only teach (models.in_turn). `stakes`: how the rewards hang on the outcomes, None where they
    do not.
    """

    actions: tuple[str, ...]
    chosen: Integers
    reward: Floats
    propensities: Floats
    predictions: Floats
    member: Integers
    unit: Integers
    part: Integers
    stakes: Stakes | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Integers) -> Self:
        of_each = ("chosen", "reward", "propensities", "predictions", "member", "unit", "part")
        stakes = None if self.stakes is None else self.stakes[rows]
        return replace(self, **{column: getattr(self, column)[rows] for column in of_each}, stakes=stakes)


@dataclass(frozen=True)
class Target:
    """A policy's probabilities for each row (n, 1 + k), and what a reader should know of how they came about."""

    probabilities: Floats
    note: str = ""

    def __getitem__(self, rows: Integers) -> Self:
        return replace(self, probabilities=self.probabilities[rows])


@dataclass(frozen=True)
class Judged:
    """One policy; `gain` is its doubly robust value minus the champion's on the same rows, None for the champion itself.

    `snips` is None where what the policy does was done in the rows of fewer than two units.
    """

    dr: PolicyValue
    snips: PolicyValue | None
    gain: PolicyDifference | None
    note: str = ""

    @property
    def warnings(self) -> tuple[Statement, ...]:
        """Why its figures may not be believed; empty where nothing speaks against them."""
        told = self.dr
        found = []
        if told.effective_sample_size < FEWEST_EFFECTIVE:
            rows = {"effective": told.effective_sample_size, "rows": told.n, "needed": FEWEST_EFFECTIVE}
            found.append(Statement("proof.few_effective_rows", rows))
            if told.effective_sample_size > 0:
                decisions = ceil(told.n * FEWEST_EFFECTIVE / told.effective_sample_size)
                found.append(Statement("proof.more_effective_rows", {"decisions": decisions, "needed": FEWEST_EFFECTIVE}))
        if told.outside_support > MOST_OUTSIDE:
            found.append(Statement("proof.outside_support", {"share": told.outside_support}))
        if abs(told.mean_weight - (1 - told.outside_support)) > NOISE * told.mean_weight_error:
            found.append(Statement("proof.weights_are_off", {"mean": told.mean_weight, "due": 1 - told.outside_support}))
        if told.clipped_share > 0:
            found.append(Statement("proof.weights_were_held", {"share": told.clipped_share, "clip": told.clip}))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        return {
            "dr": _figures(self.dr),
            "snips": None if self.snips is None else _figures(self.snips),
            "gain": None if self.gain is None else asdict(self.gain),
            "note": self.note,
            "warnings": [str(warning) for warning in self.warnings],
            "statements": [warning.to_dict() for warning in self.warnings],
        }


@dataclass(frozen=True)
class PolicyComparison:
    """Money per decision; `policies` in the order in which they were given, the champion first."""

    n: int
    n_members: int
    level: float
    policies: Mapping[str, Judged]

    def to_dict(self) -> dict[str, Any]:
        policies = {name: judged.to_dict() for name, judged in self.policies.items()}
        return {"decisions": self.n, "members": self.n_members, "level": self.level, "policies": policies}


def compare_policies(
    rows: DecisionRows, targets: Mapping[str, Target], champion: str, *, clip: float | None = None, level: float = LEVEL
) -> PolicyComparison:
    """Raises InputError where probabilities do not fit the rows, NotEnoughData on the rows of a single unit."""
    given = (rows.reward, rows.chosen, rows.propensities)
    robust = {
        name: estimate_dr(*given, target.probabilities, rows.predictions, rows.unit, stakes=rows.stakes, clip=clip, level=level)
        for name, target in targets.items()
    }
    judged = {}
    for name, target in targets.items():
        done = target.probabilities[np.arange(len(rows)), rows.chosen] > 0
        told = len(np.unique(rows.unit[done])) > 1
        judged[name] = Judged(
            dr=robust[name],
            snips=estimate_snips(*given, target.probabilities, rows.unit, clip=clip, level=level) if told else None,
            gain=None if name == champion else policy_difference(robust[name], robust[champion]),
            note=target.note,
        )
    return PolicyComparison(len(rows), len(np.unique(rows.member)), level, judged)


Held = Callable[["Floats"], "Floats"]
"""Of a policy's probabilities (n, 1 + k) what there is enough for."""


def _as_it_is(probabilities: Floats) -> Floats:
    return probabilities


def nobody(allowed: Flags) -> Target:
    """Nothing, but for messages that must go out; allowed (n, 1 + k), in whose rows such a message is all that is allowed."""
    return Target(_constant(allowed, 0))


def random_choice(allowed: Flags, held: Held = _as_it_is) -> Target:
    """Every allowed action, doing nothing among them, with the same probability; allowed (n, 1 + k)."""
    return Target(held(allowed / allowed.sum(axis=1, keepdims=True)))


def best_constant(rows: DecisionRows, allowed: Flags, held: Held = _as_it_is) -> Target:
    """One action for everybody who may have it, nothing for the others; for each part the one that earned most on the parts before it.

    Chosen on the rows that judge it, the best of several would look better than it is. In the first part it is nothing.
    """
    constant = [held(_constant(allowed, action)) for action in range(len(rows.actions))]
    probabilities = constant[0].copy()
    values = [_robust_rewards(rows, target) for target in constant]
    taken = []
    for taught, asked in turns(rows.part):
        best = int(np.argmax([value[taught].mean() for value in values]))
        probabilities[asked] = constant[best][asked]
        taken.append(best)
    often = int(np.bincount(taken).argmax())
    return Target(probabilities, f"{rows.actions[often]}, chosen in {taken.count(often)} of {len(taken)} parts")


def _constant(allowed: Flags, action: int) -> Floats:
    """The action where it is allowed, else the first that is: nothing, unless a message must go out."""
    probabilities = np.zeros(allowed.shape)
    probabilities[np.arange(len(allowed)), np.where(allowed[:, action], action, np.argmax(allowed, axis=1))] = 1
    return probabilities


def _robust_rewards(rows: DecisionRows, target: Floats) -> Floats:
    own = np.arange(len(rows)), rows.chosen
    return robust_rewards(rows.reward, rows.chosen, target, rows.predictions, target[own] / rows.propensities[own])


def _figures(value: PolicyValue) -> dict[str, Any]:
    return {name: getattr(value, name) for name in FIGURES}

"""How often the intervals of `keepwell evaluate --policy` hold the truth, and how often the gate lets through what is not better.

A challenger learned from the assignments that judge it, so its effects are learned again: in turn, as the command does, each part of the
members is judged by what the parts before it taught; and across folds, each fold by what all others taught. The truth is that of the very
policies that judged, on members like those of the log, as a mean over the parts, or folds. One champion believes the catalogue, another
learned from an earlier log of the same size.

python -m tests.benchmarks policy_truth --logs 10 --worlds 0 4
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from models.gate import KEPT_GAIN, PolicyProof, RiskProof, judge
from models.held_out import hold_out
from models.in_turn import parts_of, turns
from models.intervals import Estimate
from models.policy import best_action, propensities
from models.policy_comparison import DecisionRows, Target, best_constant, compare_policies, nobody, random_choice
from models.policy_value import Stakes, policy_difference
from models.statements import Statement
from tests.benchmarks.targeting_truth import People, World, believed, learned, run_worlds, tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.held_out import HeldOut
    from models.learned_uplift import LearnedUplift
    from models.policy_comparison import PolicyComparison
    from models.uplift_beliefs import PriorUplift

LOGS, LIKE_THEM, EVERYBODY = 100, 4_000, 400_000
EXPLORATION, EXACT = 0.02, 1e-9
CHAMPIONS = ("believer", "earlier")
WORLDS = {
    "500 members, no effect": World(500),
    "2,000 members, no effect": World(2000),
    "1,500 members, three arms, .1 for all": World(1500, arms=3, average=0.1),
    "80 whole groups of 20, no effect": World(80, rows=20, whole=True),
    "4,000 members, few leave, no effect": World(4000, least=0.9, most=0.98),
    "1,000 members, .1 with spread .1": World(1000, average=0.1, spread=0.1, cost=1.0),
    "4,000 members, .1 with spread .1": World(4000, average=0.1, spread=0.1, cost=1.0),
}


@dataclass(frozen=True)
class Promoted:
    """`wrongly`: what was promoted is no better than the champion or, as a renewal, loses too much of its gain over doing nothing."""

    passed: bool
    wrongly: bool


@dataclass(frozen=True)
class Told:
    """Of each question the ends of the interval and the truth, of each rule what the gate does.

    `more`: what the policy that all of the log teaches earns beyond those that were judged.
    """

    ends: dict[str, tuple[float, float, float]]
    gate: dict[str, Promoted]
    more: float


@dataclass(frozen=True)
class Trial:
    """A log and its parts, members like those of it, and the money that an arm costs."""

    held: HeldOut
    part: np.ndarray
    people: People
    others: People
    cost: float

    def decided(self, rule: LearnedUplift | PriorUplift, people: People) -> np.ndarray:
        """Probabilities (n, 1 + arms) of an engine that has nothing else to heed."""
        priority = rule.effect(people.features, people.risk) * worth(people)[:, None] - self.cost
        allowed = np.ones(priority.shape, dtype=np.bool_)
        return propensities(best_action(priority, allowed), allowed, EXPLORATION)

    def gain(self, probability: np.ndarray) -> float:
        """Over doing nothing, in truth, of (n_others, 1 + arms), or of (1 + arms,) for all."""
        net = self.others.effects * worth(self.others)[:, None] - self.cost
        return float((probability[..., 1:] * net).sum(axis=1).mean())

    @property
    def rows(self) -> DecisionRows:
        """As the command makes them."""
        made, value = self.held.assignments, worth(self.people)
        cost = np.array([0.0, *[self.cost] * len(made.interventions)])
        return DecisionRows(
            actions=("none", *made.interventions),
            chosen=made.arm,
            reward=made.retained * value - cost[made.arm],
            propensities=self.held.propensities.shares,
            predictions=self.held.retention * value[:, None] - cost,
            member=made.snapshots.member,
            unit=made.unit,
            part=self.part,
            stakes=Stakes(value, self.held.retention[np.arange(len(made)), made.arm], made.retained),
        )


def worth(people: People) -> np.ndarray:
    """Money of each row's member, log-normal with a median of 10."""
    return 10 * np.exp(0.5 * people.features[:, 1])


@cache
def left_alone(name: str) -> float:
    """Value of doing nothing."""
    everybody = People.of(WORLDS[name], EVERYBODY // WORLDS[name].rows, np.random.default_rng(99))
    return float((everybody.untreated * worth(everybody)).mean())


def judge_log(name: str, ways: Sequence[str], seed: int) -> dict[str, Told]:
    world, rng = WORLDS[name], np.random.default_rng(seed)
    people, before = (People.of(world, world.units, rng) for _ in range(2))
    others = People.of(world, LIKE_THEM // world.rows if world.average or world.spread else 1, rng)
    made, earlier = (tried(world, each, rng) for each in (people, before))
    trial = Trial(hold_out(people.features, made, rng=rng), parts_of(made.unit, rng=rng), people, others, world.cost)
    everything = np.ones(len(people.unit), dtype=np.bool_)
    champions = {"believer": believed(made), "earlier": learned(earlier, before, everything, rng)}
    of_all = trial.gain(trial.decided(learned(made, people, everything, rng), others))
    fold = trial.held.fold
    splits = {
        "in turn": list(turns(trial.part)),
        "across folds": [(fold != number, fold == number) for number in range(fold.max() + 1)],
    }
    return {way: _told(name, trial, champions, splits[way], of_all, rng) for way in ways}


def _told(
    name: str,
    trial: Trial,
    champions: dict[str, PriorUplift | LearnedUplift],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    of_all: float,
    rng: np.random.Generator,
) -> Told:
    rows = trial.rows
    mine, gains, sizes = np.full(rows.propensities.shape, np.nan), [], []
    for taught, asked in splits:
        rule = learned(trial.held.assignments, trial.people, taught, rng)
        mine[asked] = trial.decided(rule, trial.people)[asked]
        gains.append(trial.gain(trial.decided(rule, trial.others)))
        sizes.append(asked.sum())
    everyone = np.ones(rows.propensities.shape, dtype=np.bool_)
    judged = np.flatnonzero(~np.isnan(mine[:, 0]))
    plain = {"nobody": nobody(everyone), "random": random_choice(everyone)}
    if len(judged) < len(rows):
        plain["best constant"] = best_constant(rows, everyone)
    targets = {"challenger": Target(mine), **{role: Target(trial.decided(rule, trial.people)) for role, rule in champions.items()}, **plain}
    told = compare_policies(rows[judged], {role: one[judged] for role, one in targets.items()}, "challenger")
    truth = {"challenger": float(np.average(gains, weights=sizes))}
    truth |= {role: trial.gain(trial.decided(rule, trial.others)) for role, rule in champions.items()}
    truth |= {role: trial.gain(one.probabilities[judged].mean(axis=0)) for role, one in plain.items()}
    value = told.policies["challenger"].dr
    ends = {"value": (value.low, value.high, truth["challenger"] + left_alone(name))}
    for than in (*plain, *CHAMPIONS):
        found = policy_difference(value, told.policies[than].dr)
        ends[f"challenger - {than}"] = found.low, found.high, truth["challenger"] - truth[than]
    gate = {f"{rule} {than}": _promoted(told, truth, than, rule) for than in CHAMPIONS for rule in ("better than", "renewal of")}
    return Told(ends, gate, of_all - truth["challenger"])


def _promoted(told: PolicyComparison, truth: dict[str, float], champion: str, rule: str) -> Promoted:
    """With a risk that is beyond doubt."""
    new, old, nothing = (told.policies[role] for role in ("challenger", champion, "nobody"))
    renewed, due = None, EXACT
    if rule == "renewal of":
        renewed, due = policy_difference(old.dr, nothing.dr).low, -(1 - KEPT_GAIN) * max(truth[champion], 0.0) - EXACT
    proof = PolicyProof(new, old, policy_difference(new.dr, old.dr), Statement("proof.not_learned_from"), "EUR", renewed)
    passed = judge(RiskProof(new.dr.n, Estimate(0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0)), proof).passed
    return Promoted(passed, passed and truth["challenger"] - truth[champion] <= due)


def main() -> None:
    said = "truths below and above 90 % intervals, intervals above 0, and what the gate promotes"
    run_worlds(ArgumentParser(description=__doc__), said, WORLDS, judge_log, _lines, logs=LOGS)


def _lines(told: list[Told]) -> str:
    lines = []
    for question in told[0].ends:
        low, high, truth = np.array([one.ends[question] for one in told]).T
        shares = (truth < low - EXACT, truth > high + EXACT, low > 0)
        below, above, beyond = (100 * np.mean(share) for share in shares)
        lines.append(
            f"  {question:27s}{below:6.1f}{above:6.1f}   above 0 {beyond:5.1f}   truth {truth.mean():8.4f} +- {np.mean(high - low) / 2:.4f}"
        )
    for question in told[0].gate:
        passed, wrongly = (100 * np.mean([getattr(one.gate[question], what) for one in told]) for what in ("passed", "wrongly"))
        lines.append(f"  promoted as {question:20s}{passed:6.1f}   wrongly {wrongly:5.1f}")
    return "\n".join([*lines, f"  all of the log teaches {np.mean([one.more for one in told]):.4f} more"])

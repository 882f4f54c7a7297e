"""Logs of an engine that shares out places and money, with what another one would truly have earned with as much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from models.assignments import Assignments
from models.logged_supply import FEWEST_TOGETHER, LoggedSupply
from models.planning import Candidates, plan_jointly, settle
from models.policy import best_action, choose, propensities
from models.policy_value import PolicyDifference, estimate_dr, policy_difference
from models.snapshots import Snapshots
from models.supply import Supply
from tests.planted import community, intervention

DAY_US = 86_400_000_000
COST = np.array([2.0, 0.2])
PERIODS, MEMBERS = 6, 300
PLACES = {"call": 30}
DECLARED = community(
    intervention("call", cost=COST[0], channels=["phone"]),
    intervention("digest", cost=COST[1], channels=["email"]),
    capacity={"interventions": PLACES, "exploration_share": 0.3},
    policy={"exploration": 0.05},
)
CHANNELS = np.array([DECLARED.channels.index("phone"), DECLARED.channels.index("email")])
Beliefs = Callable[["Day"], np.ndarray]


@dataclass(frozen=True)
class Day:
    """Members who are decided on in one period; x (n, 2), value (n,), stays (n, 3) with nothing, a call, a digest; may (n, 2)."""

    x: np.ndarray
    value: np.ndarray
    stays: np.ndarray
    may: np.ndarray

    @property
    def worth(self) -> np.ndarray:
        """What each action truly earns, shape (n, 3)."""
        return self.stays * self.value[:, None] - np.append(0.0, COST)

    def candidates(self, beliefs: Beliefs) -> Candidates:
        shape = self.may.shape
        priority = beliefs(self) * self.value[:, None] - COST
        return Candidates(priority, np.tile(COST, (shape[0], 1)), np.tile(CHANNELS, (shape[0], 1)), self.may, np.zeros(shape[0], np.int64))


@dataclass(frozen=True)
class Given:
    """arm (n,) and the propensities (n, 3) with which it was drawn."""

    arm: np.ndarray
    propensities: np.ndarray


def day(rng: np.random.Generator) -> Day:
    x = rng.normal(size=(MEMBERS, 2))
    alone = np.clip(0.55 - 0.12 * x[:, 0] + 0.08 * rng.normal(size=MEMBERS), 0.05, 0.75)
    effects = np.column_stack([0.08 + 0.08 * np.tanh(x[:, 0]), 0.03 + 0.05 * np.tanh(x[:, 1])])
    stays = np.column_stack([alone, alone + effects[:, 0], alone + effects[:, 1]])
    may = np.column_stack([rng.random(MEMBERS) < 0.8, np.ones(MEMBERS, dtype=bool)])
    return Day(x, np.exp(3 + 0.5 * rng.normal(size=MEMBERS)), stays, may)


def everybody_alike(members: Day) -> np.ndarray:
    return np.tile([0.16, 0.06], (len(members.x), 1))


def true_effects(members: Day) -> np.ndarray:
    return members.stays[:, 1:] - members.stays[:, :1]


def hopeful(members: Day) -> np.ndarray:
    """Ranks as the truth does, and believes in three times as much."""
    return 3 * true_effects(members)


def in_a_run(members: Day, beliefs: Beliefs, rng: np.random.Generator) -> Given:
    """As `keepwell decide` does."""
    candidates, supply = members.candidates(beliefs), Supply.of(DECLARED, DECLARED.capacity, None)
    joint = plan_jointly(candidates, supply, DECLARED.policy.exploration)
    came = settle(candidates, joint, supply, rng.random(MEMBERS))
    return Given(came.chosen, came.propensity)


def one_by_one(members: Day, beliefs: Beliefs, rng: np.random.Generator) -> Given:
    """As the service does, whoever comes first."""
    candidates, draw = members.candidates(beliefs), rng.random(MEMBERS)
    arm, told, left = np.zeros(MEMBERS, np.int64), np.zeros((MEMBERS, 3)), np.array([PLACES["call"], MEMBERS])
    for row in range(MEMBERS):
        there = members.may[[row]] & (left > 0)
        told[row] = propensities(best_action(candidates.priority[[row]], there), there, DECLARED.policy.exploration)[0]
        arm[row] = choose(told[[row]], draw[[row]])[0]
        left -= arm[row] == [1, 2]
    return Given(arm, told)


WAYS = {"run": in_a_run, "service": one_by_one}
Way = Callable[[Day, Beliefs, np.random.Generator], Given]


def true_gain(way: Way, challenger: Beliefs, champion: Beliefs, rng: np.random.Generator, days: int) -> float:
    """Money per decision, with places and money as they run out for each; of as many days as it takes."""
    gains = []
    for child in rng.spawn(days):
        members = day(child)
        seeds = [np.random.default_rng(seed) for seed in child.integers(1 << 62, size=1).repeat(2)]
        arms = [way(members, beliefs, seed).arm for beliefs, seed in zip((challenger, champion), seeds, strict=True)]
        earned = [members.worth[np.arange(MEMBERS), arm].mean() for arm in arms]
        gains.append(earned[0] - earned[1])
    return float(np.mean(gains))


@dataclass(frozen=True)
class Logged:
    """What the champion gave on PERIODS days."""

    days: list[Day]
    given: list[Given]
    made: Assignments
    touches: pl.DataFrame

    @classmethod
    def of(cls, way: Way, champion: Beliefs, rng: np.random.Generator) -> Logged:
        days = [day(rng) for _ in range(PERIODS)]
        given = [way(members, champion, rng) for members in days]
        spread = 0 if way is in_a_run else 60_000_000
        at_us = np.concatenate([number * DAY_US + spread * np.arange(MEMBERS) for number in range(PERIODS)])
        arm, shares = (np.concatenate([getattr(one, name) for one in given]) for name in ("arm", "propensities"))
        stays = np.concatenate([members.stays for members in days])
        retained = (rng.random(len(arm)) < stays[np.arange(len(arm)), arm]).astype(np.float64)
        member = np.arange(len(arm))
        made = Assignments(Snapshots(member, at_us, np.zeros_like(at_us)), ("call", "digest"), arm, shares, retained)
        touches = pl.DataFrame(
            {
                "member": member.astype(np.uint32),
                "timestamp": pl.Series(at_us).cast(pl.Datetime("us", "UTC")),
                "intervention": np.array(["none", "call", "digest"])[arm],
                "channel": np.array(["", "phone", "email"])[arm],
                **{f"propensity_{name}": shares[:, column] for column, name in enumerate(("none", "call", "digest"))},
            }
        )
        return cls(days, given, made, touches)

    def candidates(self, beliefs: Beliefs) -> Candidates:
        return Candidates.together([members.candidates(beliefs) for members in self.days])

    def supply(self, champion: Beliefs) -> LoggedSupply:
        assert self.made.propensities is not None
        found = LoggedSupply.of(self.made, self.made.propensities, self.candidates(champion), self.touches, DECLARED)
        assert found is not None
        return found

    def gain(self, challenger: np.ndarray, champion: np.ndarray) -> PolicyDifference:
        """Of two policies (n, 3), with predictions that know half of the effects."""
        value = np.concatenate([members.value for members in self.days])
        stays = np.concatenate([members.stays for members in self.days])
        cost, made, shares = np.append(0.0, COST), self.made, np.concatenate([one.propensities for one in self.given])
        predictions = (stays[:, :1] + (stays - stays[:, :1]) / 2) * value[:, None] - cost
        reward = made.retained * value - cost[made.arm]
        told = [estimate_dr(reward, made.arm, shares, target, predictions) for target in (challenger, champion)]
        return policy_difference(*told)


def without_limits(candidates: Candidates) -> np.ndarray:
    """As if there were places and money without end."""
    return propensities(best_action(candidates.priority, candidates.allowed), candidates.allowed, DECLARED.policy.exploration)


assert MEMBERS > FEWEST_TOGETHER

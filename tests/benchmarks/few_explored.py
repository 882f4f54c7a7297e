"""How often the 90 % interval of a policy's gain holds the truth where few explored rows carry large weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from models.policy_value import PolicyDifference, Stakes, estimate_dr, policy_difference

WORLDS = 400
CHANCE = 0.034
ROWS = (300, 900, 3000, 9000)


@dataclass(frozen=True)
class World:
    """Members stay with `stay` or thereabouts, less `lowered` where they were given something.

    `spread`: of the logs of their values; `hoped`: by so much the log-odds of the predictions are too high.
    """

    stay: float
    lowered: float
    spread: float
    hoped: float = 0.0


class Gain(NamedTuple):
    """By residuals alone, and with what the predictions foresee."""

    seen: PolicyDifference
    foreseen: PolicyDifference


@dataclass(frozen=True)
class Coverage:
    """Shares of the logs whose interval holds the truth, and of those where the truth lies below; the median width."""

    held: float
    below: float
    width: float

    @classmethod
    def of(cls, told: list[PolicyDifference], truth: float) -> Coverage:
        low, high = (np.array([getattr(one, end) for one in told]) for end in ("low", "high"))
        return cls(float(((low <= truth) & (truth <= high)).mean()), float((truth < low).mean()), float(np.median(high - low)))


KINDS = ((0.97, 0.0), (0.9, 0.0), (0.9, 0.3), (0.5, 0.2))
WORLDS_OF = tuple(World(*kind, spread, hoped) for hoped in (0.0, 1.0) for kind in KINDS for spread in (0.0, 1.0))


def staying(world: World, n: int, rng: np.random.Generator) -> np.ndarray:
    """Shape (n, 2), of members left alone and given something."""
    alone = np.clip(world.stay + 0.05 * rng.normal(size=n), 0.01, 0.99)
    return np.column_stack([alone, np.clip(alone - world.lowered, 0.01, 0.99)])


def gain(world: World, n: int, rng: np.random.Generator) -> Gain | None:
    """Of always giving over never, with predictions that know of no effect; None where nobody was given anything."""
    value = np.exp(world.spread * rng.normal(size=n) - world.spread**2 / 2)
    stays = staying(world, n, rng)
    given = (rng.random(n) < CHANCE).astype(np.int64)
    if not given.any():
        return None
    stayed = (rng.random(n) < stays[np.arange(n), given]).astype(np.float64)
    believed = expit(logit(stays[:, 0]) + world.hoped)
    predicted = np.repeat((believed * value)[:, None], 2, axis=1)
    logged = np.tile([1 - CHANCE, CHANCE], (n, 1))
    told = []
    for stakes in (None, Stakes(value, believed, stayed)):
        always, never = (
            estimate_dr(stayed * value, given, logged, np.tile(target, (n, 1)), predicted, stakes=stakes)
            for target in ([0.0, 1.0], [1.0, 0.0])
        )
        told.append(policy_difference(always, never))
    return Gain(*told)


def coverage(world: World, n: int, worlds: int, seed: int) -> tuple[Coverage, Coverage]:
    """By residuals alone, and with what the predictions foresee."""
    rng = np.random.default_rng(seed)
    truth = float(np.diff(staying(world, 400_000, rng), axis=1).mean())
    told = [found for child in rng.spawn(worlds) if (found := gain(world, n, child)) is not None]
    return Coverage.of([one.seen for one in told], truth), Coverage.of([one.foreseen for one in told], truth)


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    print(f"chance {CHANCE}, {worlds} logs a cell; coverage of the 90 % interval, truths below it, in %, and its median width")
    print(f"{'':38s}{'residuals alone':>24s}{'with what is foreseen':>26s}")
    parts = f"{'covered':>10s}{'below':>7s}{'width':>8s}"
    print(f"{'explored':>9s}{'stay':>7s}{'lowered':>9s}{'spread':>8s}{'hoped':>7s}{parts}{parts}")
    for n in ROWS:
        for world in WORLDS_OF:
            told = "".join(f"{100 * one.held:10.1f}{100 * one.below:7.1f}{one.width:8.3f}" for one in coverage(world, n, worlds, seed=n))
            print(f"{CHANCE * n:9.0f}{world.stay:7.2f}{world.lowered:9.1f}{world.spread:8.1f}{world.hoped:7.1f}{told}")

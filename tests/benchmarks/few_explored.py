"""How often the 90 % interval of a policy's gain holds the truth where few explored rows carry large weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from models.policy_value import PolicyDifference, estimate_dr, policy_difference

WORLDS = 400
CHANCE = 0.034
ROWS = (300, 900, 3000, 9000)


@dataclass(frozen=True)
class World:
    """Members stay with `stay` or thereabouts, less `lowered` where they were given something; `spread`: of the logs of their values."""

    stay: float
    lowered: float
    spread: float


WORLDS_OF = tuple(World(*kind, spread) for kind in ((0.97, 0.0), (0.9, 0.0), (0.9, 0.3), (0.5, 0.2)) for spread in (0.0, 1.0))


def staying(world: World, n: int, rng: np.random.Generator) -> np.ndarray:
    """Shape (n, 2), of members left alone and given something."""
    alone = np.clip(world.stay + 0.05 * rng.normal(size=n), 0.01, 0.99)
    return np.column_stack([alone, np.clip(alone - world.lowered, 0.01, 0.99)])


def gain(world: World, n: int, rng: np.random.Generator) -> PolicyDifference | None:
    """Of always giving over never, with predictions that know of no effect; None where nobody was given anything."""
    value = np.exp(world.spread * rng.normal(size=n) - world.spread**2 / 2)
    stays = staying(world, n, rng)
    given = (rng.random(n) < CHANCE).astype(np.int64)
    if not given.any():
        return None
    reward = (rng.random(n) < stays[np.arange(n), given]) * value
    predicted = np.repeat((stays[:, 0] * value)[:, None], 2, axis=1)
    logged = np.tile([1 - CHANCE, CHANCE], (n, 1))
    always, never = (estimate_dr(reward, given, logged, np.tile(target, (n, 1)), predicted) for target in ([0.0, 1.0], [1.0, 0.0]))
    return policy_difference(always, never)


def coverage(world: World, n: int, worlds: int, seed: int) -> tuple[float, float]:
    """How often the truth is held, and how often it lies below."""
    rng = np.random.default_rng(seed)
    truth = float(np.diff(staying(world, 400_000, rng), axis=1).mean())
    told = [found for child in rng.spawn(worlds) if (found := gain(world, n, child)) is not None]
    return float(np.mean([one.low <= truth <= one.high for one in told])), float(np.mean([truth < one.low for one in told]))


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    print(f"chance {CHANCE}, {worlds} logs a cell; coverage of the 90 % interval, and truths below it, in %")
    print(f"{'explored':>9s}{'stay':>7s}{'lowered':>9s}{'spread':>8s}{'covered':>9s}{'below':>7s}")
    for n in ROWS:
        for world in WORLDS_OF:
            covered, below = coverage(world, n, worlds, seed=n)
            print(f"{CHANCE * n:9.0f}{world.stay:7.2f}{world.lowered:9.1f}{world.spread:8.1f}{100 * covered:9.1f}{100 * below:7.1f}")

"""What caution costs and what it saves: policies by learned effects on simulated worlds, in % of what the true effects would gain.

python -m tests.benchmarks caution --sizes 2000 15000 --seeds 3
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from models.policy import cautious
from models.uplift_fit import fit_uplift
from models.weighing import INTERVAL_LEVEL
from tests.uplift_worlds import ARMS, WORLDS, simulate_trial

CAUTION = (0.0, 0.25, 0.5, 1.0)
EVALUATED = 20_000


def gains(world: str, size: int, seed: int) -> list[float]:
    """For each caution the true gain over doing nothing, in % of the oracle's."""
    logged, fresh, fitting = np.random.default_rng([size, seed]).spawn(3)
    log = simulate_trial(world, size, logged)
    new = simulate_trial(world, EVALUATED, fresh, of_use=True)
    shares = log.propensities if WORLDS[world].logged else None
    model = fit_uplift(log.features, log.assignment, log.outcome, shares, interventions=ARMS, rng=fitting)
    effect, low = model.effect(new.features), model.interval(new.features, level=INTERVAL_LEVEL).low
    return [100 * new.gain(cautious(effect, low, caution)) / new.oracle for caution in CAUTION]


def table_of(worlds: Sequence[str], sizes: Sequence[int], seeds: int) -> Table:
    table = Table("world", "members in the log", *(f"caution {caution:g}" for caution in CAUTION))
    for world in worlds:
        for size in sizes:
            found = np.array([gains(world, size, seed) for seed in range(seeds)])
            bounds = zip(found.mean(axis=0), found.min(axis=0), found.max(axis=0), strict=True)
            told = [f"{mean:.0f} ({least:.0f} to {most:.0f})" for mean, least, most in bounds]
            table.add_row(world, f"{size:,}", *told)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", default=["strong", "weak", "harmful"], choices=list(WORLDS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[2_000, 15_000])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    Console(width=120).print(table_of(asked.worlds, asked.sizes, asked.seeds))

"""A challenger's gain where places and money run out: how often the 90 % interval holds what it would truly have earned with as much.

`shared out`: each version within what there was, as `keepwell evaluate --policy` judges; `endless`: each as if nothing ran out.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.supplied_worlds import DECLARED, WAYS, Beliefs, Logged, Way, everybody_alike, hopeful, true_effects, true_gain, without_limits

SIZES = {"run": (60, 150), "service": (400, 3_000)}
"""Logs that are judged, and days over which the truth is taken: a run plans for all, which takes a second."""
CHAMPION = everybody_alike
CHALLENGERS = {"knows": true_effects, "hopes": hopeful}


def gains(way: Way, challenger: Beliefs, worlds: int, seed: int) -> dict[str, np.ndarray]:
    """By judge value, low and high of each world, and the share of rows by which the champion is read back, shape (worlds, 4)."""
    told: dict[str, list[tuple[float, ...]]] = {"shared out": [], "endless": []}
    for rng in np.random.default_rng(seed).spawn(worlds):
        log = Logged.of(way, CHAMPION, rng)
        supply, theirs, ours = log.supply(CHAMPION), log.candidates(challenger), log.candidates(CHAMPION)
        asked = {
            "shared out": [supply.propensity(one, DECLARED) for one in (theirs, ours)],
            "endless": [without_limits(one) for one in (theirs, ours)],
        }
        for judge, (target, own) in asked.items():
            found = log.gain(target, own)
            weight = own[np.arange(len(own)), log.made.arm] / log.made.propensities[np.arange(len(own)), log.made.arm]
            told[judge].append((found.value, found.low, found.high, weight.sum() ** 2 / (weight**2).sum() / len(weight)))
    return {judge: np.array(rows) for judge, rows in told.items()}


def main() -> None:
    print("money per 1,000 decisions, 90 % intervals")
    print(f"{'decided':9s}{'logs':>6s}  {'challenger':12s}{'judged':12s}{'truth':>8s}{'mean':>8s}{'covered':>9s}{'above':>7s}{'same':>10s}")
    for name in sys.argv[1:] or WAYS:
        way, (worlds, days) = WAYS[name], SIZES[name]
        for believed, challenger in CHALLENGERS.items():
            truth = true_gain(way, challenger, CHAMPION, np.random.default_rng(1), days)
            for judge, rows in gains(way, challenger, worlds, seed=2).items():
                value, low, high, effective = rows.T
                held, above = ((low <= truth) & (truth <= high)).mean(), (low > truth).mean()
                print(
                    f"{name:9s}{worlds:6d}  {believed:12s}{judge:12s}{1000 * truth:8.0f}{1000 * value.mean():8.0f}"
                    f"{100 * held:9.1f}{100 * above:7.1f}{100 * effective.mean():9.0f}%"
                )

"""How often arms whose chances were not logged are said to follow features, where a member or a group has many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from models.propensity import propensities_of
from models.trial import Trial, trial_of

WORLDS = 40
FEATURES = 8


@dataclass(frozen=True)
class World:
    """`units` of about `rows` rows each.

    `kept`: a unit draws its arm once, and not in each row; `follows`: how far the first feature decides, in log-odds.
    """

    units: int
    rows: int
    kept: bool
    follows: float = 0.0


BY_CHANCE = (World(600, 4, kept=False), World(600, 4, kept=True), World(40, 50, kept=True), World(12, 100, kept=True))
BY_A_FEATURE = (World(600, 4, kept=False, follows=0.3), World(600, 4, kept=True, follows=0.5), World(40, 50, kept=True, follows=2.0))


def log_of(world: World, rng: np.random.Generator) -> Trial:
    """Features of the rows of a unit are alike, .8 of their own and .6 of the row's."""
    size = 1 + rng.poisson(world.rows - 1, world.units)
    unit = np.repeat(np.arange(world.units), size)
    own = rng.normal(size=(world.units, FEATURES))
    features = 0.8 * own[unit] + 0.6 * rng.normal(size=(len(unit), FEATURES))
    drawn = rng.random(world.units)[unit] if world.kept else rng.random(len(unit))
    told = own[unit, 0] if world.kept else features[:, 0]
    arm = np.where(drawn < expit(world.follows * told), "mail", "none")
    return trial_of(features, arm, (rng.random(len(unit)) < 0.8).astype(float), groups=unit)


def told_by_features(world: World, worlds: int, seed: int) -> float:
    """Share of the logs that are said to be observational."""
    kinds = [propensities_of(log_of(world, child), child).kind for child in np.random.default_rng(seed).spawn(worlds)]
    return float(np.mean([kind == "observational" for kind in kinds]))


def main() -> None:
    print(f"{WORLDS} logs a line; share in which features are said to tell who got what, in %")
    print(f"{'units':>6s}{'rows of each':>14s}{'drawn':>12s}{'follows':>9s}{'told':>8s}")
    for world in (*BY_CHANCE, *BY_A_FEATURE):
        told, drawn = told_by_features(world, WORLDS, seed=1), "by unit" if world.kept else "by row"
        print(f"{world.units:6d}{world.rows:14d}{drawn:>12s}{world.follows:9.1f}{100 * told:8.1f}", flush=True)

"""How often the 95 % interval of a difference holds the truth where few were left alone, and how often nothing is called an effect.

Arms of 6 beside 840 and the like; shares near and far from 0 and 1, counts, skewed amounts and rare ones. Members are put into arms by
lot, or drawn with chances: the same for all, uneven ones, and five times each, with outcomes that are the member's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.drawn_arms import Drawn, compare_drawn
from models.intervals import members_of_rows
from models.small_arms import SmallArm, compare_members
from models.two_arms import ALPHA, Compared, Measure

DRAWS = 400
ARMS = ((6, 840), (12, 840), (30, 840), (100, 840), (100, 100))
SHARES = {"share .03": 0.03, "share .2": 0.2, "share .5": 0.5, "share .97": 0.97}
EFFECTS = {"share .03": 0.1, "share .2": 0.2, "share .5": 0.2, "share .97": -0.2}
KINDS = (*SHARES, "counts", "log-normal", "rare")
DESIGNS = ("by lot", "before", "even", "uneven", "again")
TIMES = 5


class Told(NamedTuple):
    """Of many experiments, shares of 1: those too small to say, and of the others those that hold the truth, miss it below and above."""

    silent: float
    held: float
    below: float
    above: float


def effect_of(kind: str) -> float:
    return EFFECTS.get(kind, 1.0)


def outcomes(kind: str, treated: np.ndarray, effect: float, rng: np.random.Generator) -> np.ndarray:
    """Shape of `treated`, of which those differ by `effect` on average; of one generator each member has the same luck, treated or not."""
    n, more = len(treated), effect * treated
    if kind in SHARES:
        return (rng.random(n) < SHARES[kind] + more).astype(float)
    if kind == "counts":
        return rng.poisson(rng.gamma(1.5, 1 / 1.5, n) * (2 + more)).astype(float)
    amount = np.exp(rng.normal(size=n) - 0.5)
    return amount * (1 + more) if kind == "log-normal" else (rng.random(n) < 0.1) * 10 * amount * (1 + more)


def compared(design: str, kind: str, arms: tuple[int, int], effect: float, rng: np.random.Generator) -> Compared | SmallArm | None:
    left_alone, treated = arms
    n = left_alone + treated
    own = rng.integers(0, 2**32)
    if design in ("by lot", "before"):
        code = np.repeat([False, True], arms)
        value, alone = (outcomes(kind, given, effect, np.random.default_rng(own)) for given in (code, np.zeros(n, dtype=bool)))
        before = np.log1p(rng.poisson(1 + 4 * alone / (1 + alone))) if design == "before" else None
        measure = Measure("metric", "retention" if kind in SHARES else "count", 30, 0.05, value, np.ones(n, dtype=bool), before=before)
        return compare_members(measure, code, ~code)
    times = TIMES if design == "again" else 1
    spread = 1.0 if design == "even" else np.where(rng.random(n) < 0.5, 0.25, 1.75)
    none = np.clip(np.broadcast_to(left_alone / n * spread, n), 0.0, 0.95)
    member = np.tile(np.arange(n), times)
    assigned = (rng.random(n * times) >= none[member]).astype(np.int64)
    value = np.where(
        assigned == 1,
        *(outcomes(kind, np.full(n, code), effect, np.random.default_rng(own))[member] for code in (True, False)),
    )
    if min(np.bincount(assigned, minlength=2)) < 2:
        return None
    drawn = Drawn(assigned, value, none[member], 1 - none[member], members_of_rows(member, len(member)))
    return compare_drawn(drawn, share=kind in SHARES)


def told(design: str, kind: str, arms: tuple[int, int], effect: float, draws: int, rng: np.random.Generator) -> Told:
    """An experiment in which nothing can be compared yet is silent too."""
    found = [compared(design, kind, arms, effect, rng) for _ in range(draws)]
    spoken = [one for one in found if isinstance(one, Compared)]
    if not spoken:
        return Told(1.0, np.nan, np.nan, np.nan)
    below = float(np.mean([effect < one.lift.lower for one in spoken]))
    above = float(np.mean([effect > one.lift.upper for one in spoken]))
    return Told(1 - len(spoken) / draws, 1 - below - above, below, above)


def main() -> None:
    print(f"{DRAWS} experiments a cell, in %; too few: nothing is said; held: of the others, the {1 - ALPHA:.0%} interval holds the truth;")
    print("raises, lowers: of the others, called beyond chance where nothing has an effect")
    print(f"{'design':8} {'outcome':12} {'alone':>6}{'treated':>8} | {'no effect':^36} | {'effect':^27}")
    heads = (*("too few", "held", "raises", "lowers"), *("too few", "held"))
    print(f"{'':36}" + "".join(f"{head:>9}" for head in heads[:4]) + " " * 4 + "".join(f"{head:>9}" for head in heads[4:]))
    for design in DESIGNS:
        for kind in KINDS:
            for arms in ARMS:
                rng = np.random.default_rng([*arms, DESIGNS.index(design), KINDS.index(kind)])
                null, real = (told(design, kind, arms, effect, DRAWS, rng) for effect in (0.0, effect_of(kind)))
                shown = (100 * one for one in (null.silent, null.held, null.below, null.above, real.silent, real.held))
                print(f"{design:8} {kind:12} {arms[0]:6}{arms[1]:8} |" + "".join(f"{one:9.1f}" for one in shown), flush=True)

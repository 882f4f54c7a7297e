"""How often a roll-out that is read every night is misjudged, and how soon one that is better or worse is found.

Simulated are roll-outs whose members are decided on for the first time over the weeks; each is read on every day, as a night does. Beside
the always-valid intervals stand those for one look, which are not made for this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.rollout_comparison import FEWEST, Sides, Watched, compare
from models.two_arms import ALPHA, REACH, Measure

DRAWS, DRAWS_WITH_EFFECT = 200, 50
HORIZON, SHORT, DAYS, EVERY = 30, 7, 90, 3
DAY_US = 86_400_000_000
STAYS, REFUSES, OPTS_OUT = 0.7, 0.02, 0.01
SETTINGS = ((4_000, 0.5), (4_000, 0.1), (20_000, 0.5), (20_000, 0.05))
EFFECTS = (0.0, 0.05, -0.05)


@dataclass(frozen=True)
class Read:
    """Of one roll-out over all its nights: the day of the verdict, None for none, and whether an interval ever missed the truth."""

    better: int | None
    harm: int | None
    missed: bool
    missed_at_one_look: bool


@dataclass(frozen=True)
class Drawn:
    """What members will do, whoever has been seen of them; arrays of shape (n,)."""

    challenger: np.ndarray
    since_us: np.ndarray
    figures: dict[str, np.ndarray]
    before: np.ndarray
    effect: float


def draw(members: int, share: float, effect: float, rng: np.random.Generator) -> Drawn:
    active, challenger = rng.gamma(1.5, 1.0, members), rng.random(members) < share
    ready = STAYS + 0.08 * (np.minimum(active, 3) - 1.28) + effect * challenger
    figures = {
        "retention": rng.random(members) < ready,
        "retention_7d": rng.random(members) < ready + 0.1,
        "contributions": rng.poisson(active * 3),
        "refusals": rng.random(members) < REFUSES,
        "opt_outs": rng.random(members) < OPTS_OUT,
        "contacts": rng.poisson(1.5, members),
        "cost": rng.poisson(1.5, members) * 2.5,
    }
    seen_us = (rng.random(members) * (DAYS - HORIZON) * DAY_US).astype(np.int64)
    return Drawn(challenger, seen_us, {name: one.astype(float) for name, one in figures.items()}, np.log1p(rng.poisson(3 * active)), effect)


def read(drawn: Drawn, day: int) -> tuple[str, bool, bool]:
    """The verdict, and whether the interval of retention, and that for one look, leaves the truth out."""
    until, there = day * DAY_US, drawn.since_us < day * DAY_US
    sides = Sides(drawn.challenger[there], drawn.since_us[there], float(drawn.challenger.mean()), until)

    def measure(name: str, days: int) -> Measure:
        due = sides.since_us + days * DAY_US <= until
        before = drawn.before[there] if days else None
        return Measure(name, "retention" if days else "count", days, 0.05, drawn.figures[name][there], due, before=before)

    watched = [
        Watched(measure("retention", HORIZON), 1, 0.0, 0.0),
        Watched(measure("retention_7d", SHORT), 1, 0.0, 0.0),
        Watched(measure("contributions", HORIZON), 1),
        Watched(measure("refusals", 0), -1, 0.0, rate=True),
        Watched(measure("opt_outs", 0), -1, 0.0, rate=True),
        Watched(measure("contacts", 0), 0),
        Watched(measure("cost", 0), 0),
    ]
    found = compare(1, 50.0, 0, sides, (None, None), watched)
    first = found.rows[0]
    if first.difference is None:
        return found.verdict, False, False
    missed = not first.difference.lower < drawn.effect < first.difference.upper
    return found.verdict, missed, abs(first.difference.value - drawn.effect) > _one_look(drawn, sides)


def _one_look(drawn: Drawn, sides: Sides) -> float:
    """Half the width of the interval of two proportions."""
    there = drawn.since_us < sides.until_us
    due = sides.since_us + HORIZON * DAY_US <= sides.until_us
    kept = [drawn.figures["retention"][there][due & side] for side in (sides.challenger, ~sides.challenger)]
    return REACH * float(np.sqrt(sum(one.var() / len(one) for one in kept)))


def follow(drawn: Drawn) -> Read:
    better: int | None = None
    harm: int | None = None
    missed, missed_at_one_look = False, False
    for day in range(EVERY, DAYS + 1, EVERY):
        verdict, out, out_at_one = read(drawn, day)
        missed, missed_at_one_look = missed or out, missed_at_one_look or out_at_one
        better = day if better is None and verdict == "better" else better
        harm = day if harm is None and verdict == "harm" else harm
    return Read(better, harm, missed, missed_at_one_look)


def main() -> None:
    told = f"{DRAWS} roll-outs a line, {DRAWS_WITH_EFFECT} with an effect, read every {EVERY} days over {DAYS}"
    print(f"{told}; members come in over {DAYS - HORIZON} days; {FEWEST} of each side are needed")
    print(f"{'members':>8} {'share':>6} {'effect':>7} {'better':>7} {'harm':>7} {'median day':>11} {'ever misses':>12} {'at one look':>12}")
    for members, share in SETTINGS:
        for effect in EFFECTS:
            rng = np.random.default_rng([members, round(1000 * share), round(1000 * (effect + 1))])
            seen = [follow(draw(members, share, effect, rng)) for _ in range(DRAWS_WITH_EFFECT if effect else DRAWS)]
            print(f"{members:8,} {share:6.0%} {effect:+7.2f} {_line(seen, effect)}", flush=True)
    print(f"at most {ALPHA:.0%} of the roll-outs should be called anything where the effect is 0")


def _line(seen: list[Read], effect: float) -> str:
    found = [day for day in (one.harm if effect < 0 else one.better for one in seen) if day is not None]
    median = f"{np.median(found):.0f}" if effect and found else "-"
    better, harm = (np.mean([day is not None for day in days]) for days in zip(*((one.better, one.harm) for one in seen), strict=True))
    missed, at_one_look = (np.mean(flags) for flags in zip(*((one.missed, one.missed_at_one_look) for one in seen), strict=True))
    return f"{better:7.3f} {harm:7.3f} {median:>11} {missed:12.3f} {at_one_look:12.3f}"

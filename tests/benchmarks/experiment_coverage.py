"""How often the 95 % intervals of experiments hold the planted lift, and how often an experiment without effect is called one.

Members differ in how active they are, which shows before the experiment and after it. Planted are a lift of every metric, and none.
"""

from __future__ import annotations

import numpy as np

from models.read_out import Enrolment, read_out
from models.two_arms import Measure

DRAWS = 500
MEMBERS = (200, 1_000, 5_000)
SHARE = 0.3
DAY_60 = 60 * 86_400_000_000


def draw(members: int, effect: float, rng: np.random.Generator) -> tuple[Enrolment, list[Measure], dict[str, float]]:
    """Members, metrics and the truth; a purchase is worth 20 on average, 20 + 5 x effect with the treatment."""
    active, treated = rng.gamma(1.5, 1.0, members), rng.random(members) < SHARE
    before = rng.poisson(3 * active).astype(float)
    stays = (rng.random(members) < 0.3 + 0.15 * np.minimum(active, 3) + 0.05 * effect * treated).astype(float)
    events = rng.poisson(active * (3 + 0.5 * effect * treated)).astype(float)
    bought = rng.poisson(active).astype(float)
    paid = bought * (20 + 5 * effect * treated) + rng.normal(0, 8, members) * np.sqrt(bought)
    due = np.ones(members, dtype=bool)
    measures = [
        Measure("retention", "retention", 30, 0.05, stays, due, before=np.log1p(before)),
        Measure("plain share", "retention", 30, 0.05, stays, due),
        Measure("events", "count", 30, 0.05, events, due, before=before),
        Measure("basket", "ratio", 30, 0.05, paid, due, per=bought),
    ]
    truth = {"retention": 0.05 * effect, "plain share": 0.05 * effect, "events": 1.5 * 0.5 * effect, "basket": 5 * effect}
    enrolment = Enrolment(("none", "letter"), (1 - SHARE, SHARE), treated.astype(np.int64), np.zeros(members, dtype=np.int64), 0)
    return enrolment, measures, truth


def main() -> None:
    print(f"{DRAWS:,} experiments each, {SHARE:.0%} of the members treated")
    print(f"{'members':>8}  {'metric':12} {'holds lift':>11} {'holds none':>11} {'false alarm of any, adjusted':>30} {'mismatch':>9}")
    for members in MEMBERS:
        rng = np.random.default_rng(members)
        held: dict[tuple[str, float], list[bool]] = {}
        alarms, mismatches = [], []
        for effect in (1.0, 0.0):
            for _ in range(DRAWS):
                enrolment, measures, truth = draw(members, effect, rng)
                told = read_out("trial", "declared", enrolment, measures, DAY_60)
                mismatches.append(told.check.mismatch)
                for lift in told.lifts:
                    if lift.lift is not None:
                        held.setdefault((lift.metric, effect), []).append(lift.lift.lower < truth[lift.metric] < lift.lift.upper)
                if effect == 0:
                    alarms.append(any(lift.adjusted_p is not None and lift.adjusted_p < 0.05 for lift in told.lifts))
        for name in truth:
            shown = (f"{np.mean(held[name, effect]):.3f}" for effect in (1.0, 0.0))
            lines = " ".join(f"{one:>11}" for one in shown)
            print(f"{members:8,}  {name:12} {lines} {np.mean(alarms):30.3f} {np.mean(mismatches):9.4f}")

"""What it costs to plan on members taken together where they are alike: beside the plan for each member by itself, on the same members.

`loss`: the part of the exact plan's value that the condensed one does not promise, at a budget of `share` of what would be spent without
one, with places for two interventions and a channel that bind. Effects of the eight interventions on one member differ by `spread` times
a normal draw each; the larger, the less a member's effects tell of each other.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass

import numpy as np

from models.expected_plan import FINE, ExpectedPlan, Planner
from models.plan_ground import condensed_part, together
from models.strata import Strata
from models.supply import Supply
from tests.benchmarks.pages import community
from tests.benchmarks.plan_ground import BATCH, TERMS, strata_of


@dataclass(frozen=True)
class Planned:
    plan: ExpectedPlan
    seconds: float


def planned(strata: Strata, supply: Supply) -> Planned:
    began = time.process_time()
    plan = Planner(strata, TERMS.exploration, FINE).plan(supply)
    return Planned(plan, time.process_time() - began)


def supply_of(whole: Strata, share: float) -> Supply:
    """Places bind at a half and a tenth of what would be taken of two interventions, and at eight tenths of a channel."""
    free = Supply(np.inf, np.full(8, np.inf), np.full(3, np.inf), 0.1)
    taken = Planner(whole, TERMS.exploration, 1e-3).plan(free).expected[:, 1:] * whole.members[:, None]
    places = np.full(8, np.inf)
    places[[0, 4]] = np.floor(taken[:, [0, 4]].sum(axis=0) * [0.5, 0.1])
    reached = float(taken[:, :3].sum())
    return Supply(share * float((taken * whole.candidates.cost).sum()), places, np.array([np.floor(0.8 * reached), np.inf, np.inf]), 0.1)


def measure(n: int, spread: float, shares: list[float]) -> None:
    rng = np.random.default_rng(1)
    rows = community(n, rng)
    parts = [strata_of(rows[begin : begin + BATCH], rng, spread) for begin in range(0, n, BATCH)]
    began = time.process_time()
    condensed = together([condensed_part(part) for part in parts]).strata
    seconds = time.process_time() - began
    whole = Strata.together(parts)
    for share in shares:
        supply = supply_of(whole, share)
        exact, ours = planned(whole, supply), planned(condensed, supply)
        loss = 1 - ours.plan.value / exact.plan.value
        print(
            f"{n:>9,}  {spread:>6.1f}  {share:>5.0%}  {len(condensed):>6,}  {loss:>8.3%}  {exact.plan.gap:>9.1e}  {seconds:>9.1f}"
            f"  {ours.seconds:>8.3f}  {exact.seconds:>8.2f}  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>7,.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="members")
    parser.add_argument("--spreads", type=float, nargs="+", default=[0.2, 0.8], help="of effects between interventions")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.4], help="of what would be spent without a budget")
    asked = parser.parse_args()
    print("  members  spread  share  strata      loss  exact gap  condense s  plan s   exact s  peak MB  (CPU seconds)")
    for n in asked.sizes:
        for spread in asked.spreads:
            measure(n, spread, asked.shares)

"""How often the intervals of a plan hold the truth, with effects that were learned from simulated logs, and how wide they are.

    python -m tests.benchmarks plan_intervals --logs 20 --sizes 5000 20000

Each log teaches one model, which plans for 10,000 members whose true effects are known: for all of them without a limit, with places for a
tenth of what it would give without one, for the fifth with the highest and that with the lowest risk, and for one member in a hundred. A
case is an intervention that a plan gives to at least ten members. `together`: the sum of the ends of the members' own intervals, as if
all that is in them were common to all.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from models.intervals import Estimate
from models.plan_figures import Arm, Prospects, outlook
from models.planning import Candidates, plan_jointly
from models.strata import Strata
from models.supply import Supply
from models.uplift import Uplift
from models.uplift_fit import fit_uplift
from tests.uplift_worlds import ARMS, WORLDS, Trial, simulate_trial

MEMBERS, FEWEST = 10_000, 10
WORLDS_ASKED = ("strong", "crossed", "weak", "no_heterogeneity", "harmful", "rare")


@dataclass(frozen=True)
class Case:
    truth: float
    told: Estimate
    together: Estimate


def strata_of(model: Uplift, new: Trial, arms: list[Arm]) -> Strata:
    n, k = new.effects.shape
    estimate = model.estimate(new.features)
    cost = np.tile(new.cost, (n, 1))
    weighed = SimpleNamespace(uplift=estimate.effect, interval=estimate.interval, cost=cost, scores=SimpleNamespace(value=new.value))
    prospects = Prospects.of(weighed, arms)  # type: ignore[arg-type]  # it has all that is read
    candidates = Candidates(prospects.net_value, cost, np.zeros((n, k), np.int64), np.ones((n, k), np.bool_), np.zeros(n, np.int64))
    return Strata(np.ones(n), candidates, prospects, np.ones(n, np.bool_), np.zeros((n, k), np.int16), ())


def audiences(new: Trial) -> Iterator[tuple[str, np.ndarray]]:
    risk, at = 1 - new.untreated, np.arange(MEMBERS)
    yield "everybody", at
    yield "places for a tenth", at
    yield "the fifth at highest risk", at[risk >= np.quantile(risk, 0.8)]
    yield "the fifth at lowest risk", at[risk <= np.quantile(risk, 0.2)]
    yield "one in a hundred", at[::100]


def cases(world: str, size: int, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    log, new = simulate_trial(world, size, rng), simulate_trial(world, MEMBERS, rng)
    model = fit_uplift(log.features, log.assignment, log.outcome, log.propensities, interventions=ARMS, rng=rng)
    apart = model.apart()
    arms = [Arm(name, "experiment", reach, apart.dimensions, MEMBERS) for name, reach in zip(ARMS, apart.reach.tolist(), strict=True)]
    alike = [arm._replace(apart=0.0) for arm in arms]
    ours, theirs = strata_of(model, new, arms), strata_of(model, new, alike)
    free = Supply(np.inf, np.full(len(ARMS), np.inf), np.full(1, np.inf), 0.0)
    for name, members in audiences(new):
        supply = free
        if name == "places for a tenth":
            taken = plan_jointly(ours.candidates, free, 0.0).expected[:, 1:].sum(axis=0)
            supply = replace(free, interventions=np.ceil(taken / 10))
        joint = plan_jointly(ours[members].candidates, supply, 0.0)
        truth = (joint.expected[:, 1:] * new.effects[members]).sum(axis=0)
        told, together = (outlook(who, strata[members], joint, None).arms for who, strata in ((arms, ours), (alike, theirs)))
        for at, arm in enumerate(told):
            if arm.members >= FEWEST:
                yield name, Case(float(truth[at]), arm.saved, together[at].saved)


def share(found: list[Estimate], truths: list[float]) -> float:
    return float(np.mean([one.lower <= truth <= one.upper for one, truth in zip(found, truths, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=20, help="of each world and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000], help="rows of a log")
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=WORLDS_ASKED)
    asked = parser.parse_args()
    print(f"{'rows':>7}  {'plan':<26} {'cases':>5}  {'covered':>7}  {'together':>8}  {'width by that of together':>25}")
    for size in asked.sizes:
        seen: dict[str, list[Case]] = defaultdict(list)
        for number, world in enumerate(asked.worlds):
            for log in range(asked.logs):
                for name, case in cases(world, size, np.random.default_rng([size, number, log])):
                    seen[name].append(case)
        for name, found in seen.items():
            truths, told, together = [one.truth for one in found], [one.told for one in found], [one.together for one in found]
            widths = [(one.told.upper - one.told.lower) / (one.together.upper - one.together.lower) for one in found]
            covered = f"{share(told, truths):>7.1%}  {share(together, truths):>8.1%}  {np.median(widths):>25.2f}"
            print(f"{size:>7,}  {name:<26} {len(found):>5}  {covered}", flush=True)

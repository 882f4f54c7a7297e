"""The plan under a budget and four capacities: time, memory and gap, beside HiGHS on the same problem."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, vstack

from models.allocation import allocate

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MOST_FOR_LINEAR, MOST_FOR_WHOLE = 100_000, 10_000
HIGHS_SECONDS = 60.0
USUAL_COST = np.array([0.1, 0.5, 1, 2, 3, 5, 8, 12])
CHANNEL = np.array([0, 0, 0, 1, 1, 2, 2, 2])


@dataclass(frozen=True)
class Problem:
    """net, cost (n, 8); two interventions and two channels have a capacity below what would be taken."""

    net: np.ndarray
    cost: np.ndarray
    budget: float
    capacity: np.ndarray
    channel_capacity: np.ndarray

    @classmethod
    def of(cls, n: int, seed: int, *, constant: bool) -> Problem:
        """Gamma effects with noise for each intervention x a lognormal value - a cost that is the same for all, or spread by a half."""
        rng = np.random.default_rng(seed)
        cost = np.tile(USUAL_COST, (n, 1)) * (1 if constant else rng.uniform(0.5, 1.5, (n, 8)))
        net = rng.gamma(1.5, 0.02, (n, 1)) * rng.normal(1, 0.8, (n, 8)) * rng.lognormal(4, 1, (n, 1)) - cost
        best, acted = net.argmax(axis=1), net.max(axis=1) > 0
        wanted = np.bincount(best[acted], minlength=8)
        capacity = np.full(8, np.inf)
        capacity[[0, 4]] = np.floor(wanted[[0, 4]] * [0.5, 0.1])
        channels = np.floor([wanted[:3].sum() * 0.8, wanted[3:5].sum() * 0.15, np.inf])
        return cls(net, cost, 0.4 * float(cost[np.arange(n), best][acted].sum()), capacity, channels)


@dataclass(frozen=True)
class Measured:
    value: float
    bound: float
    seconds: float
    peak_mb: float
    finished: bool = True


def ours(problem: Problem) -> Measured:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.perf_counter()
    plan = allocate(problem.net, problem.cost, problem.budget, problem.capacity, channel=CHANNEL, channel_capacity=problem.channel_capacity)
    seconds = time.perf_counter() - begin
    return Measured(plan.value, plan.bound, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before)


def linear(problem: Problem) -> Measured:
    return highs(problem, whole=False)


def whole(problem: Problem) -> Measured:
    return highs(problem, whole=True)


def highs(problem: Problem, *, whole: bool) -> Measured:
    """As 0/1 variables, one for each candidate worth anything; `whole` to a relative gap of 1e-4, HiGHS's own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.perf_counter()
    member, arm = np.nonzero(problem.net > 0)
    n, worth = len(member), problem.net[member, arm]
    once = csr_array((np.ones(n), (member, np.arange(n))), shape=(len(problem.net), n))
    limits = np.array([problem.budget, *problem.capacity, *problem.channel_capacity])
    finite = np.flatnonzero(np.isfinite(limits))
    rows = [problem.cost[member, arm], *(arm == at for at in range(8)), *(CHANNEL[arm] == at for at in range(3))]
    uses = vstack([coo_array(np.asarray(rows[at], dtype=float)[None]) for at in finite])
    found = milp(
        -worth,
        integrality=np.full(n, int(whole)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(vstack([once, uses], format="csr"), ub=np.concatenate([np.ones(len(problem.net)), limits[finite]])),
        options={"time_limit": HIGHS_SECONDS},
    )
    seconds = time.perf_counter() - begin
    value = np.nan if found.fun is None else -float(found.fun)
    bound = value if found.mip_dual_bound is None else -float(found.mip_dual_bound)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return Measured(value, bound, seconds, peak, finished=found.status == 0)


def apart(solve: Callable[[Problem], Measured], n: int, *, constant: bool) -> Measured:
    """In a process of its own, for peak memory is a figure of a whole process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_solve, (solve, n, constant))


def _solve(solve: Callable[[Problem], Measured], n: int, constant: bool) -> Measured:
    return solve(Problem.of(n, 1, constant=constant))


def line(name: str, told: Measured, best: float) -> str:
    gap = (told.bound - told.value) / told.bound
    ended = "" if told.finished else "  stopped"
    return f"    {name:10s} {told.seconds:7.2f} s {told.peak_mb:7.0f} MB   gap {gap:8.1e}   of the bound {told.value / best:.7f}{ended}"


def main() -> None:
    print("  8 interventions, a budget, capacities of two interventions and two channels; memory beyond the problem itself")
    for n in SIZES:
        for constant in (False, True):
            print(f"  {n:,} members, cost {'of the intervention' if constant else 'of the member'}")
            plan = apart(ours, n, constant=constant)
            bound = "   (required at 1,000,000: 10 s, 4,096 MB, 1e-03)" if n == SIZES[-1] else ""
            print(line("allocate", plan, plan.bound) + bound, flush=True)
            if n <= MOST_FOR_LINEAR:
                print(line("HiGHS LP", apart(linear, n, constant=constant), plan.bound), flush=True)
            if n <= MOST_FOR_WHOLE:
                solved = apart(whole, n, constant=constant)
                print(line("HiGHS MILP", solved, plan.bound) + f"   optimality: {plan.value / solved.value:.7f} of its value", flush=True)


if __name__ == "__main__":
    main()

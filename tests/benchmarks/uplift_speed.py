"""How long learning and asking take on 200,000 rows, 40 features and four interventions, and how much memory, beside causalml and econml.

Every peer learns in a process of its own, on as many threads as ours; tests/benchmarks/peers.py says how to have them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from models.uplift import Uplift
from models.uplift_fit import fit_uplift
from tests.benchmarks import peer_learners, peers
from tests.uplift_worlds import ARMS, Trial, simulate_trial

WORLD = "strong"
THREADS = 2
CALLS = 500
MOST_FIT_S, MOST_EFFECT_MS, MOST_CONTRIBUTIONS_MS = 60, 0.3, 3.0


def times_ms(call: Callable[[int], object]) -> list[float]:
    call(0)
    times = []
    for row in range(CALLS):
        began = time.perf_counter()
        call(row)
        times.append((time.perf_counter() - began) * 1000)
    return times


def told(name: str, times: list[float], at_most: float) -> str:
    found = f"median {statistics.median(times):.3f} ms, 99 % under {np.quantile(times, 0.99):.3f} ms"
    return f"  {name:44} {found}  (required: at most {at_most} ms)"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def learn(log: Trial, rng: np.random.Generator) -> Uplift:
    before, began, cpu = peak_mb(), time.perf_counter(), time.process_time()
    model = fit_uplift(log.features, log.assignment, log.outcome, log.propensities, interventions=ARMS, rng=rng)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"  {'fit':44} {seconds:.1f} s, {cpu:.1f} s of CPU  (required: at most {MOST_FIT_S} s on 2 cores)")
    print(f"  {'peak memory':44} {peak_mb():,.0f} MB ({before:,.0f} MB before)", flush=True)
    return model


def ask(model: Uplift, new: np.ndarray) -> None:
    print(told("effects of one member", times_ms(lambda row: model.effect(new[row : row + 1])), MOST_EFFECT_MS))
    print(told("intervals of one member", times_ms(lambda row: model.interval(new[row : row + 1])), MOST_EFFECT_MS))
    print(
        told(
            "contributions to the effects of one member",
            times_ms(lambda row: model.contributions(new[row : row + 1])),
            MOST_CONTRIBUTIONS_MS,
        )
    )
    missing = np.abs(model.contributions(new[:CALLS]).sum(axis=2) - model.effect(new[:CALLS])).max()
    print(f"  {'contributions add up to the effects within':44} {missing:.1e}", flush=True)


def compare(log: Trial, new: Trial, size: int) -> None:
    if not peers.PYTHON:
        print(peers.HOW_TO)
        return
    arrays = peers.request(WORLD, log, new)
    for name in peers.within_patience(list(peer_learners.LEARNERS), size):
        answer = peers.ask(arrays, [name], THREADS)[name]
        print(f"  {name:20} fit {answer.fit_s:6.1f} s   one member {answer.one_ms:7.2f} ms   peak {answer.memory_mb:6,.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="uplift_speed", description=__doc__)
    parser.add_argument("--size", type=int, default=200_000)
    size = parser.parse_args().size
    log_stream, new_stream, stream = np.random.default_rng([size, 0]).spawn(3)
    log, new = simulate_trial(WORLD, size, log_stream), simulate_trial(WORLD, 10_000, new_stream, of_use=True)
    print(f"{size:,} rows of {log.features.shape[1]} features, {len(ARMS)} interventions")
    ask(learn(log, stream), new.features)
    compare(log, new, size)


if __name__ == "__main__":
    main()

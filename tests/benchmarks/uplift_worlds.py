"""Policies by estimated effects on simulated worlds, in % of what the true effects would gain, beside causalml and econml.

    python -m tests.benchmarks uplift_worlds --worlds strong weak --sizes 15000 50000 --seeds 5 --json FILE

The peers answer from an environment of their own; tests/benchmarks/peers.py says how to make it. `--cache FOLDER` keeps the figures of
the learners that are not ours, by data and code. The peers run on one thread, ours on two.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from models.uplift_fit import fit_uplift
from tests.benchmarks import constant_effects, peer_learners, peers, uplift_figures
from tests.benchmarks.uplift_figures import Estimated, Figures, constant, figures
from tests.benchmarks.uplift_table import CONSTANT, Found, tell
from tests.uplift_worlds import ARMS, WORLDS, Trial, simulate_trial

EVALUATED = 100_000
BOUNDED = peer_learners.BOUNDED
CALLS = 200
OURS = "keepwell"


@dataclass(frozen=True)
class Case:
    """One log, and the members on whom the policies are compared."""

    world: str
    size: int
    seed: int

    @cached_property
    def streams(self) -> list[np.random.Generator]:
        """Of the log, of the new members, of the constant, of ours."""
        return np.random.default_rng([self.size, self.seed]).spawn(4)

    @cached_property
    def log(self) -> Trial:
        return simulate_trial(self.world, self.size, self.streams[0])

    @cached_property
    def new(self) -> Trial:
        return simulate_trial(self.world, EVALUATED, self.streams[1], of_use=True)

    @cached_property
    def propensities(self) -> np.ndarray | None:
        return self.log.propensities if WORLDS[self.world].logged else None

    @cached_property
    def digest(self) -> str:
        parts = (self.log.features, self.log.assignment, self.log.outcome, self.log.propensities, self.new.effects, self.new.value)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Kept:
    """Figures in files named by what they depend on; nothing is kept without a folder."""

    folder: Path | None

    def path(self, case: Case, learner: str, code: str) -> Path | None:
        if self.folder is None:
            return None
        key = hashlib.sha256(f"{case.digest} {code} {inspect.getsource(uplift_figures)}".encode()).hexdigest()[:16]
        return self.folder / f"{case.world}-{case.size}-{case.seed}-{learner.replace(' ', '_')}-{key}.json"

    def read(self, case: Case, learner: str, code: str) -> Figures | None:
        path = self.path(case, learner, code)
        return Figures(**json.loads(path.read_text("utf-8"))) if path and path.exists() else None

    def write(self, case: Case, learner: str, code: str, found: Figures) -> None:
        if path := self.path(case, learner, code):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(found)), "utf-8")


def known(case: Case) -> dict[str, Figures]:
    """Of policies that read the truth; the averages are as good as one number for each arm can be."""
    return {
        "nobody": Figures(0.0),
        "one action for all, known": Figures(100 * constant_effects.one_for_all(case.new) / case.new.oracle),
        "averages, known": figures(case.new, constant(case.new.effects.mean(axis=0), EVALUATED)),
    }


def learned_constant(case: Case, kept: Kept) -> Figures:
    code = inspect.getsource(constant_effects)
    if found := kept.read(case, CONSTANT, code):
        return found
    began = time.perf_counter()
    effects = constant_effects.learned_averages(case.log, case.propensities, case.streams[2])
    found = figures(case.new, constant(effects, EVALUATED, time.perf_counter() - began))
    kept.write(case, CONSTANT, code, found)
    return found


def of_peers(case: Case, learners: Sequence[str], kept: Kept) -> dict[str, Figures]:
    """Without those that are not kept, where no environment has them."""
    code = {name: peers.code_of(name) for name in learners}
    found = {name: kept.read(case, name, code[name]) for name in learners}
    missing = [name for name in learners if found[name] is None and peers.PYTHON]
    answers = peers.ask(peers.request(case.world, case.log, case.new), missing) if missing else {}
    for name, answer in answers.items():
        estimated = Estimated(answer.effect, answer.lower, answer.upper, answer.fit_s, answer.one_ms)
        found[name] = told = figures(case.new, estimated)
        kept.write(case, name, code[name], told)
    return {name: one for name, one in found.items() if one is not None}


def ours(case: Case) -> Figures:
    log = case.log
    began = time.perf_counter()
    model = fit_uplift(log.features, log.assignment, log.outcome, case.propensities, interventions=ARMS, rng=case.streams[3])
    fit_s = time.perf_counter() - began
    bounds = model.interval(case.new.features[:BOUNDED], level=peer_learners.LEVEL)
    one_ms = median_ms(lambda: model.effect(case.new.features[:1]))
    return figures(case.new, Estimated(model.effect(case.new.features), bounds.low, bounds.high, fit_s, one_ms))


def median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def compared(case: Case, learners: Sequence[str], kept: Kept) -> dict[str, Figures]:
    found = known(case) | {CONSTANT: learned_constant(case, kept)}
    if OURS in learners:
        found[OURS] = ours(case)
    others = [name for name in learners if name in peer_learners.LEARNERS]
    return found | of_peers(case, peers.within_patience(others, case.size), kept)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="uplift_worlds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[15_000, 50_000])
    parser.add_argument("--seeds", type=int, default=5, help="logs of each world and size")
    parser.add_argument("--learners", nargs="+", choices=(OURS, *peer_learners.LEARNERS), default=[OURS, *peer_learners.LEARNERS])
    parser.add_argument("--json", type=Path, help="write every figure of every log to this file")
    parser.add_argument("--cache", type=Path, help="keep the figures of the learners that are not ours in this folder")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    if not peers.PYTHON:
        print(peers.HOW_TO)
    every: list[Found] = []
    for world in chosen.worlds:
        for size in chosen.sizes:
            cases = [Case(world, size, seed) for seed in range(chosen.seeds)]
            found = [Found(case.world, case.size, case.seed, compared(case, chosen.learners, Kept(chosen.cache))) for case in cases]
            tell(found)
            every.extend(found)
            if chosen.json:
                chosen.json.write_text(json.dumps([row for one in every for row in one.rows()], indent=1), "utf-8")


if __name__ == "__main__":
    main()

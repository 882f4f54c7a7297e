"""How often read-outs of declared touches hold a planted effect, call an effect where none is, and take sound draws for none.

Members stay with .2 to .7, and so do groups, whose members are alike; the call adds .1 or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from models.community import Community
from models.declared_assignments import DECLARED_COLUMNS, DeclaredAssignments
from models.events import EventLog
from models.experiments import read_experiments
from models.read_out import ReadOut
from tests.test_experiments import START, decisions, declared, ids, log_of, record

DRAWS, EFFECT, MANY_ROWS, GROUP = 300, 0.1, 10, 20
BRANCHES = declared(
    members={"path": "m.csv", "member": "m", "joined": "j"},
    touches={"path": "t.csv", "member": "m", "time": "t", "propensity_prefix": "p_", "cluster": "branch"},
)


@dataclass(frozen=True)
class Trial:
    """unit (n,): the member, or group, that each member's arm and chance to stay were drawn with; rows: of each member, hours apart."""

    unit: np.ndarray
    rows: int
    world: Community

    def read(self, effect: float, rng: np.random.Generator) -> ReadOut:
        """Whoever stays more often is called more often."""
        loyal = (rng.random(self.unit.max() + 1) < 0.5)[self.unit]
        chance = np.where(loyal, 0.6, 0.3)
        called = rng.random(self.unit.max() + 1)[self.unit] < chance
        stays = rng.random(len(self.unit)) < 0.2 + 0.4 * loyal + effect * called
        who = ids(len(self.unit))
        told = [{"none": 1 - one, "call": one} for one in chance.tolist()]
        at = [START + timedelta(hours=hour) for hour in range(self.rows) for _ in who]
        arms = np.where(called, "call", "none").tolist()
        rows = decisions(who * self.rows, arms * self.rows, told * self.rows, at).select(list(DECLARED_COLUMNS))
        (found,) = read_experiments(replace(record(self.world, self._log(who, stays)), declared=DeclaredAssignments(rows, {})), "call")
        return found

    def _log(self, who: list[str], stays: np.ndarray) -> EventLog:
        return log_of(who, stays, branch=[f"branch {one}" for one in self.unit]) if self.world is BRANCHES else log_of(who, stays)


TRIALS = {
    "400 members, a row each": Trial(np.arange(400), 1, declared()),
    "2,000 members, a row each": Trial(np.arange(2_000), 1, declared()),
    f"400 members, {MANY_ROWS} rows of one arm": Trial(np.arange(400), MANY_ROWS, declared()),
    f"12 groups of {GROUP}": Trial(np.arange(12 * GROUP) % 12, 1, BRANCHES),
    f"40 groups of {GROUP}": Trial(np.arange(40 * GROUP) % 40, 1, BRANCHES),
    f"200 groups of {GROUP}": Trial(np.arange(200 * GROUP) % 200, 1, BRANCHES),
}


def shares(trial: Trial, effect: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Of the intervals of retention that hold the effect; of trials of which any metric is called; of those not readable."""
    reads = [trial.read(effect, rng) for _ in range(DRAWS)]
    told = [lift for read in reads if (lift := read.lift("retention").lift) is not None]
    called = [any(lift.verdict in {"raises", "lowers"} for lift in read.lifts) for read in reads]
    return (
        float(np.mean([lift.lower < effect < lift.upper for lift in told])),
        float(np.mean(called)),
        float(np.mean([read.sizes.mismatch for read in reads])),
    )


def main() -> None:
    print(f"{DRAWS} trials a cell: interval holds / any metric called / taken for no draw")
    for name, trial in TRIALS.items():
        rng = np.random.default_rng(1)
        cells = [" / ".join(f"{share:.3f}" for share in shares(trial, effect, rng)) for effect in (0.0, EFFECT)]
        print(f"{name:<34} without an effect {cells[0]}   with {EFFECT:g} {cells[1]}", flush=True)

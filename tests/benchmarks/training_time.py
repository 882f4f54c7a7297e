"""A full training on the log of a simulated community: seconds of each stage, the share of the CPU that LightGBM takes, peak memory."""

from __future__ import annotations

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from unittest.mock import patch

import lightgbm as lgb
import numpy as np

from models.evaluation import Estimate
from models.events import EventArrays, event_arrays
from models.simulation import SimulationConfig, simulate
from models.training import train
from models.training_rows import default_test_as_of
from tests.trained_world import DECLARED, TRAINED_AT, canonical_log

CONFIG = SimulationConfig(members=7000, days=365, start=date(2025, 1, 1), actions_per_visit=2.0)
INSIDE = {(lgb.Dataset, "construct"): "binning", (lgb.Booster, "update"): "boosting", (lgb.Booster, "predict"): "predicting"}


@dataclass
class Stopwatch:
    """Seconds by stage, as the progress of a training names them, and CPU seconds of the calling threads by what LightGBM does."""

    stages: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    lightgbm: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    running: str = "start"
    since: float = field(default_factory=time.perf_counter)

    def begin(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[self.running] += now - self.since
        self.running, self.since = stage, now

    def watch(self, owner: type, method: str, what: str) -> AbstractContextManager[Any]:
        """Counts the outermost of nested calls alone."""
        original: Callable[..., Any] = getattr(owner, method)
        here = threading.local()

        def timed(*args: Any, **given: Any) -> Any:
            outermost, here.within = not getattr(here, "within", False), True
            begin = time.thread_time()
            try:
                return original(*args, **given)
            finally:
                if outermost:
                    here.within = False
                    self.lightgbm[what] += time.thread_time() - begin

        return patch.object(owner, method, timed)


def simulated_events() -> EventArrays:
    return event_arrays(canonical_log(simulate(CONFIG, np.random.default_rng(1))), DECLARED)


def told(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.lower:.3f}, {estimate.upper:.3f}]"


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    events = simulated_events()
    before, watch = peak_mb(), Stopwatch()
    with ExitStack() as timing:
        for (owner, method), what in INSIDE.items():
            timing.enter_context(watch.watch(owner, method, what))
        test_as_of = default_test_as_of(events, DECLARED)
        watch.begin("start")
        cpu = time.process_time()
        trained = train(events, DECLARED, test_as_of=test_as_of, trained_at=TRAINED_AT, rng=np.random.default_rng(2), progress=watch.begin)
        watch.begin("end")
        cpu = time.process_time() - cpu
    print(f"{len(events.timestamp_us):,} events of {events.n_members:,} members; {trained.snapshots:,} snapshots of {trained.cuts} cuts")
    for stage, seconds in watch.stages.items():
        print(f"    {stage:28s}{seconds:8.2f} s")
    print(f"    {'in all':28s}{sum(watch.stages.values()):8.2f} s")
    print(f"CPU {cpu:.2f} s, of which in LightGBM {sum(watch.lightgbm.values()) / cpu:.0%}")
    for what, seconds in watch.lightgbm.items():
        print(f"    {what:28s}{seconds:8.2f} s")
    print(f"peak memory {peak_mb():,} MB ({before:,} MB before training)")
    compared = trained.churn.compared
    print(
        f"grade {compared.grade}, AUC {told(compared.metrics.auc)}, gain {told(compared.gain)}, log loss {told(compared.metrics.log_loss)}"
    )

"""The learning curve of a simulated community; `--members 210000` gives about 3 M snapshots, for which it takes some twenty minutes.

Members are simulated in shards, each of which is a community of its own: what is told of one member does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import date
from itertools import accumulate

import numpy as np
from rich.console import Console

from models.events import EventArrays, event_arrays
from models.learning_curve import learning_curve
from models.simulation import SimulationConfig, simulate
from models.training_rows import default_test_as_of
from pipelines.learning_curve import print_learning_curve
from tests.trained_world import DECLARED, canonical_log

SHARD = 5000
DAYS = 365


def shard(number: int, members: int) -> EventArrays:
    config = SimulationConfig(members=members, days=DAYS, start=date(2025, 1, 1))
    return event_arrays(canonical_log(simulate(config, np.random.default_rng([7, number]))), DECLARED)


def together(shards: list[EventArrays]) -> EventArrays:
    begins = accumulate((len(each.timestamp_us) for each in shards), initial=0)
    offsets = [each.offsets[:-1] + begin for each, begin in zip(shards, begins, strict=False)]
    whole = sum(len(each.timestamp_us) for each in shards)
    return EventArrays(
        np.concatenate([*offsets, [whole]]),
        np.concatenate([each.timestamp_us for each in shards]),
        np.concatenate([each.signal for each in shards]),
        np.concatenate([each.value for each in shards]),
        np.concatenate([each.joined_us for each in shards]),
        np.concatenate([each.contract_end_us for each in shards]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=21_000)
    parser.add_argument("--most", type=int, default=3_000_000)
    asked = parser.parse_args()
    begun = time.process_time()
    sizes = [min(SHARD, asked.members - begin) for begin in range(0, asked.members, SHARD)]
    events = together([shard(number, size) for number, size in enumerate(sizes)])
    print(
        f"{asked.members:,} members, {len(events.timestamp_us):,} events, simulated in {time.process_time() - begun:.0f} CPU s", flush=True
    )
    begun = time.process_time()
    curve = learning_curve(
        events,
        DECLARED,
        test_as_of=default_test_as_of(events, DECLARED),
        most_snapshots=asked.most,
        cpu_seconds=time.process_time,
        rng=np.random.default_rng(1),
    )
    print_learning_curve(curve, Console(width=120))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.process_time() - begun:.0f} CPU s in all, at most {peak:.1f} GB of memory")

"""How long it takes to read all experiments anew from the whole log, and how much memory; then how long it takes to see that nothing came.

Each member has eight events and one decision with its chances; one experiment is declared beside the global control and two interventions.
"""

from __future__ import annotations

import json
import resource
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from models.events import EventLog
from models.experiment_declaration import Experiment
from models.kept_read_outs import is_stale, read_and_keep
from models.moments import microseconds
from models.store import DecisionRow, Store
from tests.serving_world import DECLARED, NOW

SIZES = (10_000, 100_000)
EVENTS, CHUNK = 8, 5_000
BEGAN = NOW - timedelta(days=60)
MOMENT = pl.Datetime("us", "UTC")
CHANCES = {"none": 0.5, "coupon": 0.3, "call": 0.2}
LETTER = Experiment.model_validate(
    {
        "id": "letter_test",
        "arms": [{"id": "none", "share": 0.5}, {"id": "letter", "share": 0.5}],
        "start": (BEGAN + timedelta(days=1)).date(),
    }
)


def log_of(n: int, rng: np.random.Generator) -> EventLog:
    """Half of the events before the begin, half after it."""
    days = np.concatenate([rng.uniform(-60, 0, n * EVENTS // 2), rng.uniform(0, 59, n * EVENTS // 2)])
    events = pl.DataFrame({"member": np.tile(np.arange(n, dtype=np.uint32), EVENTS), "days": days}).select(
        "member",
        timestamp=pl.lit(BEGAN).cast(MOMENT) + pl.duration(milliseconds=(pl.col("days") * 86_400_000).cast(pl.Int64)),
        type=pl.lit("post").cast(pl.Categorical),
        value=pl.lit(None, pl.Float64),
        channel=pl.lit(None, pl.String),
        event_id=pl.lit(None, pl.String),
    )
    members = pl.DataFrame({"member_id": [f"m{number:07d}" for number in range(n)]})
    joined = pl.lit(BEGAN - timedelta(days=200)).cast(MOMENT)
    return EventLog(events.sort("member", "timestamp"), members.with_columns(joined=joined))


def decisions(n: int, rng: np.random.Generator) -> list[DecisionRow]:
    chosen, chances, at_us = rng.choice(list(CHANCES), n, p=list(CHANCES.values())), json.dumps(CHANCES), microseconds(BEGAN)
    return [
        DecisionRow(f"d{number}", f"m{number:07d}", at_us + number, "1", arm, None, 0, "{}", propensities=chances)
        for number, arm in enumerate(chosen.tolist())
    ]


def measure(folder: Path, n: int, rng: np.random.Generator) -> None:
    declared = DECLARED.model_copy(update={"experiments": (LETTER,)})
    with closing(Store.open(f"sqlite:///{folder}/keepwell.db")) as store:
        store.load_log(log_of(n, rng))
        rows = decisions(n, rng)
        for begin in range(0, n, CHUNK):
            store.record(rows[begin : begin + CHUNK])
        began, used = time.perf_counter(), time.process_time()
        kept = read_and_keep(store, declared, NOW, NOW)
        read, used = time.perf_counter() - began, time.process_time() - used
        began = time.perf_counter()
        stale = is_stale(kept, store)
        looked = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{n:>9,} members, {n * EVENTS:,} events, {n:,} decisions: read in {read:.1f} s ({used:.1f} s of CPU), "
        f"{memory:,.0f} MB at most; looked whether stale ({stale}) in {1000 * looked:.0f} ms"
    )


def main() -> None:
    for n in SIZES:
        with TemporaryDirectory() as folder:
            measure(Path(folder), n, np.random.default_rng(1))

"""Decisions kept in a second, each durable before its caller goes on, by how many ask at once; SQLite with and without shared commits."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.store import DecisionRow, LoggedEvent, Store
from models.store_schema import WRITES, open_database
from models.store_transactions import Readers
from tests.databases import postgres_server, sqlite_url

DECISIONS = 400
AT_ONCE = (1, 4, 16)
BODY = "x" * 12_000
WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Kept:
    rate: float
    latency_s: np.ndarray

    def told(self) -> str:
        middle, late = 1000 * np.quantile(self.latency_s, [0.5, 0.99])
        return f"{self.rate:7.0f}/s   p50 {middle:6.1f} ms   p99 {late:7.1f} ms"


def keep(store: Store, at_once: int) -> Kept:
    members = [f"m{number}" for number in range(DECISIONS)]
    store.add_events([LoggedEvent(member, 1, "post", member) for member in members])

    def record(member: str) -> float:
        began = time.perf_counter()
        store.record([DecisionRow(f"d-{member}", member, 5, "1", "digest", "email", 0, BODY)])
        return time.perf_counter() - began

    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        latencies = list(pool.map(record, members))
        return Kept(DECISIONS / (time.perf_counter() - began), np.array(latencies))


def alone(url: str) -> Store:
    """Each writer in a transaction of its own, waiting for the lock as SQLite does."""
    Store.open(url).close()
    engine = open_database(url, WAIT_SECONDS).execution_options(**{WRITES: True})
    return Store(engine, Readers(engine))


def patient(url: str) -> Store:
    return Store.open(url, wait_seconds=WAIT_SECONDS)


def main() -> None:
    with postgres_server(durable=True) as postgres, tempfile.TemporaryDirectory() as folder:

        def on_sqlite(opened: Callable[[str], Store], at_once: int) -> Kept:
            with closing(opened(sqlite_url(Path(tempfile.mkdtemp(dir=folder))))) as store:
                return keep(store, at_once)

        for at_once in AT_ONCE:
            print(f"{at_once:3} at once   SQLite, each alone     {on_sqlite(alone, at_once).told()}", flush=True)
            print(f"{'':13}SQLite, shared commits {on_sqlite(patient, at_once).told()}", flush=True)
            with postgres.database() as url, closing(patient(url)) as store:
                print(f"{'':13}PostgreSQL             {keep(store, at_once).told()}", flush=True)

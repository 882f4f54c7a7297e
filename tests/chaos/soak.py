"""Ten minutes at seventy per cent of what the service can do: scores, events and outcomes, and another champion half-way.

No request may fail, and answers may not become slower. Ids of events are never used twice, so that each is written. Besides the
community's own members some tens of thousands are asked about, each a few times, as a CRM would: of a few hundred each would have hundreds
of contacts in ten minutes. What might grow is told for each window, and how fast the machine itself is then.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from scipy.stats import theilslopes

from models.registry import Registry
from tests.benchmarks.servers import Load, Server, keepwell, put_load
from tests.benchmarks.service_growth import MANY, many_members
from tests.benchmarks.service_speed import folder_of
from tests.benchmarks.service_world import AS_OF, ServiceWorld, make_world
from tests.patience import wait_until
from tests.registry_world import engine_folder, put_in_force

SHARE = 0.7
PROBE_SECONDS, WINDOW_SECONDS = 15.0, 30.0
CONNECTIONS = 64
MOST_A_SECOND = 3_000
RISEN = 1.25
"""How many times its beginning the 99th percentile may be in the end, by the trend of all windows."""
MIX = ("score",) * 7 + ("events",) * 2 + ("outcomes",)
TOLD = ("decisions", "touches", "events", "requests", "deliveries")


@dataclass(frozen=True)
class Requests:
    """In the mix, about `members` in turn; no id comes twice."""

    members: Sequence[str]
    numbers: Iterator[int]

    def some(self, n: int) -> tuple[list[str], list[str]]:
        """Paths and bodies."""
        kinds = [MIX[at % len(MIX)] for at in range(n)]
        return [f"/v1/{kind}" for kind in kinds], [json.dumps(self._body(kind, next(self.numbers))) for kind in kinds]

    def _body(self, kind: str, number: int) -> dict[str, object]:
        member: dict[str, object] = {"member_id": self.members[number % len(self.members)]}
        at = AS_OF.isoformat()
        match kind:
            case "events":
                return {"events": [{**member, "event_id": f"soak-{number}", "type": "comment", "timestamp": at}]}
            case "outcomes":
                return {"outcomes": [{**member, "outcome_id": f"soak-{number}", "type": "renewed", "at": at}]}
        return member

    def load(self, server: Server, seconds: float, rate: float | None) -> Load:
        paths, bodies = self.some(round((rate or MOST_A_SECOND) * seconds * 1.2) // len(MIX) * len(MIX))
        return put_load(server, "", bodies, connections=CONNECTIONS if rate else 16, seconds=seconds, rate=rate, paths=paths)


@dataclass(frozen=True)
class Trend:
    """By what factor something has changed from the first window to the last, with its interval at 95 % (Theil 1950, Sen 1968)."""

    factor: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Trend:
        found = theilslopes(np.log(values))
        factor, low, high = (float(np.exp(slope * (len(values) - 1))) for slope in (found.slope, found.low_slope, found.high_slope))
        return cls(factor, low, high)

    def __str__(self) -> str:
        return f"{self.factor:.2f} times [{self.low:.2f}, {self.high:.2f}]"

    @property
    def has_risen(self) -> bool:
        """By much, and not by chance."""
        return self.factor > RISEN and self.low > 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the community, kept for the next run; by default a new one")
    parser.add_argument("--members", type=int, default=2500)
    parser.add_argument("--stored", type=int, default=MANY, help="members besides, with a hundred events each")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with folder_of(options.home) as folder:
        world = make_world(folder, options.members)
        with keepwell(world, workers=options.workers) as server:
            harm = soak(server, world, many_members(world, options.stored), folder, max(3, round(60 * options.minutes / WINDOW_SECONDS)))
    print(*harm, sep="\n")
    sys.exit(bool(harm))


def soak(server: Server, world: ServiceWorld, members: Sequence[str], folder: Path, windows: int) -> list[str]:
    """What went wrong, one sentence each."""
    requests = Requests(members, itertools.count(time.time_ns()))
    full = requests.load(server, PROBE_SECONDS, None)
    print(f"  at most       {full.told()}", flush=True)
    before, loads = version(server), []
    for window in range(1, windows + 1):
        if window == windows // 2 + 1:
            swap(world, folder / f"swap-{time.time_ns()}")
        load = requests.load(server, WINDOW_SECONDS, SHARE * full.rate)
        loads.append(load)
        print(
            f"  window {window:3}/{windows:3} {load.told()}\n    {grown(server, world)}; a fixed sum takes {pace_ms():.0f} ms", flush=True
        )
    wait_until(lambda: version(server) != before)
    slower, dearer = Trend.of([load.quantile_ms(0.99) for load in loads]), Trend.of([load.cpu_ms for load in loads])
    answered, failed = sum(len(load.latency_s) for load in loads), failures(server)
    lost = sum(load.failed.get("lost", 0) for load in (full, *loads))
    print(
        f"  {answered:,} requests, {sum(failed.values())} failed, {lost} lost; over the run p99 {slower}, CPU of a request {dearer}",
        flush=True,
    )
    return [
        *(f"{count:.0f} requests to {route} were answered with {status}" for (route, status), count in failed.items()),
        *([f"{lost} connections were lost"] if lost else []),
        *([f"p99 became {slower} what it was in the beginning"] if slower.has_risen else []),
        *([f"the CPU of a request became {dearer} what it was in the beginning"] if dearer.has_risen else []),
    ]


def grown(server: Server, world: ServiceWorld) -> str:
    """Memory, model version, journal, and rows of the tables that every request may write to."""
    file = world.workspace.store_file
    if file is None:
        raise ValueError("the soak reads the file of a SQLite store")
    journal = file.with_name(f"{file.name}-wal").stat().st_size / 2**20
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=60)) as connection:
        rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TOLD}  # noqa: S608 - our own names
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items() if count)
    return f"{server.resident_mb:,.0f} MB, version {version(server)}, journal {journal:.0f} MB, {counts}"


def pace_ms() -> float:
    """Of the machine, by the wall: on one that others use it is longer, whatever the service does."""
    began = time.perf_counter()
    sum(number * number for number in range(2_000_000))
    return 1000 * (time.perf_counter() - began)


def failures(server: Server) -> dict[tuple[str, str], float]:
    """Requests that the service counts as not answered with success, by route and status, warming up included."""
    told = _asked(server, "/metrics").text
    samples = (sample for family in text_string_to_metric_families(told) for sample in family.samples)
    counted = (
        sample for sample in samples if sample.name == "keepwell_request_seconds_count" and not sample.labels["status"].startswith("2")
    )
    return {(sample.labels["route"], sample.labels["status"]): sample.value for sample in counted if sample.labels["route"] in ROUTES}


ROUTES = frozenset(f"/v1/{kind}" for kind in MIX)


def version(server: Server) -> str:
    return str(_asked(server, "/v1/models").json()["version"])


def _asked(server: Server, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{server.port}{path}", headers=dict(server.headers), timeout=60).raise_for_status()


def swap(world: ServiceWorld, scratch: Path) -> None:
    """Another champion, of the same files."""
    registry = Registry(world.workspace.mlflow_uri, world.workspace.mlflow_artifacts)
    put_in_force(registry, engine_folder(scratch, registry))


if __name__ == "__main__":
    main()

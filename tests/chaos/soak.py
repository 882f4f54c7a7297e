"""Ten minutes at seventy per cent of what the service can do: scores, events and outcomes, and another champion half-way.

No request may fail, and answers may not become slower. Events have ids of their own, so that each is written.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from models.registry import Registry
from tests.benchmarks.servers import Load, Server, keepwell, put_load
from tests.benchmarks.service_speed import folder_of
from tests.benchmarks.service_world import AS_OF, ServiceWorld, make_world
from tests.patience import wait_until
from tests.registry_world import engine_folder, put_in_force

SHARE = 0.7
PROBE_SECONDS, WINDOW_SECONDS = 15.0, 30.0
CONNECTIONS = 64
SLOWER = 2.0
"""How many times the 99th percentile of the first third of the windows that of the last third may be."""
MIX = ("score",) * 7 + ("events",) * 2 + ("outcomes",)


@dataclass(frozen=True)
class Requests:
    """In the mix, about the world's members in turn; no id comes twice."""

    world: ServiceWorld
    numbers: Iterator[int]

    def some(self, n: int) -> tuple[list[str], list[str]]:
        """Paths and bodies."""
        kinds = [MIX[at % len(MIX)] for at in range(n)]
        return [f"/v1/{kind}" for kind in kinds], [json.dumps(self._body(kind, next(self.numbers))) for kind in kinds]

    def _body(self, kind: str, number: int) -> dict[str, object]:
        member = {"member_id": self.world.asked[number % len(self.world.asked)]}
        at = AS_OF.isoformat()
        match kind:
            case "events":
                return {"events": [{**member, "event_id": f"soak-{number}", "type": "comment", "timestamp": at}]}
            case "outcomes":
                return {"outcomes": [{**member, "outcome_id": f"soak-{number}", "type": "renewed", "at": at}]}
        return member

    def load(self, server: Server, seconds: float, rate: float | None) -> Load:
        paths, bodies = self.some(round((rate or 1_000) * seconds * 1.2) // len(MIX) * len(MIX))
        return put_load(server, "", bodies, connections=CONNECTIONS if rate else 16, seconds=seconds, rate=rate, paths=paths)


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the community, kept for the next run; by default a new one")
    parser.add_argument("--members", type=int, default=2500)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with folder_of(options.home) as folder:
        world = make_world(folder, options.members)
        with keepwell(world, workers=options.workers) as server:
            harm = soak(server, world, folder, max(2, round(60 * options.minutes / WINDOW_SECONDS)))
    print(*harm, sep="\n")
    sys.exit(bool(harm))


def soak(server: Server, world: ServiceWorld, folder: Path, windows: int) -> list[str]:
    """What went wrong, one sentence each."""
    requests = Requests(world, itertools.count(time.time_ns()))
    full = requests.load(server, PROBE_SECONDS, None)
    print(f"  at most       {full.told()}", flush=True)
    before, loads = version(server), []
    for window in range(1, windows + 1):
        if window == windows // 2 + 1:
            swap(world, folder / f"swap-{time.time_ns()}")
        load = requests.load(server, WINDOW_SECONDS, SHARE * full.rate)
        loads.append(load)
        print(f"  window {window:3}/{windows:3} {load.told()}  {server.resident_mb:,.0f} MB, version {version(server)}", flush=True)
    wait_until(lambda: version(server) != before)
    failed = sum(sum(load.failed.values()) for load in (full, *loads))
    first, last = (statistics.median(load.quantile_ms(0.99) for load in some) for some in thirds(loads))
    answered = sum(len(load.latency_s) for load in loads)
    print(f"  {answered:,} requests, {failed} failed; p99 {first:.1f} ms in the first third, {last:.1f} ms in the last", flush=True)
    return [
        *([f"{failed} requests failed"] if failed else []),
        *([f"p99 rose from {first:.1f} to {last:.1f} ms"] if last > SLOWER * first else []),
    ]


def thirds(loads: list[Load]) -> tuple[list[Load], list[Load]]:
    """The first and the last."""
    third = max(1, len(loads) // 3)
    return loads[:third], loads[-third:]


def version(server: Server) -> str:
    answer = httpx2.get(f"http://127.0.0.1:{server.port}/v1/models", headers=dict(server.headers), timeout=60)
    return str(answer.raise_for_status().json()["version"])


def swap(world: ServiceWorld, scratch: Path) -> None:
    """Another champion, of the same files."""
    registry = Registry(world.workspace.mlflow_uri, world.workspace.mlflow_artifacts)
    put_in_force(registry, engine_folder(scratch, registry))


if __name__ == "__main__":
    main()

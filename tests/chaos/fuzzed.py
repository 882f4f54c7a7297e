"""schemathesis over the whole description of a service with a trained engine, in all its phases, on both databases."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.databases import postgres_server
from tests.fuzzing import fuzz
from tests.serving_world import serving, world, write_home

EXAMPLES = 120
LEAST_CASES = 5_000


def main() -> None:
    print(f"{'store':12} {'cases':>7} {'seconds':>8}  found")
    found, cases = [], 0
    with tempfile.TemporaryDirectory(prefix="keepwell-fuzz-") as name, postgres_server() as server, server.database() as postgres:
        for seed, (store, url) in enumerate({"sqlite": f"sqlite:///{name}/store.db", "postgresql": postgres}.items(), start=1):
            folder = Path(name) / store
            folder.mkdir()
            started = time.monotonic()
            with serving(write_home(folder / "home"), world().log, store_url=url) as running:
                key = running.client.headers["authorization"].removeprefix("Bearer ")
                told = fuzz(str(running.client.base_url).rstrip("/"), key, folder, examples=EXAMPLES, seed=seed)
            print(f"{store:12} {told.cases:7,} {time.monotonic() - started:8.1f}  {'something' if told.found else 'nothing'}", flush=True)
            found, cases = [*found, told.found], cases + told.cases
    print("\n".join(filter(None, found)))
    if any(found) or cases < LEAST_CASES:
        sys.exit(1)

"""schemathesis over the whole description of a service with a trained engine, in all its phases, on both databases, part by part."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path

from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from tests.databases import postgres_server
from tests.fuzzing import Fuzzed, fuzz
from tests.serving_world import NOW, Running, serving, world, write_home, write_logs

EXAMPLES = 120
LEAST_CASES = 5_000
SIGNS = ('"level":"error"', "Traceback")
ALONE, TOGETHER = "examples,coverage,fuzzing", "stateful"


class Errors(io.TextIOBase):
    """What the service writes down as one, in the background too; the rest of what it writes is dropped."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def write(self, text: str) -> int:
        if any(sign in text for sign in SIGNS):
            self.found.append(text.strip())
        return len(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="fuzzed", description=__doc__)
    parser.add_argument("--parts", nargs="+", help="of the paths, such as score or members; by default all, and then chains of requests")
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="for each operation and phase")
    options = parser.parse_args()
    print(f"{'store':12} {'part':20} {'cases':>7} {'seconds':>8}  found", flush=True)
    errors, cases = Errors(), 0
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="keepwell-fuzz-") as name, postgres_server() as server, server.database() as postgres:
        urls = {"sqlite": f"sqlite:///{name}/store.db", "postgresql": postgres}
        for seed, store in enumerate(options.stores, start=1):
            folder = Path(name) / store
            folder.mkdir()
            with redirect_stderr(errors), serving(write_home(folder / "home"), world().log, store_url=urls[store]) as running:
                decide_on_everyone(folder / "home", url=urls[store])
                for part, seconds, told in fuzz_parts(running, folder, options.parts, options.examples, seed):
                    print(f"{store:12} {part:20} {told.cases:7,} {seconds:8.1f}  {'something' if told.found else 'nothing'}", flush=True)
                    found, cases = [*found, told.found], cases + told.cases
    print(f"{cases:,} cases, {len(errors.found)} errors logged", *filter(None, found), *errors.found[:3], sep="\n")
    found += errors.found
    whole = options.parts is None and len(options.stores) == len(urls)
    sys.exit(any(found) or (whole and cases < LEAST_CASES))


def decide_on_everyone(home: Path, url: str) -> None:
    """So that there is a run to show and to plan on."""
    write_logs(home)
    os.environ |= {"KEEPWELL_STORE_URL": url, "KEEPWELL_MLFLOW_URI": world().mlflow_uri}
    decide_all(Workspace.find(home), home / "all.parquet", as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)


def fuzz_parts(
    running: Running, folder: Path, chosen: Sequence[str] | None, examples: int, seed: int
) -> Iterator[tuple[str, float, Fuzzed]]:
    """Each part by its name, the seconds that it took, and what came of it."""
    url, key = str(running.client.base_url).rstrip("/"), running.key
    described = running.client.get("/openapi.json").json()["paths"]
    parts = dict.fromkeys(part_of(path) for path in described) if chosen is None else chosen
    for part in parts:
        began = time.monotonic()
        told = fuzz(url, key, folder, examples=examples, phases=ALONE, paths=f"^/(v1/)?{part}(/|$)", seed=seed)
        yield part, time.monotonic() - began, told
    if chosen is None:
        began = time.monotonic()
        told = fuzz(url, key, folder, examples=examples, phases=TOGETHER, seed=seed)
        yield "one after another", time.monotonic() - began, told


def part_of(path: str) -> str:
    """The first word of the path after its version."""
    return path.removeprefix("/v1").split("/")[1]


if __name__ == "__main__":
    main()

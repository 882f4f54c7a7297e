"""What a start takes: time and processor time of the command line, and with memory of the service until it is ready, after `kill -9`."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.databases import postgres_server, sqlite_url
from tests.service_process import Process, started
from tests.serving_world import world, write_home, write_logs

STARTS = 4
SETTLED_S = 10.0
"""After which a service has imported what it needs besides answers."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="start", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--postgres", action="store_true", help="also on PostgreSQL")
    options = parser.parse_args()
    print(f"  {'':42} {'s':>6} {'CPU s':>6} {'MB':>6}", flush=True)
    for arguments in (["--help"], ["webhooks", "--help"], ["keys", "list", "--help"]):
        tell_command(arguments)
    world()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keepwell-start-")))
        urls = {"SQLite": sqlite_url(folder)}
        if options.postgres:
            urls["PostgreSQL"] = stack.enter_context(stack.enter_context(postgres_server(durable=True)).database())
        for make, url in urls.items():
            tell_service(make, write_home(folder / make), url, options.workers)


def tell_command(arguments: Sequence[str]) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], check=True, capture_output=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    told(f"keepwell {' '.join(arguments)}", took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, None)


def tell_service(make: str, home: Path, url: str, workers: Sequence[int]) -> None:
    """The first start reads the log and fetches the model; each is ended by `kill -9`."""
    write_logs(home)
    for count in workers:
        for number in range(STARTS):
            first = number == 0 and count == workers[0]
            with started(home, count, KEEPWELL_STORE_URL=url) as process:
                told(f"{make}, {count} worker{'s' * (count > 1)}, {'first' if first else f'start {number}'}", *ready(process))
                if number == STARTS - 1:
                    time.sleep(SETTLED_S)
                    told("  when all else has been imported", None, *used(process))


def ready(process: Process) -> tuple[float, float, float]:
    return process.started_s, *used(process)


def used(process: Process) -> tuple[float, float]:
    """Seconds of processor and MB of memory of the process and its children."""
    leader = psutil.Process(process.group)
    family = [leader, *leader.children(recursive=True)]
    times = [one.cpu_times() for one in family]
    return sum(one.user + one.system for one in times), sum(one.memory_info().rss for one in family) / 2**20


def told(name: str, took_s: float | None, cpu_s: float, resident_mb: float | None) -> None:
    took, resident = "" if took_s is None else f"{took_s:.2f}", "" if resident_mb is None else f"{resident_mb:.0f}"
    print(f"  {name:42} {took:>6} {cpu_s:6.2f} {resident:>6}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

"""One of two Spark workers is killed when deciding begins, without a budget and with one: the table must be that of one machine."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.spark import built_wheel, decided, on, write_tables
from tests.serving_world import DECLARED, world, write_home
from tests.spark_cluster import cluster

BUDGETS = ((), ("--budget", "2"))


def main() -> None:
    asked = _asked()
    with tempfile.TemporaryDirectory(prefix="keepwell-chaos-") as scratch:
        folder = Path(scratch)
        home = write_home(folder / "home", DECLARED)
        write_tables(home, asked.events, asked.members, asked.busiest)
        os.environ["KEEPWELL_MLFLOW_URI"] = world().mlflow_uri
        wheel = built_wheel(folder)
        same = [_same(home, wheel, folder / str(at), budget) for at, budget in enumerate(BUDGETS)]
    sys.exit(not all(same))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--members", type=int, default=400)
    parser.add_argument("--busiest", type=int, default=20_000, help="events of one member more")
    return parser.parse_args()


def _same(home: Path, wheel: Path, folder: Path, budget: tuple[str, ...]) -> bool:
    """A cluster of its own for each, for one of its two workers is lost."""
    folder.mkdir()
    one = decided("one machine", home, "one", [*budget], None)
    with cluster(folder) as running:
        lost = decided("a worker killed", home, "lost", [*on(running, wheel), *budget], running)
    same = lost.table.equals(one.table)
    print(f"{' '.join(budget) or 'no budget'}: {one.table.height} members, {one.seconds:.0f} s on one machine", end=", ")
    print(f"{lost.seconds:.0f} s with a worker killed: {'the same table' if same else 'ANOTHER TABLE'}", flush=True)
    return same

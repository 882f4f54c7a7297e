"""Deciding for everybody: one machine beside Spark on a standalone master with two workers, one of them killed on the way, and none."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tests.serving_world import DECLARED, NOW, world, write_home
from tests.spark_cluster import Cluster, cluster, ending_with_parent

AS_OF = NOW.date().isoformat()
FILES = 4
KINDS = ("post", "comment", "reaction", "purchase", "read", "service")


@dataclass(frozen=True)
class Ran:
    """`cpu` of the command and what it waited for, without executors."""

    name: str
    seconds: float
    cpu: float
    table: pl.DataFrame


def main() -> None:
    asked = _asked()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        home = write_home(folder / "home", DECLARED)
        write_tables(home, asked.events, asked.members, asked.busiest)
        os.environ["KEEPWELL_MLFLOW_URI"] = world().mlflow_uri
        wheel = built_wheel(folder)
        print(f"{asked.events + asked.busiest:,} events of {asked.members + 1:,} members, one of them with {asked.busiest:,}", flush=True)
        one = decided("one machine", home, "one", [], None)
        with cluster(folder) as running:
            told = [decided("spark, 2 workers", home, "two", on(running, wheel), None)]
            told.append(decided("spark, a worker killed", home, "lost", on(running, wheel), running))
        print(f"{'':24} {'seconds':>8} {'CPU here':>9}  same table")
        for ran in (one, *told):
            same = "" if ran is one else str(ran.table.equals(one.table))
            print(f"{ran.name:24} {ran.seconds:8.1f} {ran.cpu:9.1f}  {same}", flush=True)
        sys.exit(any(not ran.table.equals(one.table) for ran in told))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=5_000)
    parser.add_argument("--busiest", type=int, default=1_000_000, help="events of one member more")
    return parser.parse_args()


def write_tables(home: Path, events: int, members: int, busiest: int) -> None:
    rng = np.random.default_rng(4)
    owner = np.concatenate([rng.integers(0, members, events), np.full(busiest, members)])
    n = len(owner)
    kind = rng.choice(len(KINDS), n)
    rows = pl.DataFrame(
        {
            "event_id": pl.select(pl.format("e{}", pl.int_range(n))).to_series(),
            "member_id": pl.select(pl.format("m{}", pl.Series(owner).cast(pl.String).str.zfill(8))).to_series(),
            "timestamp": pl.Series((NOW - timedelta(days=200)).timestamp() * 1e6 + rng.random(n) * 199 * 86_400e6)
            .cast(pl.Int64)
            .cast(pl.Datetime("us", "UTC")),
            "type": pl.Series(KINDS, dtype=pl.String).gather(kind),
            "value": pl.Series(np.where(kind == KINDS.index("purchase"), rng.gamma(2, 30, n).round(2), np.nan)).fill_nan(None),
            "channel": "app",
        }
    )[rng.permutation(n)]
    (home / "events").mkdir()
    for number, part in enumerate(rows.iter_slices(-(-n // FILES))):
        part.write_parquet(home / "events" / f"{number}.parquet")
    declaration = home / "keepwell.yaml"
    declaration.write_text(declaration.read_text("utf-8").replace("events.parquet", "events"), "utf-8")
    ids = rows["member_id"].unique().sort()
    pl.DataFrame({"member_id": ids, "joined": [NOW - timedelta(days=201)] * len(ids)}).write_parquet(home / "members.parquet")
    touches = {"member_id": ids[:1], "timestamp": [NOW - timedelta(days=9)], "intervention": ["coupon"], "channel": ["email"]}
    pl.DataFrame(touches).with_columns(delivered=pl.lit(value=True)).write_parquet(home / "touches.parquet")


def built_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    return next((folder / "dist").glob("*.whl"))


def on(running: Cluster, wheel: Path) -> list[str]:
    settings = {
        "spark.submit.pyFiles": str(wheel),
        "spark.executor.memory": "800m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.adaptive.enabled": "false",
    }
    return [
        "--engine",
        "spark",
        "--master",
        running.master,
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
    ]


def decided(name: str, home: Path, table: str, options: list[str], lose: Cluster | None) -> Ran:
    """With `lose` a worker of it is killed as soon as the log has been read and deciding has begun."""
    output = home / f"{table}.parquet"
    command = [sys.executable, "-m", "pipelines.cli", "decide", "-c", str(home), "-o", str(output), "--as-of", AS_OF, *options]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=ending_with_parent(),  # noqa: PLW1509 - one call of the kernel, which takes no lock
    ) as run:
        assert run.stderr is not None
        heard = []
        for line in run.stderr:
            heard.append(line)
            if lose is not None and line.startswith("  log"):
                lose.kill_a_worker()
                print("a worker is killed", flush=True)
                lose = None
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit("".join(heard[-30:]))
    rows = pl.read_parquet(output / "*.parquet" if output.is_dir() else output).sort("member_id")
    shutil.rmtree(output, ignore_errors=True)
    return Ran(name, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, rows)

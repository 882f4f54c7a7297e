"""A log of up to 100 M events on one machine, stage by stage, each in a process of its own: time, CPU time and peak memory.

python -m tests.benchmarks one_machine --events 1e6 1e7 --folder DIR

The community is simulated in shards of 10,000 members over 260 days, about 100 events each; `--distinct` shards have a seed of their own,
and further ones are these again with other ids. The model is trained on a shard of 4,000 members. A run is killed and goes on; a day is
put to the log and decided on, beside reading everything anew.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from models.declaration import load_community
from models.events import EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE
from models.features import compute_features, feature_spec
from models.kept_log import FIRST_FILE
from models.simulation import SimulationConfig, World, simulate
from models.snapshots import Snapshots
from pipelines.deliveries import take_in_files
from pipelines.ingest import ingest, log_fingerprint
from pipelines.log_parts import open_log
from pipelines.workspace import Workspace
from tests.benchmarks.features import alone

SHARD, DAYS, START = 10_000, 260, date(2025, 1, 1)
LAST_DAY = datetime.combine(START + timedelta(days=DAYS - 1), datetime.min.time(), UTC)
ROOT = Path(__file__).parents[2]
NOW = LAST_DAY + timedelta(days=2)


@dataclass(frozen=True)
class Ran:
    """`peak_mb` of the process."""

    stage: str
    seconds: float
    cpu_seconds: float
    peak_mb: int


def ran(stage: str, *arguments: str, until: Callable[[], bool] | None = None) -> Ran:
    """Killed as soon as `until` holds, where it is given."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    while until is not None and not until() and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.02)
    if until is not None:
        process.send_signal(signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, -signal.SIGKILL if until is not None else 0}:
        raise SystemExit(f"{stage}: exit code {process.returncode}")
    return Ran(stage, time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)


def keepwell(stage: str, *arguments: str, until: Callable[[], bool] | None = None) -> Ran:
    return ran(stage, "-m", "pipelines.cli", *arguments, until=until)


def here(stage: str, function: Callable[[Path], None], home: Path) -> Ran:
    """A function of this module."""
    code = (
        f"from pathlib import Path; from tests.benchmarks.one_machine import {function.__name__}; {function.__name__}(Path({str(home)!r}))"
    )
    return ran(stage, "-c", code)


def features(home: Path) -> None:
    log = open_log(Workspace.find(home), now=NOW)
    for part in log.parts():
        at_us = int(log.end.timestamp() * 1e6)
        compute_features(part.arrays, Snapshots.at(part.arrays, at_us), feature_spec(part.community), threads=2)


def day(home: Path) -> None:
    """The log's part of `keepwell ingest`; the service's store is left alone."""
    workspace = Workspace.find(home)
    community = load_community(workspace.declaration)
    told = take_in_files(workspace, community, [home / "day.parquet"], now=NOW)
    assert told.events
    ingest(workspace, community, now=NOW)


def take_in(home: Path) -> None:
    workspace = Workspace.find(home)
    ingest(workspace, load_community(workspace.declaration), now=NOW)


def simulated(members: int, seed: int) -> World:
    config = SimulationConfig(members=members, days=DAYS, start=START, truth_as_of=())
    return simulate(config, np.random.default_rng(seed))


def trained(folder: Path) -> Path:
    """A community of 4,000 members with a champion; one that is there is used again."""
    home = folder / "model"
    if (home / ".keepwell" / "mlflow.db").exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    keepwell("simulate", "simulate", "-o", str(home), "--members", "4000", "--days", str(DAYS), "--start", START.isoformat(), "--force")
    tables = ("--members", str(home / "members.parquet"), "--joined", "joined", "--touches", str(home / "touches.parquet"))
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    keepwell("init", "init", str(home / "events.parquet"), *columns, *tables, "-o", str(home / "keepwell.yaml"))
    keepwell("train", "train", "-c", str(home))
    keepwell("promote", "promote", "-c", str(home))
    return home


def write_home(home: Path, model: Path, members: int, distinct: int) -> int:
    """Events of all days but the last, which lies in a file of its own; returns their number."""
    shutil.rmtree(home, ignore_errors=True)
    for name in ("events", "members", "touches"):
        (home / name).mkdir(parents=True)
    worlds = [simulated(min(SHARD, members), seed) for seed in range(min(distinct, math.ceil(members / SHARD)))]
    written, last = 0, []
    for number in range(math.ceil(members / SHARD)):
        world = worlds[number % len(worlds)]
        ids = world.members["member_id"].head(members - number * SHARD)
        for name in ("events", "members", "touches"):
            rows = renamed(getattr(world, name).filter(pl.col("member_id").is_in(ids.implode())), f"s{number:04d}-")
            if name == "events":
                last.append(rows.filter(pl.col("timestamp") >= LAST_DAY))
                rows = rows.filter(pl.col("timestamp") < LAST_DAY)
                written += rows.height
            rows.write_parquet(home / name / f"{number:04d}.parquet")
    pl.concat(last).write_parquet(home / "day.parquet")
    declared = yaml.safe_load((model / "keepwell.yaml").read_text("utf-8"))
    declared["log"] |= {"path": "events", "event_id": "event_id", "channel": "channel"}
    declared["members"]["path"], declared["touches"]["path"] = "members", "touches"
    (home / "keepwell.yaml").write_text(yaml.safe_dump(declared, allow_unicode=True), "utf-8")
    return written


def renamed(rows: pl.DataFrame, prefix: str) -> pl.DataFrame:
    return rows.with_columns(
        (pl.lit(prefix) + pl.col(name)).alias(name) for name in ("member_id", "event_id", "touch_id") if name in rows.columns
    )


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def rows_digest(workspace: Workspace) -> str:
    """Of the kept log's rows in their order, wherever its parts are cut."""
    rows = hashlib.sha256()
    for file in sorted((workspace.log / EVENTS_FILE).glob("*.parquet")):
        rows.update(pl.read_parquet(file).with_columns(pl.col("type").cast(pl.String)).hash_rows().to_numpy().tobytes())
    return " ".join((rows.hexdigest(), *(digest(workspace.log / name) for name in (MEMBERS_FILE, TOUCHES_FILE, FIRST_FILE))))


def stages(home: Path) -> Iterator[Ran]:
    workspace, table = Workspace.find(home), home / "all.parquet"
    asked = ("decide", "-c", str(home), "--as-of", LAST_DAY.date().isoformat(), "-o", str(table))
    yield keepwell("check: read, validate, keep", "check", "-c", str(home))
    first = log_fingerprint(workspace.log)
    yield keepwell("check again", "check", "-c", str(home))
    assert log_fingerprint(workspace.log) == first, "a second reading changed what is kept"
    yield here("features", features, home)
    yield keepwell("decide with reasons", *asked)
    whole = digest(table)
    table.unlink()
    half = max(1, len(open_log(workspace, now=NOW)) // 2)
    deciding = workspace.state / "deciding"
    yield keepwell("decide, killed half way", *asked, until=lambda: len(list(deciding.glob("*/table-*.parquet"))) >= half)
    yield keepwell("decide, going on", *asked)
    assert digest(table) == whole, "a run that was killed gave another table"
    kept = rows_digest(workspace)
    yield here("a day is put to the log", day, home)
    asked = (*asked[:4], (LAST_DAY + timedelta(days=1)).date().isoformat(), *asked[5:])
    yield keepwell("decide after the day", *asked)
    after, grown = digest(table), rows_digest(workspace)
    assert grown != kept
    shutil.rmtree(workspace.log)
    yield here("beside: all read anew", take_in, home)
    assert rows_digest(workspace) == grown, "a log that was read anew has other rows"
    yield keepwell("beside: decide", *asked)
    assert digest(table) == after, "a log that was read anew gave other decisions"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=float, nargs="+", default=[1e6, 1e7])
    parser.add_argument("--folder", type=Path, required=True, help="for the tables; the model in it is used again, all else removed")
    parser.add_argument("--distinct", type=int, default=5, help="shards of 10,000 members with a seed of their own")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    model = trained(folder)
    os.environ["KEEPWELL_MLFLOW_URI"] = f"sqlite:///{model}/.keepwell/mlflow.db"
    found: dict[int, list[Ran]] = {}
    for size in asked.events:
        members = int(size) // 100
        events = alone(write_home, folder / "home", model, members, asked.distinct)
        found[events] = show(f"{events:,} events of {members:,} members", stages(folder / "home"), members)
        shutil.rmtree(folder / "home")
    slopes(found)


def show(title: str, runs: Iterator[Ran], members: int) -> list[Ran]:
    table, told = Table("stage", "s", "CPU s", "peak MB", "members/s", title=title), []
    for run in runs:
        print(f"  {run.stage}: {run.seconds:.1f} s, {run.cpu_seconds:.1f} s CPU, {run.peak_mb:,} MB", flush=True)
        table.add_row(run.stage, f"{run.seconds:.1f}", f"{run.cpu_seconds:.1f}", f"{run.peak_mb:,}", f"{members / run.seconds:,.0f}")
        told.append(run)
    Console(width=120).print(table)
    return told


def slopes(found: dict[int, list[Ran]]) -> None:
    """By how much the CPU time of a stage grows with the events, on logarithmic axes: 1 is in proportion."""
    sizes = sorted(found)
    for small, large in pairwise(sizes):
        for before, after in zip(found[small], found[large], strict=True):
            slope = math.log(after.cpu_seconds / before.cpu_seconds) / math.log(large / small)
            print(f"  {small:,} to {large:,} events, {before.stage}: CPU time grows with the power {slope:.2f}")


if __name__ == "__main__":
    main()

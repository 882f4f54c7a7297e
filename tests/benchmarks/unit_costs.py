"""What one event, one member, one snapshot and one decision cost: CPU and bytes, as differences between two sizes of one community.

Fixed costs, such as importing libraries, fall out of the differences. Beside them: what each size took in all.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psutil
import psycopg

from models.declaration import load_community
from pipelines.ingest import ingest
from pipelines.serve import prepare
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.databases import postgres_server
from tests.service_process import started
from tests.serving_world import client_of, world, write_home, write_logs

DAYS = 365
REQUESTS = 400


@dataclass
class Costs:
    """Of one size: what each step took of the processor, how large things became, and how many there are of each."""

    members: int
    cpu_s: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def took(self, step: str, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        self.cpu_s[step] = time.process_time() - began


def command(*arguments: object) -> None:
    said = keepwell(*arguments)
    assert said.code in {0, 1}, said


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def measured(folder: Path, members: int, database: str) -> Costs:
    costs, now = Costs(members), datetime.now(UTC)
    command("simulate", "-o", folder, "--members", members, "--days", DAYS)
    tables = ("--members", folder / "members.parquet", "--joined", "joined", "--touches", folder / "touches.parquet")
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    command("init", folder / "events.parquet", *columns, *tables, "-o", folder / "keepwell.yaml")
    workspace = Workspace(folder)
    at = ("--config", folder)
    costs.took("take in: read, check, keep", lambda: ingest(workspace, load_community(workspace.declaration), now=now))
    costs.took("into SQLite", lambda: prepare(workspace, now=now))
    with environment(KEEPWELL_STORE_URL=database):
        costs.took("into PostgreSQL (client)", lambda: prepare(workspace, now=now))
    costs.took("train", lambda: command("train", *at))
    command("promote", "--force", "--because", "to measure", *at)
    costs.took("decide for all, with reasons", lambda: command("decide", *at, "-o", folder / "all.parquet"))
    costs.bytes["SQLite with the log alone"] = sqlite_size(workspace)
    costs.took("decide and record", lambda: command("decide", *at, "-o", folder / "kept.parquet", "--record"))
    costs.bytes["SQLite with a decision for each member"] = sqlite_size(workspace)
    costs.took("back up", lambda: command("backup", *at, "-o", folder / "backup.zip"))
    costs.bytes |= {
        "the log as Parquet": size(folder / "events.parquet"),
        "the kept log": size(workspace.log),
        "table of decisions": size(folder / "all.parquet"),
        "backup": size(folder / "backup.zip"),
        "PostgreSQL with the log alone": database_size(database),
    }
    with closing(workspace_rows(workspace)) as rows:
        costs.counts = {name: rows.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("events", "members", "decisions")}  # noqa: S608 - names of tables
    costs.counts["all rows decided"] = pl.scan_parquet(folder / "all.parquet").select(pl.len()).collect().item()
    return costs


def workspace_rows(workspace: Workspace):
    import sqlite3  # noqa: PLC0415 - here alone

    return sqlite3.connect(workspace.state / "keepwell.db")


def sqlite_size(workspace: Workspace) -> int:
    """With the journal moved into the file."""
    with closing(workspace_rows(workspace)) as rows:
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (workspace.state / "keepwell.db").stat().st_size


def database_size(url: str) -> int:
    with psycopg.connect(url) as connection:
        connection.execute("CHECKPOINT")
        return connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]


@contextmanager
def environment(**told: str):
    before = dict(os.environ)
    os.environ.update(told)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def online(folder: Path) -> float:
    """Milliseconds of CPU of the service for one kept decision, asked for one after the other by one client."""
    home = write_home(folder / "home")
    write_logs(home)
    members = world().log.members["member_id"].to_list()
    with started(home) as process:
        key = process.said.partition("shown this once: ")[2].split()[0]
        server = psutil.Process(process.group)
        with client_of(process.url, key) as client:
            for member in members[:50]:
                client.post("/v1/score", json={"member_id": member})
            before = server.cpu_times()
            for number in range(REQUESTS):
                client.post("/v1/score", json={"member_id": members[number % len(members)]}).raise_for_status()
            after = server.cpu_times()
    return 1000 * (after.user + after.system - before.user - before.system) / REQUESTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs=2, default=(1_000, 4_000))
    few, many = parser.parse_args().members
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        costs = []
        for members in (few, many):
            with postgres.database() as url:
                costs.append(measured(Path(folder) / str(members), members, url))
        told(*costs)
        print(f"one kept decision of the service, one client        {online(Path(folder)):10.2f} ms of CPU")
    print(f"peak memory of this process, {many:,} members   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:10.0f} MB")


def told(small: Costs, large: Costs) -> None:
    """The differences, for one member, and for one event of those who came in addition."""
    members, events = (large.counts[name] - small.counts[name] for name in ("members", "events"))
    print(f"{small.members:,} and {large.members:,} members, {events / members:.0f} events each; differences of the two")
    print(f"{'':50} {'all, s':>10} {'us/event':>10} {'ms/member':>10}")
    for step, cpu_s in large.cpu_s.items():
        more = cpu_s - small.cpu_s[step]
        print(f"{step:50} {cpu_s:10.1f} {1e6 * more / events:10.1f} {1e3 * more / members:10.3f}")
    print(f"{'':50} {'all, MB':>10} {'B/event':>10} {'B/member':>10}")
    for name, held in large.bytes.items():
        more = held - small.bytes[name]
        print(f"{name:50} {held / 1e6:10.1f} {more / events:10.1f} {more / members:10.0f}")
    kept = large.counts["decisions"] - small.counts["decisions"]
    both = [one.bytes["SQLite with a decision for each member"] - one.bytes["SQLite with the log alone"] for one in (small, large)]
    print(f"{'one recorded decision with its contact in SQLite':50} {'':10} {'':10} {(both[1] - both[0]) / kept:10.0f}")

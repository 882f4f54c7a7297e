"""Fourteen nights of `keepwell run` over a simulated community whose log grows by a file a day: what each did and said.

One day's file comes torn and is replaced in the morning, one does not come and is late by a day, one comes twice, and one run is killed
while it decides. Every run is a process of its own, as cron starts it.

python -m tests.benchmarks nights --members 400
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from models.simulation import SimulationConfig
from tests.nights import Growing

BASE, NIGHTS = 120, 14
TORN, MISSING, TWICE, KILLED = 3, 6, 9, 11
ROOT = Path(__file__).parents[2]
PATIENCE = 300


@dataclass(frozen=True)
class Night:
    """`came`: what was delivered before it; `in_force`: the day of the decisions that stand afterwards."""

    number: int
    came: str
    code: int
    told: dict[str, Any]
    in_force: str
    seconds: float


def command(growing: Growing, number: int) -> list[str]:
    arguments = ("run", "-c", str(growing.folder), "--as-of", str(growing.day(BASE + number)), "--json")
    return [sys.executable, "-m", "pipelines.cli", *arguments]


def run_night(growing: Growing, number: int, came: str) -> Night:
    began = time.perf_counter()
    ended = subprocess.run(
        command(growing, number), cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    in_force = pl.read_parquet(growing.workspace.decisions)["as_of"][0].date().isoformat()
    return Night(number, came, ended.returncode, json.loads(ended.stdout), in_force, time.perf_counter() - began)


def killed_night(growing: Growing, number: int) -> str:
    """Ends the process when its summary says that it decides; returns the step that it was in."""
    process = subprocess.Popen(command(growing, number), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    summary = growing.workspace.runs / str(growing.day(BASE + number)) / "summary.json"
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        running = (
            [step["name"] for step in json.loads(summary.read_text("utf-8"))["steps"] if step["state"] == "running"]
            if summary.is_file()
            else []
        )
        if "decide" in running:
            process.kill()
            process.wait()
            return "decide"
        time.sleep(0.02)
    process.wait()
    return "not killed in time"


def nights_of(growing: Growing) -> list[Night]:
    told = []
    for number in range(NIGHTS):
        yesterday, came = BASE + number - 1, "nothing yet"
        if number:
            came = _deliver(growing, number, yesterday)
        if number == KILLED:
            came += f"; killed in {killed_night(growing, number)}, then run again"
        told.append(run_night(growing, number, came))
        if number == TORN:
            growing.deliver(yesterday)
            told.append(run_night(growing, number, "the same morning: the file, whole"))
        if number == TWICE:
            told.append(run_night(growing, number, "nothing; a second run"))
    return told


def _deliver(growing: Growing, number: int, yesterday: int) -> str:
    if number == MISSING:
        return "nothing"
    growing.deliver(yesterday)
    if number == TORN:
        whole = growing.file(yesterday)
        whole.write_bytes(gzip.compress(whole.read_bytes())[:-100])
        return "a torn file"
    if number == MISSING + 1:
        growing.deliver(yesterday - 1)
        return "yesterday's file, and the one that was missing"
    if number == TWICE:
        growing.deliver(yesterday, "copy.csv")
        return "the file, and a copy of it"
    return "the file"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    config = SimulationConfig(members=asked.members, days=BASE + NIGHTS, start=date(2025, 1, 1), truth_as_of=())
    with tempfile.TemporaryDirectory(prefix="keepwell-nights-") as folder:
        growing = Growing.simulated(config, asked.seed, BASE, Path(folder) / "home")
        growing.begin(churn={"horizons_days": [7, 14], "horizon_days": 14}, schedule={"retrain_days": 7, "record": True})
        nights = nights_of(growing)
        log = pl.read_parquet(growing.workspace.log / "events.parquet", columns=["event_id"])
        _print(growing, nights, log)


def _print(growing: Growing, nights: list[Night], log: pl.DataFrame) -> None:
    console = Console(width=190)
    table = Table("as of", "what came", "exit", "steps", "what it said", "decisions in force", "s", show_lines=True)
    for night in nights:
        steps = night.told["steps"]
        short = ", ".join(f"{step['name']} {step['state'].replace('_', ' ')}" for step in steps if step["state"] != "done") or "all done"
        said = "\n".join(f"{step['name']}: {_short(step['said'])}" for step in steps if _worth(step))
        table.add_row(
            str(growing.day(BASE + night.number)), night.came, str(night.code), short, said, night.in_force, f"{night.seconds:.0f}"
        )
    console.print(table)
    whole = growing.events.filter(pl.col("timestamp").dt.date() < growing.day(BASE + NIGHTS - 1)).height
    console.print(f"{log.height:,} events in the log, {whole:,} in the community; {log['event_id'].n_unique():,} ids")


def _worth(step: dict[str, Any]) -> bool:
    """What a person would want to read of a night."""
    return (
        step["name"] == "ingest"
        or step["state"] not in {"done", "not_due"}
        or (step["name"] in {"train", "promote"} and step["state"] == "done")
    )


def _short(text: str) -> str:
    return text if len(text) <= 230 else f"{text[:227]}..."

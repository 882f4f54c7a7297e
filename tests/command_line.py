"""The command line as a person meets it: what was typed, the exit code, and what was said where."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest

from pipelines.cli import main

START = datetime(2025, 1, 1)  # noqa: DTZ001 - logs are written by a clock that names no zone
MEMBERS, DAYS, SEED = 500, 200, 5
RESTLESS, RESTLESS_EVENTS = "停不下来的人", 100_000


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The sentence of a command that could not be run. Steps of its progress, which are indented, may stand before."""
        assert self.code == 2, self
        assert self.out == "", self
        (sentence,) = [line for line in self.err.splitlines() if not line.startswith("  ")]
        assert sentence.startswith("keepwell: "), sentence
        return sentence.removeprefix("keepwell: ")

    def json(self) -> dict[str, Any]:
        """All of stdout is one object."""
        assert self.code == 0, self
        told: dict[str, Any] = json.loads(self.out)
        return told


def keepwell(*arguments: object) -> Said:
    """Runs in this process, as the installed command would in its own."""
    out, err = io.StringIO(), io.StringIO()
    typed = patch.object(sys, "argv", ["keepwell", *map(str, arguments)])
    with typed, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main()
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def write_log(folder: Path, rows: Iterable[str], header: str = "member,time,type", name: str = "events.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def visits(member: str, days: Iterable[int], what: str = "post") -> list[str]:
    return [f"{member},{(START + timedelta(days=day, hours=9)).isoformat()},{what}" for day in days]


def declare(log: Path, *options: str) -> Path:
    """The folder of the log, with its keepwell.yaml."""
    said = keepwell("init", log, "--member", "member", "--time", "time", "--type", "type", *options, "-o", log.parent / "keepwell.yaml")
    assert said.code == 0, said
    return log.parent


def _restless_events() -> str:
    """In the columns event_id, member_id, timestamp, type, value, channel of a simulated log."""
    step = timedelta(days=DAYS - 1) / RESTLESS_EVENTS
    rows = (f"r{number},{RESTLESS},{(START + number * step).isoformat()}+0000,comment,,app" for number in range(RESTLESS_EVENTS))
    return "\n".join([*rows, ""])


def write_community(folder: Path) -> Path:
    """A simulated community, its tables packed as CSV.gz as many an export is; one member more does something 100,000 times."""
    assert keepwell("simulate", "-o", folder, "--members", MEMBERS, "--days", DAYS, "--seed", SEED).code == 0
    for table in ("events", "members", "touches"):
        text = pl.read_parquet(folder / f"{table}.parquet").write_csv() + ("" if table != "events" else _restless_events())
        (folder / f"{table}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        (folder / f"{table}.parquet").unlink()
    tables = ("--members", folder / "members.csv.gz", "--joined", "joined", "--touches", folder / "touches.csv.gz")
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    assert keepwell("init", folder / "events.csv.gz", *columns, *tables, "-o", folder / "keepwell.yaml").code == 0
    return folder

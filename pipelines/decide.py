"""Decides for every member of the log at one date, into one table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.decision_table import decide_table
from models.errors import InputError
from models.interventions import ContactHistory
from models.snapshots import Snapshots
from models.weighing import microseconds
from pipelines.loading import decision_time, engine_of, load
from pipelines.output import check_writable, writing

if TYPE_CHECKING:
    from datetime import datetime

    from models.declared import Language
    from models.engine import Engine
    from models.training import Progress
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace

WRITERS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    ".parquet": lambda table, file: table.write_parquet(file),
    ".csv": lambda table, file: table.write_csv(file),
}
REASONS_KEPT = 5
BATCH = 20_000
DECISIONS = uuid.UUID("6b0f6b3e-7c1d-4c56-9c0e-3f1d0a5b7e21")


@dataclass(frozen=True)
class Decided:
    table: pl.DataFrame
    as_of: datetime
    version: str


def decide_all(
    workspace: Workspace, output: Path, *, as_of: str | None, language: Language | None, now: datetime, progress: Progress
) -> Decided:
    """By default at the first midnight after the log's last event, or now where that is earlier.

    Decision ids follow from model version, date and member, so that a second run writes the same table. Raises InputError for another
    suffix than .parquet or .csv or a place that cannot be written to, NoChampion, ModelRefused.
    """
    write = WRITERS.get(output.suffix)
    if write is None:
        message = f'"{output.name}": the table is written as {" or ".join(WRITERS)}; give the file one of these endings'
        raise InputError(message)
    check_writable(output)
    progress("log")
    loaded = load(workspace, now=now)
    engine = engine_of(workspace, None)
    at = decision_time(loaded, as_of, now=now)
    progress("decisions")
    known = np.flatnonzero(loaded.arrays.joined_us <= microseconds(at))
    parts = [_decide(engine, loaded, known[i : i + BATCH], at, language or engine.community.language) for i in range(0, len(known), BATCH)]
    if not parts:
        message = f"no member had joined by {at.isoformat()}; the log begins {loaded.log.first.date()}"
        raise InputError(message)
    table = pl.concat(parts)
    with writing(output):
        write(table, output)
    return Decided(table, at, engine.version)


def decision_id(engine: Engine, at: datetime, member_id: str) -> str:
    """The same for the same model version, time and member, and with it the same draw."""
    return str(uuid.uuid5(DECISIONS, f"{engine.version}|{at.astimezone(UTC).isoformat()}|{member_id}"))


def _decide(engine: Engine, loaded: Loaded, members: np.ndarray, at: datetime, language: Language) -> pl.DataFrame:
    as_of_us = microseconds(at)
    snapshots = Snapshots(members, np.full(len(members), as_of_us), loaded.arrays.joined_us[members])
    ids = loaded.log.members["member_id"].gather(members).to_list()
    decision_ids = [decision_id(engine, at, member_id) for member_id in ids]
    touches = loaded.log.touches
    contacts = ContactHistory.empty() if touches is None else ContactHistory.of_touches(touches, members)
    table = decide_table(engine, loaded.arrays, snapshots, ids, decision_ids, contacts, as_of=at)
    return table.with_columns(reasons=_reasons(engine, loaded, snapshots, table, language))


def _reasons(engine: Engine, loaded: Loaded, snapshots: Snapshots, table: pl.DataFrame, language: Language) -> pl.Series:
    """The strongest reasons of each scored member as JSON text; null for the others."""
    scored = np.flatnonzero((table["status"] == "scored").to_numpy())
    told: list[str | None] = [None] * len(snapshots)
    features = engine.features(loaded.arrays, snapshots[scored])
    probability = table["churn_probability"].to_numpy()[scored]
    for row, reasons in zip(scored.tolist(), engine.reasons(features, probability, language), strict=True):
        kept = [{"code": r.code, "contribution_pp": round(r.contribution_pp, 3), "text": r.text} for r in reasons[:REASONS_KEPT]]
        told[row] = json.dumps(kept, ensure_ascii=False)
    return pl.Series("reasons", told, dtype=pl.String)

"""Decides for every member of the log at one date, into one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.declaration import load_community
from models.errors import InputError
from models.groups import check_groups
from models.planned_rows import followed_row, settled_rows
from models.planning import Candidates, JointPlan, plan_jointly, settle, settled
from models.supply import Supply
from pipelines.everyone import weigh_everyone
from pipelines.experiments import refresh_experiments
from pipelines.loading import decision_time, engine_of, load
from pipelines.output import check_writable, writing
from pipelines.parts import Batch, strata_of, told_table
from pipelines.publish import show_run, shown_of_log
from pipelines.publish_figures import publish_figures
from pipelines.recording import NOTHING_RECORDED, Recorded, Recorder

if TYPE_CHECKING:
    from datetime import datetime

    from models.declared import Language
    from models.strata import Condensed
    from models.training import Progress
    from pipelines.workspace import Workspace

WRITERS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    ".parquet": lambda table, file: table.write_parquet(file),
    ".csv": lambda table, file: table.write_csv(file),
}


@dataclass(frozen=True)
class Decided:
    """`joint`: the plan that was followed, None where nothing was limited; `recorded`: None where nothing was to be."""

    table: pl.DataFrame
    as_of: datetime
    version: str
    currency: str
    joint: JointPlan | None = None
    recorded: Recorded | None = None


def decide_all(
    workspace: Workspace,
    output: Path,
    *,
    as_of: str | None,
    language: Language | None,
    now: datetime,
    progress: Progress,
    budget: float | None = None,
    record: bool = False,
) -> Decided:
    """By default at the first midnight after the log's last event, or now where that is earlier.

    With a budget, by default the declared one, or a declared capacity, all members are planned for together. Decision ids follow from
    model version, date and member, so that a second run writes the same table. The pages show what the latest run found. With
    `record` the store keeps the decisions.

    Raises InputError for another suffix than .parquet or .csv or a place that cannot be written to, NoChampion, ModelRefused.
    """
    write = _writer(output)
    progress("log")
    recorder = Recorder.ready(workspace, load_community(workspace.declaration), now=now) if record else None
    loaded = load(workspace, now=now)
    check_groups(loaded.log.members, loaded.community)
    engine = engine_of(workspace, None)
    at = decision_time(loaded, as_of, now=now)
    progress("decisions")
    parts: list[Condensed] = []
    batches: Iterable[Batch] = _remembered(weigh_everyone(engine, loaded, at), parts)
    capacity = loaded.community.capacity
    supply, joint = Supply.of(engine.community, capacity, capacity.budget if budget is None else budget), None
    if not supply.endless:
        batches = list(batches)
        candidates = Candidates.together([batch.candidates for batch in batches])
        joint = plan_jointly(candidates, supply, engine.community.policy.exploration)
        batches = _following(joint, candidates, supply, batches)
    told_in, tables, recorded = language or engine.community.language, [], NOTHING_RECORDED
    for batch in batches:
        tables.append(told_table(engine, batch, at, told_in))
        if recorder is not None:
            recorded += recorder.record(engine, batch, at, told_in)
    table = pl.concat(tables)
    with writing(output):
        write(table, output)
    show_run(workspace, shown_of_log(engine, loaded, table, parts, at))
    refresh_experiments(workspace, loaded.community, now=now)
    publish_figures(workspace, engine, loaded, table, at, now=now)
    return Decided(table, at, engine.version, engine.community.currency, joint, recorded if record else None)


def _remembered(batches: Iterable[Batch], parts: list[Condensed]) -> Iterator[Batch]:
    """Adds to `parts` what a plan needs of each, as it was weighed."""
    for batch in batches:
        parts.append(strata_of(batch))
        yield batch


def _writer(output: Path) -> Callable[[pl.DataFrame, Path], None]:
    write = WRITERS.get(output.suffix)
    if write is None:
        message = f'"{output.name}": the table is written as {" or ".join(WRITERS)}; give the file one of these endings'
        raise InputError(message)
    check_writable(output)
    return write


def _following(joint: JointPlan, candidates: Candidates, supply: Supply, batches: list[Batch]) -> Iterator[Batch]:
    """The batches with what comes of the plan for all of them."""
    outcome = settle(candidates, joint, supply, np.concatenate([batch.weighed.draw for batch in batches]))
    begin = 0
    for batch in batches:
        members, prices = slice(begin, begin + len(batch.snapshots)), joint.plan.shadow_prices
        followed = [followed_row(row, prices) for row in settled_rows(outcome[members])]
        yield replace(batch, weighed=settled(batch.weighed, prices, outcome[members]), followed=followed)
        begin = members.stop

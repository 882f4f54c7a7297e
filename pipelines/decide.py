"""Decides for every member of the log at one date, part after part, into one table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.declaration import load_community
from models.errors import InputError
from models.groups import check_groups
from models.moments import microseconds
from models.planning import Candidates, JointPlan, plan_jointly, settle
from models.supply import Supply
from pipelines.decided_parts import DecidedParts, write_csv, write_parquet
from pipelines.experiments import refresh_experiments
from pipelines.loading import decision_time, engine_of
from pipelines.log_parts import open_log
from pipelines.output import check_writable, writing
from pipelines.pace import Pace
from pipelines.part_figures import PartFigures
from pipelines.parts import Batch, Part, decide_part, told_table, weigh_part
from pipelines.publish import show_run, shown_of_parts
from pipelines.publish_figures import publish_figures
from pipelines.recording import NOTHING_RECORDED, Recorded, Recorder
from pipelines.sides import merged, share_of

if TYPE_CHECKING:
    from datetime import datetime

    from models.declared import Language
    from models.engine import Engine
    from models.training import Progress
    from pipelines.log_parts import LogParts
    from pipelines.sides import Share
    from pipelines.workspace import Workspace

WRITERS: dict[str, Callable[[Iterable[Path], Path], None]] = {".parquet": write_parquet, ".csv": write_csv}


@dataclass(frozen=True)
class Decided:
    """`joint`: the plan that was followed, None where nothing was limited; `recorded`: None where nothing was to be.

    `table` is what was written, without the reasons. `rollout`: whom the challenger of a roll-out decided for; empty where none runs.
    """

    table: pl.DataFrame
    as_of: datetime
    version: str
    currency: str
    joint: JointPlan | None = None
    recorded: Recorded | None = None
    rollout: str = ""


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

    Of a run that was killed the parts that were decided on stay, as long as the log, the engine and what was asked are the same; with
    `record`, which changes what the store knows, all are decided on anew.

    Raises InputError for another suffix than .parquet or .csv or a place that cannot be written to, NoChampion, ModelRefused.
    """
    write = _writer(output)
    progress("log")
    recorder = Recorder.ready(workspace, load_community(workspace.declaration), now=now) if record else None
    log = open_log(workspace, now=now, progress=progress)
    check_groups(log.kept.members, log.community)
    engine = engine_of(workspace, None)
    at = decision_time(log, as_of, now=now)
    progress("decisions")
    capacity = log.community.capacity
    supply = Supply.of(engine.community, capacity, capacity.budget if budget is None else budget)
    told_in, share = language or engine.community.language, share_of(workspace, engine, limited=not supply.endless)
    mark = "" if share is None else share.mark
    asked = (engine.version, engine.catalogue_fingerprint, at.isoformat(), told_in, supply.limits.tolist(), log.fingerprint, mark)
    work = DecidedParts.open(workspace.state, hashlib.sha256(repr(asked).encode()).hexdigest(), anew=record)
    run = _Run(engine, log, at, told_in, work, recorder, Pace(progress), PartFigures(at, len(log.kept.members)), share)
    joint = run.decide(supply)
    with writing(output):
        write((work.table(number) for number in range(run.parts)), output)
    table = pl.concat([pl.read_parquet(work.table(number)).drop("reasons") for number in range(run.parts)])
    progress("pages")
    condensed = [work.condensed(number) for number in range(run.parts)]
    show_run(workspace, shown_of_parts(engine, log.community, table, run.figures, condensed))
    refresh_experiments(workspace, log.community, now=now)
    publish_figures(workspace, engine, log, run.figures, table, now=now)
    work.remove()
    rollout = "" if share is None else share.why
    return Decided(table, at, engine.version, engine.community.currency, joint, run.recorded if record else None, rollout)


@dataclass
class _Run:
    """`parts`: how many there were, known when all were seen."""

    engine: Engine
    log: LogParts
    at: datetime
    language: Language
    work: DecidedParts
    recorder: Recorder | None
    pace: Pace
    figures: PartFigures
    share: Share | None = None
    parts: int = 0
    recorded: Recorded = NOTHING_RECORDED

    def decide(self, supply: Supply) -> JointPlan | None:
        """All tables are there when this returns; the plan where the supply is not endless."""
        if not supply.endless:
            return self._together(supply)
        self._each_by_itself()
        return None

    def _each_by_itself(self) -> None:
        for number, part in self._seen():
            if self.work.table(number).is_file():
                continue
            if self.share is not None and self.share.challenger is not None:
                self._by_sides(number, part, self.share)
                continue
            decided = decide_part(self.engine, part, self.at, self.language)
            self.work.keep_weighed(number, self.engine, decided.batch, joint=False)
            self._keep(number, decided.batch, decided.table)

    def _by_sides(self, number: int, part: Part, share: Share) -> None:
        """What plans are made on is the champion's view of all."""
        self.work.keep_weighed(number, self.engine, weigh_part(self.engine, part, self.at), joint=False)
        sides = share.sides(part, self.at, self.language)
        if self.recorder is not None:
            for side in sides:
                self.recorded += self.recorder.record(side.engine, side.decided.batch, self.at, self.language)
        self.work.keep_table(number, merged(sides) if sides else decide_part(self.engine, part, self.at, self.language).table)

    def _together(self, supply: Supply) -> JointPlan:
        """Weighs everyone, plans, and weighs part after part again to tell what the plan means for it."""
        alone: list[Batch] = []
        for number, part in self._seen():
            if not self.work.weighed(number).is_file():
                batch = weigh_part(self.engine, part, self.at)
                self.work.keep_weighed(number, self.engine, batch, joint=True)
                alone = [batch] if number == 0 else []
        self.pace.say("plan")
        candidates = Candidates.together([self.work.candidates(number) for number in range(self.parts)])
        joint = plan_jointly(candidates, supply, self.engine.community.policy.exploration)
        draw = np.concatenate([self.work.draw(number) for number in range(self.parts)])
        outcome, begin = settle(candidates, joint, supply, draw), 0
        batches = alone if alone and self.parts == 1 else (weigh_part(self.engine, part, self.at) for part in self._in_time())
        for number, batch in enumerate(batches):
            end = begin + len(batch.snapshots)
            if not self.work.table(number).is_file():
                followed = batch.following(joint.plan.shadow_prices, outcome[begin:end])
                self._keep(number, followed, told_table(self.engine, followed, self.at, self.language))
            begin = end
        return joint

    def _seen(self) -> Iterator[tuple[int, Part]]:
        """Each part, its figures told; raises InputError where nobody had joined."""
        known = False
        for number, part in enumerate(self._in_time()):
            self.figures.add(part)
            self.parts = number + 1
            known = known or bool((part.arrays.joined_us <= microseconds(self.at)).any())
            yield number, part
        if not known:
            message = f"no member had joined by {self.at.isoformat()}; the log begins {self.log.span[0].date()}"
            raise InputError(message)

    def _in_time(self) -> Iterator[Part]:
        for number, part in enumerate(self.log.parts()):
            self.pace("decisions", number, max(len(self.log), number + 1))
            yield part

    def _keep(self, number: int, batch: Batch, table: pl.DataFrame) -> None:
        if self.recorder is not None:
            self.recorded += self.recorder.record(self.engine, batch, self.at, self.language)
        self.work.keep_table(number, table)


def _writer(output: Path) -> Callable[[Iterable[Path], Path], None]:
    write = WRITERS.get(output.suffix)
    if write is None:
        message = f'"{output.name}": the table is written as {" or ".join(WRITERS)}; give the file one of these endings'
        raise InputError(message)
    check_writable(output)
    return write

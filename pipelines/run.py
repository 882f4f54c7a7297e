"""Everything that is due in a night, one step after the other; what fails leaves in force what was good before."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from models.declaration import load_community
from models.errors import InputError, KeepwellError
from pipelines.dates import midnight, moment
from pipelines.run_lock import only_run
from pipelines.run_record import RunRecord, StepRecord, folder_of, forget_tables
from pipelines.run_steps import STEPS, Night, Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.training import Progress
    from pipelines.run_lock import Holder
    from pipelines.run_steps import Step
    from pipelines.workspace import Workspace

LOCK_FILE = "run.lock"


@dataclass(frozen=True)
class Ran:
    """`already`: it was complete before and nothing was done; `took_over`: who was killed in an earlier run."""

    record: RunRecord
    already: bool = False
    took_over: Holder | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `keepwell run --json` prints."""
        return self.record.to_dict() | {"already": self.already, "took_over": None if self.took_over is None else asdict(self.took_over)}


def run(workspace: Workspace, *, as_of: str | None, now: datetime, seed: int = 0, progress: Progress = lambda _: None) -> Ran:
    """By default for the last midnight by the community's clock. A run that is complete is not made again.

    Of one that was killed, or in which something failed, what is settled stays; the rest is tried again.

    Raises RunHeld while another one is under way, InputError for a declaration or a date that cannot be used.
    """
    community = load_community(workspace.declaration)
    at = night_of(community, as_of, now)
    folder = folder_of(workspace, at)
    with only_run(workspace.state / LOCK_FILE, now=now) as before:
        record = RunRecord.read(folder)
        if record is not None and record.complete:
            return Ran(record, already=True)
        begun = RunRecord(at, now) if record is None else replace(record, runs=record.runs + 1, ended_at=None)
        night = Night(workspace, community, at, now, seed, folder, progress)
        done = _steps(night, begun)
        forget_tables(workspace, at - timedelta(days=community.schedule.keep_days))
        return Ran(done, took_over=before)


def night_of(community: Community, as_of: str | None, now: datetime) -> datetime:
    """Raises InputError for a moment after `now`."""
    if as_of is None:
        return midnight(now.astimezone(community.zone).date(), community)
    at = moment(as_of, community)
    if at > now:
        message = f"{as_of} is in the future, of which the log knows nothing; choose a date up to {now:%Y-%m-%d}"
        raise InputError(message)
    return at


def _steps(night: Night, record: RunRecord) -> RunRecord:
    """Kept after every step, and before each, so that a run which is killed is seen to have been in it."""
    began = time.monotonic()
    for step in STEPS:
        if _stays(step, record, night):
            continue
        before = record.of(step.name)
        record = record.having(StepRecord(step.name, "running") if before is None else replace(before, state="running"))
        record.write(night.folder)
        record = record.having(_taken(step, night, record))
        record.write(night.folder)
    record = replace(record, ended_at=night.now + timedelta(seconds=time.monotonic() - began))
    record.write(night.folder)
    return record


def _stays(step: Step, record: RunRecord, night: Night) -> bool:
    """What is settled, unless the log has changed since under a step that looks at it anew."""
    before = record.of(step.name)
    return before is not None and before.settled and not step.always and not (step.looks_at_log and night.log_changed)


def _taken(step: Step, night: Night, record: RunRecord) -> StepRecord:
    began = time.monotonic()
    outcome = _outcome(step, night, record)
    return StepRecord(step.name, outcome.state, outcome.said, round(time.monotonic() - began, 3), outcome.told)


def _outcome(step: Step, night: Night, record: RunRecord) -> Outcome:
    """One that fails is told, and the others go on: it must be seen to in the morning, and not at the cost of the rest of the night."""
    lacking = [name for name in step.needs if (needed := record.of(name)) is None or needed.state in {"failed", "skipped"}]
    if lacking:
        return Outcome("skipped", f"{lacking[0]} did not succeed")
    night.progress(step.name)
    try:
        return step.act(night, record)
    except KeepwellError as error:
        return Outcome("failed", " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - whatever fails here, what comes after must not be lost; the trace says where
        traceback.print_exc()
        return Outcome("failed", f"{type(error).__name__}: {error}".partition("\n")[0])

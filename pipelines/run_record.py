"""What a run did for one `as_of`, kept step by step, so that another one goes on where it ended."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipelines.workspace import Workspace

State = Literal["done", "not_due", "refused", "alarm", "partial", "failed", "skipped", "running"]
SETTLED: tuple[State, ...] = ("done", "not_due", "refused", "alarm")
"""What need not be tried again: `refused` is a challenger without proof, `alarm` a finding that a person should look at."""
SUMMARY_FILE = "summary.json"
DONE, ATTENTION, UNDONE = 0, 1, 3
"""Exit codes: all that was due is done; and somebody should look at it; something that was due was not done."""


@dataclass(frozen=True)
class StepRecord:
    """`told` are figures of the step, as its own command prints them or fewer; `said` one sentence."""

    name: str
    state: State
    said: str = ""
    seconds: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.state in SETTLED


@dataclass(frozen=True)
class RunRecord:
    """`began_at` the first time; `runs`: how often it was taken up; `ended_at` None while it is under way, or where it was killed."""

    as_of: datetime
    began_at: datetime
    runs: int = 1
    ended_at: datetime | None = None
    steps: tuple[StepRecord, ...] = ()

    def of(self, name: str) -> StepRecord | None:
        return next((step for step in self.steps if step.name == name), None)

    def having(self, step: StepRecord) -> Self:
        """With this step in the place of the one of its name."""
        names = [one.name for one in self.steps]
        if step.name not in names:
            return replace(self, steps=(*self.steps, step))
        return replace(self, steps=tuple(step if one.name == step.name else one for one in self.steps))

    @property
    def complete(self) -> bool:
        """Nothing is left to be tried again."""
        return self.ended_at is not None and all(step.settled for step in self.steps)

    @property
    def exit_code(self) -> int:
        states = {step.state for step in self.steps}
        if self.ended_at is None or not states <= set(SETTLED):
            return UNDONE
        return ATTENTION if "alarm" in states else DONE

    def to_dict(self) -> dict[str, Any]:
        """What is kept, whole after every step."""
        return {
            "as_of": self.as_of.isoformat(),
            "began_at": self.began_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "runs": self.runs,
            "complete": self.complete,
            "exit_code": self.exit_code,
            "steps": [asdict(step) for step in self.steps],
        }

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f"{SUMMARY_FILE}.part"
        aside.write_text(json.dumps(self.to_dict(), ensure_ascii=False, indent=1), encoding="utf-8")
        aside.replace(folder / SUMMARY_FILE)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """None where no run began for this `as_of`, or what it kept is damaged: then it begins anew."""
        try:
            return cls._of(json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _of(cls, told: dict[str, Any]) -> Self:
        ended = told["ended_at"]
        return cls(
            datetime.fromisoformat(told["as_of"]),
            datetime.fromisoformat(told["began_at"]),
            told["runs"],
            None if ended is None else datetime.fromisoformat(ended),
            tuple(StepRecord(**step) for step in told["steps"]),
        )


def folder_of(workspace: Workspace, at: datetime) -> Path:
    """By the day where `at` is its midnight, else by the minute."""
    return workspace.runs / (at.date().isoformat() if at.timetz().replace(tzinfo=None) == time() else at.strftime("%Y-%m-%dT%H%M"))


def forget_tables(workspace: Workspace, before: datetime, kept: Iterable[str] = (SUMMARY_FILE,)) -> None:
    """What runs before that moment left beside their summaries."""
    for folder in workspace.runs.iterdir():
        record = RunRecord.read(folder) if folder.is_dir() else None
        if record is None or record.as_of >= before:
            continue
        for path in folder.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

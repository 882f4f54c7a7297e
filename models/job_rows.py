"""Rows of decision jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Stage = Literal["selecting", "deciding"]
OPEN: tuple[JobStatus, ...] = ("queued", "running")


@dataclass(frozen=True)
class JobRow:
    """`members` are to be looked at, of whom the audience selects some; `request` and `answer` are JSON."""

    job_id: str
    created_us: int
    request: str
    answer: str
    status: JobStatus = "queued"
    stage: Stage = "selecting"
    worker: str | None = None
    lease_us: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    as_of_us: int | None = None
    model_version: str | None = None
    members: int = 0
    considered: int = 0
    selected: int = 0
    decided: int = 0
    contacted: int = 0
    unknown: int = 0
    cost: float = 0.0
    plan: str | None = None
    error: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def progress(self) -> float:
        """In [0, 1]: members looked at and decided on, of all that there are to look at and, as far as is known, to decide on."""
        if self.status == "succeeded":
            return 1.0
        to_decide = self.selected if self.stage == "deciding" else self.members
        work = self.members + to_decide
        return (self.considered + self.decided) / work if work else 0.0


@dataclass(frozen=True)
class JobStep:
    """What a worker has done since its last step; None for what stays. `lease_us`: until then nobody else takes the job over."""

    job_id: str
    worker: str
    lease_us: int
    considered: int = 0
    selected: int = 0
    decided: int = 0
    contacted: int = 0
    cost: float = 0.0
    stage: Stage | None = None
    as_of_us: int | None = None
    model_version: str | None = None
    members: int | None = None
    plan: str | None = None


@dataclass(frozen=True)
class JobEnd:
    """`worker` None: whoever is at it."""

    job_id: str
    status: JobStatus
    at_us: int
    error: str | None = None
    worker: str | None = None


class Line(NamedTuple):
    """What was decided on one member, JSON."""

    position: int
    text: str


@dataclass(frozen=True)
class JobProgress:
    """A step, and what came of it for the members."""

    step: JobStep
    lines: tuple[Line, ...]


class Told(NamedTuple):
    """A line of the results, JSON; when its member joined, and its attributes, JSON, None where none are declared."""

    position: int
    text: str
    joined_us: int
    attributes: str | None


class Selected(NamedTuple):
    position: int
    member_id: str
    planned: str | None = None


class JobMember(NamedTuple):
    """`planned` is null where no plan was made."""

    position: int
    member_id: str
    planned: str | None

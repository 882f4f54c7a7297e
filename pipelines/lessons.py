"""What is trained on: the log of all members who let themselves be learned from, or of a share of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from models.errors import InputError
from models.events import event_arrays, without_members
from models.member_sample import EVERYONE, Drawn, MemberSample
from pipelines.loading import load_to_learn

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """Of a training: `members` to learn from, as of `MemberSample.of`, None for all; `majority_share` as of `undersample_share`."""

    test_as_of: str | None = None
    seed: int = 0
    members: float | None = None
    majority_share: float | None = None

    def sample_of(self, members: int) -> MemberSample:
        return EVERYONE if self.members is None else MemberSample.of(self.members, members)


@dataclass(frozen=True)
class Lesson:
    """`loaded` holds whom is learned from alone. `events`: of all of whom they were `drawn`."""

    loaded: Loaded
    drawn: Drawn
    events: int


class LessonOf(Protocol):
    """Raises InputError."""

    def __call__(self, workspace: Workspace, asked: Asked, *, now: datetime) -> Lesson: ...


def lesson_here(workspace: Workspace, asked: Asked, *, now: datetime) -> Lesson:
    """Raises InputError."""
    loaded = load_to_learn(workspace, now=now)
    sample = asked.sample_of(loaded.log.members.height)
    return Lesson(sampled(loaded, sample), Drawn.of(loaded.arrays, sample, asked.majority_share), loaded.log.events.height)


def sampled(loaded: Loaded, sample: MemberSample) -> Loaded:
    """With these members alone."""
    if sample.everyone:
        return loaded
    ids = loaded.log.members["member_id"]
    log = without_members(loaded.log, ids.filter(~sample.picks(ids.to_list())).to_list())
    if not log.members.height:
        raise InputError(f"of {len(ids):,} members none is in the sample of {sample.share:.3g}; ask for more")
    return replace(loaded, log=log, arrays=event_arrays(log, loaded.community))

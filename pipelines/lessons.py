"""What is trained on: what all members did who let themselves be learned from, or a share of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import polars as pl

from models.counting import counted
from models.errors import InputError
from models.events import event_arrays, profile_of, without_members
from models.histories import EventHistories
from models.member_sample import EVERYONE, Drawn, MemberSample
from pipelines.loading import load_to_learn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from models.community import Community
    from models.histories import Histories
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """Of a training: `members` to learn from, as of `MemberSample.of`, None for all; `majority_share` as of `undersample_share`."""

    test_as_of: str | None = None
    seed: int = 0
    members: float | None = None
    majority_share: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError for `members` that nothing can be learned from, before any log is read."""
        if self.members is not None:
            MemberSample.of(self.members, 1)

    def sample_of(self, members: int) -> MemberSample:
        return EVERYONE if self.members is None else MemberSample.of(self.members, members)


@dataclass(frozen=True)
class Lesson:
    """Of `members`, who were `drawn`: what they did, touches as of an EventLog, and of what types their events are, as of `profile_of`.

    `events`: of all of whom they were drawn, whose tables had so many `rejected` rows; `left_out`: members of whom nothing is learned.
    """

    community: Community
    histories: Histories
    touches: pl.DataFrame | None
    profile: pl.DataFrame
    members: int
    drawn: Drawn
    events: int
    rejected: int
    left_out: int


class LessonOf(Protocol):
    """What members did can be asked about until the end of the context. Raises InputError."""

    def __call__(self, workspace: Workspace, asked: Asked, *, now: datetime) -> AbstractContextManager[Lesson]: ...


@contextmanager
def lesson_here(workspace: Workspace, asked: Asked, *, now: datetime) -> Iterator[Lesson]:
    """Raises InputError."""
    loaded = load_to_learn(workspace, now=now)
    sample = asked.sample_of(loaded.log.members.height)
    drawn = Drawn.of(loaded.arrays, sample, asked.majority_share)
    yield lesson_of_loaded(sampled(loaded, sample), drawn, loaded.log.events.height)


def lesson_of_loaded(loaded: Loaded, drawn: Drawn, events: int) -> Lesson:
    return Lesson(
        community=loaded.community,
        histories=EventHistories.of(loaded.arrays, loaded.community),
        touches=loaded.log.touches,
        profile=profile_of(loaded.log),
        members=loaded.log.members.height,
        drawn=drawn,
        events=events,
        rejected=loaded.rejected,
        left_out=loaded.left_out,
    )


def sampled(loaded: Loaded, sample: MemberSample) -> Loaded:
    """With these members alone."""
    if sample.everyone:
        return loaded
    ids = loaded.log.members["member_id"]
    log = without_members(loaded.log, ids.filter(~sample.picks(ids.to_list())).to_list())
    if not log.members.height:
        raise InputError(f"of {counted(len(ids), 'member')} none is in the sample of {sample.share:.3g}; ask for more")
    return replace(loaded, log=log, arrays=event_arrays(log, loaded.community))

"""From stage to stage: where members stood at one date, and where the same members stand at a later one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from models.declared import STAGES, Stage
from models.features import compute_features, feature_spec
from models.lifecycle import lifecycle_of
from models.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.arrays import Integers
    from models.community import Community
    from models.events import EventArrays

NOT_YET = len(STAGES)
"""The code of members who had not joined."""

NAMES: tuple[Stage | Literal["not_yet"], ...] = (*STAGES, "not_yet")
BATCH = 50_000


@dataclass(frozen=True)
class Flow:
    before: Stage | Literal["not_yet"]
    after: Stage
    members: int


@dataclass(frozen=True)
class StagePaths:
    """counts (1 + n_stages, n_stages): members by their stage before (in the order of STAGES, not yet joined last) and after."""

    counts: Integers

    @classmethod
    def nobodys(cls) -> Self:
        return cls(np.zeros((1 + len(STAGES), len(STAGES)), dtype=np.int64))

    @classmethod
    def of(cls, flows: Iterable[Flow]) -> Self:
        paths = cls.nobodys()
        for flow in flows:
            paths.counts[NAMES.index(flow.before), STAGES.index(flow.after)] = flow.members
        return paths

    def __add__(self, other: StagePaths) -> StagePaths:
        return StagePaths(self.counts + other.counts)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Those with members, as a Sankey diagram draws them."""
        return tuple(
            Flow(NAMES[row], STAGES[column], int(self.counts[row, column])) for row, column in zip(*np.nonzero(self.counts), strict=True)
        )

    @property
    def before(self) -> Integers:
        """Members by stage before, those who joined since last."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def after(self) -> Integers:
        return np.asarray(self.counts.sum(axis=0))

    @property
    def gone(self) -> int:
        """Members who were neither silent nor lost, and are now."""
        inner = self.counts[:NOT_YET]
        away = [STAGES.index("silent"), STAGES.index("lost")]
        here = [at for at in range(NOT_YET) if at not in away]
        return int(inner[np.ix_(here, away)].sum())

    @property
    def back(self) -> int:
        """Members who were silent or lost, and are not any more."""
        away = [STAGES.index("silent"), STAGES.index("lost")]
        here = [at for at in range(NOT_YET) if at not in away]
        return int(self.counts[np.ix_(away, here)].sum())


def stage_paths(before: Integers, after: Integers) -> StagePaths:
    """before, after (n,): positions in STAGES, NOT_YET for members who had not joined; who had not by the later date is left out."""
    there = after != NOT_YET
    pairs = np.bincount(before[there].astype(np.int64) * len(STAGES) + after[there], minlength=(1 + len(STAGES)) * len(STAGES))
    return StagePaths(pairs.reshape(1 + len(STAGES), len(STAGES)))


def stages_at(community: Community, events: EventArrays, as_of_us: int, *, threads: int = 1) -> Integers:
    """(n_members,): from the same features as every decision, with nothing known of `as_of_us` and later."""
    stages = np.full(events.n_members, NOT_YET, dtype=np.int64)
    known = np.flatnonzero(events.joined_us <= as_of_us)
    spec = feature_spec(community)
    for begin in range(0, len(known), BATCH):
        rows = known[begin : begin + BATCH]
        snapshots = Snapshots(rows, np.full(len(rows), as_of_us), events.joined_us[rows])
        features = compute_features(events, snapshots, spec, threads=threads)
        stages[rows] = lifecycle_of(features, spec, community.lifecycle, np.zeros(len(rows))).stage
    return stages

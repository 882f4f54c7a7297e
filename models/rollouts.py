"""A staged roll-out: a challenger decides for a share of the members, who stay with it while the share grows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.moments import EPOCH
from models.policy import draws_of, in_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.actions import Policy
    from models.arrays import Flags

State = Literal["running", "finished", "rolled_back"]
WHOLE = 100.0


@dataclass(frozen=True)
class Stage:
    """`percent` of the members from `since_us` on; `by` whom, `because` of what, where somebody said so."""

    percent: float
    since_us: int
    by: str
    because: str | None = None


@dataclass(frozen=True)
class Planned:
    """A roll-out that is to begin: the files of the challenger lie in `folder` of a cache and have this `seal`."""

    champion: str
    challenger: str
    folder: str
    seal: str
    salt: str
    stage: Stage


@dataclass(frozen=True)
class Rollout:
    """`stages` in their order, one at least; `ended_us` is None while it runs. `rollout_id` counts up from 1."""

    rollout_id: int
    champion: str
    challenger: str
    folder: str
    seal: str
    salt: str
    stages: tuple[Stage, ...]
    state: State = "running"
    ended_us: int | None = None
    ended_by: str | None = None
    ended_because: str | None = None

    @property
    def percent(self) -> float:
        """Of the members, now; 0 where it has ended."""
        return self.stages[-1].percent if self.state == "running" else 0.0

    @property
    def started_us(self) -> int:
        return self.stages[0].since_us

    def to_dict(self) -> dict[str, Any]:
        """What commands print and the service answers: without what only a machine needs."""
        return {
            "rollout_id": self.rollout_id,
            "champion": self.champion,
            "challenger": self.challenger,
            "state": self.state,
            "share": self.percent,
            "stages": [{"share": one.percent, "since": shown(one.since_us), "by": one.by, "because": one.because} for one in self.stages],
            "ended_at": None if self.ended_us is None else shown(self.ended_us),
            "ended_by": self.ended_by,
            "ended_because": self.ended_because,
        }

    def takes(self, member_ids: Sequence[str], policy: Policy, percent: float | None = None) -> Flags:
        """(n,): whom the challenger decides for at `percent`, by default now.

        The salted hash of the id, as a number in [0, 1), lies below the share: a larger share keeps the members of a smaller. Nobody of the
        global control, as the champion's policy draws it, is among them.
        """
        share = (self.percent if percent is None else percent) / WHOLE
        drawn: Flags = draws_of(f"{self.salt}:{member_id}" for member_id in member_ids) < share
        held_back = np.flatnonzero(drawn)
        drawn[held_back] = ~in_control([member_ids[row] for row in held_back.tolist()], policy)
        return drawn


@dataclass(frozen=True)
class ProcessSeen:
    """What one process of the service goes by: `percent` of a roll-out, 0 where it has ended or was refused, and then `error` tells why."""

    process: str
    rollout_id: int
    percent: float
    error: str | None
    seen_us: int


def shown(at_us: int) -> str:
    """As RFC 3339, to the second."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds").replace("+00:00", "Z")

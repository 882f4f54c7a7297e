"""The (member, as_of) grid, the labels that come after it, and splits that keep the future out of the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.community import DAY_US

if TYPE_CHECKING:
    from models.community import Churn
    from models.events import EventArrays


@dataclass(frozen=True)
class Snapshots:
    """Rows of (member, as_of): `member` is a position in the event arrays, times are microseconds since 1970 UTC. All shape (n,)."""

    member: np.ndarray
    as_of_us: np.ndarray
    joined_us: np.ndarray

    def __len__(self) -> int:
        return len(self.member)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        return type(self)(self.member[rows], self.as_of_us[rows], self.joined_us[rows])

    @classmethod
    def at(cls, events: EventArrays, as_of_us: int) -> Self:
        """Every member of the arrays, known or not at that time, at one `as_of`."""
        n = len(events.offsets) - 1
        return cls(np.arange(n), np.full(n, as_of_us, dtype=np.int64), events.joined_us)

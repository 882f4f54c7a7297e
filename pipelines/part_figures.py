"""What pages show of a log besides decisions, gathered part after part."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from models.activity import Activity
from models.drift_figures import MOST_MEMBERS
from models.events import EventArrays, EventLog, event_arrays, without_members
from models.groups import group_columns
from models.intervention_figures import CONTACT_DAYS
from models.moments import microseconds

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.parts import Part

SAMPLED = 4 * MOST_MEMBERS


class Behaviour(NamedTuple):
    log: EventLog
    arrays: EventArrays


def behaviour_of(part: Part) -> Behaviour:
    """Of members who let themselves be scored."""
    refusing = [member_id for member_id, wish in part.preferences.items() if not wish.personalization]
    log = without_members(part.log, refusing)
    return Behaviour(log, part.arrays if log is part.log else event_arrays(log, part.community))


@dataclass
class PartFigures:
    """As of `at`, of the parts that were added so far; of a log of `members` members.

    activity: of everyone. joined: `member_id`, `joined` and the columns of groups. events: their number. Of members who let themselves be
    scored: `recent` events and touches, those of the last CONTACT_DAYS; `sampled`, some members whole, all of them where they are few.
    """

    at: datetime
    members: int
    activity: Activity | None = None
    events: int = 0
    joined: list[pl.DataFrame] = field(default_factory=list)
    recent: list[EventArrays] = field(default_factory=list)
    sampled: list[EventArrays] = field(default_factory=list)
    touches: list[pl.DataFrame] = field(default_factory=list)
    _seen: int = 0

    def add(self, part: Part) -> None:
        counted = Activity.of(part.community, part.arrays, self.at)
        self.activity = counted if self.activity is None else self.activity + counted
        self.events += part.log.events.height
        self.joined.append(part.log.members.select("member_id", "joined", *group_columns(part.community)))
        self._look_at_behaviour(part)

    def _look_at_behaviour(self, part: Part) -> None:
        log, arrays = behaviour_of(part)
        since = self.at - timedelta(days=CONTACT_DAYS)
        self.recent.append(arrays.since(microseconds(since)))
        step = 1 + (self.members - 1) // SAMPLED
        self.sampled.append(arrays.of_members(np.arange((-self._seen) % step, arrays.n_members, step)))
        if log.touches is not None:
            moved = pl.col("member") + pl.lit(self._seen, dtype=pl.UInt32)
            self.touches.append(log.touches.filter(pl.col("timestamp").to_physical() >= microseconds(since)).with_columns(moved))
        self._seen += arrays.n_members

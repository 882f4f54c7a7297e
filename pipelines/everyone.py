"""Everyone who had joined by one moment, weighed in batches: what decisions and plans for all members begin with."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import InputError
from models.interventions import ContactHistory
from models.moments import microseconds
from models.plan_ground import MOST_STRATA
from models.preferences import respected
from models.snapshots import Snapshots
from models.strata import Condensed, Strata
from models.weighing import weigh

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Integers
    from models.engine import Engine
    from models.weighing import Weighed
    from pipelines.loading import Loaded

BATCH = 20_000
DECISIONS = uuid.UUID("6b0f6b3e-7c1d-4c56-9c0e-3f1d0a5b7e21")


@dataclass(frozen=True)
class Batch:
    """Ids, contacts and what was weighed follow the snapshots; so does what a plan for all meant for them, JSON, where there was one."""

    snapshots: Snapshots
    member_ids: Sequence[str]
    decision_ids: Sequence[str]
    weighed: Weighed
    contacts: ContactHistory
    followed: Sequence[dict[str, Any]] | None = None


def weigh_everyone(engine: Engine, loaded: Loaded, at: datetime) -> Iterator[Batch]:
    """Raises InputError where nobody had joined."""
    known = np.flatnonzero(loaded.arrays.joined_us <= microseconds(at))
    if len(known) == 0:
        message = f"no member had joined by {at.isoformat()}; the log begins {loaded.log.first.date()}"
        raise InputError(message)
    return (_batch(engine, loaded, known[begin : begin + BATCH], at) for begin in range(0, len(known), BATCH))


def _batch(engine: Engine, loaded: Loaded, members: Integers, at: datetime) -> Batch:
    snapshots = Snapshots(members, np.full(len(members), microseconds(at)), loaded.arrays.joined_us[members])
    ids = loaded.log.members["member_id"].gather(members).to_list()
    decision_ids = [decision_id(engine, at, member_id) for member_id in ids]
    touches = loaded.log.touches
    made = ContactHistory.empty() if touches is None else ContactHistory.of_touches(touches, members)
    contacts = respected(made, ids, loaded.preferences)
    weighed = weigh(engine, loaded.arrays, snapshots, ids, decision_ids, contacts, as_of=at)
    return Batch(snapshots, ids, decision_ids, weighed, contacts)


def strata_of(batch: Batch) -> Condensed:
    """Of a whole community that is no larger than one batch as fine as plans are made on; of more a batch by itself half as fine."""
    return Strata.of(batch.weighed).condensed(MOST_STRATA if len(batch.snapshots) < BATCH else MOST_STRATA // 2)


def decision_id(engine: Engine, at: datetime, member_id: str) -> str:
    """The same for the same model version, time and member, and with it the same draw."""
    return str(uuid.uuid5(DECISIONS, f"{engine.version}|{at.astimezone(UTC).isoformat()}|{member_id}"))

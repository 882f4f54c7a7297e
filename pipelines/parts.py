"""A part of the log, decided on without a look at the others: whatever holds whole members may be decided on anywhere."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from models.decision_table import table_of
from models.events import event_arrays
from models.last_draws import contacts_of
from models.moments import microseconds
from models.plan_figures import arms_of
from models.plan_ground import PART, condensed_part
from models.planned_rows import followed_row, settled_rows
from models.planning import Candidates, settled
from models.preferences import respected
from models.snapshots import Snapshots
from models.strata import Condensed, Strata
from models.weighing import weigh

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Flags
    from models.community import Community
    from models.declared import Language
    from models.engine import Engine
    from models.events import EventArrays, EventLog
    from models.interventions import ContactHistory
    from models.planning import Settled
    from models.preferences import Preferences
    from models.shadow_prices import ShadowPrices
    from models.weighing import Weighed

PART_MEMBERS = PART
REASONS_KEPT = 5
DECISIONS = uuid.UUID("6b0f6b3e-7c1d-4c56-9c0e-3f1d0a5b7e21")


@dataclass(frozen=True)
class Part:
    """Some members whole: all that is known of each of them, and nothing of anybody else.

    `preferences` may be those of others too; `event_key`: of the event of the service that had arrived last when its events were read.
    """

    community: Community
    log: EventLog
    arrays: EventArrays
    preferences: Mapping[str, Preferences]
    event_key: int = 0

    @classmethod
    def of(
        cls,
        community: Community,
        log: EventLog,
        preferences: Mapping[str, Preferences] = MappingProxyType({}),
        event_key: int = 0,
    ) -> Self:
        return cls(community, log, event_arrays(log, community), preferences, event_key)


@dataclass(frozen=True)
class Batch:
    """Those of a part who had joined: positions in the part, ids, contacts and what was weighed follow the snapshots.

    So does what a plan for all meant for them, JSON, where there was one.
    """

    part: Part
    snapshots: Snapshots
    member_ids: Sequence[str]
    decision_ids: Sequence[str]
    weighed: Weighed
    contacts: ContactHistory
    followed: Sequence[dict[str, Any]] | None = None

    @property
    def candidates(self) -> Candidates:
        """What a plan for all weighs against the candidates of the other parts."""
        return Candidates.of(self.weighed)

    @property
    def members(self) -> pl.DataFrame:
        """Of `EventLog.members` the rows of this batch."""
        return self.part.log.members[self.snapshots.member]

    def following(self, prices: ShadowPrices, outcome: Settled) -> Self:
        """With what comes of a plan for its members."""
        followed = [followed_row(row, prices) for row in settled_rows(outcome)]
        return replace(self, weighed=settled(self.weighed, prices, outcome), followed=followed)


@dataclass(frozen=True)
class DecidedPart:
    """`table`: what `told_table` tells of `batch`."""

    batch: Batch
    table: pl.DataFrame


def decide_part(engine: Engine, part: Part, at: datetime, language: Language, among: Flags | None = None) -> DecidedPart:
    """Each row is the same whatever other members the part holds. Without anybody who had joined the table has no row."""
    batch = weigh_part(engine, part, at, among)
    return DecidedPart(batch, told_table(engine, batch, at, language))


def weigh_part(engine: Engine, part: Part, at: datetime, among: Flags | None = None) -> Batch:
    """Of those members, by their rows in the part, or of all."""
    joined = part.arrays.joined_us <= microseconds(at)
    members = np.flatnonzero(joined if among is None else joined & among)
    snapshots = Snapshots(members, np.full(len(members), microseconds(at)), part.arrays.joined_us[members])
    ids = part.log.members["member_id"].gather(members).to_list()
    decision_ids = [decision_id(engine, at, member_id) for member_id in ids]
    made = contacts_of(part.log.touches, members, snapshots.as_of_us, engine.community)
    contacts = respected(made, ids, part.preferences)
    weighed = weigh(engine, part.arrays, snapshots, ids, decision_ids, contacts, as_of=at)
    return Batch(part, snapshots, ids, decision_ids, weighed, contacts)


def told_table(engine: Engine, batch: Batch, at: datetime, language: Language) -> pl.DataFrame:
    """The columns of `decision_table.table_of`, and `reasons`, JSON text, null for members without a score."""
    table = table_of(engine, batch.weighed, batch.member_ids, batch.decision_ids, at)
    return table.with_columns(reasons=_reasons(engine, batch, language))


def strata_of(engine: Engine, batch: Batch) -> Condensed:
    return condensed_part(Strata.of(batch.weighed, arms_of(engine)))


def decision_id(engine: Engine, at: datetime, member_id: str) -> str:
    """The same for the same model version, time and member, and with it the same draw."""
    return str(uuid.uuid5(DECISIONS, f"{engine.version}|{at.astimezone(UTC).isoformat()}|{member_id}"))


def _reasons(engine: Engine, batch: Batch, language: Language) -> pl.Series:
    weighed = batch.weighed
    scored = np.flatnonzero(weighed.scored)
    told: list[str | None] = [None] * len(batch.snapshots)
    reasons_of = engine.reasons(weighed.scores.features[scored], weighed.probability[scored], language, most=REASONS_KEPT)
    for row, reasons in zip(scored.tolist(), reasons_of, strict=True):
        kept = [{"code": r.code, "contribution_pp": round(r.contribution_pp, 3), "text": r.text} for r in reasons[:REASONS_KEPT]]
        told[row] = json.dumps(kept, ensure_ascii=False)
    return pl.Series("reasons", told, dtype=pl.String)

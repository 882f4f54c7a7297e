"""A run over all members, kept in the store: its decisions hold contacts, and become assignments that training learns from."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import TYPE_CHECKING

from models.attributes import attributes_to_json
from models.basis import Bases
from models.deciding import About, tell
from models.decision_rows import Circumstances, decision_rows
from models.engine import explain
from models.quotas import Quotas
from models.standings import last_event_us
from models.store import Past, Store
from models.weighing import NOWHERE
from pipelines.ingest import canonical_log, log_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from models.community import Community
    from models.declared import Language
    from models.engine import Engine
    from models.store import DecisionRow
    from pipelines.parts import Batch
    from pipelines.workspace import Workspace

AT_ONCE = 1_000


@dataclass(frozen=True)
class Recorded:
    """`left_out`: decisions on members who were contacted, or erased, while the run was made."""

    kept: int
    left_out: int

    def __add__(self, other: Recorded) -> Recorded:
        return Recorded(self.kept + other.kept, self.left_out + other.left_out)


NOTHING_RECORDED = Recorded(0, 0)


@dataclass(frozen=True)
class Recorder:
    """`seen` are the contacts of each member before the log was read, so that what is made meanwhile is found.

    `event_key` is the last event that had arrived then. Decisions can be replayed where none arrived while the log was read.
    """

    workspace: Workspace
    seen: Mapping[str, int]
    event_key: int

    @classmethod
    def ready(cls, workspace: Workspace, community: Community, *, now: datetime) -> Recorder:
        """Puts the declared log into the store first, where it is not there yet."""
        log = canonical_log(workspace, community, now=now)
        with closing(Store.open(workspace.store_url)) as store:
            store.load_parts(log.parts(), log_fingerprint(workspace.log))
            return cls(workspace, store.contact_counts(), store.last_event_key())

    def record(self, engine: Engine, batch: Batch, at: datetime, language: Language) -> Recorded:
        quotas = Quotas.of(batch.part.community.capacity, engine.community, at)
        recorded = NOTHING_RECORDED
        with closing(Store.open(self.workspace.store_url)) as store:
            bases = self._bases(engine, batch, language) if batch.part.event_key == self.event_key else repeat(None)
            rows = self._rows(engine, batch, at, language, bases)
            while part := list(islice(rows, AT_ONCE)):
                lost = len(store.keep_run(part, quotas))
                recorded += Recorded(len(part) - lost, lost)
        return recorded

    def _bases(self, engine: Engine, batch: Batch, language: Language) -> Iterator[str]:
        """The log holds more of a member than the store does, so that its events are not counted."""
        texts = batch.members.drop("member_id", "joined")
        attributes = attributes_to_json(texts) if texts.width else [None] * len(batch.member_ids)
        events = batch.part.arrays.of_members(batch.snapshots.member)
        past = Past(events, batch.contacts, (), tuple(attributes), self.event_key)
        bases = Bases(past, NOWHERE, language, len(engine.community.signals))
        for row, followed in enumerate(batch.followed or repeat(None, len(batch.member_ids))):
            yield replace(bases.of(row), events=None, times=None, followed=followed).to_json()

    def _rows(self, engine: Engine, batch: Batch, at: datetime, language: Language, bases: Iterable[str | None]) -> Iterator[DecisionRow]:
        last_us = last_event_us(batch.part.arrays, batch.snapshots, len(engine.community.signals))
        about = About(batch.member_ids, batch.decision_ids, at)
        released = batch.part.community.contact_policy.unreported == "released"
        decisions = tell(engine, batch.weighed, about, last_us, language=language, explain=explain)
        seen = (self.seen.get(member_id, 0) for member_id in batch.member_ids)
        made_in = (Circumstances(contacts, NOWHERE, basis, released) for contacts, basis in zip(seen, bases, strict=False))
        yield from decision_rows(decisions, dict(enumerate(made_in))).values()

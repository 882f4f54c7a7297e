"""A run over all members, kept in the store: its decisions hold contacts, and become assignments that training learns from."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from models.quotas import Quotas
from models.store import Store
from pipelines.ingest import canonical_log, log_fingerprint
from pipelines.kept_rows import rows_to_keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
    """`seen` are the contacts of members before the log was read, so that what is made meanwhile is found.

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
        rows = rows_to_keep(engine, batch, at, language, self.event_key if batch.part.event_key == self.event_key else None)
        with closing(Store.open(self.workspace.store_url)) as store:
            return keep_rows(store, rows, self.seen, quotas)


def keep_rows(store: Store, rows: Iterator[DecisionRow], seen: Mapping[str, int], quotas: Quotas) -> Recorded:
    """AT_ONCE in a transaction; `seen`: as of Recorder."""
    recorded = NOTHING_RECORDED
    while part := [replace(row, contacts_seen=seen.get(row.member_id, 0)) for row in islice(rows, AT_ONCE)]:
        lost = len(store.keep_run(part, quotas))
        recorded += Recorded(len(part) - lost, lost)
    return recorded

"""A run on Spark kept in the store as one of one machine is: the log first, then the decisions, some after the others as they come."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from models.errors import InputError
from models.quotas import Quotas
from models.store import Store
from pipelines.distributed_kept import KEPT, LOG, Keeping, TellLog, log_of_cells, rows_of
from pipelines.distributed_rows import spark_schema
from pipelines.recording import keep_rows
from pipelines.sides import share_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from models.engine import Engine
    from models.events import EventLog
    from models.store import DecisionRow
    from pipelines.distributed_log import SparkLog
    from pipelines.recording import Recorded
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class SparkRecorder:
    """As of Recorder, before Spark reads anything."""

    workspace: Workspace
    seen: Mapping[str, int]
    event_key: int

    @classmethod
    def ready(cls, workspace: Workspace) -> Self:
        with closing(Store.open(workspace.store_url)) as store:
            return cls(workspace, store.contact_counts(), store.last_event_key())

    def take_in(self, log: SparkLog, fingerprint: str) -> Keeping:
        """Puts the declared log into the store, where it is not there yet, in one transaction; this process holds one part at a time."""
        with closing(Store.open(self.workspace.store_url)) as store:
            store.load_parts(_parts(log), fingerprint)
            last = store.last_event_key()
            return Keeping(None if store.arrived_since(self.event_key) else last)

    def record(self, decided: DataFrame, quotas: Quotas) -> Recorded:
        """All that was `decided` is there when this begins, for its partitions come one after the other."""
        decided.count()
        with closing(Store.open(self.workspace.store_url)) as store:
            return keep_rows(store, _rows(decided), self.seen, quotas)


def _parts(log: SparkLog) -> Iterator[EventLog]:
    told = log.rows.mapInArrow(TellLog(log.assembly), spark_schema(LOG))
    return (log_of_cells(row) for row in told.toLocalIterator(prefetchPartitions=True))


def _rows(decided: DataFrame) -> Iterator[DecisionRow]:
    kept = decided.filter(f"{KEPT} is not null").select(KEPT)
    return (row for cell in kept.toLocalIterator(prefetchPartitions=True) for row in rows_of(cell[KEPT]))


def check_rollout(workspace: Workspace, engine: Engine, *, limited: bool) -> None:
    """Raises InputError where the challenger of a roll-out would decide for some, for Spark asks the champion alone."""
    share = share_of(workspace, engine, limited=limited)
    if share is not None and share.challenger is not None:
        of = share.rollout
        told = f"roll-out {of.rollout_id} gives version {of.challenger} {of.percent:g} % of the members, and Spark asks the champion alone"
        raise InputError(f"{told}; record on one machine, or end the roll-out first")

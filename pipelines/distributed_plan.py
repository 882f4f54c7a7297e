"""One plan for all members of a log on Spark: what a plan weighs stays on the executors, sums and close calls come back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from models.parted_plan import CLOSE_CALLS, plan_in_parts
from models.plan_parts import Answer, PlanPart, sorted_by, summed
from models.planning import Settled, plan_jointly, settle
from models.policy import costs
from pipelines.distributed_rows import spark_schema
from pipelines.parts import Batch, weigh_part

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from models.community import Community
    from models.shadow_prices import ShadowPrices
    from models.supply import Supply
    from pipelines.distributed_engine import SentEngine
    from pipelines.distributed_log import SparkLog
    from pipelines.distributed_parts import Assembly

HELD = pa.schema([("held", pa.binary())])


class Following(Protocol):
    """A plan, as those who are told of it look it up."""

    def outcome(self, part: PlanPart) -> Settled: ...


@dataclass(frozen=True)
class SparkPlan:
    """`gap`: how far from the best plan at most; `exploration`: the least probability of what is open."""

    following: Following
    prices: ShadowPrices
    gap: float
    exploration: float


def plan_part_of(batch: Batch) -> PlanPart:
    return PlanPart.of(batch.member_ids, batch.decision_ids, batch.candidates, batch.weighed.draw)


@dataclass(frozen=True)
class Weigh:
    """Turns the rows of a partition into what a plan weighs of its members, as PlanPart.to_bytes tells."""

    assembly: Assembly
    engine: SentEngine
    at: datetime

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        engine = self.engine.load()
        for part in self.assembly.parts(batches):
            yield _held(plan_part_of(weigh_part(engine, part, self.at)).to_bytes())


@dataclass(frozen=True)
class Put:
    """Asks every part, and answers in arrays."""

    ask: Callable[[PlanPart], Answer]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (_told(self.ask(part)) for part in _parts(batches))


@dataclass(frozen=True)
class Total:
    """As Put, but that a partition answers once, with the sum over its parts, if it has any."""

    ask: Callable[[PlanPart], Answer]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        answers = (self.ask(part) for part in _parts(batches))
        for first in answers:
            yield _told(summed(chain([first], answers)))


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[PlanPart]:
    return (PlanPart.from_bytes(held) for batch in batches for held in batch.column("held").to_pylist())


def _told(answer: Answer) -> pa.RecordBatch:
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **answer)
    return _held(written.getvalue())


def _held(content: bytes) -> pa.RecordBatch:
    return pa.record_batch([pa.array([content], pa.binary())], schema=HELD)


@dataclass(frozen=True)
class PartsOnSpark:
    """As of `plan_parts.Everyone`."""

    weighed: DataFrame

    def over(self, ask: Callable[[PlanPart], Answer]) -> list[Answer]:
        return list(self._answers(Put(ask)))

    def total(self, ask: Callable[[PlanPart], Answer]) -> Answer:
        return summed(self._answers(Total(ask)))

    def _answers(self, put: Put | Total) -> Iterator[Answer]:
        for row in self.weighed.mapInArrow(put, spark_schema(HELD)).collect():
            with np.load(io.BytesIO(row.held), allow_pickle=False) as told:
                yield {name: told[name] for name in told.files}


@dataclass(frozen=True)
class Gathered:
    """What came of a plan that was made as on one machine; place: of each id."""

    place: Mapping[str, int]
    settled: Settled

    def outcome(self, part: PlanPart) -> Settled:
        at = np.array([self.place[one] for one in part.ids], dtype=np.int64)
        told = self.settled
        return Settled(told.propensity[at], told.best[at], told.chosen[at], told.outbid[at])


@contextmanager
def parts_on_spark(log: SparkLog, engine: SentEngine, at: datetime) -> Iterator[PartsOnSpark]:
    """Kept on the executors' disks until the end."""
    from pyspark import StorageLevel

    weighed = log.rows.mapInArrow(Weigh(log.assembly, engine, at), spark_schema(HELD)).persist(StorageLevel.DISK_ONLY)
    try:
        yield PartsOnSpark(weighed)
    finally:
        weighed.unpersist()


def plan_on_spark(parts: PartsOnSpark, community: Community, supply: Supply, members: int) -> SparkPlan:
    """Of no more than CLOSE_CALLS members every call is close, and the plan is that of one machine; of more it is worth as much."""
    exploration = community.policy.exploration
    if members > CLOSE_CALLS:
        plan = plan_in_parts(parts, supply, exploration, costs(community))
        return SparkPlan(plan.followed, plan.shadow_prices, plan.gap, plan.exploration)
    whole = PlanPart.together([PlanPart.from_bytes(told["part"].tobytes()) for told in parts.over(tell_all)])
    everyone = whole.of_members(sorted_by(whole.ids))
    joint = plan_jointly(everyone.candidates, supply, exploration)
    outcome = settle(everyone.candidates, joint, supply, everyone.draw)
    following = Gathered({one: row for row, one in enumerate(everyone.ids)}, outcome)
    return SparkPlan(following, joint.plan.shadow_prices, joint.gap, joint.exploration)


def tell_all(part: PlanPart) -> Answer:
    return {"part": np.frombuffer(part.to_bytes(), np.uint8)}

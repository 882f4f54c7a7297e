"""What is trained on, on Spark: some members, whole, picked where their rows are read, and sums of all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.actions import NO_ACTION
from models.counting import counted
from models.declaration import load_community
from models.errors import InputError
from models.member_sample import EVERYONE, Drawn, MemberSample
from pipelines.distributed_histories import held_on_spark
from pipelines.distributed_log import SparkLog, screened_log
from pipelines.distributed_rows import SHAPE, Kind, spark_schema
from pipelines.distributed_sample import Pick
from pipelines.lessons import Lesson
from pipelines.spark_session import spark_session

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.lessons import Asked
    from pipelines.workspace import Workspace

MEMBERS_FROM_SPARK = 200_000
"""Learned from where nobody asks for another number."""
PARTITION_EVENTS = 100_000
"""Of the sample, in a partition that is asked."""


@dataclass(frozen=True)
class Totals:
    """Of all who may be learned from; `events` that were told twice count twice. first_us, last_us: of what `event_arrays` holds."""

    members: int
    events: int
    rejected: int
    first_us: int | None
    last_us: int | None


@contextmanager
def lesson_on_spark(
    workspace: Workspace, asked: Asked, *, master: str | None, settings: Mapping[str, str], now: datetime
) -> Iterator[Lesson]:
    """As `lesson_here`, of MEMBERS_FROM_SPARK where nothing else is asked for. Raises InputError."""
    community = load_community(workspace.declaration)
    with spark_session(master, settings) as session:
        log = screened_log(session, workspace, community, now=now)
        refusing = frozenset(member_id for member_id, wish in log.wishes.items() if not wish.personalization)
        totals = _totals(log, Pick(EVERYONE, log.assembly.tombstones, refusing))
        if totals.first_us is None or totals.last_us is None:
            raise InputError("no event of the log belongs to a declared signal; see `signals` in the declaration")
        sample = MemberSample.of(MEMBERS_FROM_SPARK, totals.members) if asked.members is None else asked.sample_of(totals.members)
        drawn = Drawn(sample, totals.members, totals.first_us, totals.last_us, asked.majority_share)
        pick = Pick(sample, log.assembly.tombstones, refusing)
        rows = log.rows.mapInArrow(pick, spark_schema(SHAPE)).filter("member is not null")
        with held_on_spark(log, rows, 1 + int(sample.share * totals.events) // PARTITION_EVENTS) as held:
            if held is None or not held.histories.members.height:
                raise InputError(f"of {counted(totals.members, 'member')} none is in the sample of {sample.share:.3g}; ask for more")
            yield Lesson(
                community=community,
                histories=held.histories,
                touches=held.touches,
                profile=held.profile,
                members=held.histories.members.height,
                drawn=drawn,
                events=totals.events,
                rejected=totals.rejected,
                left_out=len(refusing),
            )


def _totals(log: SparkLog, pick: Pick) -> Totals:
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

    kind, at, member = F.col("kind"), F.col("at_us"), F.col("member")
    event = kind.isin(int(Kind.EVENT), int(Kind.POSTED_EVENT))
    told = F.when(event & F.col("type").isin(list(log.community.signal_of_type)), at)
    if log.community.touches is not None:
        touch = kind.isin(int(Kind.TOUCH), int(Kind.POSTED_TOUCH)) & (F.col("type") != NO_ACTION) & (F.col("value") == 1)
        told = F.coalesce(told, F.when(touch, F.coalesce(F.get_json_object("more", "$.touched").cast("long"), at)))
    has_row = (kind == int(Kind.MEMBER)) & F.col("type").isNull()
    refused = (kind == int(Kind.REFUSED)) & (F.col("table") == "events")
    sums = log.rows.mapInArrow(pick, spark_schema(SHAPE)).agg(
        F.countDistinct(F.when(event | has_row, member)).alias("members"),
        F.count(F.when(event, at)).alias("events"),
        F.count(F.when(refused, kind)).alias("rejected"),
        F.min(told).alias("first_us"),
        F.max(told).alias("last_us"),
    )
    (row,) = sums.collect()
    return Totals(**row.asDict())

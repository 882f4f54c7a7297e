"""What members did, kept on the executors' disks and asked about there: labels, sums and features come back, and a few members' events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from models.errors import InputError
from models.events import EventArrays, profile_of
from models.features import feature_spec
from models.histories import EventHistories
from models.snapshots import Snapshots
from pipelines.distributed_rows import ORDER, spark_schema
from pipelines.distributed_screen import community_of
from pipelines.packed_tables import packed, unpacked

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, Row

    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.events import EventLog
    from pipelines.distributed_log import SparkLog
    from pipelines.distributed_parts import Assembly

HELD = pa.schema([(name, pa.binary()) for name in ("members", "events", "touches", "profile")])
"""Some members whole, each cell a table as Arrow writes it: `members` as `_members` tells, with `events` of `EventArrays` after each other;
`touches` of the log with ids of members, null where it has none; `profile` as `profile_of` tells."""
ANSWER = pa.schema([("answer", pa.binary())])
Tell = Callable[[EventHistories, Snapshots], np.ndarray]
ATTRIBUTE, RULE = "attribute:", "rule:"


@dataclass(frozen=True)
class Hold:
    """Turns the sorted rows of a partition into rows in HELD."""

    assembly: Assembly

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in self.assembly.parts(batches):
            arrays = part.arrays
            events = pl.DataFrame({"timestamp_us": arrays.timestamp_us, "signal": arrays.signal, "value": arrays.value})
            told = [_members(part.log, arrays), events, _named_touches(part.log), profile_of(part.log)]
            cells = [pa.array([None if table is None else packed(table)], pa.binary()) for table in told]
            yield pa.record_batch(cells, schema=HELD)


def _members(log: EventLog, arrays: EventArrays) -> pl.DataFrame:
    """Ids, the times that EventArrays has of each, the number of `events` and the first of them, and the texts of EventArrays."""
    counts = np.diff(arrays.offsets)
    first = np.append(arrays.timestamp_us, 0)[arrays.offsets[:-1]]
    told = pl.DataFrame(
        {
            "member_id": log.members["member_id"],
            "joined_us": arrays.joined_us,
            "contract_end_us": arrays.contract_end_us,
            "events": counts,
            "first_us": pl.Series(first).set(pl.Series(counts == 0), None),
        }
    )
    texts = [(ATTRIBUTE, arrays.attributes), (RULE, arrays.rule_columns)]
    return told.hstack([column.rename(f"{mark}{column.name}") for mark, table in texts if table is not None for column in table])


def _named_touches(log: EventLog) -> pl.DataFrame | None:
    if log.touches is None:
        return None
    ids = log.members["member_id"].gather(log.touches["member"])
    return log.touches.drop("member").with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String), member_id=ids)


def _texts(members: pl.DataFrame, mark: str) -> pl.DataFrame | None:
    names = {name: name.removeprefix(mark) for name in members.columns if name.startswith(mark)}
    return members.select(list(names)).rename(names) if names else None


def _arrays(members: pl.DataFrame, events: pl.DataFrame) -> EventArrays:
    return EventArrays(
        offsets=np.concatenate([[0], np.cumsum(members["events"].to_numpy())]),
        timestamp_us=events["timestamp_us"].to_numpy(),
        signal=events["signal"].to_numpy(),
        value=events["value"].to_numpy(),
        joined_us=members["joined_us"].to_numpy(),
        contract_end_us=members["contract_end_us"].to_numpy(),
        attributes=_texts(members, ATTRIBUTE),
        rule_columns=_texts(members, RULE),
    )


class HeldPart(NamedTuple):
    """On an executor."""

    ids: pl.Series
    histories: EventHistories


@dataclass(frozen=True)
class Put:
    """Asks every part. community: JSON."""

    community: str
    ask: Callable[[HeldPart], pl.DataFrame]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        community = community_of(self.community)
        for batch in batches:
            for row in batch.to_pylist():
                members = unpacked(row["members"])
                histories = EventHistories.of(_arrays(members, unpacked(row["events"])), community, threads=1)
                answer = self.ask(HeldPart(members["member_id"], histories))
                yield pa.record_batch([pa.array([packed(answer)], pa.binary())], schema=ANSWER)


@dataclass(frozen=True)
class InPopulation:
    """`member_id`, and a column for each cut: is the member in its population?"""

    cuts_us: tuple[int, ...]

    def __call__(self, part: HeldPart) -> pl.DataFrame:
        there = pl.DataFrame({"member_id": part.ids})
        for number, asked in enumerate(part.histories.populations(self.cuts_us)):
            flags = np.zeros(len(part.ids), dtype=np.bool_)
            flags[asked.member] = True
            there = there.with_columns(pl.Series(str(number), flags))
        return there


@dataclass(frozen=True)
class OfRows:
    """`row`, and a column for each of what `tell` tells of snapshots of members who are here. sought: `member_id`, `as_of_us`, `row`."""

    sought: Broadcast[bytes]
    tell: Tell

    def __call__(self, part: HeldPart) -> pl.DataFrame:
        places = pl.DataFrame({"member_id": part.ids, "member": np.arange(len(part.ids))})
        rows = unpacked(self.sought.value).join(places, on="member_id").sort("row")
        member = rows["member"].to_numpy()
        told = self.tell(part.histories, Snapshots(member, rows["as_of_us"].to_numpy(), part.histories.joined_us[member]))
        return pl.DataFrame({"row": rows["row"]} | {str(at): np.ascontiguousarray(column) for at, column in enumerate(told.T)})


@dataclass(frozen=True)
class AllEvents:
    """`events` of EventArrays, with the place `row` of their member among `member_ids`."""

    member_ids: tuple[str, ...]

    def __call__(self, part: HeldPart) -> pl.DataFrame:
        places = pl.DataFrame({"member_id": part.ids, "member": np.arange(len(part.ids))})
        asked = pl.DataFrame({"member_id": self.member_ids}).with_row_index("row").join(places, on="member_id", maintain_order="left")
        alone = part.histories.events_of(asked["member"].to_numpy())
        row = np.repeat(asked["row"].to_numpy(), np.diff(alone.offsets))
        return pl.DataFrame({"row": row, "timestamp_us": alone.timestamp_us, "signal": alone.signal, "value": alone.value})


@dataclass(frozen=True)
class SparkHistories:
    """As of Histories. `held` in HELD; `members`: of all its rows, sorted by id."""

    held: DataFrame
    members: pl.DataFrame
    community: Community

    @property
    def joined_us(self) -> Integers:
        return self.members["joined_us"].to_numpy()

    @cached_property
    def attributes(self) -> pl.DataFrame | None:
        return _texts(self.members, ATTRIBUTE)

    @cached_property
    def rule_columns(self) -> pl.DataFrame | None:
        return _texts(self.members, RULE)

    @property
    def first_us(self) -> int:
        first = self.members["first_us"].min()
        assert isinstance(first, int)  # noqa: S101 - there is an event
        return first

    def populations(self, cuts_us: Sequence[int]) -> list[Snapshots]:
        told = pl.concat(self._answers(InPopulation(tuple(cuts_us))))
        there = self.members.select("member_id").join(told, on="member_id", how="left", maintain_order="left").drop("member_id")
        members = [np.flatnonzero(column.to_numpy()) for column in there]
        asked = zip(members, cuts_us, strict=True)
        return [Snapshots(member, np.full(len(member), cut, dtype=np.int64), self.joined_us[member]) for member, cut in asked]

    def present(self, snapshots: Snapshots) -> Flags:
        told = np.empty((len(snapshots), 1), dtype=np.bool_)
        return self._rows(snapshots, lambda here, rows: here.present(rows)[:, None], told)[:, 0]

    def churned(self, snapshots: Snapshots, horizons_days: Sequence[int]) -> Flags:
        told = np.empty((len(snapshots), len(horizons_days)), dtype=np.bool_)
        return self._rows(snapshots, lambda here, rows: here.churned(rows, horizons_days), told)

    def spent(self, snapshots: Snapshots, days: Sequence[int]) -> Floats:
        told = np.empty((len(snapshots), len(days)))
        return self._rows(snapshots, lambda here, rows: here.spent(rows, days), told)

    def behaviour(self, snapshots: Snapshots) -> Floats:
        told = np.empty((len(snapshots), len(feature_spec(self.community).names)), dtype=np.float32)
        return self._rows(snapshots, lambda here, rows: here.behaviour(rows), told)

    def events_of(self, members: Integers) -> EventArrays:
        asked = self.members[members]
        events = pl.concat(self._answers(AllEvents(tuple(asked["member_id"])))).sort("row", maintain_order=True)
        return _arrays(asked, events)

    def _rows(self, snapshots: Snapshots, tell: Tell, told: np.ndarray) -> np.ndarray:
        """`told`, filled. Raises InputError."""
        ids = self.members["member_id"].gather(snapshots.member)
        sought = pl.DataFrame({"member_id": ids, "as_of_us": snapshots.as_of_us, "row": np.arange(len(snapshots))})
        sent = self.held.sparkSession.sparkContext.broadcast(packed(sought))
        answered = 0
        for answer in self._answers(OfRows(sent, tell)):
            answered += answer.height
            told[answer["row"].to_numpy()] = answer.drop("row").to_numpy()
        sent.unpersist()
        if answered != len(snapshots):
            raise InputError("the log has changed while Spark read it; train again when it is written to the end")
        return told

    def _answers(self, ask: Callable[[HeldPart], pl.DataFrame]) -> list[pl.DataFrame]:
        put = Put(self.community.model_dump_json(), ask)
        return [unpacked(row.answer) for row in self.held.select("members", "events").mapInArrow(put, spark_schema(ANSWER)).collect()]


class Held(NamedTuple):
    """`touches` as of an EventLog, but for texts where that has categories; `profile` as of `profile_of`."""

    histories: SparkHistories
    touches: pl.DataFrame | None
    profile: pl.DataFrame


@contextmanager
def held_on_spark(log: SparkLog, rows: DataFrame, partitions: int) -> Iterator[Held | None]:
    """`rows` of the log, all of each member whom they have any of, shuffled and kept until the end; None where there are none.

    Every question is put to every partition, so there are as many as the rows need, however many Spark would make.
    """
    from pyspark import StorageLevel

    whole = rows.repartition(partitions, "member").sortWithinPartitions(*ORDER)
    held = whole.mapInArrow(Hold(log.assembly), spark_schema(HELD)).persist(StorageLevel.DISK_ONLY)
    try:
        parts = held.select("members", "touches", "profile").collect()
        yield _held(held, parts, log.community) if parts else None
    finally:
        held.unpersist()


def _held(held: DataFrame, parts: Sequence[Row], community: Community) -> Held:
    members = pl.concat([unpacked(part.members) for part in parts]).sort("member_id")
    profiles = pl.concat([unpacked(part.profile) for part in parts])
    profile = profiles.group_by("type").agg(pl.col("events").sum(), pl.col("first").min(), pl.col("last").max()).sort("type")
    touches = [unpacked(part.touches) for part in parts if part.touches is not None]
    return Held(SparkHistories(held, members, community), _touches(touches, members["member_id"]) if touches else None, profile)


def _touches(parts: Sequence[pl.DataFrame], ids: pl.Series) -> pl.DataFrame:
    codes = pl.DataFrame({"member_id": ids}).with_columns(member=pl.int_range(pl.len(), dtype=pl.UInt32))
    told = pl.concat(parts, how="diagonal").join(codes, on="member_id", maintain_order="left").drop("member_id")
    return told.sort("member", "timestamp", maintain_order=True)

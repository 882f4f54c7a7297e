"""The log of a community on Spark: read where it lies, screened row by row, shuffled so that each partition holds whole members."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from models.declaration import NO_LINES, load_declaration
from models.habits import Asked, Clues, habits_of
from models.intake import named_columns
from models.member_columns import as_written, date_columns, kept_columns
from models.moments import microseconds
from models.posted import posted_touches
from models.reading import Place
from models.side_tables import logged_arms, member_columns, named_kinds, require_rule_columns, same_chances, touch_columns
from models.store import Store
from models.texts import text
from models.tombstones import Tombstones
from pipelines.archive import archived_events, delivered_files, together
from pipelines.distributed_check import Columns
from pipelines.distributed_parts import Assembly
from pipelines.distributed_rows import ORDER, SHAPE, Kind, further_of, shaped_events, shaped_touches, spark_schema, to_batches
from pipelines.distributed_screen import CLUES, Deliveries, Look, Screen
from pipelines.distributed_tables import SparkTable, open_on_spark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pyspark.sql import DataFrame, SparkSession

    from models.community import Community
    from models.preferences import Preferences
    from pipelines.workspace import Workspace


AGAIN = "event_id_again"


@dataclass(frozen=True)
class SparkLog:
    """`rows` in SHAPE; what `assembly` makes of all rows of a member, in ORDER, is that member's log as one machine would load it.

    `wishes`: of members who said any.
    """

    session: SparkSession
    rows: DataFrame
    community: Community
    assembly: Assembly
    wishes: Mapping[str, Preferences] = field(default_factory=dict)
    columns: Columns = field(default_factory=lambda: Columns(()))


@contextmanager
def spark_log(session: SparkSession, workspace: Workspace, community: Community, *, now: datetime) -> Iterator[SparkLog]:
    """Each partition whole members in ORDER, kept on the executors' disks until the end. Raises InputError."""
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

    log = screened_log(session, workspace, community, now=now)
    whole = F.coalesce(F.col("member"), F.col("row").cast("string"))
    shuffled = log.rows.repartition(whole).sortWithinPartitions(*ORDER).persist(StorageLevel.DISK_ONLY)
    try:
        yield replace(log, rows=shuffled)
    finally:
        shuffled.unpersist()


def screened_log(session: SparkSession, workspace: Workspace, community: Community, *, now: datetime) -> SparkLog:
    """In any order, a member's rows in any partitions. Raises InputError."""
    session.conf.set("spark.sql.caseSensitive", "true")
    lines = load_declaration(workspace.declaration).lines if workspace.declaration.is_file() else NO_LINES
    reader = _Reader(session, community, Place(workspace.root, dict(lines), community.timezone, now))
    events = reader.opened_log()
    rows, assembly = reader.events(events, workspace), Assembly(community.model_dump_json(), deliveries=bool(delivered_files(workspace)))
    if community.members is not None:
        rows = rows.unionByName(reader.members())
    columns = Columns(events.table.columns)
    if community.touches is not None:
        table = reader.touches()
        columns = columns._replace(touches=table.columns)
        rows, assembly = rows.unionByName(table.rows), replace(assembly, touches=table.further)
    known = _known(session, workspace, now)
    if known is None:
        return SparkLog(session, rows, community, assembly, columns=columns)
    assembly = replace(assembly, tombstones=known.tombstones, posted_touches=known.further)
    return SparkLog(session, rows.unionByName(known.rows), community, assembly, known.wishes, columns)


@dataclass(frozen=True)
class _Touches:
    rows: DataFrame
    further: Mapping[str, pl.DataType]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class _Reader:
    session: SparkSession
    community: Community
    place: Place

    def opened_log(self) -> SparkTable:
        return self._opened(self.community.log.path, "log", named_columns(self.community.log))

    def events(self, table: SparkTable, workspace: Workspace) -> DataFrame:
        """Of the declared log and of the files of days; an id that was given before, whoever's it was, is refused as on one machine."""
        source = self.community.log
        asked = Asked(self._texts(table, [source.time]), self._texts(table, [] if source.value is None else [source.value]))
        rows = self._screened(table, "events", list(named_columns(source).values()), asked)
        if source.event_id is not None:
            rows = _each_id_once(rows, source.event_id)
        files = delivered_files(workspace)
        if not files:
            return rows
        delivered = self.session.read.parquet(*(file.as_uri() for file in files))
        cells = SparkTable(delivered, table.table).cells(delivered.columns)
        rows = rows.unionByName(cells.mapInArrow(Deliveries({file.as_uri(): 1 + at for at, file in enumerate(files)}), spark_schema(SHAPE)))
        return rows if source.event_id is None else _first_of_each_id(rows)

    def members(self) -> DataFrame:
        source = self.community.members
        assert source is not None  # noqa: S101 - asked where there is one
        table = self._opened(source.path, "members", member_columns(source))
        require_rule_columns(table.table, source, self.place, self.community)
        kept, dates = kept_columns(self.community), date_columns(self.community)
        labels = tuple(name for name in kept if name not in as_written(self.community))
        asked = Asked(self._texts(table, [source.joined, *dates]), labels=labels)
        return self._screened(table, "members", [source.member, source.joined, *kept], asked)

    def touches(self) -> _Touches:
        source = self.community.touches
        assert source is not None  # noqa: S101 - asked where there is one
        named = touch_columns(source)
        table = self._opened(source.path, "touches", named)
        arms = logged_arms(source, table.table.columns)
        asked = Asked(self._texts(table, [source.time]), self._texts(table, list(arms)))
        rows = self._screened(table, "touches", [*named.values(), *arms], asked, arms)
        chances = dict.fromkeys((*arms.values(), *same_chances(source)), pl.Float64())
        return _Touches(rows, named_kinds(source) | chances, table.table.columns)

    def _opened(self, path: str, section: str, named: Mapping[str, str | None]) -> SparkTable:
        table = open_on_spark(self.session, self.place.root, path)
        for key, column in named.items():
            if column is not None:
                self.place.require(column, table.table, path, section, key)
        return table

    def _texts(self, table: SparkTable, columns: Sequence[str]) -> tuple[str, ...]:
        """Times and amounts of another kind tell all by themselves."""
        return tuple(name for name in columns if table.kind(name) == "string")

    def _screened(
        self, table: SparkTable, name: str, columns: Sequence[str | None], asked: Asked, arms: Mapping[str, str] | None = None
    ) -> DataFrame:
        clues: list[Clues] = []
        if asked.columns:
            look = Look(asked, self.community.timezone)
            told = table.rows.select(*(f"`{column}`" for column in asked.columns)).mapInArrow(look, spark_schema(CLUES))
            clues = [Clues.from_json(row.clues) for row in told.collect()]
        place = replace(self.place, habits=habits_of(clues, semicolons=table.separator == ";"))
        width = len(table.table.columns)
        screen = Screen(name, self.community.model_dump_json(), place, table.files, table.separator, width, arms)
        return table.cells([column for column in columns if column is not None]).mapInArrow(screen, spark_schema(SHAPE))


def _each_id_once(rows: DataFrame, column: str) -> DataFrame:
    """All rows of an id but the first of the table, be that refused or not, become rows that are refused."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

    nameless = F.when(F.col("event_id").isNull(), F.col("row"))
    nth = F.row_number().over(Window.partitionBy("event_id", nameless).orderBy("file", "block", "row"))
    again = (F.col("kind") == int(Kind.EVENT)) & F.col("event_id").isNotNull() & (F.col("nth") > 1)
    instead = {
        "more": F.to_json(F.struct("member", "at_us", "type", "value", "channel", "event_id")),
        "channel": F.format_string(text("en", f"fault.{AGAIN}.found", value="%s"), "event_id"),
        "type": F.lit(f"{AGAIN} {column}"),
        "table": F.lit("events"),
        "member": F.lit(None).cast("string"),
        "kind": F.lit(int(Kind.REFUSED)).cast("byte"),
    }
    told = [F.when(again, instead[name]).otherwise(F.col(name)).alias(name) if name in instead else F.col(name) for name in SHAPE.names]
    return rows.withColumn("nth", nth).select(told)


def _first_of_each_id(rows: DataFrame) -> DataFrame:
    """Of the accepted events of the log and the files of days; the others are no fault."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

    told = (F.col("kind") == int(Kind.EVENT)) & F.col("event_id").isNotNull()
    of_one = Window.partitionBy(F.when(told, F.col("event_id")), F.when(~told, F.col("row"))).orderBy("source", "file", "block", "row")
    return rows.withColumn("nth", F.row_number().over(of_one)).filter(~told | (F.col("nth") == 1)).drop("nth")


@dataclass(frozen=True)
class _Known:
    """What came through the service."""

    rows: DataFrame
    tombstones: Tombstones
    further: Mapping[str, pl.DataType]
    wishes: Mapping[str, Preferences]


def _known(session: SparkSession, workspace: Workspace, now: datetime) -> _Known | None:
    """Read from the store by this process, for a store is of a size that one machine writes; None where there is none yet."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return None
    with closing(Store.open(workspace.store_url)) as store:
        posted = together(archived_events(workspace), store.api_events())
        contacts = posted_touches(store.assignments(), store.other_contacts(), microseconds(now))
        wishes = store.everyones_preferences()
        tombstones = store.tombstones()
    gone = list(tombstones.erased(set(posted["member_id"]) | set(contacts["member_id"])))
    told = pl.DataFrame(
        {"member": list(wishes), "more": [wish.to_json() for wish in wishes.values()]}, schema={"member": pl.String, "more": pl.String}
    )
    shaped = [
        shaped_events(posted.filter(~pl.col("member_id").is_in(gone)), Kind.POSTED_EVENT),
        shaped_touches(contacts.filter(~pl.col("member_id").is_in(gone)), Kind.POSTED_TOUCH),
        told.with_columns(kind=pl.lit(int(Kind.WISH), pl.Int8)),
    ]
    rows = pl.concat(shaped, how="diagonal").with_row_index("row")
    return _Known(session.createDataFrame(pa.Table.from_batches(to_batches(rows, SHAPE), SHAPE)), tombstones, further_of(contacts), wishes)

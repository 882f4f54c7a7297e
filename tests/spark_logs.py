"""A log as Spark puts it together, beside the log as one machine loads it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from models.declaration import load_community, load_declaration
from models.events import EventLog
from models.input_figures import told_findings
from models.member_sample import EVERYONE
from models.preferences import Preferences
from pipelines.distributed_check import Checked, PagesLook
from pipelines.distributed_log import spark_log
from pipelines.distributed_parts import whole_members
from pipelines.distributed_sums import FOUND, Add, Sums
from pipelines.ingest import ingest
from pipelines.loading import load
from pipelines.spark_session import spark_session
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import SparkSession

    from models.findings import Finding
    from pipelines.distributed_log import SparkLog

NOW = datetime(2025, 7, 20, 12, tzinfo=UTC)
QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.python.daemon.module": "tests.spark_daemon",
}
"""For few rows: nothing is compiled that is run once, and no worker of Python imports what another has imported."""


@dataclass(frozen=True)
class Told:
    """`refused`: rows by table; `findings`: of the check, as pages show them, without lines."""

    log: EventLog
    preferences: dict[str, Preferences]
    refused: dict[str, int]
    findings: list[dict[str, Any]]


@contextmanager
def partitions(spark: SparkSession, number: int) -> Iterator[None]:
    """So many after every shuffle, be they empty."""
    told = {"spark.sql.shuffle.partitions": str(number), "spark.sql.adaptive.enabled": "false"}
    before = {name: spark.conf.get(name) for name in told}
    for name, value in told.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


def on_spark(spark: SparkSession, workspace: Workspace, now: datetime = NOW) -> Told:
    with spark_session(None), spark_log(spark, workspace, load_community(workspace.declaration), now=now) as log:
        rows = pl.from_arrow(log.rows.toArrow())
        assert isinstance(rows, pl.DataFrame)
        taken = log.assembly.taken(rows)
    refused = dict(taken.refused["table"].value_counts().iter_rows())
    return Told(taken.log, taken.preferences, refused, checked_in_blocks(log, rows, workspace))


def checked_in_blocks(log: SparkLog, rows: pl.DataFrame, workspace: Workspace) -> list[dict[str, Any]]:
    """Added up from blocks of some ten rows, each of which was bytes."""
    batches = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches(max_chunksize=4)
    blocks = [log.assembly.taken(block) for block in whole_members(batches, 10)]
    told = pa.Table.from_batches(Add(log.assembly)(batches), FOUND)["sums"].drop_null().to_pylist()
    sums = Sums.from_json(told[0])
    look = PagesLook(EVERYONE, sums.span)
    checked = [Checked.from_bytes(Checked.of(block, log.community, look).to_bytes()) for block in blocks]
    lines = load_declaration(workspace.declaration).lines
    return without_lines(reduce(add, checked).findings(log.community, log.columns, sums.span, lines))


def without_lines(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Of tables, which parts of files do not know."""
    tables = {"events", "members", "touches"}
    told = [replace(one, line=None) if one.step in tables else one for one in told_findings(findings)]
    return json.loads(json.dumps([asdict(one) for one in told]))


def on_one_machine(workspace: Workspace, now: datetime = NOW) -> Told:
    loaded = load(workspace, now=now)
    taken = ingest(workspace, loaded.community, now=now)
    files = taken.rejected_files
    refused = {file.name.removesuffix(".rejected.csv"): pl.read_csv(file, infer_schema=False).height for file in files}
    return Told(loaded.log, dict(loaded.preferences), refused, without_lines(taken.findings))


def assert_alike(one: Told, other: Told) -> None:
    assert one.refused == other.refused
    assert one.findings == other.findings
    assert one.preferences == other.preferences
    assert plain(one.log.members).equals(plain(other.log.members))
    assert plain(one.log.events).equals(plain(other.log.events))
    assert (one.log.touches is None) == (other.log.touches is None)
    if one.log.touches is not None and other.log.touches is not None:
        assert plain(one.log.touches).equals(plain(other.log.touches.select(one.log.touches.columns)))


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Texts for event types, whose categories may be numbered otherwise, and for numbers of attributes, which models read as texts."""
    kinds = (pl.Categorical,) if "member" in rows.columns else (pl.Float64,)
    return rows.with_columns(pl.col(*kinds).cast(pl.String))

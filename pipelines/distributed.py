"""Decides for every member of a log that outgrows one machine: Spark brings whole members to the one code that decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from models.declaration import load_community
from models.engine_files import seal_of
from models.errors import InputError
from models.member_sample import MemberSample
from models.moments import microseconds
from models.quotas import Quotas
from models.supply import Supply
from pipelines.distributed_check import PagesLook
from pipelines.distributed_decide import BESIDE, Decide, decision_schema
from pipelines.distributed_engine import SentEngine
from pipelines.distributed_log import SparkLog, spark_log
from pipelines.distributed_pages import SUMS, Aside
from pipelines.distributed_plan import SparkPlan, parts_on_spark, plan_on_spark
from pipelines.distributed_publish import input_on_spark, publish_on_spark
from pipelines.distributed_record import SparkRecorder, check_rollout
from pipelines.distributed_rows import spark_schema
from pipelines.distributed_sums import FOUND, Add, Sums, check_groups_of
from pipelines.loading import day_after, decision_time, engine_of, registry
from pipelines.output import check_writable
from pipelines.part_figures import SAMPLED
from pipelines.spark_session import NO_SETTINGS, spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from models.community import Community
    from models.declared import Language
    from models.engine import Engine
    from models.training import Progress
    from pipelines.recording import Recorded
    from pipelines.workspace import Workspace

ENDING, REJECTED_ENDING = ".parquet", ".rejected"


@dataclass(frozen=True)
class DecidedOnSpark:
    """place: the folder, as an address. actions: members by what was chosen for them, the commonest first; spent: what that costs.

    plan: what was followed, None where nothing was limited; recorded: None where nothing was to be.
    """

    place: str
    as_of: datetime
    version: str
    currency: str
    sums: Sums
    actions: Mapping[str, int]
    spent: float
    plan: SparkPlan | None
    recorded: Recorded | None = None

    @property
    def rejected(self) -> str:
        """The folder with the rows that cannot be used, where there are any."""
        return rejected_place(self.place)


@dataclass(frozen=True)
class _Ending:
    """As of `loading.Dated`."""

    community: Community
    end: datetime


@dataclass(frozen=True)
class EngineHere:
    """The champion in this process, and as it is sent."""

    engine: Engine
    sent: SentEngine


def decide_on_spark(
    workspace: Workspace,
    output: str,
    *,
    master: str | None,
    as_of: str | None,
    language: Language | None,
    now: datetime,
    progress: Progress,
    budget: float | None = None,
    settings: Mapping[str, str] = NO_SETTINGS,
    pages: bool = True,
    record: bool = False,
) -> DecidedOnSpark:
    """As `decide_all`, into a folder of Parquet that the executors write; with `pages` members' standings come here, part after part.

    With `record` the store keeps the log and the decisions, before the table is written: what was written is kept.
    `output`: a path, or the address of a place that Spark writes to. Raises InputError, NoChampion, ModelRefused.
    """
    community, place = load_community(workspace.declaration), _place(output)
    with spark_session(master, settings) as session:
        here = champion_on(session, workspace)
        supply = Supply.of(here.engine.community, community.capacity, community.capacity.budget if budget is None else budget)
        if record:
            check_rollout(workspace, here.engine, limited=not supply.endless)
        recorder = SparkRecorder.ready(workspace) if record else None
        progress("log")
        with spark_log(session, workspace, community, now=now) as log:
            sums = _added_up(log, rejected_place(place))
            at = _moment(sums, community, as_of, now)
            progress("decisions")
            schema = decision_schema(log.assembly, here.engine, at)
            plan = None if supply.endless else _planned(log, here, supply, at, sums)
            decide = Decide(
                log.assembly,
                here.sent,
                at,
                language or here.engine.community.language,
                schema,
                look=PagesLook(MemberSample.of(SAMPLED, sums.members), sums.span) if pages else None,
                plan=None if plan is None else session.sparkContext.broadcast(plan),
                keeping=None if recorder is None else recorder.take_in(log, f"spark:{sums.mark:016x}"),
            )
            rows = log.rows.mapInArrow(decide, spark_schema(schema))
            with _kept(rows) if pages or record else nullcontext(rows) as decided:
                recorded = None if recorder is None else recorder.record(decided, Quotas.of(community.capacity, here.engine.community, at))
                decided.filter("decision_id is not null").drop(*BESIDE.names).write.mode("overwrite").parquet(place)
                if pages:
                    progress("pages")
                    aside = Aside(decided.filter(f"{SUMS} is not null"))
                    taken_in = input_on_spark(workspace, log, decided, sums, now)
                    publish_on_spark(workspace, here.engine, community, aside, taken_in, at, now=now)
        return replace(_told(session.read.parquet(place), place, at, here.engine, sums, plan), recorded=recorded)


def _moment(sums: Sums, community: Community, as_of: str | None, now: datetime) -> datetime:
    """Raises InputError where nothing can be decided on then, or a group has too many values."""
    check_groups_of(sums)
    at = decision_time(_Ending(community, day_after(sums.last, community)), as_of, now=now)
    if sums.joined_us is None or sums.joined_us > microseconds(at):
        raise InputError(f"no member had joined by {at.isoformat()}; the log begins {sums.first.date()}")
    return at


@contextmanager
def _kept(rows: DataFrame) -> Iterator[DataFrame]:
    """On the executors' disks until the end."""
    from pyspark import StorageLevel

    kept = rows.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        kept.unpersist()


def _place(output: str) -> str:
    """Raises InputError for another ending than that of Parquet, and for a place of this machine that cannot be written to."""
    if not output.rstrip("/").endswith(ENDING):
        raise InputError(f'"{output}": Spark writes a folder of Parquet; give it the ending {ENDING}')
    if "://" in output:
        return output.rstrip("/")
    folder = Path(output).absolute()
    if not folder.is_dir():
        check_writable(folder)
    return folder.as_uri()


def rejected_place(place: str) -> str:
    return place.removesuffix(ENDING) + REJECTED_ENDING


def champion_on(session: SparkSession, workspace: Workspace) -> EngineHere:
    """Raises NoChampion, ModelRefused."""
    engine = engine_of(workspace, None)
    folder = workspace.model_cache / registry(workspace).copy_of(engine.version).folder
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return EngineHere(engine, SentEngine(engine.version, seal_of(folder), session.sparkContext.broadcast(files)))


def _added_up(log: SparkLog, rejected: str) -> Sums:
    """Writes what is refused of the tables into the folder `rejected`, where anything is."""
    with _kept(log.rows.mapInArrow(Add(log.assembly), spark_schema(FOUND))) as found:
        sums = sum((Sums.from_json(row.sums) for row in found.filter("sums is not null").select("sums").collect()), Sums())
        if sums.refused:
            rows = found.filter("sums is null").select("table", "reason", "row")
            rows.write.mode("overwrite").csv(rejected, header=True, escape='"')
    return sums


def _planned(log: SparkLog, here: EngineHere, supply: Supply, at: datetime, sums: Sums) -> SparkPlan:
    with parts_on_spark(log, here.sent, at) as parts:
        return plan_on_spark(parts, here.engine.community, supply, sums.members)


def _told(written: DataFrame, place: str, at: datetime, engine: Engine, sums: Sums, plan: SparkPlan | None) -> DecidedOnSpark:
    """From the two columns that were written."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

    rows = written.groupBy("chosen").agg(F.count("*"), F.sum("cost")).collect()
    counted = sorted(((str(name), int(members), float(cost)) for name, members, cost in rows), key=lambda one: (-one[1], one[0]))
    actions = {name: members for name, members, _ in counted}
    spent = sum(cost for _, _, cost in counted)
    return DecidedOnSpark(place, at, engine.version, engine.community.currency, sums, actions, spent, plan)

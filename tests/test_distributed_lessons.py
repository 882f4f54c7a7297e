"""Training on Spark: the members of a sample come to this machine, and what is learned of them is what one machine learns."""

from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from models.member_sample import EVERYONE, MemberSample
from models.registry import MODEL_NAME, SEAL
from models.store import Store
from models.tombstones import Tombstones, token_of
from pipelines.distributed_lessons import Pick, lesson_on_spark
from pipelines.distributed_rows import SHAPE, to_batches
from pipelines.lessons import Asked, lesson_here
from pipelines.loading import load, registry
from pipelines.train import train_challenger
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.spark_logs import partitions, plain

NOW = datetime(2025, 8, 1, tzinfo=UTC)
MEMBERS, DAYS = 400, 200
REFUSING, ERASED = "m0000007", "m0000011"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A log with rows that are refused, one member who refuses to be learned from, and one who was erased."""
    folder = tmp_path_factory.mktemp("community")
    keepwell("simulate", "-o", folder, "--members", MEMBERS, "--days", DAYS, "--seed", 3, "--force")
    tables = {name: folder / f"{name}.parquet" for name in ("events", "members", "touches")}
    log = pl.read_parquet(tables["events"])
    refused = log.head(5).with_columns(member_id=pl.lit(None, pl.String))
    pl.concat([log.sample(fraction=1, shuffle=True, seed=1), refused]).write_parquet(tables["events"])
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    beside = ("--members", tables["members"], "--joined", "joined", "--touches", tables["touches"])
    assert keepwell("init", tables["events"], *columns, *beside, "-o", folder / "keepwell.yaml").code == 0
    workspace = Workspace.find(folder)
    workspace.state.mkdir(exist_ok=True)
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(load(workspace, now=NOW).log, "log")
        store.prefer(REFUSING, personalization=False)
        store.erase(ERASED, int(NOW.timestamp()) * 1_000_000)
    return workspace


on_spark = partial(lesson_on_spark, master=None, settings={})


def test_a_sample_brought_from_spark_is_that_of_one_machine(spark, workspace):
    with partitions(spark, 2):
        ours, theirs = (lesson_of(workspace, Asked(members=120), now=NOW) for lesson_of in (lesson_here, on_spark))
    assert theirs.drawn == ours.drawn
    assert (theirs.events, theirs.loaded.rejected, theirs.loaded.left_out) == (ours.events, 5, 1)
    for name in ("offsets", "timestamp_us", "signal", "value", "joined_us", "contract_end_us"):
        np.testing.assert_array_equal(getattr(theirs.loaded.arrays, name), getattr(ours.loaded.arrays, name))
    for table in ("events", "members", "touches"):
        one, other = (plain(getattr(lesson.loaded.log, table)) for lesson in (ours, theirs))
        assert other.select(one.columns).equals(one)
    assert not {REFUSING, ERASED} & set(theirs.loaded.log.members["member_id"])


def test_an_engine_trained_through_spark_is_the_same_file_by_file(spark, workspace):
    """Of everyone: the seal is of all files of the engine, boosters and golden members among them."""
    models = registry(workspace)
    seals = []
    with partitions(spark, 2):
        for lesson_of in (lesson_here, on_spark):
            told = train_challenger(workspace, Asked(members=1), now=NOW, progress=lambda _: None, lesson_of=lesson_of)
            seals.append(MlflowClient(models.uri).get_model_version(MODEL_NAME, told.registered.version).tags[SEAL])
    assert seals[0] == seals[1]


def shaped(*members: str | None) -> list[pa.RecordBatch]:
    return to_batches(pl.DataFrame({"member": members, "row": range(len(members))}, schema={"member": pl.String, "row": pl.Int64}), SHAPE)


def picked(pick: Pick, batches: list[pa.RecordBatch]) -> list[str | None]:
    return [member for batch in pick(batches) for member in batch["member"].to_pylist()]


def test_rows_are_picked_by_the_id_alone_whatever_lies_beside_them():
    ids = [f"m{number}" for number in range(200)]
    sample = MemberSample(0.3)
    chosen = [member_id for member_id, taken in zip(ids, sample.picks(ids), strict=True) if taken]
    pick = Pick(sample, Tombstones(), frozenset())
    assert picked(pick, shaped(*ids, *reversed(ids))) == [*chosen, *reversed(chosen)]
    assert picked(pick, [batch for member_id in ids for batch in shaped(member_id)]) == chosen


def test_of_those_who_were_erased_or_refuse_nothing_is_brought_and_rows_of_nobody_stay():
    gone = Tombstones("ab", frozenset({token_of("ab", "ann")}))
    pick = Pick(EVERYONE, gone, frozenset({"bob"}))
    assert picked(pick, shaped("ann", "bob", "cat", None, "ann", "cat")) == ["cat", None, "cat"]


def test_a_master_without_spark_is_refused():
    assert "--master and --conf are for --engine spark" in keepwell("train", "--master", "local[2]").refusal

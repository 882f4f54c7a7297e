"""Training on Spark: features and labels of a sample are computed there, and are those of one machine."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from models.costs import redemption_rates
from models.engine_files import EVENT_FIELDS
from models.errors import InputError
from models.histories import Histories
from models.member_sample import EVERYONE, MemberSample
from models.snapshots import pool
from models.store import Store
from models.tombstones import Tombstones, token_of
from models.training_cuts import latest_test
from models.training_tables import Draws, TrainingTables, tables_of
from pipelines import distributed_lessons
from pipelines.distributed_lessons import lesson_on_spark
from pipelines.distributed_rows import SHAPE, to_batches
from pipelines.distributed_sample import Pick
from pipelines.lessons import Asked, LessonOf, lesson_here
from pipelines.loading import load
from pipelines.spark_session import spark_session
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


@pytest.fixture
def parted(monkeypatch):
    """As many partitions as a log of some million events has."""
    monkeypatch.setattr(distributed_lessons, "PARTITION_EVENTS", 15_000)


def test_what_a_sample_did_is_told_from_spark_as_on_one_machine(spark, workspace, parted):
    asked = Asked(members=120)
    with partitions(spark, 2), lesson_here(workspace, asked, now=NOW) as ours, on_spark(workspace, asked, now=NOW) as theirs:
        assert theirs.drawn == ours.drawn
        assert (theirs.members, theirs.events, theirs.rejected, theirs.left_out) == (ours.members, ours.events, 5, 1)
        assert theirs.profile.equals(ours.profile)
        assert plain(theirs.touches.select(ours.touches.columns)).equals(plain(ours.touches))
        assert not {REFUSING, ERASED} & set(theirs.histories.members["member_id"])
        assert_alike(answers(ours.histories), answers(theirs.histories))


def answers(histories: Histories) -> list[np.ndarray]:
    """To all that can be asked, of members at several dates, in no order."""
    days = [int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) * 1_000_000 for month in (3, 4, 5)]
    populations = histories.populations(days)
    rows = pool(populations[::-1])
    golden = histories.events_of(populations[0].member[[5, 0, 3]])
    return [
        *(column for each in populations for column in vars(each).values()),
        histories.present(rows),
        histories.churned(rows, (7, 30)),
        histories.spent(rows, (30, 60)),
        histories.behaviour(rows),
        np.array(histories.first_us),
        *(getattr(golden, name) for name in EVENT_FIELDS),
        *(table.to_numpy() for table in (golden.attributes, golden.rule_columns) if table is not None),
    ]


def assert_alike(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(other, one)
        assert other.dtype == one.dtype


def test_all_that_is_learned_from_is_told_from_spark_as_on_one_machine(spark, workspace, parted):
    """Of everyone. Training is a function of these tables: from the same it makes the same engine, byte for byte."""
    with partitions(spark, 2):
        ours, theirs = (gathered(lesson_of, workspace) for lesson_of in (lesson_here, on_spark))
    assert ours.spending is not None
    assert len(ours.tried.made) > 500
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_array_equal(other, one)
        assert getattr(other, "dtype", type(other)) == getattr(one, "dtype", type(one))
    rates = [redemption_rates(told.touches, told.data.community, until_us=told.data.log_end_us) for told in (ours, theirs)]
    assert rates[0] == rates[1]


def gathered(lesson_of: LessonOf, workspace: Workspace) -> TrainingTables:
    draws = Draws.of(np.random.default_rng(1))
    with lesson_of(workspace, Asked(members=1), now=NOW) as lesson:
        at = latest_test(lesson.drawn.last_us, lesson.community)
        return tables_of(lesson.histories, lesson.community, test_as_of=at, drawn=lesson.drawn, touches=lesson.touches, draws=draws)


def leaves(told: object) -> Iterator[object]:
    """All values and arrays in it; of tables the names of the columns, and what they hold."""
    match told:
        case pl.DataFrame():
            for name in sorted(told.columns):
                yield from (name, plain(told)[name].to_list())
        case tuple() | list():
            for one in told:
                yield from leaves(one)
        case _ if is_dataclass(told):
            for field in fields(told):
                yield from leaves(getattr(told, field.name))
        case _:
            yield told


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


def test_a_master_of_no_kind_that_spark_has_is_refused_before_anything_is_started():
    with pytest.raises(InputError, match="is no master of Spark; give spark:"), spark_session("nonsense"):
        pass


def test_a_master_without_spark_is_refused():
    assert "--master and --conf are for --engine spark" in keepwell("train", "--master", "local[2]").refusal

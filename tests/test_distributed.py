"""Decisions on Spark are those of one machine, bit for bit: the same numbers, the same draws, the same words."""

import json
import shutil
from contextlib import closing
from datetime import timedelta
from itertools import count
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import select

from models import store_schema as schema
from models.drift_figures import DRIFT
from models.errors import StoreUnavailable
from models.input_figures import INPUT
from models.plan_parts import AskNumbers, Terms
from models.store import Store
from models.store_statements import loads
from models.store_whole_log import assigned
from pipelines import distributed, distributed_record, recording
from pipelines.distributed_decide import Decide
from pipelines.distributed_kept import rows_of
from pipelines.distributed_plan import HELD, PartsOnSpark
from pipelines.spark_session import spark_session
from pipelines.workspace import Workspace
from tests.candidates_in_parts import SUPPLIES, cut, members
from tests.command_line import Said, keepwell
from tests.repeated_touches import declare_exported
from tests.resting import RESTING, RULE, resting_registry
from tests.serving_world import DECLARED, NOW, simulated_world, world, write_declaration, write_home
from tests.shown_run import assert_same, figures, shown
from tests.spark_faults import KilledOnce
from tests.spark_logs import partitions

RESTLESS, RESTLESS_EVENTS = "zz-restless", 25_000
AS_OF, EARLIER = "2025-06-20T12:00:00+00:00", "2025-06-10"
"""A month before the log ends: what came later is late, and must change nothing."""


def write_tables(folder):
    """As exported; a member more does something all the time, another has never done anything."""
    told = simulated_world()
    step = timedelta(days=150) / RESTLESS_EVENTS
    restless = pl.DataFrame(
        {
            "event_id": [f"r{number}" for number in range(RESTLESS_EVENTS)],
            "member_id": RESTLESS,
            "timestamp": [NOW - timedelta(days=160) + number * step for number in range(RESTLESS_EVENTS)],
            "type": "comment",
            "channel": "app",
        }
    ).cast({"timestamp": told.events["timestamp"].dtype})
    pl.concat([restless, told.events], how="diagonal").sample(fraction=1, shuffle=True, seed=1).write_parquet(folder / "events.parquet")
    idle = pl.DataFrame({"member_id": ["idle"], "joined": [told.members["joined"][0]]})
    pl.concat([idle, told.members], how="diagonal").write_parquet(folder / "members.parquet")
    told.touches.write_parquet(folder / "touches.parquet")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With decisions of an earlier day in the store, contacts that count, and in the declared touches too."""
    touches = DECLARED.touches.model_copy(update={"propensity_prefix": "propensity_"})
    folder = write_home(tmp_path_factory.mktemp("spark") / "home", DECLARED.model_copy(update={"touches": touches}))
    write_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        said = keepwell("decide", "-c", folder, "-o", folder / "earlier.parquet", "--as-of", EARLIER, "--record")
        assert said.code == 0, said
        declare_exported(folder)
        write_declaration(folder, DECLARED.model_copy(update={"touches": touches.model_copy(update={"decision_id": "decision_id"})}))
        yield folder


class Decided(NamedTuple):
    """`pages`: all that they show of the run, without what follows from the order of members alone, and without lines of tables."""

    said: Said
    table: pl.DataFrame
    pages: list[object]


@pytest.fixture(scope="module")
def one(home):
    said = keepwell("decide", "-c", home, "-o", home / "one.parquet", "--as-of", AS_OF)
    assert said.code == 0, said
    return Decided(said, pl.read_parquet(home / "one.parquet").sort("member_id"), pages(home))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What a process of Python leaves that was killed in the middle of its task."""
    return tmp_path_factory.mktemp("killed") / "trace"


@pytest.fixture(scope="module")
def parted(spark, home, one, killed):
    """One of the tasks is lost on the way, and done again."""
    with partitions(spark, 4), pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "Decide", lambda *told, **more: KilledOnce(Decide(*told, **more), killed))
        said, table = on_spark(home, "--as-of", AS_OF)
    return Decided(said, table, pages(home))


def pages(home):
    with closing(Store.open(Workspace.find(home).store_url)) as store:
        *others, members = figures(store)
        drift, taken_in = (store.figures(name) for name in (DRIFT, INPUT))
        told = [*shown(store), *others, None if drift is None else json.loads(drift.body)]
        findings = [one | {"line": None} for one in json.loads(taken_in.body)["findings"]]
        return [*told, json.loads(taken_in.body) | {"at": None, "findings": findings}, [one | {"stratum": None} for one in members]]


def on_spark(home, *options):
    said = keepwell("decide", "-c", home, "-o", home / "spark.parquet", "--engine", "spark", *options)
    assert said.code == 0, said
    return said, pl.read_parquet(home / "spark.parquet/*.parquet").sort("member_id")


def test_decisions_on_spark_are_those_of_one_machine_though_a_task_was_lost(one, parted, killed):
    assert killed.exists()
    assert parted.table.equals(one.table)
    assert {RESTLESS, "idle"} < set(parted.table["member_id"])
    assert parted.said.out.startswith(f"{one.table.height} members decided on at {AS_OF}")


def test_members_rest_on_spark_from_what_one_machine_drew_and_the_other_way_round(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", resting_registry(tmp_path / "registry").uri)
    here, there = (write_home(tmp_path / name, RESTING) for name in ("here", "there"))
    for home in (here, there):
        write_tables(home)
    first = [keepwell("decide", "-c", here, "-o", here / "first.parquet", "--as-of", EARLIER, "--record")]
    with partitions(spark, 3):
        first.append(on_spark(there, "--as-of", EARLIER, "--record")[0])
        again = on_spark(here, "--as-of", AS_OF)[1]
    first.append(keepwell("decide", "-c", there, "-o", there / "again.parquet", "--as-of", AS_OF))
    assert [said.code for said in first] == [0] * 3
    assert again.equals(pl.read_parquet(there / "again.parquet").sort("member_id"))
    assert (again["removed_coupon"] == f"contact_policy:{RULE}").sum() > 60
    held = kept(there)
    assert {name: held[name] for name in ("members", "decisions", "touches")}.items() <= kept(here).items()


def test_pages_show_of_a_run_on_spark_what_they_show_of_one_machine(one, parted):
    for told, expected in zip(parted.pages, one.pages, strict=True):
        assert_same(told, expected)
    assert {"no_events", "not_in_table"} <= {one["code"] for one in parted.pages[-2]["findings"]}


def test_a_budget_for_all_members_is_planned_for_and_recorded_as_on_one_machine(spark, home, monkeypatch, tmp_path):
    """A run that is killed while it records has written no table, and leaves whole decisions; the next one records the others.

    Without pages it leaves those of before.
    """
    elsewhere = shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("spark.parquet"))
    without_logs(elsewhere)
    asked = ("--as-of", AS_OF, "--budget", "0.4", "--record")
    said = keepwell("decide", "-c", home, "-o", home / "planned.parquet", *asked)
    assert said.code == 0, said
    planned = pl.read_parquet(home / "planned.parquet").sort("member_id")
    expected, before = kept(home), kept(elsewhere)
    assert expected["declared_assignments"]
    monkeypatch.setattr(recording, "AT_ONCE", 100)
    with partitions(spark, 3):
        with monkeypatch.context() as patch:
            patch.setattr(distributed_record, "rows_of", failing_after(150))
            assert keepwell("decide", "-c", elsewhere, "-o", elsewhere / "spark.parquet", "--engine", "spark", *asked).code
        half, shown_before = kept(elsewhere), pages(elsewhere)
        assert not (elsewhere / "spark.parquet").exists()
        told, table = on_spark(elsewhere, *asked, "--no-pages")
    assert pages(elsewhere) == shown_before
    assert table.equals(planned)
    assert 0 < table["cost"].sum() <= 0.4
    assert said.out.splitlines()[-1] in told.out
    assert f"{table.height} decisions are in the store" in told.out
    assert len(half["decisions"]) == len(before["decisions"]) + 100
    assert set(half["decisions"]) < set(expected["decisions"])
    assert kept(elsewhere) == expected


def failing_after(rows):
    """As `rows_of`, but that the store is gone after so many."""
    given = count()

    def some(cell):
        for row in rows_of(cell):
            if next(given) == rows:
                raise StoreUnavailable("the store has gone")
            yield row

    return some


def without_logs(home):
    """Its store as if no log had ever been put into it, with the members and what was decided on them."""
    with closing(Store.open(Workspace.find(home).store_url)) as store, store.engine.begin() as connection:
        for table in (schema.events, loads, assigned):
            connection.execute(table.delete())
        connection.execute(schema.touches.delete().where(schema.touches.c.source.is_distinct_from("decision")))


def kept(home):
    """By table what the store holds, without what follows from the order in which events came."""
    with closing(Store.open(Workspace.find(home).store_url)) as store, store.engine.connect() as connection:
        tables = (schema.members, schema.events, schema.touches, schema.decisions, schema.uses, assigned)
        rows = {table.name: [dict(row) for row in connection.execute(select(table)).mappings()] for table in tables}
    rows["decisions"] = [row | {"basis": json.loads(row["basis"]) | {"event_key": None}} for row in rows["decisions"]]
    return {name: sorted(str(row | {"event_key": None}) for row in told) for name, told in rows.items()}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-o", "decisions.csv", "--engine", "spark"], "Spark writes a folder of Parquet"),
        (["-o", "decisions.parquet", "--engine", "spark", "--conf", "spark.executor.memory"], "write it as KEY=VALUE"),
        (["-o", "decisions.parquet", "--master", "local[2]"], "--master, --conf and --no-pages are for --engine spark"),
    ],
)
def test_what_spark_cannot_do_is_refused_before_it_starts(options, why, home):
    assert why in keepwell("decide", "-c", home, *options).refusal


def test_the_sum_over_all_parts_comes_from_a_sum_for_each_partition(spark):
    """Three parts in four partitions, so that one has none."""
    everyone, _ = cut(*members(8, 90), 3)
    rows = pa.table({"held": [part.to_bytes() for part in everyone.parts]}, HELD)
    asked = AskNumbers(Terms(SUPPLIES["all"], SUPPLIES["all"].limits, 0.02))
    with spark_session(None):
        told = PartsOnSpark(spark.createDataFrame(rows).repartition(4)).total(asked)
    assert told["use"] == pytest.approx(everyone.total(asked)["use"])

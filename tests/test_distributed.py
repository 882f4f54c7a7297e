"""Decisions on Spark are those of one machine, bit for bit: the same numbers, the same draws, the same words."""

import json
from contextlib import closing
from datetime import timedelta
from typing import NamedTuple

import polars as pl
import pytest

from models.drift_figures import DRIFT
from models.input_figures import INPUT
from models.store import Store
from pipelines import distributed
from pipelines.distributed_decide import Decide
from pipelines.workspace import Workspace
from tests.command_line import Said, keepwell
from tests.serving_world import DECLARED, NOW, simulated_world, world, write_home
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
    """With decisions of an earlier day in the store: contacts that count."""
    folder = write_home(tmp_path_factory.mktemp("spark") / "home", DECLARED)
    write_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        said = keepwell("decide", "-c", folder, "-o", folder / "earlier.parquet", "--as-of", EARLIER, "--record")
        assert said.code == 0, said
        yield folder


class Decided(NamedTuple):
    """`pages`: all that they show of the run, without what follows from the order of members alone, and without findings of the check."""

    said: Said
    table: pl.DataFrame
    pages: list[object]


@pytest.fixture(scope="module")
def one(home):
    said = keepwell("decide", "-c", home, "-o", home / "one.parquet", "--as-of", AS_OF)
    assert said.code == 0, said
    return Decided(said, pl.read_parquet(home / "one.parquet").sort("member_id"), pages(home))


@pytest.fixture(scope="module")
def parted(spark, home, one):
    with partitions(spark, 4):
        said, table = on_spark(home, "--as-of", AS_OF)
    return Decided(said, table, pages(home))


def pages(home):
    with closing(Store.open(Workspace.find(home).store_url)) as store:
        *others, members = figures(store)
        drift, taken_in = (store.figures(name) for name in (DRIFT, INPUT))
        told = [*shown(store), *others, None if drift is None else json.loads(drift.body)]
        return [*told, json.loads(taken_in.body) | {"at": None, "findings": None}, [one | {"stratum": None} for one in members]]


def on_spark(home, *options):
    said = keepwell("decide", "-c", home, "-o", home / "spark.parquet", "--engine", "spark", *options)
    assert said.code == 0, said
    return said, pl.read_parquet(home / "spark.parquet/*.parquet").sort("member_id")


def test_decisions_on_spark_are_those_of_one_machine(one, parted):
    assert parted.table.equals(one.table)
    assert {RESTLESS, "idle"} < set(parted.table["member_id"])
    assert parted.said.out.startswith(f"{one.table.height} members decided on at {AS_OF}")


def test_pages_show_of_a_run_on_spark_what_they_show_of_one_machine(one, parted):
    for told, expected in zip(parted.pages, one.pages, strict=True):
        assert_same(told, expected)


def test_a_task_whose_python_is_killed_is_done_again_with_the_same_outcome(spark, home, one, monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "Decide", lambda *told: KilledOnce(Decide(*told), tmp_path / "killed"))
    before = pages(home)
    with partitions(spark, 2):
        _, table = on_spark(home, "--as-of", AS_OF, "--no-pages")
    assert (tmp_path / "killed").exists()
    assert table.equals(one.table)
    assert pages(home) == before


def test_a_budget_for_all_members_is_planned_for_and_kept_as_on_one_machine(spark, home):
    said = keepwell("decide", "-c", home, "-o", home / "planned.parquet", "--as-of", AS_OF, "--budget", "0.4")
    assert said.code == 0, said
    planned = pl.read_parquet(home / "planned.parquet").sort("member_id")
    with partitions(spark, 3):
        told, table = on_spark(home, "--as-of", AS_OF, "--budget", "0.4")
    assert table.equals(planned)
    assert 0 < table["cost"].sum() <= 0.4
    assert said.out.splitlines()[-1] in told.out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-o", "decisions.csv", "--engine", "spark"], "Spark writes a folder of Parquet"),
        (["-o", "decisions.parquet", "--engine", "spark", "--record"], "--record keeps decisions one by one in the store"),
        (["-o", "decisions.parquet", "--engine", "spark", "--conf", "spark.executor.memory"], "write it as KEY=VALUE"),
        (["-o", "decisions.parquet", "--master", "local[2]"], "--master, --conf and --no-pages are for --engine spark"),
    ],
)
def test_what_spark_cannot_do_is_refused_before_it_starts(options, why, home):
    assert why in keepwell("decide", "-c", home, *options).refusal

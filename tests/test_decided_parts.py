"""A run over all members goes part after part, goes on where it was stopped, and finds the same in any parts."""

import shutil
from collections import Counter
from datetime import timedelta

import polars as pl
import pytest

from models import scattering
from models.moments import microseconds
from models.store import LoggedEvent, Store
from pipelines import decide, decided_parts, pace
from pipelines.archive import deliver_events
from pipelines.log_parts import open_log
from pipelines.workspace import Workspace
from tests.serving_world import NOW, fill, simulated_world, world, write_home, write_logs

BUDGETS = [None, 0.3]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """In the store is what came through the service: events of members old and new, a refusal and an erasure."""
    home = write_home(tmp_path_factory.mktemp("made") / "home")
    write_logs(home)
    workspace = Workspace.find(home)
    ids = simulated_world().members["member_id"]
    fill(workspace.store_url, world().log)
    store = Store.open(workspace.store_url)
    store.add_events([LoggedEvent(name, microseconds(NOW) - 5, "post") for name in (ids[7], ids[200], "a newcomer", "z newcomer")])
    store.prefer(ids[30], personalization=False)
    store.erase(ids[100], 0)
    store.close()
    return home


@pytest.fixture
def workspace(made, tmp_path, monkeypatch):
    """A copy of it, for one test alone."""
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    return Workspace.find(shutil.copytree(made, tmp_path / "home"))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(scattering, "PART_MEMBERS", 50)


def decided(workspace, name="all.parquet", budget=None):
    asked = {"as_of": NOW.isoformat(), "language": "en", "now": NOW, "progress": lambda _: None, "budget": budget}
    decide.decide_all(workspace, workspace.root / name, **asked)
    return workspace.root / name


@pytest.fixture(scope="module")
def in_parts(made, tmp_path_factory):
    """The file of a run that nothing stopped, in another folder; by its budget."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        patched.setattr(scattering, "PART_MEMBERS", 50)
        workspace = Workspace.find(shutil.copytree(made, tmp_path_factory.mktemp("parts") / "home"))
        files = {budget: decided(workspace, f"{budget}.parquet", budget) for budget in BUDGETS}
        assert len(open_log(workspace, now=NOW)) == 6
    return files


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_log_in_parts_is_decided_on_as_one_that_is_in_one(workspace, in_parts, budget):
    whole = pl.read_parquet(decided(workspace, budget=budget))
    assert pl.read_parquet(in_parts[budget]).equals(whole)
    assert len(open_log(workspace, now=NOW)) == 1
    assert {"a newcomer", "z newcomer"} < set(whole["member_id"])
    assert whole.filter(pl.col("status") == "opted_out").height == 1
    assert simulated_world().members["member_id"][100] not in set(whole["member_id"])


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_run_that_was_stopped_goes_on_where_it_was_and_writes_the_same_bytes(workspace, small, in_parts, monkeypatch, budget):
    calls = Counter()
    kept = decide.DecidedParts.keep_table

    def stopping(self, number, table):
        calls["kept"] += 1
        if calls["kept"] == 4:
            raise KeyboardInterrupt
        kept(self, number, table)

    monkeypatch.setattr(decide.DecidedParts, "keep_table", stopping)
    with pytest.raises(KeyboardInterrupt):
        decided(workspace, budget=budget)
    assert not (workspace.root / "all.parquet").exists()
    resumed = decided(workspace, budget=budget)
    assert calls["kept"] == 4 + (6 - 3)
    assert resumed.read_bytes() == in_parts[budget].read_bytes()
    assert not (workspace.state / "deciding").exists()


def a_day():
    """Every third member posts, and after each of them in the alphabet comes a newcomer."""
    ids = simulated_world().members["member_id"].gather_every(3)
    rows = pl.DataFrame({"member_id": pl.concat([ids, ids + "-new"])}).with_columns(
        timestamp=pl.lit(NOW - timedelta(hours=20)).dt.cast_time_unit("us"),
        type=pl.lit("post"),
        value=pl.lit(None, dtype=pl.Float64),
        channel=pl.lit(None, dtype=pl.String),
    )
    return rows.with_columns(event_id="day " + pl.col("member_id"))


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_day_put_to_the_parts_is_decided_on_as_in_a_log_that_is_read_anew_and_cut_elsewhere(workspace, small, monkeypatch, budget):
    monkeypatch.setattr(decided_parts, "ROW_GROUP", 30)
    before = open_log(workspace, now=NOW)
    deliver_events(workspace, "day", a_day())
    with monkeypatch.context() as patched:
        patched.setattr("models.intake.read_log", None)
        grown = open_log(workspace, now=NOW)
        as_put = grown.fingerprint
    table = decided(workspace, "grown.parquet", budget)
    shutil.rmtree(workspace.log)
    anew = open_log(workspace, now=NOW)
    assert (len(before), len(grown), len(anew)) == (6, 6, 7)
    assert anew.fingerprint != as_put
    assert decided(workspace, "anew.parquet", budget).read_bytes() == table.read_bytes()


def test_what_another_question_left_is_not_taken_for_an_answer(workspace, small, in_parts, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(decide.WRITERS, ".parquet", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            decided(workspace, budget=0.3)
    assert decided(workspace).read_bytes() == in_parts[None].read_bytes()


def test_a_second_run_writes_the_same_text(workspace, small, in_parts):
    first = decided(workspace, "all.csv").read_bytes()
    assert decided(workspace, "all.csv").read_bytes() == first
    table = pl.read_csv(workspace.root / "all.csv", infer_schema_length=None)
    assert table["member_id"].to_list() == pl.read_parquet(in_parts[None])["member_id"].to_list()


def test_how_far_it_is_and_how_long_it_takes_is_said(workspace, small, monkeypatch):
    monkeypatch.setattr(pace, "EVERY_SECONDS", -1.0)
    said = []
    asked = {"as_of": NOW.isoformat(), "language": "en", "now": NOW, "progress": said.append}
    decide.decide_all(workspace, workspace.root / "all.parquet", **asked)
    told = [step.partition(", about") for step in said]
    assert [step for step, _, _ in told if step.startswith("keeping")] == [f"keeping the log: {n} of 6 parts" for n in range(1, 6)]
    assert [step for step, _, _ in told if step.startswith("decisions:")] == [f"decisions: {n} of 6 parts" for n in range(1, 6)]
    assert all(left.endswith("s left") for _, about, left in told if about)

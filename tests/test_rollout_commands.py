"""Roll-outs by command: started, raised, read, finished, rolled back; and what the night does with one."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import yaml

from models.errors import InputError, ModelRefused
from models.registry import CHAMPION
from models.rollout_reading import kept_comparison
from models.store import Store
from pipelines.decide import decide_all
from pipelines.distributed_record import check_rollout
from pipelines.loading import engine_of
from pipelines.rollout import Said, was_rolled_back
from pipelines.rollout_watch import finish, rollout_status, watch_rollout
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.registry_world import challenged_copy
from tests.rolled_out import plan_of, plant
from tests.serving_world import DECLARED, NOW, write_home, write_logs

BEGAN = datetime(2025, 7, 1, tzinfo=UTC)
READ = BEGAN + timedelta(days=60)
ANNA = Said("anna", "looks better")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    registry = challenged_copy(tmp_path / "registry")
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", registry.uri)
    return registry


@pytest.fixture
def home(tmp_path, registry):
    home = write_home(tmp_path / "home")
    write_logs(home)
    return home


@pytest.fixture
def workspace(home):
    return Workspace.find(home)


def declare(home, **rollout):
    told = yaml.safe_load((home / "keepwell.yaml").read_text("utf-8"))
    (home / "keepwell.yaml").write_text(yaml.safe_dump({**told, "rollout": rollout}, allow_unicode=True), encoding="utf-8")


def stored(workspace):
    return closing(Store.open(workspace.store_url))


def test_the_way_of_a_challenger_from_a_share_to_the_champion_and_back(home, registry):
    started = keepwell("rollout", "start", "-c", home, "--share", 5, "--by", "anna", "--json").json()
    assert (started["champion"], started["challenger"], started["share"], started["notes"]) == ("1", "2", 5.0, [])
    assert keepwell("rollout", "raise", "-c", home, "--share", 25, "--json").json()["stages"][1]["share"] == 25.0
    status = keepwell("rollout", "status", "-c", home, "--json").json()
    assert (status["rollout"]["share"], status["comparison"]["verdict"]) == (25.0, "not_yet")
    assert "version 2 decides for 25%" in keepwell("rollout", "status", "-c", home).out
    assert "25%的成员由版本2决策" in keepwell("rollout", "status", "-c", home, "--lang", "zh").out
    assert "`keepwell rollout finish` or `keepwell rollback`" in keepwell("promote", "-c", home).refusal
    assert "runs already" in keepwell("rollout", "start", "-c", home, "--share", 5).refusal
    forced = keepwell("rollout", "finish", "-c", home, "--force", "--because", "the board wants it", "--json")
    assert (forced.json()["version"], registry.version_of(CHAMPION)) == ("2", "2")
    back = keepwell("rollback", "-c", home, "--json").json()
    assert (back["champion"], back["replaced"], back["ended"]) == ("1", "2", None)
    assert registry.version_of(CHAMPION) == "1"
    assert "the first that was in force" in keepwell("rollback", "-c", home).refusal
    assert [(one.version, one.how) for one in registry.champions()] == [("1", "promoted"), ("2", "promoted"), ("1", "rolled_back")]


def test_a_roll_back_ends_what_runs_and_leaves_the_champion(home, registry, workspace):
    keepwell("rollout", "start", "-c", home, "--share", 50)
    said = keepwell("rollback", "-c", home, "--because", "complaints")
    assert "roll-out 1 of version 2 has ended at 50 %" in said.out
    assert "version 1 decides for all" in said.out
    assert registry.version_of(CHAMPION) == "1"
    assert was_rolled_back(workspace, "2")
    ended = keepwell("rollout", "status", "-c", home, "--json").json()
    assert (ended["rollout"]["state"], ended["rollout"]["ended_because"], ended["todo"]) == ("rolled_back", "complaints", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("start", "--share", 0), "up to 100"),
        (("start", "--share", 101), "up to 100"),
        (("start", "--share", 5, "--version", "1"), "is the champion"),
        (("start", "--share", 5, "--version", "9"), 'no version "9"'),
        (("start", "--share", 5, "--at", "2099-01-01"), "lies ahead"),
        (("raise", "--share", 5), "no roll-out runs"),
        (("finish",), "no roll-out runs"),
        (("finish", "--force"), "--because"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(home, arguments, told):
    assert told in keepwell("rollout", arguments[0], "-c", home, *arguments[1:]).refusal


def test_before_the_first_one_there_is_nothing_to_show(home):
    assert keepwell("rollout", "status", "-c", home, "--json").json() == {"rollout": None}
    assert "No roll-out runs" in keepwell("rollout", "status", "-c", home).out


def test_a_run_over_all_members_gives_each_to_its_engine(workspace, tmp_path):
    def run(name, **more):
        given = {"as_of": None, "language": "en", "now": NOW, "progress": lambda _: None, **more}
        return decide_all(workspace, tmp_path / name, **given)

    champions = run("champion.parquet")
    with stored(workspace) as store:
        rollout = store.start_rollout(plan_of(BEGAN))
    with pytest.raises(InputError, match="gives version 2 50 % of the members, and Spark asks the champion alone"):
        check_rollout(workspace, engine_of(workspace, None), limited=False)
    check_rollout(workspace, engine_of(workspace, None), limited=True)
    both = run("both.parquet", record=True)
    taken = rollout.takes(both.table["member_id"].to_list(), DECLARED.policy)
    assert "version 2 decided for 50 % of the members" in both.rollout
    assert both.table["member_id"].to_list() == champions.table["member_id"].to_list()
    assert both.table.filter(~pl.Series(taken)).equals(champions.table.filter(~pl.Series(taken)))
    moved = both.table["risk_band"] != champions.table["risk_band"]
    assert moved.any()
    assert not moved.filter(~pl.Series(taken)).any()
    with stored(workspace) as store:
        kept = store.assignments().join(both.table.select("member_id").with_columns(taken=taken), on="member_id")
    assert dict(kept.group_by("taken").agg(pl.col("model_version").unique().implode().list.first()).iter_rows()) == {False: "1", True: "2"}
    limited = run("limited.parquet", budget=10.0)
    assert "for nobody here" in limited.rollout


def test_who_stays_more_is_put_in_force_by_the_comparison(workspace, registry):
    with stored(workspace) as store:
        plant(store, BEGAN, kept=(0.5, 0.7))
    promotion = finish(workspace, ANNA, now=READ)
    assert [one.name for one in promotion.shown.verdict.requirements] == ["golden_members", "rollout"]
    assert registry.version_of(CHAMPION) == "2"
    assert rollout_status(workspace, now=READ).rollout.state == "finished"
    assert registry.gate("2")["outcome"] == "passed"


def test_who_does_harm_is_not_put_in_force(workspace, registry):
    with stored(workspace) as store:
        plant(store, BEGAN, refusing=(0.02, 0.15))
    with pytest.raises(ModelRefused, match="does harm: Members who refused a contact"):
        finish(workspace, ANNA, now=READ)
    assert registry.version_of(CHAMPION) == "1"
    assert rollout_status(workspace, now=READ).rollout.state == "running"


@pytest.mark.parametrize(
    ("declared", "state"), [({"roll_back": True}, "rolled_back"), ({}, "running"), ({"refusals": 0.5, "roll_back": True}, "running")]
)
def test_the_night_rolls_back_what_does_harm_where_that_is_declared(home, workspace, declared, state):
    declare(home, **declared)
    with stored(workspace) as store:
        rollout = plant(store, BEGAN, refusing=(0.02, 0.15)).rollout
    watched = watch_rollout(workspace, now=READ)
    assert watched.alarm == ("refusals" not in declared)
    assert watched.ended == (state == "rolled_back")
    with stored(workspace) as store:
        (held,) = store.rollouts(5)
        assert (held.state, kept_comparison(store, rollout) is not None) == (state, True)
    assert (watch_rollout(workspace, now=READ) is None) == watched.ended

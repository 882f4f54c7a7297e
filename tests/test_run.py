"""A night does what is due, once; what fails leaves in force what was good before, and the next run goes on where it ended."""

import gzip
import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest
import yaml

from models.errors import InputError, RunHeld
from models.gate import Missing, RiskProof, judge, judge_first
from models.intervals import Estimate
from models.registry import CHALLENGER, CHAMPION, MODEL_NAME
from models.simulation import SimulationConfig
from models.statements import Statement
from models.store import Store
from pipelines.loading import registry
from pipelines.promote import Promotion, Shown
from pipelines.run import LOCK_FILE, night_of
from pipelines.run_lock import only_run
from pipelines.run_record import RunRecord, StepRecord, folder_of, forget_tables
from pipelines.run_steps import lacked_evidence
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.nights import Growing, states, step
from tests.planted import community

BASE = 90
NOW = datetime(2025, 4, 1, 2, tzinfo=UTC)
CONFIG = SimulationConfig(members=200, days=BASE + 3, start=date(2025, 1, 1), truth_as_of=())
CHURN = {"horizons_days": [7], "horizon_days": 7, "active_days": 21}
ALL = ("ingest", "check", "rollout", "monitor", "train", "evaluate", "promote", "decide", "report", "prune")
HOLDING = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from pipelines.run_lock import only_run
with only_run(Path(sys.argv[1]), now=datetime.now(UTC)):
    print("held", flush=True)
    time.sleep(600)
"""


GOOD = RiskProof(500, Estimate(0.01, 0.0, 0.02), Estimate(-0.01, -0.02, 0.0))
WORSE = RiskProof(500, Estimate(0.01, 0.0, 0.02), Estimate(0.05, 0.03, 0.07))


class Killed(BaseException):
    """What ends a process in the middle of its work."""


@pytest.fixture(scope="module")
def after_first(tmp_path_factory):
    """The community on the morning after the first night, and what that night did: nothing was delivered yet, and no model was there."""
    growing = Growing.simulated(CONFIG, 5, BASE, tmp_path_factory.mktemp("nights") / "home")
    growing.begin(churn=CHURN, schedule={"report": False}, timezone="Africa/Abidjan")
    return growing, growing.night(BASE)


@pytest.fixture
def growing(after_first, tmp_path):
    """The community on the morning after the first night, for one test alone."""
    return after_first[0].copied(tmp_path / "home")


def in_force(growing):
    return pl.read_parquet(growing.workspace.decisions)["as_of"][0].date().isoformat()


def test_the_first_night_makes_a_model_and_decides_by_it(after_first):
    growing, first = after_first
    assert tuple(states(first)) == ALL
    assert {name for name, state in states(first).items() if state != "done"} == {"report", "rollout"}
    assert (first.record.complete, first.record.exit_code) == (True, 0)
    assert registry(growing.workspace).aliases() == {CHALLENGER: "1", CHAMPION: "1"}
    assert in_force(growing) == "2025-04-01"
    assert "AUC" in step(first, "train").said


def test_a_second_run_for_the_same_moment_changes_nothing_and_says_so(growing, after_first):
    workspace = growing.workspace

    def held():
        return {path: path.read_bytes() for path in workspace.state.rglob("*") if path.is_file() and path.name != LOCK_FILE}

    before = held()
    again = growing.night(BASE)
    assert again.already
    assert again.record == RunRecord.read(folder_of(workspace, growing.midnight(BASE))) == after_first[1].record
    assert held() == before
    told = keepwell("run", "-c", workspace.root, "--as-of", "2025-04-01", "--json").json()
    assert told == again.record.to_dict() | {"already": True, "took_over": None}
    said = keepwell("run", "-c", workspace.root, "--as-of", "2025-04-01")
    assert (said.code, said.out) == (0, "the run for 2025-04-01T00:00:00+00:00 is complete already; nothing was changed\n")


def test_a_torn_file_leaves_yesterdays_decisions_in_force_until_it_comes_whole(growing):
    """The log still ends a day before, and of a day that is missing everybody would seem to have been silent."""
    whole = growing.deliver(BASE)
    torn = whole.read_bytes()
    whole.write_bytes(gzip.compress(torn, mtime=0)[:-20])
    ran = growing.night(BASE + 1)
    assert (states(ran)["ingest"], states(ran)["monitor"], states(ran)["decide"], ran.record.exit_code) == (
        "partial",
        "alarm",
        "skipped",
        3,
    )
    assert "2025-04-01.csv is refused" in step(ran, "ingest").said
    assert list(step(ran, "monitor").told["alarms"]) == ["freshness"]
    assert "the decisions of before stay in force" in step(ran, "decide").said
    assert in_force(growing) == "2025-04-01"
    whole.write_bytes(torn)
    mended = growing.night(BASE + 1)
    assert (mended.record.runs, mended.record.exit_code) == (2, 0)
    assert (step(mended, "ingest").told["events"], states(mended)["monitor"]) == (growing.of_day(BASE).height, "done")
    assert in_force(growing) == "2025-04-02"
    assert states(mended)["train"] == "not_due"


def test_a_file_that_does_not_come_is_told_and_taken_in_late_with_one_that_comes_twice(growing):
    missing = growing.night(BASE + 1)
    assert (states(missing)["ingest"], states(missing)["decide"], missing.record.exit_code) == ("done", "skipped", 3)
    for day, name in ((BASE, None), (BASE + 1, None), (BASE + 1, "again.csv")):
        growing.deliver(day, name)
    late = growing.night(BASE + 2)
    told = step(late, "ingest").told
    assert ([one["file"] for one in told["taken"]], told["again"]) == (["2025-04-01.csv", "2025-04-02.csv"], 1)
    assert told["events"] == growing.of_day(BASE).height + growing.of_day(BASE + 1).height
    assert states(late)["decide"] == "done"
    assert late.record.exit_code in {0, 1}


def test_a_run_that_is_killed_goes_on_where_it_was(growing):
    growing.deliver(BASE)
    at = growing.midnight(BASE + 1)

    def until_decisions(what):
        if what == "decide: decisions":
            raise Killed

    with pytest.raises(Killed):
        growing.night(BASE + 1, progress=until_decisions)
    left = RunRecord.read(folder_of(growing.workspace, at))
    assert (left.of("decide").state, left.ended_at, left.exit_code) == ("running", None, 3)
    assert in_force(growing) == "2025-04-01"
    steps = []
    resumed = growing.night(BASE + 1, progress=steps.append)
    assert (resumed.record.complete, resumed.record.runs) == (True, 2)
    assert {what.partition(":")[0] for what in steps} == {"ingest", "decide", "report", "prune"}
    assert resumed.record.of("monitor") == left.of("monitor")
    assert in_force(growing) == "2025-04-02"


def test_what_fails_is_told_and_the_rest_of_the_night_goes_on(growing):
    """A folder stands where the table of the decisions belongs."""
    growing.deliver(BASE)
    blocked = folder_of(growing.workspace, growing.midnight(BASE + 1)) / "decisions.parquet"
    blocked.mkdir(parents=True)
    ran = growing.night(BASE + 1)
    assert (states(ran)["decide"], states(ran)["report"], ran.record.exit_code) == ("failed", "not_due", 3)
    assert "decisions.parquet cannot be written" in step(ran, "decide").said
    assert in_force(growing) == "2025-04-01"
    blocked.rmdir()
    assert growing.night(BASE + 1).record.complete
    assert in_force(growing) == "2025-04-02"


def test_what_nobody_foresaw_is_told_too_and_yesterdays_table_stays(growing, capsys):
    """A folder with a file in it stands where the table that is in force should be moved to."""
    growing.deliver(BASE)
    growing.workspace.decisions.unlink()
    (growing.workspace.decisions / "in_the_way").mkdir(parents=True)
    ran = growing.night(BASE + 1)
    assert (states(ran)["decide"], states(ran)["report"], ran.record.exit_code) == ("failed", "not_due", 3)
    assert step(ran, "decide").said.startswith("IsADirectoryError: ")
    assert "Traceback" in capsys.readouterr().err


def test_where_the_check_finds_errors_nothing_is_learned_and_the_champion_goes_on_deciding(growing):
    """A signal is declared whose event type the log does not have, and a new model would be due."""
    growing.deliver(BASE)
    declaration = growing.workspace.declaration
    told = yaml.safe_load(declaration.read_text("utf-8"))
    told["signals"].append({"name": "likes", "event_types": ["like"], "label": {"en": "likes", "zh": "点赞"}})
    told["schedule"]["retrain_days"] = 1
    declaration.write_text(yaml.safe_dump(told, allow_unicode=True), "utf-8")
    ran = growing.night(BASE + 1)
    assert (states(ran)["check"], states(ran)["train"], states(ran)["decide"], ran.record.exit_code) == ("alarm", "skipped", "done", 3)
    assert 'unknown event type "like"' in step(ran, "train").said
    assert in_force(growing) == "2025-04-02"


def test_a_model_is_trained_again_when_enough_is_new_and_without_proof_the_champion_stays(growing):
    """Whether it is proved is for the gate; nothing is forced."""
    declaration = growing.workspace.declaration
    declaration.write_text(declaration.read_text("utf-8").replace("  report: false\n", "  report: false\n  retrain_days: 2\n"), "utf-8")
    for day in range(BASE, BASE + 3):
        growing.deliver(day)
    ran = growing.night(BASE + 3)
    assert "days more can be learned from: version 2" in step(ran, "train").said
    assert states(ran)["evaluate"] == "done"
    proved = states(ran)["promote"] == "done"
    assert states(ran)["promote"] in {"done", "refused"}
    assert registry(growing.workspace).aliases() == {CHALLENGER: "2", CHAMPION: "2" if proved else "1"}
    assert step(ran, "decide").told["version"] == ("2" if proved else "1")


def test_the_monitor_reads_the_decisions_of_the_last_run_and_ends_with_1_where_it_raises_an_alarm(growing):
    """Two days after the log ended; the table tells of the control, and of chances that add up."""
    said = keepwell("monitor", "-c", growing.folder, "--as-of", "2025-04-03", "--json")
    told = json.loads(said.out)
    status = {reading["name"]: reading["status"] for reading in told["readings"]}
    assert (said.code, told["version"], "freshness" in told["alarms"]) == (1, "1", True)
    assert {status[name] for name in ("decisions_mix", "propensity_floor", "control_size", "control_kept")} == {"ok"}
    with closing(Store.open(growing.workspace.store_url)) as store:
        assert json.loads(store.figures("monitor").body) == told
    spoken = keepwell("monitor", "-c", growing.folder, "--as-of", "2025-04-01")
    assert spoken.code == 0
    assert "2025-04-01T00:00:00+00:00, version 1: 0 of" in spoken.out


def test_without_a_model_the_monitor_reads_what_there_is(growing):
    registry(growing.workspace).client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    told = keepwell("monitor", "-c", growing.folder, "--as-of", "2025-04-01", "--json").json()
    assert (told["version"], told["foreseen"]) == (None, None)
    assert {reading["name"]: reading["status"] for reading in told["readings"]}["champion"] == "unknown"


def test_another_run_is_told_who_holds_the_lock_and_does_nothing(tmp_path):
    holding = subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path / "run.lock")], stdout=subprocess.PIPE, text=True)
    try:
        assert holding.stdout.readline() == "held\n"
        with (
            pytest.raises(RunHeld, match=rf"process {holding.pid} on .*, since .*run.lock is its lock"),
            only_run(tmp_path / "run.lock", now=NOW),
        ):
            pytest.fail("two runs at once")
    finally:
        holding.kill()
        holding.wait()
        holding.stdout.close()
    with only_run(tmp_path / "run.lock", now=NOW) as before:
        assert before.pid == holding.pid
    with only_run(tmp_path / "run.lock", now=NOW) as before:
        assert before is None


def test_the_command_ends_with_4_where_another_run_is_under_way(growing):
    with only_run(growing.workspace.state / LOCK_FILE, now=NOW):
        said = keepwell("run", "-c", growing.folder, "--as-of", "2025-04-01")
    assert said.code == 4
    assert said.out == ""
    assert "another run is under way: process" in said.err


def test_the_moment_is_the_last_midnight_by_the_communitys_clock():
    shanghai = community(timezone="Asia/Shanghai")
    assert night_of(shanghai, None, datetime(2025, 4, 1, 15, 59, tzinfo=UTC)) == datetime(2025, 3, 31, 16, tzinfo=UTC)
    assert night_of(shanghai, None, datetime(2025, 4, 1, 16, 0, tzinfo=UTC)) == datetime(2025, 4, 1, 16, tzinfo=UTC)
    with pytest.raises(InputError, match="is in the future"):
        night_of(shanghai, "2025-04-03", NOW)


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = RunRecord(NOW, NOW, steps=(StepRecord("ingest", "done", "said", 1.5, {"events": 3}),))
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert RunRecord.read(tmp_path / "nothing") is None
    assert json.loads((tmp_path / "summary.json").read_text("utf-8"))["complete"] is False


@pytest.mark.parametrize(
    ("verdict", "again"),
    [
        (judge_first(Statement("proof.no_champion")), False),
        (judge(Missing(Statement("proof.risk_not_measured")), None), True),
        (judge(GOOD, Missing(Statement("proof.policies_not_measured"))), True),
        (judge(WORSE, None), False),
    ],
    ids=["passed", "no outcomes", "no assignments with outcomes", "worse"],
)
def test_a_challenger_is_tried_again_only_where_something_could_not_be_measured(verdict, again):
    shown = Shown(verdict, None if any(one.name == "risk" for one in verdict.requirements) else GOOD)
    assert lacked_evidence(Promotion("2", "1", NOW, shown).to_dict()) is again


@pytest.mark.parametrize("content", ["", "{", "[]", '{"as_of": "2025-04-01T00:00:00+00:00"}'])
def test_a_damaged_record_is_none(tmp_path, content):
    (tmp_path / "summary.json").write_text(content, "utf-8")
    assert RunRecord.read(tmp_path) is None


@pytest.mark.parametrize(
    ("ended", "named", "code"),
    [
        (NOW, ("done", "not_due", "refused"), 0),
        (NOW, ("done", "alarm"), 1),
        (NOW, ("alarm", "failed"), 3),
        (NOW, ("partial",), 3),
        (NOW, ("skipped",), 3),
        (None, ("done",), 3),
    ],
)
def test_the_exit_code_tells_whether_somebody_has_to_look(ended, named, code):
    steps = tuple(StepRecord(str(number), state) for number, state in enumerate(named))
    assert RunRecord(NOW, NOW, ended_at=ended, steps=steps).exit_code == code


def test_tables_of_old_runs_go_and_their_summaries_stay(tmp_path):
    workspace = Workspace(tmp_path)
    for month in (1, 3):
        at = datetime(2025, month, 1, tzinfo=UTC)
        folder = folder_of(workspace, at)
        replace(RunRecord(at, at), ended_at=at).write(folder)
        (folder / "report").mkdir()
        for name in ("decisions.parquet", "report/community.html"):
            (folder / name).write_text("x", "utf-8")
    forget_tables(workspace, datetime(2025, 2, 1, tzinfo=UTC))
    left = sorted(str(path.relative_to(workspace.runs)) for path in workspace.runs.rglob("*") if path.is_file())
    kept = [f"2025-03-01/{name}" for name in ("decisions.parquet", "report/community.html", "summary.json")]
    assert left == ["2025-01-01/summary.json", *kept]

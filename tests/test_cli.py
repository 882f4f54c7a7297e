"""Every verb of the command line: what it prints, what it writes, and how it refuses."""

import gzip
import json
import os
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl
import pytest

from models.drift_figures import DRIFT, DriftFigures
from models.input_figures import INPUT, InputFigures
from models.intervention_figures import INTERVENTIONS, InterventionReport
from models.model_figures import MODEL, ModelFigures
from models.readings import MONITOR
from models.store import Store
from pipelines import demo
from pipelines.workspace import Workspace
from tests.command_line import DAYS, MEMBERS, RESTLESS, RESTLESS_EVENTS, declare, keepwell, visits, write_community, write_log
from tests.empty_registry import with_registry

COMMAND = Path(sys.executable).with_name("keepwell")
FIGURES = ("auc", "average_precision", "brier", "log_loss", "ece", "lift_at_10")
VERBS = ("init", "check", "ingest", "train", "evaluate", "promote", "plan", "decide", "report", "serve", "simulate", "demo")


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    return with_registry(write_community(tmp_path_factory.mktemp("community")))


@contextmanager
def past_python(written):
    """What libraries print that do not know `sys.stdout` goes there."""
    with written.open("wb") as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@pytest.fixture(scope="module")
def training(community, tmp_path_factory):
    """What the command said, and what was printed beside."""
    beside = tmp_path_factory.mktemp("printed") / "stdout"
    with past_python(beside):
        said = keepwell("train", "-c", community, "--json")
    return said, beside.read_bytes()


@pytest.fixture(scope="module")
def trained(training):
    return training[0].json()


@pytest.fixture(scope="module")
def champion(community, trained):
    assert keepwell("promote", "-c", community).out.startswith("version 1 is the champion\n")
    return community


def decide(champion, path):
    said = keepwell("decide", "-c", champion, "-o", path)
    assert said.code == 0, said
    return path


@pytest.fixture(scope="module")
def decided(champion, tmp_path_factory):
    return decide(champion, tmp_path_factory.mktemp("decided") / "decisions.parquet")


@pytest.fixture(scope="module")
def decided_csv(champion, tmp_path_factory):
    return decide(champion, tmp_path_factory.mktemp("decided") / "decisions.csv")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A community whose model nobody has trained. Odd members go, one after the other."""
    folder = tmp_path_factory.mktemp("small")
    rows = [row for n in range(60) for row in visits(f"m{n}", range(0, 30 + 2 * n if n % 2 else 200, 1 + n % 5))]
    return with_registry(declare(write_log(folder, rows)))


def test_the_command_tells_its_verbs():
    said = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert all(f" {verb} " in said.stdout for verb in VERBS)
    assert said.stderr == ""


def test_without_a_verb_the_help_is_shown():
    assert "Usage: keepwell" in keepwell().out


def test_check_counts_what_init_declared(community):
    said = keepwell("check", "-c", community, "--json").json()
    assert (said["members"], said["rejected"]) == (MEMBERS + 1, 0)
    assert said["events"] > RESTLESS_EVENTS
    assert "error" not in {finding["level"] for finding in said["findings"]}


def test_training_prints_one_object_and_nothing_else(training):
    said, beside = training
    told, end = json.JSONDecoder().raw_decode(said.out)
    assert said.out[end:] == "\n"
    assert isinstance(told, dict)
    assert beside == b""


def test_training_tells_the_model_its_test_and_both_baselines(trained):
    assert {"version", "run_id", "test_as_of", "horizon_days", "members", "snapshots", "events_rejected", "churn"} <= trained.keys()
    assert (trained["version"], trained["horizon_days"], trained["events_rejected"]) == ("1", 30, 0)
    assert trained["test_as_of"] == "2025-06-19T00:00:00+00:00"
    churn = trained["churn"]
    assert churn["grade"] in ("A", "B", "C")
    assert all(isinstance(churn[name], float) for name in FIGURES)
    lower, upper = churn["auc_interval"]
    assert 0.5 < lower <= churn["auc"] <= upper < 1
    assert all(0.5 < churn["baselines"][name]["auc"] < 1 for name in ("recency", "rfm_logistic"))


def test_what_is_in_use_is_not_below_the_better_baseline(trained):
    churn = trained["churn"]
    best = max(told["auc"] for told in churn["baselines"].values())
    assert churn["auc"] >= best - (churn["auc_interval"][1] - churn["auc_interval"][0]) / 2


def test_progress_goes_to_stderr(training):
    assert "features of the snapshots" in training[0].err
    assert "Traceback" not in training[0].err


def test_evaluating_the_champion_at_the_test_date_gives_the_figures_of_the_training(champion, trained):
    told = keepwell("evaluate", "-c", champion, "--json", "--as-of", "2025-06-19").json()
    assert (told["version"], told["as_of"], told["out_of_time"]) == ("1", trained["test_as_of"], True)
    assert told["members"] == trained["members"]
    assert {name: told["churn"][name] for name in FIGURES} == pytest.approx({name: trained["churn"][name] for name in FIGURES})
    for name, figures in trained["churn"]["baselines"].items():
        assert told["churn"]["baselines"][name]["auc"] == pytest.approx(figures["auc"])


def test_a_date_whose_outcomes_were_learned_from_is_not_out_of_time(champion):
    told = keepwell("evaluate", "-c", champion, "--json", "--as-of", "2025-05-01", "--version", "1").json()
    assert told["out_of_time"] is False
    assert "the figures flatter it" in keepwell("evaluate", "-c", champion, "--as-of", "2025-05-01").out


def test_every_member_is_decided_on_by_a_distribution_over_all_actions(decided):
    table = pl.read_parquet(decided)
    assert table["member_id"].n_unique() == table.height == MEMBERS + 1
    propensities = table.select(pl.col("^propensity_.*$").fill_null(0)).to_numpy()
    assert propensities.sum(axis=1) == pytest.approx(1)
    of_chosen = [row[f"propensity_{row['chosen']}"] for row in table.iter_rows(named=True)]
    assert table["propensity"].to_list() == pytest.approx(of_chosen)
    assert table.filter(pl.col("status") == "scored")["churn_probability"].is_between(0, 1).all()


def test_reasons_of_scored_members_are_json_with_percentage_points(decided):
    table = pl.read_parquet(decided)
    scored = table["status"] == "scored"
    assert table.filter(~scored)["reasons"].is_null().all()
    told = [json.loads(text) for text in table.filter(scored)["reasons"]]
    assert all(reason.keys() == {"code", "contribution_pp", "text"} for reasons in told for reason in reasons)
    assert all(reasons for reasons in told)


def test_a_member_with_a_hundred_thousand_events_is_scored(decided):
    member = pl.read_parquet(decided).filter(member_id=RESTLESS).row(0, named=True)
    assert (member["status"], member["churn_probability"] < 0.5) == ("scored", True)


def test_a_budget_is_kept_and_its_plan_is_told(champion, decided, tmp_path):
    table = tmp_path / "planned.parquet"
    said = keepwell("decide", "-c", champion, "-o", table, "--budget", "20")
    assert "planned for all members together: " in said.out
    planned = pl.read_parquet(table)
    assert 15 < planned["cost"].sum() <= 20 < pl.read_parquet(decided)["cost"].sum()
    propensities = planned.select(pl.col("^propensity_.*$").fill_null(0)).to_numpy()
    assert propensities.sum(axis=1) == pytest.approx(1)
    assert "outbid" in planned["no_action_reason"].to_list()


def test_a_run_keeps_for_the_pages_what_it_decided_on(champion, tmp_path):
    table = pl.read_parquet(decide(champion, tmp_path / "decisions.parquet"))
    with closing(Store.open(Workspace.find(champion).store_url)) as store:
        kept = {name: store.figures(name).body for name in (INTERVENTIONS, MODEL, DRIFT, INPUT)}
    report = InterventionReport.from_json(kept[INTERVENTIONS])
    assert report.members == table.height
    assert {one.id: one.run[-1].members for one in report.interventions} == {
        one.id: table.filter(chosen=one.id).height for one in report.interventions
    }
    models = ModelFigures.from_json(kept[MODEL])
    assert models.champion == "1"
    assert any(one.version == "1" and one.trained for one in models.measured)
    assert DriftFigures.from_json(kept[DRIFT]).model_version == "1"
    assert InputFigures.from_json(kept[INPUT]).members == MEMBERS + 1


def test_a_plan_tells_what_each_budget_brings(champion):
    told = keepwell("plan", "-c", champion, "--budget", "20", "--frontier", "3", "--json").json()
    spends = [point["spend"] for point in told["frontier"]]
    assert spends == sorted(spends)
    assert [point["budget"] is None for point in told["frontier"]] == [False, False, True]
    assert 15 < told["plan"]["spend"] <= 20 * (1 + 1e-9)
    assert told["plan_in_force"] is None
    assert {arm["intervention_id"] for arm in told["plan"]["interventions"]} >= {"group_invitation", "personal_call"}
    saved = told["plan"]["members_saved"]
    assert saved["lower"] < saved["value"] < saved["upper"]


def test_a_plan_is_put_in_force_and_withdrawn(champion):
    said = keepwell("plan", "-c", champion, "--budget", "20", "--frontier", "1", "--activate")
    assert " is in force until 2025-07-27T00:00:00" in said.out
    assert "keepwell serve --as-of" in said.out
    assert keepwell("plan", "-c", champion, "--withdraw").out == "no plan is in force\n"


@pytest.mark.parametrize("first", ["decided", "decided_csv"])
def test_deciding_twice_gives_the_same_bytes(champion, tmp_path, request, first):
    before = request.getfixturevalue(first)
    assert decide(champion, tmp_path / "anew" / before.name).read_bytes() == before.read_bytes()


def test_the_csv_holds_what_the_parquet_holds(decided, decided_csv):
    table = pl.read_parquet(decided)
    read = pl.read_csv(decided_csv, infer_schema_length=None)
    assert read.columns == table.columns
    for name in ("member_id", "chosen", "reasons", "churn_probability", "priority"):
        assert read[name].to_list() == table[name].to_list()


def test_reasons_are_told_in_the_language_asked_for(champion, tmp_path):
    assert keepwell("decide", "-c", champion, "-o", tmp_path / "zh.parquet", "--lang", "zh").code == 0
    told = "".join(pl.read_parquet(tmp_path / "zh.parquet")["reasons"].drop_nulls())
    assert "天" in told
    assert "days" not in told.replace("days_", "").replace("_days", "")


def test_a_member_is_reported_on_in_both_languages(champion, tmp_path):
    for language, word in (("en", "not proven to cause it"), ("zh", "原因")):
        page = tmp_path / f"{language}.html"
        assert keepwell("report", "-c", champion, "--member", RESTLESS, "-o", page, "--lang", language).code == 0
        text = page.read_text(encoding="utf-8")
        assert f'lang="{language}' in text
        assert RESTLESS in text
        assert word in text
        assert 'src="http' not in text


def test_ingest_fills_the_store_once(community):
    first = keepwell("ingest", "-c", community).out
    assert f"{MEMBERS + 1} members" in first
    assert "API key, shown this once: " in first
    assert keepwell("ingest", "-c", community).out == "new in the store: 0 events, 0 members, 0 touches\n"


def test_the_simulation_says_how_to_go_on(tmp_path):
    said = keepwell("simulate", "-o", tmp_path / "world", "--members", "5", "--days", "10", "--start", "2024-02-01")
    *init, output = said.out.splitlines()[1].removeprefix("next: keepwell ").split()
    assert keepwell(*init, output).code == 0
    assert Path(output).is_file()


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("init nothing.csv --member member --time time --type type", "nothing.csv does not exist"),
        ("init {log} --member membr --time time --type type", 'events.csv; it has "member"'),
        ("init {log} --member member --time tme --type type", 'no column "tme"'),
        ("init {log} --member member --time time --type kind", 'no column "kind"'),
        ("init {log} --member time --time time --type type", 'both name the column "time"'),
        ("init {log} --member member --time time --type type --type-is post", "give either --type COL"),
        ("init {log} --member member --time type --type-is x", 'time "post" cannot be read (line 2)'),
        ("init {log} --member member --time time --type type --churn-days x", "'--churn-days'"),
        ("init {log} --member member --time time --type type --language fr", '"fr" is no language'),
        ("init {log} --member member --time time --type type -o {log}/keepwell.yaml", "cannot be written"),
        ("init {log}", "Missing option '--member'"),
        ("check -c {empty}", "with --config, or write one with `keepwell init LOG --member COL --time COL`"),
        ("train -c {small} --test-as-of yesterday", '"yesterday" is no date; write it as 2026-01-31'),
        ("train -c {small} --test-as-of 0001-01-01", "a year from 1900 to 2100"),
        ("train -c {small} --test-as-of 2025-07-10", "the latest date that can be tested is 2025-06-1"),
        ("train -c {small} --test-as-of 2025-01-20", "leaves nothing to learn from"),
        ("train -c {small} --seed=-1", "'--seed'"),
        ("evaluate -c {small}", "`keepwell train` makes one"),
        ("evaluate -c {small} --version 7", 'has no version "7"'),
        ("promote -c {small}", "`keepwell train` makes one"),
        ("promote -c {small} --version one", "registered are none"),
        ("decide -c {small} -o {empty}/table.csv", "`keepwell train` makes one"),
        ("decide -c {small} -o {empty}/table.xlsx", "written as .parquet or .csv"),
        ("decide -c {small} -o {log}/table.csv", "cannot be written"),
        ("decide -c {small} -o {empty}/table.csv --lang fr", '"fr" is no language'),
        ("decide -c {small} -o {empty}/table.csv --budget -1", "'--budget'"),
        ("plan -c {small}", "`keepwell train` makes one"),
        ("plan -c {small} --frontier 0", "'--frontier'"),
        ("report -c {small} --member m1 -o {empty}/m1.html", "`keepwell train` makes one"),
        ("report -c {small} --member m1 -o {empty}/m1.pdf", "give the file the ending .html"),
        ("report -c {small} --member m1 -o {empty}", "ending .html"),
        ("serve -c {small} --port 70000", "'--port'"),
        ("serve -c {small} --port 0 --as-of soon", '"soon" is no date'),
        ("simulate -o {small}", "the folder is not empty"),
        ("simulate -o {log}", "cannot be written"),
        ("simulate -o {empty}/world --start soon", '"soon" is no day; write it as 2025-01-01'),
        ("simulate -o {empty}/world --members 0", "'--members'"),
        ("demo --folder {small}", "is not empty and no earlier demo"),
        ("demo --folder {log}", "is a file"),
        ("forecast", "No such command 'forecast'"),
    ],
)
def test_a_command_that_cannot_be_run_says_why_in_one_sentence(small, tmp_path, monkeypatch, typed, why):
    monkeypatch.chdir(tmp_path)
    places = {"log": small / "events.csv", "small": small, "empty": tmp_path}
    assert why in keepwell(*typed.format(**places).split()).refusal
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_champion_does_not_help_where_the_question_is_wrong(champion, tmp_path):
    def why(verb, *options):
        return keepwell(verb, "-c", champion, *options).refusal

    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    assert 'member "nobody" is not in the log' in why("report", "--member", "nobody", "-o", page)
    assert "joined 2025-01-01, after 2024-01-01" in why("report", "--member", RESTLESS, "-o", page, "--as-of", "2024-01-01")
    assert "no member had joined by 2001-01-01" in why("decide", "-o", table, "--as-of", "2001-01-01")
    assert "is in the future" in why("decide", "-o", table, "--as-of", "2099-01-01")
    assert "nobody was active in the 30 days before 2020-01-01" in why("evaluate", "--as-of", "2020-01-01")
    assert "is not in the log yet; choose an earlier date" in why("evaluate", "--as-of", "2025-07-10")
    assert 'has no version "99" in sqlite' in why("promote", "--version", "99")
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_refused(small):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "choose another with --host and --port" in keepwell("serve", "-c", small, "--port", other.getsockname()[1]).refusal


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty; it needs a header and at least one row"),
        (b"member,time,type\n", "has a header but no rows"),
        (b"member,time,type\nann,never,post\n", 'time "never" cannot be read (line 2)'),
        (b"member,time,type\n,2025-01-01,post\n", "no member (line 2)"),
        (b"member,time,type\nann,2999-01-01,post\n", "is in the future (line 2)"),
        ("member,time,type\n安,2025-01-01,发帖\n".encode("gb18030"), "is not UTF-8"),
        (gzip.compress(b"member,time,type\nann,2025-01-01,post\n", mtime=0)[:30], "is damaged gzip"),
    ],
)
def test_a_log_that_cannot_be_used_is_refused(tmp_path, content, why):
    log = tmp_path / "events.csv"
    log.write_bytes(content)
    assert why in keepwell("init", log, "--member=member", "--time=time", "--type=type", "-o", tmp_path / "keepwell.yaml").refusal
    assert not (tmp_path / "keepwell.yaml").exists()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (visits("ann", [0]), "leaves nothing to learn from"),
        (visits("ann", range(DAYS)), "too little to learn the 30-day risk from"),
        ([row for n in range(50) for row in visits(f"m{n}", [0])], "leaves nothing to learn from"),
        ([row for n in range(50) for row in visits(f"m{n}", range(0, DAYS, 3))], "0 of the rarer outcome"),
        ([row for n in range(100) for row in visits(f"m{n}", [n])], "0 of the rarer outcome"),
        ([row for n in range(50) for row in visits(f"m{n}", range(0, 100, 3))] + visits("last", [DAYS]), "no member was active"),
    ],
    ids=["one event", "one member", "one day", "nobody churned", "everybody churned", "nobody left to test on"],
)
def test_a_log_with_nothing_to_learn_is_checked_and_refused(small, tmp_path, monkeypatch, rows, why):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", f"sqlite:///{small}/.keepwell/mlflow.db")
    folder = declare(write_log(tmp_path, rows))
    assert keepwell("check", "-c", folder).code == 1
    assert why in keepwell("train", "-c", folder).refusal


def test_a_log_shorter_than_the_horizon_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", f"sqlite:///{small}/.keepwell/mlflow.db")
    rows = [row for n in range(50) for row in visits(f"m{n}", range(20))]
    folder = declare(write_log(tmp_path, rows), "--churn-days", "30")
    assert "error" in keepwell("check", "-c", folder).out
    assert "Bring a longer log, choose a later test date or a shorter horizon" in keepwell("train", "-c", folder).refusal


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("zh.csv", "会员,时间,类型\n{rows}"),
        ("semicolon.csv", "会员;时间;类型\n{rows}"),
        ("tabs.tsv", "会员\t时间\t类型\n{rows}"),
        ("packed.csv", "会员,时间,类型\n{rows}"),
        ("bom.csv", "\ufeff会员,时间,类型\n{rows}"),
    ],
)
def test_a_log_in_chinese_is_read_however_it_was_exported(tmp_path, name, written):
    separator = {"semicolon.csv": ";", "tabs.tsv": "\t"}.get(name, ",")
    rows = "".join(f"{row}\n".replace(",", separator) for n in range(9) for row in visits(f"张{n}", range(0, 100, 2), "发帖"))
    content = written.format(rows=rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name == "packed.csv" else content)
    columns = ("--member", "会员", "--time", "时间", "--type", "类型", "--language", "zh")
    assert keepwell("init", tmp_path / name, *columns, "-o", tmp_path / "keepwell.yaml").code == 0
    told = keepwell("check", "-c", tmp_path, "--json")
    assert (json.loads(told.out)["events"], json.loads(told.out)["members"]) == (450, 9)


def test_a_misspelt_key_of_the_declaration_is_named_with_its_line(small, tmp_path):
    text = (small / "keepwell.yaml").read_text(encoding="utf-8")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "horizon_days:" in row)
    (tmp_path / "keepwell.yaml").write_text(text.replace("horizon_days:", "horison_days:"), encoding="utf-8")
    why = keepwell("check", "-c", tmp_path).refusal
    assert why == f"keepwell.yaml line {line}: churn.horison_days: unknown key; did you mean horizon_days?"


@pytest.mark.parametrize(
    ("variable", "url", "why"),
    [
        ("KEEPWELL_STORE_URL", "nonsense", "the URL of the store cannot be read"),
        ("KEEPWELL_STORE_URL", "mysql://host/base", 'cannot be kept in "mysql"'),
        ("KEEPWELL_STORE_URL", "sqlite:///{small}/keepwell.yaml", "holds no store"),
        ("KEEPWELL_MLFLOW_URI", "gopher://host", "the registry gopher://host cannot be asked"),
    ],
)
def test_a_store_or_registry_that_cannot_be_reached_is_named(small, tmp_path, monkeypatch, variable, url, why):
    monkeypatch.setenv(variable, url.format(small=small))
    assert why in keepwell("decide", "-c", small, "-o", tmp_path / "table.csv").refusal


def test_passwords_of_a_registry_are_not_shown(small, monkeypatch):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", "gopher://ann:secret@host")
    assert "secret" not in keepwell("promote", "-c", small).err


def test_the_demo_walks_the_whole_path_and_says_how_to_go_on(tmp_path, monkeypatch):
    """With half a year of history in place of a whole one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "DAYS", 180)
    said = keepwell("demo", "--members", 500)
    assert said.code == 0, said
    assert "with the fixed seed 20" in said.out
    assert said.out.count("POST /score m") == 3
    reports = list(Path("demo").glob("report-*.html"))
    assert sorted("No option is worth it" in report.read_text("utf-8") for report in reports) == [False, True]
    assert all(f"member report      {report}" in said.out for report in reports)
    assert "serve --config demo" in said.out
    assert pl.read_parquet("demo/decisions.parquet").height == 500
    with closing(Store.open(Workspace(Path("demo")).store_url)) as store:
        assert store.figures(MONITOR) is not None
    again = keepwell("check", "-c", "demo")
    assert again.code == 0, again.out

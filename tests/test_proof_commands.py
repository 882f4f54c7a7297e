"""What decisions are worth, whom to contact, and what a version must show: the commands on a simulated community."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.engine_files import read_golden
from models.model_figures import MODEL, ModelFigures
from models.registry import DataDescription, RunRecord
from models.store import Store
from models.training import train
from models.training_rows import default_test_as_of
from pipelines.loading import load, registry
from pipelines.options import now
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.empty_registry import with_registry

MEMBERS, DAYS = 400, 150
POLICIES = ["champion", "best_constant", "random", "nobody"]


def record():
    data = DataDescription("simulated", "memory", pd.DataFrame({"type": ["post"], "events": [1]}))
    return RunRecord(parameters={}, metrics={}, figures={}, texts={}, data=data)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Version 1 believes the catalogue; version 2 is the same, but explores as much as it may. Neither is in force."""
    folder = tmp_path_factory.mktemp("proof")
    assert keepwell("simulate", "-o", folder, "--members", MEMBERS, "--days", DAYS, "--seed", 4).code == 0
    tables = ("--members", folder / "members.parquet", "--joined", "joined", "--touches", folder / "touches.parquet")
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value", "--churn-days", 14)
    assert keepwell("init", folder / "events.parquet", *columns, *tables, "-o", folder / "keepwell.yaml").code == 0
    workspace = Workspace.find(with_registry(folder))
    loaded, rng = load(workspace, now=now()), np.random.default_rng(1)
    at = default_test_as_of(loaded.arrays, loaded.community)
    trained = train(loaded.arrays, loaded.community, test_as_of=at, trained_at=now(), rng=rng)
    policy = trained.engine.community.policy.model_copy(update={"exploration": 0.1})
    curious = replace(trained.engine, community=trained.engine.community.model_copy(update={"policy": policy}))
    models = registry(workspace)
    for engine in (trained.engine, curious):
        models.register(engine, trained.golden, record())
    return folder


@pytest.fixture(scope="module")
def champion(home):
    said = keepwell("promote", "-c", home, "--version", "1")
    assert said.code == 0, said
    return home, said


def gate(folder, version):
    return registry(Workspace.find(folder)).gate(version)


def test_the_first_champion_is_promoted_without_comparison_and_that_is_said(champion):
    folder, said = champion
    assert said.out.startswith("version 1 is the champion\n  the golden members agree\n  there is no champion to compare with")
    told = gate(folder, "1")
    assert (told["outcome"], told["against"], told["policies"]) == ("passed", None, None)


def test_a_challenger_that_does_not_decide_better_is_refused_and_what_it_showed_is_kept(champion):
    folder, _ = champion
    refusal = keepwell("promote", "-c", folder).refusal
    assert refusal.startswith("version 2 is not put in force: its decisions are worth ")
    assert "the lower bound must lie above CN¥0" in refusal
    assert refusal.endswith("Version 1 stays; `keepwell promote --force --because TEXT` promotes without proof")
    told = gate(folder, "2")
    assert (told["outcome"], told["passed"], told["against"]) == ("refused", False, "1")
    assert {found["name"]: found["met"] for found in told["requirements"]} == {
        "golden_members": True,
        "calibration": True,
        "challenger_evidence": True,
        "champion_evidence": True,
        "policy_value": False,
    }
    gain = told["policies"]["policies"]["challenger"]["gain"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert registry(Workspace.find(folder)).aliases()["champion"] == "1"


def test_force_needs_a_reason(champion):
    folder, _ = champion
    assert "--force and --because go together" in keepwell("promote", "-c", folder, "--force").refusal
    assert "--force and --because go together" in keepwell("promote", "-c", folder, "--because", "today").refusal


def test_a_margin_admits_a_challenger_and_force_takes_the_earlier_one_back(champion):
    folder, _ = champion
    assert keepwell("promote", "-c", folder, "--margin", "100000", "--json").json()["passed"] is True
    assert registry(Workspace.find(folder)).aliases()["champion"] == "2"
    back = keepwell("promote", "-c", folder, "--version", "1", "--force", "--because", "退回：活动今天开始")
    assert back.code == 0
    logged = json.loads(back.err.strip().splitlines()[-1])
    assert (logged["event"], logged["version"], logged["against"]) == ("promotion_forced", "1", "2")
    assert gate(folder, "1")["because"] == logged["because"] == "退回：活动今天开始"
    assert registry(Workspace.find(folder)).aliases()["champion"] == "1"


def test_evaluating_policies_sets_the_champion_beside_plain_ones(champion):
    folder, _ = champion
    told = keepwell("evaluate", "--policy", "-c", folder, "--version", "1", "--json").json()
    assert told["versions"] == {"champion": "1"}
    assert list(told["policies"]) == POLICIES
    assert told["assignment"] == "logged"
    for judged in told["policies"].values():
        for kind in ("dr", "snips"):
            assert judged[kind]["low"] <= judged[kind]["value"] <= judged[kind]["high"]
            assert judged[kind]["outside_support"] == 0
    assert told["policies"]["champion"]["gain"] is None
    shown = keepwell("evaluate", "--policy", "-c", folder).out
    assert [name for name in POLICIES if name.replace("_", " ").split()[0] not in shown] == []
    assert "no engine had learned effects from them" in " ".join(shown.split())


def test_a_date_says_nothing_about_policies(champion):
    folder, _ = champion
    assert "--as-of asks for the risk at one date" in keepwell("evaluate", "--policy", "-c", folder, "--as-of", "2025-03-01").refusal


def test_evaluation_tells_the_profit_of_a_campaign_by_the_learned_response_too(champion):
    folder, _ = champion
    told = keepwell("evaluate", "-c", folder, "--json").json()
    profit = told["campaign_profit"]
    assert profit["learned"] == 0
    assert 0 <= profit["by_risk"]["profit"] <= profit["by_net_value"]["profit"] + 1e-9
    assert "expected maximum profit of a campaign" in " ".join(keepwell("evaluate", "-c", folder).out.split())


def test_what_is_measured_of_a_version_is_kept_with_it_and_told_on_the_page(champion):
    folder, _ = champion
    workspace, told = Workspace.find(folder), keepwell("evaluate", "-c", folder, "--json").json()
    kept = registry(workspace).measured(told["version"])[told["as_of"][:10]]
    assert kept == told
    with closing(Store.open(workspace.store_url)) as store:
        figures = ModelFigures.from_json(store.figures(MODEL).body)
    assert figures.champion == told["version"]
    (measured,) = [one for one in figures.measured if one.version == told["version"]]
    assert (measured.trained, measured.auc.value) == (False, told["churn"]["auc"])
    assert measured.recency_auc.interval == told["churn"]["baselines"]["recency"]["auc_interval"]
    assert sum(point.members for point in measured.calibration) == told["members"]


def test_targeting_says_the_sentence_first_and_writes_a_page(champion, tmp_path):
    folder, _ = champion
    page = tmp_path / "targeting.html"
    said = keepwell("targeting", "-c", folder, "--share", "0.3", "-o", page)
    assert said.code == 0, said
    assert said.out.startswith("Targeting by risk keeps ")
    source = page.read_text(encoding="utf-8")
    assert "Is targeting by risk hurting us?" in source
    assert said.out.splitlines()[0] in source


def test_targeting_refuses_another_file_than_a_page_before_the_work(champion, tmp_path):
    folder, _ = champion
    assert "give the file the ending .html" in keepwell("targeting", "-c", folder, "-o", tmp_path / "page.pdf").refusal


def test_a_log_without_touches_is_told_what_is_missing(tmp_path, champion):
    folder, _ = champion
    text = (folder / "keepwell.yaml").read_text(encoding="utf-8")
    begin = text.index("\ntouches:")
    end = text.index("\n\n", begin + 1)
    (folder / "untouched.yaml").write_text(text[:begin] + text[end:], encoding="utf-8")
    assert "no touches are declared" in keepwell("targeting", "-c", folder / "untouched.yaml").refusal
    assert "no touches are declared" in keepwell("evaluate", "--policy", "-c", folder / "untouched.yaml").refusal


def test_stored_golden_members_belong_to_both_versions(home):
    """What `home` registers is what a training would: the golden members of one engine hold for the other."""
    workspace = Workspace.find(home)
    engine = registry(workspace).load("2", workspace.model_cache)
    folder = next(path.parent for path in workspace.model_cache.rglob("golden.npz"))
    read_golden(folder).verify(engine)

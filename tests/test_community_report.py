"""The report of a whole community tells the figures that were computed, in both languages."""

import json
import re

import numpy as np
import pytest

from models.community_report import render_community_report
from models.declared import STAGES
from models.goals import Goals
from models.sankey import HEIGHT, sankey
from pipelines.community_report import report_all
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.serving_world import DECLARED, NOW, world, write_home, write_logs


@pytest.fixture(scope="module")
def declared():
    return DECLARED.model_copy(update={"goals": Goals(retention=0.97, acquisition_cost=20)})


@pytest.fixture(scope="module")
def home(declared, tmp_path_factory):
    folder = write_home(tmp_path_factory.mktemp("home"), declared)
    write_logs(folder)
    return folder


@pytest.fixture(scope="module")
def reports(declared, home, tmp_path_factory):
    """Page and figures by language; the model is that of the world."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        found = report_all(Workspace.find(home), folder, as_of=None, since=None, language="en", now=NOW, progress=print)
    english = (folder / "community.html").read_text(encoding="utf-8"), json.loads((folder / "community.json").read_text())
    chinese = (
        render_community_report(found, declared, generated_at=NOW, language="zh"),
        json.loads(json.dumps(found.to_dict(declared, "zh"))),
    )
    return {"en": english, "zh": chinese}


def test_all_members_are_in_one_stage_and_came_there_on_one_path(reports):
    figures = reports["en"][1]
    stages, flows = figures["overview"]["stages"], figures["overview"]["flows"]
    assert sum(stages.values()) == figures["overview"]["members"]
    for stage in STAGES:
        assert sum(flow["members"] for flow in flows if flow["after"] == stage) == stages[stage]


def test_the_goals_are_told_with_whether_they_are_reached(reports):
    page, figures = reports["en"]
    told = {goal["name"]: goal for goal in figures["goals"]}
    assert set(told) == {"stickiness", "weekly_events", "not_silent", "value_to_cost", "retention"}
    assert all(goal["met"] == (goal["value"] >= goal["goal"]) for goal in told.values())
    assert told["stickiness"]["value"] == pytest.approx(figures["stickiness"])
    assert "DAU/MAU" in page


def test_what_the_target_takes_is_the_first_plan_that_saves_enough_or_none(reports):
    page, figures = reports["en"]
    target = figures["target"]
    assert target["missing"] == int(np.ceil((0.97 - target["expected"]["value"]) * target["members"] - 1e-9))
    assert target["missing_per_week"] == pytest.approx(target["missing"] * 7 / 30)
    enough = [plan for plan in figures["frontier"] if plan["members_saved"]["value"] >= target["missing"]]
    assert (target["reaching"] is None) == (not enough)
    assert f"For 97% to stay, {target['missing']} more must be kept" in page


def test_both_languages_tell_the_same_figures_and_nothing_is_fetched(reports):
    (english, figures), (chinese, same) = reports["en"], reports["zh"]
    assert figures["overview"] == same["overview"]
    assert '<html lang="en">' in english
    assert '<html lang="zh-CN">' in chinese
    assert "社群报告" in chinese
    assert not re.search(r"(?:src|href)=|@import|url\(|<script", english + chinese)


def test_a_person_must_say_whom_the_report_is_about(home, tmp_path):
    for given in ((), ("--all", "--member", "m0000001")):
        assert "give either --member or --all" in keepwell("report", *given, "-o", tmp_path / "x.html", "-c", home).refusal


def test_the_bars_of_a_sankey_are_as_high_as_the_ribbons_that_reach_them():
    """Four members, 2 + 1 from a and 1 from b; with one gap of 12 the height of one is (320 - 12) / 4 = 77."""
    drawn = sankey(np.array([[2, 1], [0, 1]]), ["a", "b"], ["c", "d"])
    assert {(node.name, node.members, node.height) for node in drawn.nodes} == {("a", 3, 231), ("b", 1, 77), ("c", 2, 154), ("d", 2, 154)}
    assert max(node.y + node.height for node in drawn.nodes) == HEIGHT
    assert [(ribbon.before, ribbon.after, ribbon.members) for ribbon in drawn.ribbons] == [("a", "c", 2), ("a", "d", 1), ("b", "d", 1)]
    assert drawn.ribbons[1].path.startswith("M132.0,154.0 ")

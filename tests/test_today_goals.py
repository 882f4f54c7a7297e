"""Today shows goals, what a target retention takes and the paths between stages, as its twin in JSON tells them."""

import re
from html import escape

import pytest

from models.api_keys import create_key
from models.declared import STAGES
from models.goal_wording import goal_row, target_sentences
from models.goals import Distance, Goals, Reached
from models.intervals import Estimate
from models.kept_frontier import kept_frontier
from models.texts import number, text
from tests.serving_world import DECLARED, NOW, serving, world, write_home
from tests.shown_run import reader, show_runs, sign_in

GOALS = Goals(acquisition_cost=20)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("home") / "home", DECLARED.model_copy(update={"goals": GOALS}))
    with serving(home, world().log) as running:
        show_runs(running)
        yield running


@pytest.fixture(scope="module", params=["en", "zh"])
def visitor(request, running):
    with reader(running, request.param) as client:
        sign_in(client, create_key(running.store, request.param, ["read"], now=NOW))
        client.language = request.param
        yield client


def told(running, target=None):
    return running.client.get("/v1/overview", params={} if target is None else {"target": target}).json()


def test_the_goals_are_those_of_the_twin_with_whether_they_are_reached(running, visitor):
    page, goals = visitor.get("/").text, told(running)["goals"]
    assert [goal["name"] for goal in goals] == ["stickiness", "weekly_events", "value_to_cost", "not_silent"]
    assert [goal["goal"] for goal in goals] == [0.35, 5.0, 3.0, 0.5]
    for goal in goals:
        assert goal["met"] == (goal["value"] >= goal["goal"])
        row = goal_row(Reached(goal["name"], goal["goal"], goal["value"]), Goals(silence_days=30), visitor.language)
        shown = (("community_report.is", row.value), ("community_report.wanted", row.goal))
        cells = "".join(f'<td class="number" data-name="{text(visitor.language, key)}">{value}</td>' for key, value in shown)
        assert f'<th scope="row">{row.name}</th>{cells}' in page
        assert page.count(f"</span> {row.verdict}</span>") == sum(one["met"] == goal["met"] for one in goals)


@pytest.mark.parametrize(
    ("reached", "shown"),
    [
        (Reached("stickiness", 0.35, 0.348), ("34.8%", "35.0%")),
        (Reached("stickiness", 0.35, 0.352), ("35%", "35%")),
        (Reached("not_silent", 0.5, 0.41), ("41%", "50%")),
        (Reached("not_silent", 0.5, 0.49996), ("49.996%", "50.000%")),
        (Reached("weekly_events", 5.0, 4.97), ("4.97", "5.00")),
        (Reached("weekly_events", 5.0, 3.4), ("3.4", "5.0")),
    ],
)
def test_what_misses_its_goal_does_not_look_like_it(reached, shown):
    row = goal_row(reached, Goals(), "en")
    assert (row.value, row.goal) == shown


@pytest.mark.parametrize(("language", "said"), [("en", "Members heard of within 45 days"), ("zh", "最近45天内有活动的成员")])
def test_who_was_heard_of_is_told_with_the_days_and_not_as_the_stage_silent(language, said):
    assert goal_row(Reached("not_silent", 0.5, 0.63), Goals(silence_days=45), language).name == said


@pytest.mark.parametrize("target", [None, 60, 97, 99.5])
def test_what_a_target_takes_is_said_as_the_twin_tells_it(running, visitor, target):
    page, twin = visitor.get("/", params={} if target is None else {"target": target}).text, told(running, target)["target"]
    frontier = kept_frontier(running.store)
    bounds = Estimate(**twin["expected"])
    enough = [plan for plan in frontier.points if plan.saved.value >= twin["missing"]]
    reaching = min(enough, key=lambda plan: plan.spend, default=None)
    most = max(frontier.points, key=lambda plan: plan.saved.value)
    distance = Distance(twin["retention"], twin["days"], twin["members"], bounds, twin["missing"], reaching, most)
    assert twin["within_reach"] == distance.within_reach
    assert (twin["reaching"] is None) == (reaching is None)
    assert twin["at_most"] == pytest.approx(distance.at_most.to_dict())
    for sentence in target_sentences(distance, DECLARED, visitor.language):
        assert escape(sentence) in page
    assert f'value="{100 * twin["retention"]:g}"' in page
    assert f"{100 * twin['retention']:g}%" in page


def test_without_a_goal_one_point_more_than_is_expected_is_looked_at(running):
    twin = told(running)["target"]
    assert 0.01 <= twin["retention"] - twin["expected"]["value"] < 0.02
    assert twin["missing"] >= 1
    assert twin["missing_per_week"] == pytest.approx(twin["missing"] * 7 / twin["days"])


def test_a_form_that_was_left_empty_asks_for_no_target(running):
    assert told(running, "")["target"] == told(running)["target"]


@pytest.mark.parametrize("target", [0, 100, -3, "many", "nan"])
def test_a_target_that_is_no_share_is_refused(running, target):
    assert running.client.get("/v1/overview", params={"target": target}).status_code == 422


def test_every_member_is_on_one_path_and_the_drawing_has_each(running, visitor):
    page, twin = visitor.get("/").text, told(running)
    flows = twin["paths"]["flows"]
    for stage in STAGES:
        assert sum(flow["members"] for flow in flows if flow["after"] == stage) == twin["stages"][stage]
    for width in ("wide", "narrow"):
        drawing = re.search(rf'<svg class="chart paths {width}".*?</svg>', page, flags=re.DOTALL)[0]
        assert drawing.count('<path class="ribbon') == len(flows)
    for count in (twin["paths"]["gone"], twin["paths"]["back"]):
        assert number(visitor.language, count) in re.search(r'id="paths">.*?</h2>\s*<p>(.*?)</p>', page, flags=re.DOTALL)[1]

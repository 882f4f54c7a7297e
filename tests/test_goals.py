"""How far a community is from its goals, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.community import DAY_US
from models.declared import STAGES
from models.goals import Goals, Observed, distance_to, expected_retention, goals_reached
from models.intervals import Estimate
from models.stage_paths import NOT_YET, Flow, stage_paths, stages_at
from tests.planted import AS_OF_US, Member, arrays, community

CODE = {name: position for position, name in enumerate(STAGES)}


def plan(spend, saved):
    return SimpleNamespace(spend=spend, saved=Estimate(saved, saved / 2, saved * 2))


def seen(**changes):
    told = {
        "stickiness": 0.4,
        "weekly_events": 4.0,
        "silence_days": np.array([1.0, 29.0, 30.0, 200.0]),
        "value": np.array([10.0, 20.0, 30.0, 20.0]),
        "probability": np.array([0.1, 0.3, np.nan, np.nan]),
    }
    return Observed(**told | changes)


def test_each_goal_is_set_against_what_is_seen():
    goals = Goals(acquisition_cost=8, retention=0.9)
    told = {one.name: (one.value, one.met) for one in goals_reached(goals, seen())}
    assert told == {
        "stickiness": (0.4, True),
        "weekly_events": (4.0, False),
        "not_silent": (0.5, True),
        "value_to_cost": (2.5, False),
        "retention": (pytest.approx(0.8), False),
    }


def test_what_is_not_declared_or_not_known_is_not_judged():
    told = {one.name: one.met for one in goals_reached(Goals(), seen(stickiness=None))}
    assert told == {"stickiness": None, "weekly_events": False, "not_silent": True}


def test_expected_retention_has_the_spread_of_chance():
    """100 members at p = .5: the standard deviation of the share is .05."""
    assert expected_retention(np.full(100, 0.5)).interval == pytest.approx([0.5 - 0.0822, 0.5 + 0.0822], abs=1e-4)
    assert expected_retention(np.array([np.nan])) is None


def test_the_cheapest_plan_that_saves_enough_is_named():
    """Of 100 members 80 are expected to stay; 85 % are 5 more."""
    frontier = [plan(10, 2), plan(50, 6), plan(30, 5), plan(90, 7)]
    told = distance_to(0.85, np.full(100, 0.2), frontier)
    assert (told.missing, told.reaching.spend, told.most.spend) == (5, 30, 90)
    assert told.at_most == pytest.approx(0.87)


def test_a_target_beyond_all_plans_says_how_far_they_go_and_one_that_is_reached_takes_nothing():
    far, there = (distance_to(target, np.full(100, 0.2), [plan(0, 0), plan(90, 7)]) for target in (0.95, 0.8))
    assert (far.missing, far.reaching, far.at_most) == (15, None, pytest.approx(0.87))
    assert (there.missing, there.reaching.spend) == (0, 0)
    assert distance_to(0.9, np.array([]), []) is None


def test_members_go_from_stage_to_stage_and_some_have_only_joined():
    before = [CODE["new"], CODE["new"], CODE["active"], CODE["lost"], NOT_YET, NOT_YET]
    after = [CODE["active"], CODE["silent"], CODE["active"], CODE["growing"], CODE["new"], NOT_YET]
    paths = stage_paths(np.array(before), np.array(after))
    assert set(paths.flows) == {
        Flow("new", "active", 1),
        Flow("new", "silent", 1),
        Flow("active", "active", 1),
        Flow("lost", "growing", 1),
        Flow("not_yet", "new", 1),
    }
    assert (paths.gone, paths.back) == (1, 1)


@given(st.lists(st.tuples(st.integers(0, NOT_YET), st.integers(0, NOT_YET)), max_size=40))
def test_no_member_is_lost_or_counted_twice_on_the_way(pairs):
    before, after = (np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    paths = stage_paths(before, after)
    assert paths.counts.sum() == (after != NOT_YET).sum() == sum(flow.members for flow in paths.flows)
    assert paths.after.tolist() == [(after == code).sum() for code in range(NOT_YET)]


def test_stages_at_an_earlier_date_know_nothing_of_what_came_later():
    """One who was silent and came back, one who joined since, one who fell silent."""
    members = [
        Member(joined=300, events={"post": [40.0, 1.0]}),
        Member(joined=5, events={"post": [4.0]}),
        Member(joined=300, events={"post": [31.0, 32.0]}),
    ]
    declared = community()
    events = arrays(members, declared)
    now, then = (stages_at(declared, events, AS_OF_US - days * DAY_US) for days in (0, 30))
    assert [STAGES[code] for code in now] == ["stable", "new", "lost"]
    assert then.tolist() == [CODE["silent"], NOT_YET, CODE["stable"]]

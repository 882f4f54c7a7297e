"""How far a community is from its goals, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audience import Counted
from models.community import DAY_US
from models.declared import STAGES
from models.goals import Goals, distance_to, expected_retention, goals_reached
from models.intervals import Estimate
from models.stage_paths import NOT_YET, Flow, stage_paths, stages_at
from tests.planted import AS_OF_US, Member, arrays, community

CODE = {name: position for position, name in enumerate(STAGES)}


def plan(spend, saved):
    return SimpleNamespace(spend=spend, saved=Estimate(saved, saved / 2, saved * 2))


def going(members, expected, reach=0.0):
    return Counted(members, Estimate(expected, expected - reach, expected + reach), 0.0)


def seen(**changes):
    told = {
        "liveliness": SimpleNamespace(stickiness=0.4, weekly_events=4.0),
        "not_silent": 0.5,
        "mean_value": 20.0,
        "scored": going(2, 0.4),
    }
    return SimpleNamespace(**told | changes)


def test_each_goal_is_set_against_what_is_seen():
    goals = Goals(acquisition_cost=8, retention=0.9)
    told = {one.name: (one.value, one.met) for one in goals_reached(goals, seen())}
    assert told == {
        "stickiness": (0.4, True),
        "weekly_events": (4.0, False),
        "value_to_cost": (2.5, False),
        "not_silent": (0.5, True),
        "retention": (pytest.approx(0.8), False),
    }


def test_what_is_not_declared_or_not_known_is_not_judged():
    quiet = seen(liveliness=SimpleNamespace(stickiness=None, weekly_events=4.0))
    assert {one.name: one.met for one in goals_reached(Goals(), quiet)} == {"stickiness": None, "weekly_events": False, "not_silent": True}


def test_those_who_are_not_expected_to_go_stay_with_the_interval_turned_round():
    told = expected_retention(going(100, 50, 8))
    assert (told.value, *told.interval) == pytest.approx((0.5, 0.42, 0.58))
    assert expected_retention(going(0, 0)) is None


def test_the_cheapest_plan_that_saves_enough_is_named():
    """Of 100 members 80 are expected to stay; 85 % are 5 more, in 30 days 1.17 a week."""
    frontier = [plan(10, 2), plan(50, 6), plan(30, 5), plan(90, 7)]
    told = distance_to(0.85, 30, going(100, 20), frontier)
    assert (told.missing, told.reaching.spend, told.most.spend, told.within_reach) == (5, 30, 90, "yes")
    assert told.missing_per_week == pytest.approx(35 / 30)
    assert (told.at_most.value, *told.at_most.interval) == pytest.approx((0.87, 0.835, 0.94))


@pytest.mark.parametrize(
    ("target", "plans", "missing", "within_reach"),
    [(0.95, [plan(90, 7)], 15, "no"), (0.9, [plan(90, 7)], 10, "perhaps"), (0.8, [plan(0, 0)], 0, "reached"), (0.9, [], 10, "unknown")],
)
def test_a_target_is_within_reach_as_far_as_the_best_plan_and_its_interval_go(target, plans, missing, within_reach):
    told = distance_to(target, 30, going(100, 20), plans)
    assert (told.missing, told.within_reach) == (missing, within_reach)
    assert distance_to(0.9, 30, going(0, 0), []) is None


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

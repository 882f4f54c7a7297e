"""A plan for members who lie in parts is worth what one for all of them in one table is, and keeps what that keeps."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from models import parted_plan
from models.parted_plan import plan_in_parts
from models.plan_parts import PlanPart
from models.planning import plan_jointly, settle
from tests.candidates_in_parts import COSTS, SUPPLIES, Here, cut, members

N = 12_000


def outcomes(everyone, plan):
    """By member."""
    told = {}
    for part in everyone.parts:
        outcome = plan.followed.outcome(part)
        told |= dict(zip(part.ids, zip(outcome.chosen.tolist(), outcome.propensity, strict=True), strict=True))
    return [told[one] for one in sorted(told)]


def used(candidates, chosen):
    taken = np.flatnonzero(chosen)
    arm = chosen[taken] - 1
    channels = np.bincount(candidates.channel[taken, arm], minlength=2)
    return np.concatenate([[candidates.cost[taken, arm].sum()], np.bincount(arm, minlength=3), channels])


@cache
def of_one_table(name, alike):
    """The plan, and what it gives to whom."""
    candidates, draw = members(3, N, alike=alike)
    whole, there = cut(candidates, draw, 1)[1], SUPPLIES[name]
    alone = plan_jointly(whole.candidates, there, 0.02)
    return alone, settle(whole.candidates, alone, there, draw)


@pytest.mark.parametrize("name", list(SUPPLIES))
@pytest.mark.parametrize(("close_calls", "alike"), [(500, True), (3_000, False)])
def test_a_plan_over_parts_is_worth_that_of_one_table_and_never_exceeds_what_there_is(name, close_calls, alike, monkeypatch):
    monkeypatch.setattr(parted_plan, "CLOSE_CALLS", close_calls)
    candidates, draw = members(3, N, alike=alike)
    everyone, _ = cut(candidates, draw, 7)
    there = SUPPLIES[name]
    plan = plan_in_parts(everyone, there, 0.02, COSTS)
    alone, settled = of_one_table(name, alike)
    assert plan.gap <= alone.plan.gap + 1e-3
    assert plan.value >= alone.plan.value * (1 - 1e-3)
    assert plan.bound >= alone.plan.value * (1 - 1e-9)
    chosen, propensity = (np.array(column) for column in zip(*outcomes(everyone, plan), strict=True))
    mandatory = used(candidates, np.where(candidates.urgent > 0, candidates.urgent, 0))
    assert (used(candidates, chosen) <= np.maximum(there.limits, mandatory) * (1 + 1e-9)).all()
    assert np.allclose(propensity.sum(axis=1), 1)
    worth = [
        np.where(each > 0, candidates.priority[np.arange(N), each - 1], 0.0)[candidates.urgent == 0].sum()
        for each in (chosen, settled.chosen)
    ]
    assert worth[0] == pytest.approx(worth[1], rel=2e-3)


def test_it_does_not_matter_into_which_parts_the_members_fall():
    candidates, draw = members(5, N)
    first, second = (cut(candidates, draw, number)[0] for number in (3, 11))
    plans = [plan_in_parts(everyone, SUPPLIES["all"], 0.02, COSTS) for everyone in (first, second)]
    chosen = [np.array([one[0] for one in outcomes(everyone, plan)]) for everyone, plan in zip((first, second), plans, strict=True)]
    assert (chosen[0] == chosen[1]).mean() > 0.999
    assert plans[0].value == pytest.approx(plans[1].value, rel=1e-5)


def test_ids_that_end_alike_are_told_apart_and_a_long_one_takes_room_for_itself_alone():
    """As where a row of a broken table is one cell."""
    ids = ["m", "m\0", 'm",\\', "成员😀", "x" * 100_000, *(f"m{at}" for at in range(995))]
    candidates, draw = members(9, n=len(ids))
    whole = PlanPart.of(ids, ids, candidates, draw)
    assert len(whole.to_bytes()) < 400_000
    assert PlanPart.from_bytes(whole.to_bytes()).ids == ids
    everyone = Here([PlanPart.from_bytes(whole.of_members(rows).to_bytes()) for rows in np.array_split(np.arange(len(ids)), 3)])
    there = replace(SUPPLIES["money"], budget=900.0)
    plan = plan_in_parts(everyone, there, 0.02, COSTS)
    chosen = dict(zip(sorted(ids), outcomes(everyone, plan), strict=True))
    assert used(candidates, np.array([chosen[one][0] for one in ids]))[0] <= 900.0


def test_an_empty_part_changes_nothing():
    candidates, draw = members(6, n=2_000)
    everyone, whole = cut(candidates, draw, 2)
    more = replace(everyone, parts=[whole.of_members(np.arange(0)), *everyone.parts])
    assert plan_in_parts(more, SUPPLIES["money"], 0.02, COSTS).value == plan_in_parts(everyone, SUPPLIES["money"], 0.02, COSTS).value


@pytest.mark.parametrize("name", list(SUPPLIES))
def test_nothing_is_exceeded_where_many_members_have_one_turn(name, monkeypatch):
    """As where more of them want the same than there are numbers to tell their turns apart; nearly all draw what is explored."""
    monkeypatch.setattr(parted_plan, "CLOSE_CALLS", 300)
    candidates, draw = members(7, n=1_500, alike=True)
    everyone, _ = cut(candidates, 1 - draw / 20, 4, lots=3)
    there = SUPPLIES[name]
    there = replace(there, budget=there.budget / 8, interventions=np.floor(there.interventions / 8), channels=np.floor(there.channels / 8))
    chosen = np.array([one[0] for one in outcomes(everyone, plan_in_parts(everyone, there, 0.02, COSTS))])
    mandatory = used(candidates, np.where(candidates.urgent > 0, candidates.urgent, 0))
    assert (used(candidates, chosen) <= np.maximum(there.limits, mandatory) * (1 + 1e-9)).all()

"""A plan for members who lie in parts is worth what one for all of them in one table is, and keeps what that keeps."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from models import parted_plan
from models.parted_plan import plan_in_parts
from models.plan_parts import AskNumbers, PlanPart, Terms, summed
from models.planning import Candidates, plan_jointly, settle
from models.supply import Supply
from pipelines.distributed_plan import HELD, PartsOnSpark
from pipelines.spark_session import spark_session

COSTS = np.array([2.0, 15.0, 0.5])
N = 12_000


@dataclass(frozen=True)
class Here:
    """Parts in this process."""

    parts: list[PlanPart]

    def over(self, ask):
        return [ask(part) for part in self.parts]

    def total(self, ask):
        return summed(self.over(ask))


def members(seed, n=N, alike=False):
    """Two channels; some priorities below nothing, a tenth of the candidates refused, one member in fifty with something urgent."""
    rng = np.random.default_rng(seed)
    priority = rng.gamma(1.5, 3.0, (n, 3)) * np.array([1.0, 3.0, 0.4]) - COSTS
    if alike:
        priority = np.round(priority)
    urgent = np.where(rng.random(n) < 0.02, rng.integers(1, 4, n), 0)
    allowed = (rng.random((n, 3)) < 0.9) & ((urgent[:, None] == 0) | (np.arange(1, 4) == urgent[:, None]))
    allowed |= np.arange(1, 4) == urgent[:, None]
    channel = np.where(rng.random((n, 3)) < 0.5, 0, [0, 1, 1])
    return Candidates(priority, np.broadcast_to(COSTS, (n, 3)).copy(), channel, allowed, urgent), rng.random(n)


def cut(candidates, draw, number, lots=None):
    ids = [f"m{at:06}" for at in range(len(draw))]
    whole = PlanPart.of(ids, [f"d-{one}" for one in ids], candidates, draw)
    if lots is not None:
        whole = whole._replace(lot=np.floor(whole.lot * lots) / lots)
    scattered = np.random.default_rng(1).permutation(len(draw))
    return Here([PlanPart.from_bytes(whole.of_members(rows).to_bytes()) for rows in np.array_split(scattered, number)]), whole


def supply(budget=np.inf, interventions=(np.inf, np.inf, np.inf), channels=(np.inf, np.inf)):
    return Supply(budget, np.array(interventions, float), np.array(channels, float), exploration_share=0.1)


SUPPLIES = {
    "money": supply(budget=9_000.0),
    "places": supply(interventions=(900, 120, np.inf)),
    "all": supply(budget=6_000.0, interventions=(2_000, 80, 3_000), channels=(2_500, 1_200)),
    "little": supply(budget=4_000.0, channels=(300, 100)),
}


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


@pytest.mark.parametrize("name", list(SUPPLIES))
@pytest.mark.parametrize("close_calls", [500, 3_000])
@pytest.mark.parametrize("alike", [False, True])
def test_a_plan_over_parts_is_worth_that_of_one_table_and_never_exceeds_what_there_is(name, close_calls, alike, monkeypatch):
    monkeypatch.setattr(parted_plan, "CLOSE_CALLS", close_calls)
    candidates, draw = members(3, alike=alike)
    everyone, whole = cut(candidates, draw, 7)
    there = SUPPLIES[name]
    plan = plan_in_parts(everyone, there, 0.02, COSTS)
    alone = plan_jointly(whole.candidates, there, 0.02)
    assert plan.gap <= alone.plan.gap + 1e-3
    assert plan.value >= alone.plan.value * (1 - 1e-3)
    assert plan.bound >= alone.plan.value * (1 - 1e-9)
    chosen, propensity = (np.array(column) for column in zip(*outcomes(everyone, plan), strict=True))
    mandatory = used(candidates, np.where(candidates.urgent > 0, candidates.urgent, 0))
    assert (used(candidates, chosen) <= np.maximum(there.limits, mandatory) * (1 + 1e-9)).all()
    assert np.allclose(propensity.sum(axis=1), 1)
    settled = settle(whole.candidates, alone, there, draw)
    worth = [
        np.where(each > 0, candidates.priority[np.arange(N), each - 1], 0.0)[candidates.urgent == 0].sum()
        for each in (chosen, settled.chosen)
    ]
    assert worth[0] == pytest.approx(worth[1], rel=2e-3)


def test_it_does_not_matter_into_which_parts_the_members_fall():
    candidates, draw = members(5)
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


def test_on_spark_the_sum_over_all_parts_comes_from_a_sum_for_each_partition(spark):
    """Three parts in four partitions, so that one has none."""
    everyone, _ = cut(*members(8, n=90), 3)
    rows = pa.table({"held": [part.to_bytes() for part in everyone.parts]}, HELD)
    asked = AskNumbers(Terms(SUPPLIES["all"], SUPPLIES["all"].limits, 0.02))
    with spark_session(None):
        told = PartsOnSpark(spark.createDataFrame(rows).repartition(4)).total(asked)
    assert told["use"] == pytest.approx(everyone.total(asked)["use"])

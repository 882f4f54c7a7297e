"""Plans in expectation: as good as the linear programme, within every limit, and of many members who are alike taken together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from models import plan_ground
from models.expected_plan import COARSE, FINE, Planner
from models.interventions import Rule
from models.plan_figures import Prospects
from models.plan_ground import PART, Common, condensed_part, most_strata
from models.planning import Candidates, plan_jointly, room_of
from models.strata import Strata
from models.supply import Supply
from tests.test_planning import crowd, places, supply

RULES = (Rule("eligibility", "min_value"), Rule("contact_policy", "weekly"), Rule("arbitration", "mandatory_first"))


def strata(candidates: Candidates) -> Strata:
    """Each member by itself, worth 40, all of them scored; what is not allowed was kept away by one of two rules."""
    n, k = candidates.priority.shape
    value = np.full(n, 40.0)
    uplift = (candidates.priority + candidates.cost) / 40
    ends = [40 * end - candidates.cost for end in (uplift, uplift - 0.02, uplift + 0.02)]
    refused = np.where(candidates.allowed, 0, 1 + np.arange(n * k).reshape(n, k) % 2).astype(np.int16)
    return Strata(
        np.ones(n), candidates, Prospects(value, uplift, uplift - 0.02, uplift + 0.02, *ends), np.ones(n, dtype=bool), refused, RULES
    )


def used(of: Strata, plan) -> np.ndarray:
    share = of.members[:, None] * plan.expected[:, 1:]
    channels = np.bincount(of.candidates.channel.ravel(), share.ravel(), 2)
    return np.array([(share * of.candidates.cost).sum(), *share.sum(axis=0), *channels])


def saved(of: Strata, plan) -> float:
    return float((of.members[:, None] * plan.expected[:, 1:] * of.prospects.uplift).sum())


def linear_programme(candidates: Candidates, there: Supply, exploration: float) -> float:
    """The optimum by HiGHS, one variable for each candidate that is worth it."""
    room = room_of(candidates, there, exploration)
    member, arm = np.nonzero(room.worth_it)
    weight, n = room.weight[member], len(member)
    if n == 0:
        return 0.0
    uses = [weight * candidates.cost[member, arm], *(weight * (arm == at) for at in range(4))]
    uses += [weight * (candidates.channel[member, arm] == at) for at in range(2)]
    finite = np.isfinite(room.rest)
    once = csr_array((np.ones(n), (member, np.arange(n))), shape=(len(room.weight), n))
    solved = linprog(
        -weight * candidates.priority[member, arm],
        A_ub=vstack([once, csr_array(np.array(uses)[finite])]),
        b_ub=np.concatenate([np.ones(len(room.weight)), room.rest[finite]]),
    )
    return -float(solved.fun)


@given(
    st.integers(0, 40),
    st.integers(0, 99),
    st.floats(0, 60) | st.just(np.inf),
    st.tuples(*[places] * 4),
    st.tuples(places, places),
    st.sampled_from([0.0, 0.02, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_a_plan_in_expectation_is_the_optimum_of_the_linear_programme_within_every_limit(
    n, seed, budget, interventions, channels, explored
):
    candidates, there = crowd(n, seed), supply(budget, interventions, channels)
    of = strata(candidates)
    plan = Planner(of, explored).plan(there)
    best = linear_programme(candidates, there, explored)
    assert plan.value == pytest.approx(best, rel=1e-5, abs=1e-6)
    assert plan.bound >= best - 1e-6
    assert (used(of, plan) <= there.limits * (1 + 1e-6) + 1e-6).all()
    assert plan.expected.sum(axis=1) == pytest.approx(np.ones(n))
    assert (plan.expected[:, 1:][~candidates.allowed] == 0).all()


@pytest.mark.parametrize("budget", [np.inf, 300.0, 40.0])
def test_whole_members_bring_what_the_plan_in_expectation_says_but_for_one_at_each_limit(budget):
    candidates, there = crowd(600, 7), supply(budget, channels=(150, np.inf))
    expected, whole = Planner(strata(candidates), 0.02).plan(there), plan_jointly(candidates, there, 0.02)
    assert expected.exploration == whole.exploration
    assert whole.plan.value <= expected.bound * (1 + 1e-6)
    assert whole.plan.value >= expected.value - 2 * candidates.priority.max()


def test_members_who_are_all_alike_are_divided_at_the_budget_at_once():
    """A thousand members worth 3 each at a cost of 2, and money for a quarter of them and a half of one."""
    same = Candidates(
        np.full((1000, 1), 3.0), np.full((1000, 1), 2.0), np.zeros((1000, 1), int), np.ones((1000, 1), bool), np.zeros(1000, int)
    )
    there = Supply(501.0, np.array([np.inf]), np.array([np.inf]), 0.1)
    planner = Planner(strata(same), 0.0)
    plan = planner.plan(there)
    assert plan.value == pytest.approx(751.5)
    assert plan.prices.budget == pytest.approx(1.5)
    assert sum(len(market.asked) for market in planner.markets.values()) < 10


def test_another_plan_on_the_same_prices_costs_little_and_is_the_same_within_its_tolerance():
    candidates = crowd(2000, 12)
    there = [supply(budget, channels=(500, np.inf)) for budget in (np.inf, 200.0, 400.0, 600.0, 800.0)]
    planner = Planner(strata(candidates), 0.0, COARSE)
    for one in there:
        alone = Planner(strata(candidates), 0.0, FINE).plan(one)
        assert planner.plan(one).value == pytest.approx(alone.value, rel=2 * COARSE)
    assert sum(len(market.asked) for market in planner.markets.values()) < 5 * 25


def test_what_has_to_be_sent_is_sent_and_takes_its_money_first():
    candidates, there = crowd(400, 9, urgent=50), supply(200.0, exploration_share=1.0)
    of = strata(candidates)
    plan = Planner(of, 0.05).plan(there)
    assert (plan.expected[-50:, 2] == 1).all()
    assert used(of, plan)[0] == pytest.approx(200.0)


def test_members_taken_together_keep_their_sums_and_their_rules():
    of = strata(crowd(3000, 21, share_allowed=0.9))
    condensed = of.condensed(400)
    strata_, code = condensed
    assert len(strata_) < 500
    assert strata_.members.sum() == 3000
    assert np.bincount(code).tolist() == strata_.members.tolist()
    assert (of.refused == strata_.refused[code]).all()
    assert (of.candidates.channel == strata_.candidates.channel[code]).all()
    assert (strata_.members @ strata_.prospects.net_low).tolist() == pytest.approx(of.prospects.net_low.sum(axis=0).tolist())
    assert strata_.blocked(["a", "b", "c", "d"]) == of.blocked(["a", "b", "c", "d"])


@pytest.mark.parametrize("budget", [np.inf, 2000.0, 500.0])
def test_a_plan_for_members_taken_together_can_be_had_and_is_nearly_the_best(budget):
    """What it brings is what these members bring when all of a stratum get the same, so that the best plan for each is no worse."""
    of, there = strata(crowd(20_000, 22)), supply(budget, channels=(4000, np.inf))
    condensed = of.condensed(4000)
    plan = Planner(condensed.strata, 0.0).plan(there)
    one_by_one = replace(plan, expected=plan.expected[condensed.code])
    assert used(of, one_by_one) == pytest.approx(used(condensed.strata, plan))
    assert (one_by_one.expected[:, 1:] * np.where(of.candidates.allowed, of.candidates.priority, 0)).sum() == pytest.approx(plan.value)
    best = Planner(of, 0.0).plan(there)
    assert 0.98 * best.value < plan.value <= best.bound * (1 + 1e-9)


@pytest.mark.parametrize("places", [(600, 200), (6000, 2000)])
def test_a_large_community_in_parts_loses_little_of_the_plan_for_each_member(places):
    """Places send members from their best to what is next best; also where there are few of them, and where money is short too."""
    of = strata(crowd(40_000, 23, share_allowed=0.9))
    common = Common.of(condensed_part(half).strata for half in (of[:PART], of[PART:]))
    parts = common.strata
    assert 0.99 * most_strata(40_000) < len(parts) <= most_strata(40_000) < 40_000 / 3
    assert [code.max() < len(parts) for code in common.stratum] == [True, True]
    for budget in (np.inf, 3000.0):
        there = supply(budget, interventions=(np.inf, places[0], np.inf, places[1]), channels=(9000, np.inf))
        plan, best = Planner(parts, 0.0).plan(there), Planner(of, 0.0).plan(there)
        assert 0.994 * best.value < plan.value <= best.bound * (1 + 1e-9)
        assert saved(parts, plan) == pytest.approx(saved(of, best), rel=0.02)


def test_the_larger_a_community_the_more_strata_until_a_plan_would_take_too_long():
    assert [most_strata(members) for members in (500, 10_000, 90_000, 300_000, 5_000_000)] == [10_000, 10_000, 15_000, 50_000, 60_000]


def test_strata_of_many_parts_are_put_together_some_at_a_time_and_as_finely_as_there_are_members(monkeypatch):
    """90,000 members, four in each stratum of a part, are told apart by 15,000 strata and not by a sixth of 22,500."""
    monkeypatch.setattr(plan_ground, "AT_ONCE", 2)
    of = replace(strata(crowd(22_500, 25)), members=np.full(22_500, 4.0))
    parts = [of[begin : begin + 4_500] for begin in range(0, 22_500, 4_500)]
    common = Common.of(iter(parts))
    assert 14_500 < len(common.strata) <= 15_000
    assert common.strata.members.sum() == 90_000
    assert [len(code) for code in common.stratum] == [4_500] * 5
    counted = np.bincount(np.concatenate(common.stratum), np.concatenate([part.members for part in parts]))
    assert counted.tolist() == common.strata.members.tolist()


def test_members_who_differ_by_rounding_alone_are_one_stratum():
    alike = crowd(1, 3)[np.zeros(6, dtype=np.int64)]
    noise = 1 + np.array([0, 0, 0, 0, 0, 1e-16])[:, None] * 4
    assert len(strata(replace(alike, priority=alike.priority * noise)).condensed(3).strata) <= 3


def test_few_members_are_taken_each_by_itself():
    of = strata(crowd(50, 3))
    assert of.condensed(50).code.tolist() == list(range(50))


def test_parts_are_put_together_by_the_names_of_their_rules():
    one, other = strata(crowd(20, 1)), strata(crowd(30, 2))
    turned = replace(other, rules=RULES[::-1], refused=np.where(other.refused > 0, 4 - other.refused, 0).astype(np.int16))
    names = ["a", "b", "c", "d"]
    assert Strata.together([one, turned]).blocked(names) == one.blocked(names) + other.blocked(names)

"""The best plan under a budget and capacities, its bound, and its prices."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from models.allocation import Plan, allocate
from models.dual import minimise_dual
from models.errors import InputError
from models.offers import Offers

NOT = -np.inf


@dataclass(frozen=True)
class Problem:
    """channel (n, k): position in `channel_capacity`; infinite where there is no limit."""

    net: np.ndarray
    cost: np.ndarray
    budget: float
    capacity: np.ndarray
    channel: np.ndarray
    channel_capacity: np.ndarray
    weight: np.ndarray

    def plan(self) -> Plan:
        return allocate(
            self.net,
            self.cost,
            self.budget,
            self.capacity,
            channel=self.channel,
            channel_capacity=self.channel_capacity,
            weight=self.weight,
        )

    @cached_property
    def cells(self):
        return np.nonzero(self.net > 0)

    def uses(self) -> np.ndarray:
        """Of each limit by each variable, budget first."""
        member, arm = self.cells
        weight = self.weight[member]
        rows = [weight * self.cost[member, arm]]
        rows += [weight * (arm == position) for position in range(self.net.shape[1])]
        rows += [weight * (self.channel[member, arm] == position) for position in range(len(self.channel_capacity))]
        return np.array(rows).reshape(-1, len(member))

    @property
    def limits(self) -> np.ndarray:
        return np.array([self.budget, *self.capacity, *self.channel_capacity])

    def best(self, *, whole: bool) -> float:
        """What HiGHS finds, for whole members or for parts of them."""
        member, arm = self.cells
        n = len(member)
        if n == 0:
            return 0.0
        bound = np.isfinite(self.limits)
        once = csr_array((np.ones(n), (member, np.arange(n))), shape=(len(self.net), n))
        rows = vstack([once, csr_array(self.uses()[bound])])
        found = milp(
            -(self.weight[member] * self.net[member, arm]),
            integrality=np.full(n, int(whole)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(rows, ub=[*np.ones(len(self.net)), *self.limits[bound]]),
            options={"mip_rel_gap": 1e-10} if whole else {},
        )
        return -float(found.fun)

    def check_feasible(self, plan: Plan) -> None:
        members = np.flatnonzero(plan.choice >= 0)
        chosen, weight = plan.choice[members], self.weight[members]
        assert (self.net[members, chosen] > 0).all()
        spend = weight @ self.cost[members, chosen]
        taken = [weight @ (chosen == arm) for arm in range(self.net.shape[1])]
        sent = [weight @ (self.channel[members, chosen] == position) for position in range(len(self.channel_capacity))]
        assert (np.array([spend, *taken, *sent]) <= self.limits * (1 + 1e-9)).all()
        assert plan.spend == pytest.approx(spend)
        assert plan.used.interventions == pytest.approx(taken)
        assert plan.used.channels == pytest.approx(sent)
        assert plan.value == pytest.approx(weight @ self.net[members, chosen])


amounts = st.integers(-4, 12) | st.floats(-4, 12, allow_subnormal=False).map(lambda amount: round(amount, 3))
costs = st.integers(0, 6) | st.floats(0, 6).map(lambda amount: round(amount, 3))


@st.composite
def problems(draw, most_members=9, most_interventions=4):
    shape = draw(st.tuples(st.integers(0, most_members), st.integers(0, most_interventions)))
    n_channels = draw(st.integers(1, 3))
    number = st.integers(0, most_members) | st.just(np.inf)
    return Problem(
        net=draw(hnp.arrays(float, shape, elements=amounts | st.sampled_from([NOT, np.nan]))),
        cost=draw(hnp.arrays(float, shape, elements=costs)),
        budget=float(draw(st.integers(0, 25) | st.floats(0, 25) | st.just(np.inf))),
        capacity=draw(hnp.arrays(float, shape[1], elements=number)),
        channel=draw(hnp.arrays(int, shape, elements=st.integers(0, n_channels - 1))),
        channel_capacity=draw(hnp.arrays(float, n_channels, elements=number)),
        weight=draw(hnp.arrays(float, shape[0], elements=st.just(1.0) | st.sampled_from([0.9, 0.92, 0.5]))),
    )


def community(n: int, seed: int, *, constant: bool = False) -> Problem:
    """Eight interventions on three channels; a budget and four capacities of which all but one bind."""
    rng = np.random.default_rng(seed)
    usual = np.array([0.1, 0.5, 1, 2, 3, 5, 8, 12])
    cost = usual * (1 if constant else rng.uniform(0.5, 1.5, (n, 8)))
    net = rng.gamma(1.5, 0.02, (n, 1)) * rng.normal(1, 0.8, (n, 8)) * rng.lognormal(4, 1, (n, 1)) - cost
    free = net.max(axis=1) > 0
    wanted = np.bincount(net.argmax(axis=1)[free], minlength=8)
    capacity = np.full(8, np.inf)
    capacity[[0, 4]] = np.floor(wanted[[0, 4]] * [0.5, 0.2])
    return Problem(
        net=net,
        cost=np.broadcast_to(cost, (n, 8)),
        budget=float(0.4 * np.broadcast_to(cost, (n, 8))[np.arange(n), net.argmax(axis=1)][free].sum()),
        capacity=capacity,
        channel=np.broadcast_to([0, 0, 0, 1, 1, 2, 2, 2], (n, 8)),
        channel_capacity=np.array([np.floor(wanted[:3].sum() * 0.8), np.inf, wanted.sum()]),
        weight=np.ones(n),
    )


# Against HiGHS


@given(problems())
@settings(max_examples=150, deadline=None)
def test_a_small_plan_is_as_good_as_the_best_and_keeps_every_limit(problem):
    plan = problem.plan()
    problem.check_feasible(plan)
    best = problem.best(whole=True)
    assert plan.value == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert plan.bound >= best - 1e-6
    assert plan.bound == pytest.approx(plan.value, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_the_bound_is_that_of_the_linear_programme(constant):
    problem = community(3000, 1, constant=constant)
    offers = Offers(np.where(problem.net > 0, problem.net, NOT).T.copy(), problem.cost.T.copy(), problem.weight, problem.channel.T, 3)
    assert minimise_dual(offers.demand, problem.limits).bound == pytest.approx(problem.best(whole=False), rel=1e-6)


@pytest.mark.parametrize(
    ("n", "constant", "seed"), [(1000, True, 1), (1000, False, 2), (3000, True, 3), (3000, False, 4), (60_000, False, 5)]
)
def test_a_plan_keeps_every_limit_and_comes_close_to_its_bound(n, constant, seed):
    problem = community(n, seed, constant=constant)
    plan = problem.plan()
    problem.check_feasible(plan)
    assert 0 <= plan.gap < 1e-3


def test_the_sums_of_two_parts_give_the_prices_of_the_whole():
    problem = community(4000, 7)
    offers = Offers(np.where(problem.net > 0, problem.net, NOT).T.copy(), problem.cost.T.copy(), problem.weight, problem.channel.T, 3)
    parts = offers.of_members(slice(0, 1500)), offers.of_members(slice(1500, None))
    whole = minimise_dual(offers.demand, problem.limits)
    apart = minimise_dual(lambda prices: parts[0].demand(prices) + parts[1].demand(prices), problem.limits)
    assert apart.bound == pytest.approx(whole.bound, rel=1e-6)
    assert apart.prices == pytest.approx(whole.prices, rel=1e-2, abs=1e-3)


# By hand


def test_a_budget_goes_where_a_coin_brings_most():
    """4 coins among 9 for 3 coins, 5 for 1 and 4 for 2: the first two. The next coin is worth 2, what the third would bring for each."""
    plan = allocate([[9.0], [5.0], [4.0]], [[3.0], [1.0], [2.0]], 4)
    assert plan.choice.tolist() == [0, 0, -1]
    assert (plan.value, plan.bound, plan.gap, plan.spend) == (14, 14, 0, 4)
    assert 2 <= plan.shadow_prices.budget <= 3


def test_a_plan_for_whole_members_may_leave_money_over():
    """5 coins: 10 for 4 coins beat 7 for 3 with 3 for 1 ... 10 = 10; with 6 coins 10 + 3 cost 5, 7 + 3 cost 4, 10 + 7 cost 7."""
    plan = allocate([[10.0], [7.0], [3.0]], [[4.0], [3.0], [1.0]], 6)
    assert (plan.choice.tolist(), plan.value, plan.spend) == ([0, -1, 0], 13, 5)


def test_one_place_goes_to_the_member_who_has_no_other():
    """Both like the call best; the second would only get 1 elsewhere, the first 8. A second place would bring 10 - 8 = 2."""
    plan = allocate([[10.0, 8.0], [9.0, 1.0]], 0.0, capacity=[1, np.inf])
    assert plan.choice.tolist() == [1, 0]
    assert plan.value == 17
    assert 2 <= plan.shadow_prices.interventions[0] <= 8
    assert plan.shadow_prices.interventions[1] == plan.shadow_prices.budget == 0


def test_a_channel_counts_all_that_goes_over_it():
    plan = allocate([[5.0, 4.0, 1.0]] * 3, 0.0, channel=[0, 0, 1], channel_capacity=[1, np.inf])
    assert np.sort(plan.choice).tolist() == [0, 2, 2]
    assert plan.used.channels.tolist() == [1, 2]
    assert plan.shadow_prices.channels == pytest.approx([4, 0])


def test_the_channel_may_differ_from_member_to_member():
    plan = allocate([[5.0], [4.0], [3.0]], 0.0, channel=[[0], [1], [0]], channel_capacity=[1, 1])
    assert plan.choice.tolist() == [0, 0, -1]


def test_members_who_are_alike_share_two_interventions_so_that_the_budget_is_used_up():
    """100 members, 10 for 2 coins or 9 for 1, and 150 coins: 50 of each, 950; a single price would give all the same."""
    plan = allocate(np.tile([10.0, 9.0], (100, 1)), [2.0, 1.0], 150)
    assert (plan.value, plan.spend, plan.gap) == (950, 150, 0)
    assert plan.used.interventions.tolist() == [50, 50]
    assert plan.shadow_prices.budget == pytest.approx(1)


def test_what_counts_half_uses_half():
    """With weight one half, two members fit into one place."""
    plan = allocate([[4.0], [3.0], [2.0]], 1.0, 10, [1], weight=[0.5, 0.5, 0.5])
    assert plan.choice.tolist() == [0, 0, -1]
    assert (plan.value, plan.spend, plan.used.interventions.tolist()) == (3.5, 1, [1])


# Edges


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nobody_or_nothing_to_offer_is_a_plan_of_nothing(shape):
    plan = allocate(np.ones(shape), np.ones(shape), 1, np.ones(shape[1]))
    assert plan.choice.tolist() == [-1] * shape[0]
    assert (plan.value, plan.bound, plan.gap, plan.spend) == (0, 0, 0, 0)


def test_without_limits_each_has_its_best_and_all_prices_are_zero():
    plan = allocate([[1.0, 3.0], [-1.0, -2.0], [NOT, np.nan]], 7.0)
    assert plan.choice.tolist() == [1, -1, -1]
    assert plan.gap == 0
    assert plan.shadow_prices.resources.tolist() == [0, 0, 0]


def test_without_money_only_what_is_free_is_given():
    plan = allocate([[9.0, 2.0], [8.0, -1.0]], [[1.0, 0.0], [1.0, 0.0]], 0)
    assert (plan.choice.tolist(), plan.spend, plan.gap) == ([1, -1], 0, 0)


def test_a_capacity_of_none_closes_an_intervention():
    plan = allocate([[9.0, 2.0]], 0.0, capacity=[0, 5])
    assert (plan.choice.tolist(), plan.bound) == ([1], 2)


def test_what_alone_costs_more_than_there_is_is_out_of_the_plan_and_of_its_bound():
    plan = allocate([[100.0], [2.0]], [[11.0], [10.0]], 10)
    assert (plan.choice.tolist(), plan.bound) == ([-1, 0], 2)


def test_ten_times_a_tenth_is_one():
    plan = allocate(np.ones((12, 1)), 0.1, 1.0)
    assert plan.used.interventions.tolist() == [10]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"net_value": [1.0, 2.0], "cost": 1.0}, "a row for each member"),
        ({"net_value": [[np.inf]], "cost": 1.0}, "net value is infinite"),
        ({"net_value": [[1.0]], "cost": -1.0}, "cost is negative"),
        ({"net_value": [[1.0]], "cost": np.nan}, "cost is negative, infinite or missing"),
        ({"net_value": [[1.0]], "cost": 1.0, "budget": -5}, "a limit is -5"),
        ({"net_value": [[1.0]], "cost": 1.0, "budget": np.nan}, "a limit is nan"),
        ({"net_value": [[1.0]], "cost": 1.0, "capacity": [1, 2]}, "capacities for 1 interventions"),
        ({"net_value": [[1.0]], "cost": 1.0, "channel_capacity": [1]}, "without channel"),
        ({"net_value": [[1.0]], "cost": 1.0, "channel": [1], "channel_capacity": [1]}, "channels 1 to 1"),
        ({"net_value": [[1.0]], "cost": 1.0, "weight": [2.0]}, "from 0 to 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(given, said):
    with pytest.raises(InputError, match=said):
        allocate(**given)


# Prices


def test_a_price_stands_only_where_a_limit_binds():
    problem = community(20_000, 11)
    plan = problem.plan()
    prices, used = plan.shadow_prices.resources, np.array([plan.spend, *plan.used.interventions, *plan.used.channels])
    binding = prices > 1e-6
    assert 3 <= binding.sum() < len(prices)
    assert used[binding] == pytest.approx(problem.limits[binding], rel=2e-3)
    assert (prices[~np.isfinite(problem.limits)] == 0).all()


@pytest.mark.parametrize("constant", [False, True])
def test_who_decides_by_the_prices_alone_spends_about_the_same(constant):
    problem = community(20_000, 12, constant=constant)
    plan = problem.plan()
    left = problem.net - plan.shadow_prices.charge(problem.cost, problem.channel).total
    alone = np.where(left.max(axis=1) > 0, left.argmax(axis=1), -1)
    members = np.flatnonzero(alone >= 0)
    assert problem.cost[members, alone[members]].sum() == pytest.approx(plan.spend, rel=0.01)
    assert problem.net[members, alone[members]].sum() == pytest.approx(plan.value, rel=0.01)
    assert (alone == plan.choice).mean() > 0.99


def test_the_prices_of_one_half_of_the_members_serve_the_other():
    problem = community(40_000, 13)
    here, there = slice(0, 20_000), slice(20_000, None)
    plan = allocate(problem.net[here], problem.cost[here], problem.budget / 2)
    left = problem.net[there] - plan.shadow_prices.charge(problem.cost[there], problem.channel[there]).total
    members, chosen = np.flatnonzero(left.max(axis=1) > 0), left.argmax(axis=1)
    assert problem.cost[there][members, chosen[members]].sum() == pytest.approx(problem.budget / 2, rel=0.05)


def test_another_coin_brings_what_its_price_says():
    """The derivative of the best value by the budget, where thousands of members make it smooth."""
    problem = community(50_000, 14)
    more = problem.budget * 1.02
    first, second = allocate(problem.net, problem.cost, problem.budget), allocate(problem.net, problem.cost, more)
    assert (second.value - first.value) / (more - problem.budget) == pytest.approx(first.shadow_prices.budget, rel=0.05)

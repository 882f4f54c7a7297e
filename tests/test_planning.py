"""A joint plan for all members: what is meant, what is explored, and what comes of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.interventions import ContactHistory
from models.planning import Candidates, JointPlan, Settled, plan_jointly, settle, settled
from models.snapshots import Snapshots
from models.supply import Capacity, Supply
from models.weighing import weigh
from tests.planted import AS_OF, AS_OF_US, Member, arrays, community, engine, intervention

OFFER = intervention("offer", channels=["wecom"], cost=3)
CALL = intervention("call", channels=["phone"], cost=1)
NOTE = intervention("note", channels=["wecom"], cost=0, starting_uplift=0.02)


def crowd(n: int, seed: int, *, k: int = 4, share_allowed: float = 0.8, urgent: int = 0) -> Candidates:
    """The last `urgent` members have to get the second intervention."""
    rng = np.random.default_rng(seed)
    cost = np.tile([0.0, 1.0, 2.5, 4.0][:k], (n, 1)) * rng.uniform(0.5, 1.5, (n, k))
    allowed, must = rng.random((n, k)) < share_allowed, np.where(np.arange(n) < n - urgent, 0, 2)
    allowed[must > 0] = np.arange(k) == 1
    return Candidates(rng.normal(1.5, 3, (n, k)), cost, np.tile([0, 0, 1, 1][:k], (n, 1)), allowed, must)


def supply(budget=None, interventions=(np.inf,) * 4, channels=(np.inf, np.inf), exploration_share=0.1) -> Supply:
    return Supply(np.inf if budget is None else budget, np.array(interventions, float), np.array(channels, float), exploration_share)


def draws(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


def used(candidates: Candidates, outcome: Settled) -> np.ndarray:
    rows = np.flatnonzero(outcome.chosen)
    at = outcome.chosen[rows] - 1
    return np.array(
        [candidates.cost[rows, at].sum(), *np.bincount(at, minlength=4), *np.bincount(candidates.channel[rows, at], minlength=2)]
    )


def expected_use(candidates: Candidates, joint: JointPlan) -> np.ndarray:
    share = joint.expected[:, 1:]
    return np.array([(share * candidates.cost).sum(), *share.sum(axis=0), *np.bincount(candidates.channel.ravel(), share.ravel(), 2)])


def test_members_who_are_equal_but_for_rounding_are_served_in_their_order():
    """What one sum rounds to differs between batches of different members."""
    one, there = crowd(1, 5), supply(budget=40)
    priority, cost = np.tile(np.abs(one.priority), (300, 1)), np.tile(one.cost, (300, 1))
    alike = Candidates(priority, cost, np.tile(one.channel, (300, 1)), cost > 0, np.zeros(300, int))
    noise = 1 + np.random.default_rng(7).choice([-2, -1, 0, 1, 2], (300, 4)) * np.finfo(float).eps
    plans = [plan_jointly(one, there, 0.0).plan.choice for one in (alike, replace(alike, priority=priority * noise))]
    assert 0 < (plans[0] >= 0).sum() < 300
    assert np.array_equal(*plans)


limits = st.floats(0, 60) | st.just(np.inf)
places = st.integers(0, 25) | st.just(np.inf)


@given(
    st.integers(0, 40),
    st.integers(0, 99),
    limits,
    st.tuples(*[places] * 4),
    st.tuples(places, places),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.sampled_from([0.0, 0.1, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_nothing_is_ever_exceeded_whatever_is_drawn(n, seed, budget, interventions, channels, exploration, share):
    candidates, there = crowd(n, seed), supply(budget, interventions, channels, share)
    joint = plan_jointly(candidates, there, exploration)
    outcome = settle(candidates, joint, there, draws(n, seed))
    assert (expected_use(candidates, joint) <= there.limits * (1 + 1e-6) + 1e-9).all()
    assert (used(candidates, outcome) <= there.limits * (1 + 1e-6)).all()
    assert outcome.propensity.sum(axis=1) == pytest.approx(np.ones(n))
    taken = outcome.chosen > 0
    assert candidates.allowed[taken, outcome.chosen[taken] - 1].all()
    assert (outcome.propensity[np.arange(n), outcome.chosen] > 0).all()
    assert (outcome.propensity[:, 1:][outcome.outbid > 0] == 0).all()


def test_without_exploration_the_plan_is_what_comes_of_it():
    candidates, there = crowd(400, 3), supply(100.0, channels=(60, np.inf))
    joint = plan_jointly(candidates, there, 0.0)
    outcome = settle(candidates, joint, there, draws(400))
    assert outcome.chosen.tolist() == (1 + joint.plan.choice).tolist()
    assert joint.plan.gap < 1e-3


def test_exploration_is_counted_before_the_rest_is_planned():
    """The expected spend of plan and exploration together is the budget, up to the cost of one member."""
    candidates, there = crowd(3000, 4), supply(900.0, exploration_share=0.5)
    joint = plan_jointly(candidates, there, 0.02)
    assert joint.exploration == 0.02
    assert expected_use(candidates, joint)[0] == pytest.approx(900, abs=6)
    assert joint.plan.spend < 850


def test_exploration_gives_way_where_it_would_take_too_much_of_a_budget():
    """Were each candidate taken once it would cost about 18,000; a tenth of 400 is explored, for all members alike."""
    candidates, there = crowd(3000, 5), supply(400.0)
    joint = plan_jointly(candidates, there, 0.1)
    asked = (candidates.allowed * candidates.cost).sum()
    assert joint.exploration == pytest.approx(40 / asked)
    assert joint.expected[:, 1:][candidates.allowed].min() == pytest.approx(joint.exploration)


@pytest.mark.parametrize("budget", [200.0, 40.0])
def test_what_has_to_be_sent_takes_its_money_first_and_the_plan_has_the_rest(budget):
    """The 50 members at the end cost about 50 in all, where 40 leaves nothing for anybody else."""
    candidates, there = crowd(400, 9, urgent=50), supply(budget, exploration_share=1.0)
    joint = plan_jointly(candidates, there, 0.05)
    outcome = settle(candidates, joint, there, draws(400))
    assert (outcome.chosen[-50:] == 2).all()
    assert (outcome.propensity[-50:] == (np.arange(5) == 2)).all()
    assert (joint.expected[-50:] == outcome.propensity[-50:]).all()
    must = candidates.cost[-50:, 1].sum()
    rest = used(candidates, outcome)[0] - must
    assert rest <= max(budget - must, 0) + 1e-9
    assert joint.plan.spend <= max(budget - must, 0) + 1e-9
    assert (outcome.chosen[:-50] > 0).sum() > (60 if budget > must else 0)
    if budget < must:
        assert set(candidates.cost[:-50][outcome.chosen[:-50] > 0, outcome.chosen[:-50][outcome.chosen[:-50] > 0] - 1]) <= {0.0}


def test_what_there_is_none_of_is_neither_planned_nor_explored():
    candidates, there = crowd(500, 6), supply(0.0, interventions=(5, np.inf, np.inf, np.inf))
    joint = plan_jointly(candidates, there, 0.05)
    outcome = settle(candidates, joint, there, draws(500))
    assert np.unique(outcome.chosen).tolist() == [0, 1]
    assert 4 <= (outcome.chosen == 1).sum() <= 5
    assert (outcome.propensity[:, 2:] == 0).all()


def test_propensities_are_the_frequencies_of_the_draws_even_where_money_runs_out():
    """Over many runs the mean of (taken - propensity) / its standard error is a standard normal: what came before is all that matters."""
    candidates, there = crowd(60, 7), supply(25.0, interventions=(np.inf, 8, 6, np.inf), exploration_share=1.0)
    joint = plan_jointly(candidates, there, 0.1)
    runs = [settle(candidates, joint, there, draws(60, seed)) for seed in range(600)]
    assert len({run.propensity.tobytes() for run in runs}) > 100
    assert sum((run.outbid > 0).any() for run in runs) > 100
    taken = np.array([np.eye(5)[run.chosen] for run in runs])
    propensity = np.array([run.propensity for run in runs])
    error = np.sqrt((propensity * (1 - propensity)).sum(axis=0))
    z = ((taken - propensity).sum(axis=0) / np.maximum(error, 1e-9))[error > 1]
    assert abs(z.mean()) < 0.25
    assert z.std() == pytest.approx(1, abs=0.2)
    assert np.abs(z).max() < 4.5


def test_inverse_propensity_weighting_finds_the_value_of_another_policy_on_the_log_of_a_plan():
    """Reward 1 for the first intervention: its mean for all who may have it is 1 in truth."""
    candidates, there = crowd(200, 8, share_allowed=1.0), supply(60.0, exploration_share=1.0)
    joint = plan_jointly(candidates, there, 0.1)
    runs = [settle(candidates, joint, there, draws(200, seed)) for seed in range(200)]
    weights = [np.where(run.chosen == 1, 1 / run.propensity[:, 1], 0).mean() for run in runs]
    assert np.mean(weights) == pytest.approx(1, abs=4 * np.std(weights) / np.sqrt(200))


def test_the_result_does_not_depend_on_how_members_are_cut_into_blocks(monkeypatch):
    candidates, there = crowd(3000, 9), supply(500.0, interventions=(np.inf, 100, np.inf, 50))
    joint = plan_jointly(candidates, there, 0.05)
    found = []
    for first in (7, 512, 100_000):
        monkeypatch.setattr("models.rationing.FIRST_BLOCK", first)
        found.append(settle(candidates, joint, there, draws(3000)))
    for other in found[1:]:
        assert (other.chosen == found[0].chosen).all()
        assert (other.propensity == found[0].propensity).all()


# From members to decisions


def planned(budget=None, capacity=None, exploration=0.0, n=10, value=100.0):
    declared = community(OFFER, CALL, NOTE, policy={"exploration": exploration}, **({"capacity": capacity} if capacity else {}))
    events = arrays([Member()] * n, declared)
    ids = [f"m{row}" for row in range(n)]
    planted = engine(declared, n, value=value)
    weighed = weigh(planted, events, Snapshots.at(events, AS_OF_US), ids, ids, ContactHistory.empty(), as_of=AS_OF)
    there = Supply.of(declared, declared.capacity, budget)
    candidates = Candidates.of(weighed)
    joint = plan_jointly(candidates, there, exploration)
    return settled(weighed, joint.plan.shadow_prices, settle(candidates, joint, there, weighed.draw))


def names(weighed) -> list[set]:
    rules = [None, *(rule and f"{rule.stage}:{rule.name}" for rule in weighed.refusals.rules)]
    return [{rules[code] for code in column} for column in weighed.refusals.code.T]


def test_a_budget_reaches_those_for_whom_it_brings_most_and_names_itself_for_the_others():
    """Priority of the call: 0.1 x value - 1. Four coins pay four calls."""
    weighed = planned(budget=4, value=[float(10 * (1 + row)) for row in range(10)])
    assert weighed.chosen.tolist() == [3, 3, 3, 3, 3, 3, 2, 2, 2, 2]
    assert names(weighed)[1] == {None, "arbitration:budget"}
    assert (weighed.charge.place == 0).all()


def test_a_place_that_is_taken_is_a_capacity_and_a_member_left_out_is_outbid():
    weighed = planned(capacity={"channels": {"phone": 3, "wecom": 2}})
    assert np.bincount(weighed.chosen, minlength=4).tolist() == [5, 2, 3, 0]
    assert set(weighed.no_action_reason[weighed.chosen == 0]) == {"outbid"}
    assert {name for column in names(weighed) for name in column} <= {None, "arbitration:capacity", "arbitration:lower_priority"}


def test_what_is_explored_stays_a_candidate_of_known_probability():
    weighed = planned(budget=500, exploration=0.05, n=200)
    assert weighed.allowed.all()
    assert weighed.propensity[:, 1:].min() == pytest.approx(0.05)
    assert (weighed.refusals.code == 0).all()


def test_the_candidates_of_two_batches_are_those_of_one():
    declared = community(OFFER, CALL)
    events = arrays([Member()] * 6, declared)
    ids = [f"m{row}" for row in range(6)]
    planted = engine(declared, 6, value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    every = Snapshots.at(events, AS_OF_US)
    whole = weigh(planted, events, every, ids, ids, ContactHistory.empty(), as_of=AS_OF)
    halves = [
        weigh(planted, events, every[rows], [ids[row] for row in rows], ids[:3], ContactHistory.empty(), as_of=AS_OF)
        for rows in (np.arange(3), np.arange(3, 6))
    ]
    one, two = Candidates.of(whole), Candidates.together([Candidates.of(half) for half in halves])
    assert (one.priority == two.priority).all()
    assert (replace(one, priority=two.priority).cost == two.cost).all()


def test_a_capacity_may_be_declared_for_what_the_model_does_not_know():
    """Declared after the training: an intervention that the engine's catalogue lacks limits nothing."""
    there = Supply.of(community(OFFER), Capacity(interventions={"new": 0}, channels={"wecom": 7}), None)
    assert there.limits.tolist() == [np.inf, np.inf, 7]
    assert not there.endless
    assert Supply.of(community(OFFER), Capacity(), None).endless

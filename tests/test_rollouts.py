"""Whom a roll-out takes, and how it is kept: sticky, nested, one at a time, and the same for whoever asks."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from models.actions import Policy
from models.errors import InputError
from models.policy import in_control
from models.policy_value import estimate_ips
from models.rollouts import Planned, ProcessSeen, Rollout, Stage
from models.store import Store

POLICY = Policy(control_share=0.1)
NOBODY_HELD_BACK = Policy(control_share=0)
PLANNED = Planned("1", "2", "run/engine", "seal", "salt", Stage(5, 1_000, "anna", "looks better"))

member_ids = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)
percents = st.floats(0.01, 100)


def rollout(percent=5.0, salt="salt"):
    return Rollout(1, "1", "2", "run/engine", "seal", salt, (Stage(percent, 1_000, "anna"),))


@given(member_ids, percents, percents)
def test_a_larger_share_keeps_the_members_of_a_smaller(ids, one, other):
    smaller, larger = (rollout().takes(ids, POLICY, percent) for percent in sorted((one, other)))
    assert not (smaller & ~larger).any()


@given(member_ids, percents)
def test_a_member_is_where_it_was_whoever_else_is_asked_about(ids, percent):
    together = rollout(percent).takes(ids, POLICY)
    assert together.tolist() == [bool(rollout(percent).takes([one], POLICY)[0]) for one in ids]


@given(member_ids, percents)
def test_nobody_of_the_global_control_is_taken(ids, percent):
    assert not (rollout(percent).takes(ids, POLICY) & in_control(ids, POLICY)).any()


@given(member_ids)
def test_the_whole_share_takes_all_but_the_global_control(ids):
    assert (rollout(100).takes(ids, POLICY) == ~in_control(ids, POLICY)).all()


@pytest.mark.parametrize("percent", [1.0, 5.0, 25.0, 50.0])
def test_the_share_is_that_which_was_asked_for(percent):
    ids = [f"m-{number}" for number in range(20_000)]
    taken = int(rollout(percent).takes(ids, NOBODY_HELD_BACK).sum())
    assert binomtest(taken, len(ids), percent / 100).pvalue > 0.001


def test_another_roll_out_draws_anew():
    ids = [f"m-{number}" for number in range(20_000)]
    one, other = (rollout(50, salt).takes(ids, NOBODY_HELD_BACK) for salt in ("one", "other"))
    assert binomtest(int((one == other).sum()), len(ids), 0.5).pvalue > 0.001


def test_one_that_has_ended_takes_nobody():
    ended = replace(rollout(100), state="rolled_back")
    assert not ended.takes(["anna", "bert"], NOBODY_HELD_BACK).any()


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


def test_it_is_read_as_it_was_started_and_raised(store, store_url):
    store.start_rollout(PLANNED)
    store.raise_rollout(Stage(25, 2_000, "bert"))
    with closing(Store.open(store_url)) as other:
        found = other.running_rollout()
    assert found == Rollout(1, "1", "2", "run/engine", "seal", "salt", (PLANNED.stage, Stage(25, 2_000, "bert")))
    assert (found.percent, found.started_us) == (25, 1_000)


def test_there_is_one_at_a_time(store):
    store.start_rollout(PLANNED)
    with pytest.raises(InputError, match="runs already"):
        store.start_rollout(replace(PLANNED, challenger="3"))
    ended = store.end_rollout("rolled_back", 5_000, "anna", "worse")
    assert (ended.state, ended.ended_us, ended.ended_by, ended.ended_because, ended.percent) == ("rolled_back", 5_000, "anna", "worse", 0)
    assert store.running_rollout() is None
    assert store.end_rollout("rolled_back", 6_000, "anna", None) is None
    store.start_rollout(replace(PLANNED, challenger="3"))
    assert [one.challenger for one in store.rollouts(10)] == ["3", "2"]


@pytest.mark.parametrize("percent", [5, 1])
def test_a_share_only_grows(store, percent):
    store.start_rollout(PLANNED)
    with pytest.raises(InputError, match="a share grows"):
        store.raise_rollout(Stage(percent, 2_000, "anna"))
    assert store.running_rollout().percent == 5


def test_without_one_there_is_nothing_to_raise(store):
    with pytest.raises(InputError, match="no roll-out runs"):
        store.raise_rollout(Stage(50, 2_000, "anna"))


def test_what_processes_go_by_is_told_by_the_last_word_of_each(store):
    store.tell_rollout_seen(ProcessSeen("a", 1, 5, None, 100))
    store.tell_rollout_seen(ProcessSeen("a", 1, 25, None, 300))
    store.tell_rollout_seen(ProcessSeen("b", 1, 0, "its golden members disagree", 200))
    store.tell_rollout_seen(ProcessSeen("c", 1, 5, None, 50))
    found = [(one.process, one.percent, one.error) for one in store.rollout_processes(1, 100)]
    assert found == [("a", 25, None), ("b", 0, "its golden members disagree")]
    store.forget_rollout_process("a")
    assert np.array([one.process for one in store.rollout_processes(1, 0)]).tolist() == ["b", "c"]


def test_decisions_of_two_versions_weigh_right_by_the_chances_of_the_one_that_made_them(rng):
    """Planted: reward 1 where the action fits the member. By the logged chances, and by their average over both sides."""
    members, percent, versions = 40_000, 20.0, np.array([[0.9, 0.1], [0.3, 0.7]])
    side = rollout(percent).takes([f"m-{number}" for number in range(members)], NOBODY_HELD_BACK).astype(int)
    trait, policy = (rng.random(members) < 0.4).astype(int), np.array([0.2, 0.8])
    conditional = versions[side]
    chosen = (rng.random(members) < conditional[:, 1]).astype(int)
    reward = (chosen == trait).astype(float)
    marginal = np.tile((1 - percent / 100) * versions[0] + percent / 100 * versions[1], (members, 1))
    target, truth = np.tile(policy, (members, 1)), 0.6 * policy[0] + 0.4 * policy[1]
    by_side, by_both = (estimate_ips(reward, chosen, chances, target, level=0.999) for chances in (conditional, marginal))
    for found in (by_side, by_both):
        assert found.low < truth < found.high
    assert by_both.standard_error < by_side.standard_error

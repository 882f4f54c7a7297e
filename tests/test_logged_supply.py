"""Policies within the places and the money that there were: what decided is read back as it was, a challenger has as much and no more."""

from dataclasses import replace

import numpy as np
import pytest

from models.logged_supply import LoggedSupply, uses
from models.policy import propensities
from tests.supplied_worlds import (
    DECLARED,
    MEMBERS,
    PERIODS,
    PLACES,
    WAYS,
    Logged,
    everybody_alike,
    hopeful,
    true_effects,
    true_gain,
    without_limits,
)


@pytest.fixture(scope="module", params=["run", "service"])
def log(request):
    return Logged.of(WAYS[request.param], everybody_alike, np.random.default_rng(5))


def by_day(told, column):
    return told[:, column].reshape(PERIODS, MEMBERS).sum(axis=1)


def test_the_engine_that_decided_is_read_back_as_it_decided(log):
    """All but a few members by whose turn a place more or less was left than expected; as if nothing ran out it is another policy."""
    own = log.supply(everybody_alike).propensity(log.candidates(everybody_alike), DECLARED)
    assert np.isclose(own, log.made.propensities, atol=1e-9).all(axis=1).mean() > 0.97
    endless = without_limits(log.candidates(everybody_alike))
    assert np.isclose(endless, log.made.propensities, atol=1e-9).all(axis=1).mean() < 0.6


@pytest.mark.parametrize("beliefs", [true_effects, hopeful, everybody_alike])
def test_nobody_hands_out_more_places_than_there_were_nor_what_the_log_had_run_out_of(log, beliefs):
    supply = log.supply(everybody_alike)
    told = supply.propensity(log.candidates(beliefs), DECLARED)
    assert told.sum(axis=1) == pytest.approx(1)
    assert np.all(told[log.made.propensities == 0] == 0)
    assert np.all(by_day(told, 1) < supply.limits["intervention:call"] + 1)
    assert by_day(without_limits(log.candidates(hopeful)), 1).min() > 1.5 * PLACES["call"]


def test_one_action_for_all_is_given_by_lot_to_as_many_as_there_are_places(log):
    supply, candidates = log.supply(everybody_alike), log.candidates(everybody_alike)
    everybody = np.zeros((PERIODS * MEMBERS, 3))
    everybody[:, 1] = 1
    told = supply.by_lot(everybody, candidates, DECLARED)
    assert told.sum(axis=1) == pytest.approx(1)
    assert by_day(told, 1) == pytest.approx(supply.limits["intervention:call"])
    assert np.all(told[log.made.propensities == 0] == 0)


def test_where_nothing_has_a_limit_nothing_is_shared_out(log):
    endless = DECLARED.model_copy(update={"capacity": DECLARED.capacity.model_copy(update={"interventions": {}})})
    assert LoggedSupply.of(log.made, log.made.propensities, log.candidates(everybody_alike), log.touches, endless) is None


def test_what_others_were_given_in_the_period_is_not_there_any_more(log):
    """Of the decisions that are judged the calls of the last ten members are none; they took their places all the same."""
    kept = np.arange(PERIODS * MEMBERS) % MEMBERS < MEMBERS - 10
    shares, few = log.made.propensities[kept], log.candidates(everybody_alike)[kept]
    dear = DECLARED.model_copy(update={"capacity": DECLARED.capacity.model_copy(update={"interventions": {"call": 200}})})
    gone = (log.made.arm == 1) & ~kept
    found = LoggedSupply.of(log.made[kept], shares, few, log.touches, dear)
    assert found.limits["intervention:call"].tolist() == (200 - gone.reshape(PERIODS, MEMBERS).sum(axis=1)).tolist()


def test_money_lasts_as_long_as_it_does_one_after_the_other():
    """Five members a minute apart, each wants the call at 2 of 5: two get it, the third finds 1 left, which pays for digests alone."""
    budget = DECLARED.model_copy(
        update={
            "capacity": DECLARED.capacity.model_copy(update={"interventions": {}, "budget": 5.0}),
            "policy": DECLARED.policy.model_copy(update={"exploration": 0.0}),
        }
    )
    log = Logged.of(WAYS["service"], everybody_alike, np.random.default_rng(1))
    rows, worth = np.arange(5), np.tile([10.0, 5.0], (5, 1))
    wanted = replace(log.candidates(everybody_alike)[rows], priority=worth, allowed=np.ones((5, 2), dtype=bool))
    told = LoggedSupply(log.made.snapshots.as_of_us[rows], np.zeros(5, int), {"budget": np.array([5.0])}, {}).propensity(wanted, budget)
    assert told.argmax(axis=1).tolist() == [1, 1, 2, 2, 2]
    assert uses(wanted, told[:, 1:], budget)[:, 0].sum() == pytest.approx(4.6)


def test_what_has_to_be_sent_is_sent_whatever_is_left():
    log = Logged.of(WAYS["service"], everybody_alike, np.random.default_rng(1))
    rows = np.arange(4)
    calls = np.tile([True, False], (4, 1))
    urgent = replace(log.candidates(everybody_alike)[rows], allowed=calls, urgent=np.ones(4, int))
    limits, closed = {"intervention:call": np.array([1.0])}, {"call": np.ones(4, bool)}
    supply = LoggedSupply(log.made.snapshots.as_of_us[rows], np.zeros(4, int), limits, closed)
    assert supply.propensity(urgent, DECLARED)[:, 1].tolist() == [1, 1, 1, 1]
    assert supply.by_lot(propensities(np.ones(4, int), calls, 0.0), urgent, DECLARED)[:, 1].tolist() == [1, 1, 1, 1]


def test_the_gain_of_a_challenger_is_the_one_that_it_would_truly_have_had():
    """In the service, with as much as the champion had: the mean over logs is near the truth, and as if nothing ran out it is far off."""
    way = WAYS["service"]
    truth = true_gain(way, hopeful, everybody_alike, np.random.default_rng(1), days=400)
    found, endless, held = [], [], []
    for rng in np.random.default_rng(2).spawn(60):
        log = Logged.of(way, everybody_alike, rng)
        supply, both = log.supply(everybody_alike), [log.candidates(one) for one in (hopeful, everybody_alike)]
        told = log.gain(*(supply.propensity(one, DECLARED) for one in both))
        found.append(told.value)
        held.append(told.low <= truth <= told.high)
        endless.append(log.gain(*map(without_limits, both)).value)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 3 * error
    assert np.mean(held) > 0.75
    assert abs(np.mean(endless) - truth) > 3 * np.std(endless) / np.sqrt(len(endless))

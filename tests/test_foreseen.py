"""Figures that are expected before outcomes are known: by hand, by enumeration, and against outcomes drawn from the risks."""

from itertools import product

import numpy as np
import pytest

from models.errors import NotEnoughData
from models.foreseen import expected_auc, expected_log_loss, foresee
from models.metrics import auc, log_loss


def test_expected_auc_of_two_members_is_the_one_computed_by_hand():
    """.8 goes and .3 stays: .8 x .7 = .56; the other way round .3 x .2 = .06; so .56 / .62."""
    assert expected_auc(np.array([0.8, 0.3])) == pytest.approx(0.56 / 0.62)


def test_equal_risks_rank_nobody():
    assert expected_auc(np.full(7, 0.2)) == pytest.approx(0.5)


def test_expected_auc_weighs_each_outcome_by_its_pairs():
    """Over all outcomes of four members: expected concordant pairs over expected pairs."""
    risk = np.array([0.1, 0.4, 0.4, 0.9])
    concordant = pairs = 0.0
    for outcome in product([0, 1], repeat=4):
        churned = np.array(outcome)
        chance = np.prod(np.where(churned, risk, 1 - risk))
        there = churned.sum() * (4 - churned.sum())
        if there:
            pairs += chance * there
            concordant += chance * there * auc(churned, risk)
    assert expected_auc(risk) == pytest.approx(concordant / pairs)


def test_expected_log_loss_is_the_entropy():
    """-.8 ln .8 - .2 ln .2 = .500402; ln 2 = .693147; certainty costs nothing."""
    assert expected_log_loss(np.array([0.8, 0.5, 1.0])) == pytest.approx((0.500402 + 0.693147) / 3, abs=1e-6)


def test_where_the_risks_are_right_what_is_foreseen_comes_true(rng):
    """Coverage of the intervals over 200 communities: 95 % of outcomes, give or take chance."""
    held = {"auc": 0, "log_loss": 0, "churn_rate": 0}
    for _ in range(200):
        risk = rng.beta(1, 4, 300)
        churned = rng.random(300) < risk
        foreseen = foresee(risk, rng=rng, draws=200)
        seen = {"auc": auc(churned, risk), "log_loss": log_loss(churned, risk), "churn_rate": churned.mean()}
        for name, value in seen.items():
            expected = getattr(foreseen, name)
            held[name] += expected.lower <= value <= expected.upper
    assert all(181 <= times <= 199 for times in held.values()), held


def test_what_is_foreseen_is_the_mean_of_what_is_drawn(rng):
    risk = rng.beta(2, 5, 2000)
    foreseen = foresee(risk, rng=rng)
    assert foreseen.auc.value == pytest.approx((foreseen.auc.lower + foreseen.auc.upper) / 2, abs=0.01)
    assert foreseen.churn_rate.value == pytest.approx(risk.mean())


@pytest.mark.parametrize("risk", [[], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_where_nobody_can_go_or_stay_nothing_is_foreseen(risk, rng):
    with pytest.raises(NotEnoughData):
        foresee(np.array(risk), rng=rng)

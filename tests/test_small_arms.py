"""Where one arm is small: what is told of it, against truths that were planted and numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from models.drawn_arms import Drawn, compare_drawn
from models.intervals import members_of_rows
from models.small_arms import Balance, SmallArm, compare_members
from models.two_arms import Measure, compare_arms


def measure(value, kind="retention"):
    return Measure("metric", kind, 30, 0.05, np.asarray(value, dtype=float), np.ones(len(value), dtype=bool))


def drawn(rng, outcome, none):
    """Each left alone with its chance; the outcome does not depend on it."""
    assigned = (rng.random(len(outcome)) >= none).astype(np.int64)
    return Drawn(assigned, outcome, none, 1 - none, members_of_rows(np.arange(len(outcome)), len(outcome)))


def test_weights_are_worth_as_many_equal_ones_and_skewness_falls_with_their_number():
    """Of weights 1, 1, 2: 4^2 / 6 = 2.67. Residuals 2, -1, -1 have the skewness 1 / sqrt 2; with w = 1/2 and v = 1/4 the difference has
    (2/8 - 4/64) / (2/4 + 4/16)^1.5 = .1875 / .6495 of it, .2041."""
    residual = np.array([2.0, -1.0, -1.0])
    assert Balance.of(np.array([1.0, 1.0, 2.0]), np.ones(9), residual, residual).fewest == pytest.approx(16 / 6)
    assert Balance.of(np.ones(2), np.ones(4), residual, residual).most == pytest.approx(0.2041, abs=1e-4)
    assert Balance.of(np.ones(5), np.ones(5), residual, residual).most == pytest.approx(0)


def test_degrees_of_freedom_are_those_of_welch_for_normal_outcomes_and_fewer_for_heavy_tails():
    """Of 10 and 20 with the variances 4 and 1, (.4 + .05)^2 / (.16 / 10 + .0025 / 20) = 12.56,
    at the kurtosis 3, and 2 / (k - 1) of it at another."""
    normal = np.array([-np.sqrt(3), 0.0, 0.0, 0.0, 0.0, np.sqrt(3)])
    heavy = np.append(np.zeros(16), [-3.0, 3.0])
    for shape in (normal, heavy):
        balance = Balance.of(np.ones(10), np.ones(20), 2 * shape, shape)
        both = np.concatenate([2 * shape, shape])
        kurtosis = (both**4).mean() / both.std() ** 4
        assert balance.as_seen.degrees == pytest.approx(12.56 * 2 / (kurtosis - 1), abs=0.01)


def test_the_arm_that_varies_more_brings_its_skewness():
    """Of 100 each, one with twice the spread: (8 - 1) / (4 + 1)^1.5 / 10 = .0626 of the skewness of all residuals."""
    residual = np.array([2.0, -1.0, -1.0])
    balance, both = Balance.of(np.ones(100), np.ones(100), 2 * residual, residual), np.concatenate([2 * residual, residual])
    assert balance.shape.skewness == pytest.approx(0)
    assert balance.most == pytest.approx(0.0626 * (both**3).mean() / both.std() ** 3, abs=1e-4)


@pytest.mark.parametrize("left_alone", [6, 30])
@pytest.mark.parametrize("stays", [0.03, 0.97])
def test_nothing_is_called_an_effect_more_often_than_it_may_be_beside_few_left_alone(left_alone, stays):
    """300 experiments without an effect; with 5 in 100 called one the binomial error is 1.3 points."""
    rng, called, n = np.random.default_rng([left_alone, round(100 * stays)]), 0, left_alone + 840
    for _ in range(300):
        none = left_alone / n * np.where(rng.random(n) < 0.5, 0.25, 1.75)
        told = compare_drawn(drawn(rng, (rng.random(n) < stays).astype(float), none), share=True)
        called += told is not None and told.p < 0.05
    assert called / 300 <= 0.09


@pytest.mark.parametrize("stays", [0.2, 0.5, 0.97])
def test_the_interval_of_a_share_holds_beside_six_who_were_left_alone(stays):
    rng, held, treated = np.random.default_rng(round(100 * stays)), [], np.arange(846) >= 6
    for _ in range(300):
        found = compare_members(measure(rng.random(846) < stays), treated, ~treated)
        held.append(found.lift.lower <= 0 <= found.lift.upper)
    assert np.mean(held) >= 0.92


def test_skewed_amounts_of_few_members_say_too_little_and_how_many_would_do():
    """Gamma with the shape 1/4 has the skewness 4: beside many, (4 / .5)^2 = 64 members bring the mean to one of .5."""
    rng = np.random.default_rng(1)
    value, treated = rng.gamma(0.25, size=5012), np.arange(5012) >= 12
    told = compare_members(measure(value, "count"), treated, ~treated)
    assert isinstance(told, SmallArm)
    assert (told.mean, told.control_mean) == pytest.approx((value[12:].mean(), value[:12].mean()))
    assert told.needed == pytest.approx(64, abs=10)
    assert isinstance(compare_drawn(drawn(rng, value, np.full(5012, 12 / 5012)), share=False), SmallArm)
    enough = np.arange(5012) >= 100
    assert not isinstance(compare_members(measure(value, "count"), enough, ~enough), SmallArm)


def test_the_skewness_of_amounts_is_taken_out_so_that_no_side_is_missed_more_often():
    """60 beside 840: without it the difference would seem to be above 0 three times as often as it may, 7.7 times in 100."""
    rng, told = np.random.default_rng(3), []
    treated = np.arange(900) >= 60
    for _ in range(400):
        found = compare_members(measure(np.exp(rng.normal(size=900) / 1.2), "count"), treated, ~treated)
        if not isinstance(found, SmallArm):
            told.append((found.lift.lower > 0, found.lift.upper < 0, (found.p < 0.05) == (found.lift.lower > 0 or found.lift.upper < 0)))
    above, below, same = np.mean(told, axis=0)
    assert len(told) > 300
    assert max(above, below) < 0.045
    assert same == 1


def test_a_control_of_all_but_nothing_has_a_lift_and_no_relative_one():
    """Bounds relative to a mean of 1e-16 would be beyond all numbers."""
    rng, treated = np.random.default_rng(4), np.arange(40) % 2 == 0
    before = rng.poisson(3, 40).astype(float)
    value = before + rng.normal(size=40) + treated
    known = replace(measure(value, "count"), before=before)
    usual = compare_arms(known, treated, ~treated)
    of_control = usual.lift.value / usual.relative.value
    found = compare_arms(replace(known, value=value - of_control), treated, ~treated)
    assert found.lift.interval == pytest.approx(usual.lift.interval)
    assert (found.p, found.relative) == (pytest.approx(usual.p), None)


def test_amounts_as_skewed_in_arms_of_one_size_can_be_compared():
    value, treated = np.exp(np.random.default_rng(2).normal(size=200)), np.arange(200) % 2 == 0
    assert not isinstance(compare_members(measure(value, "count"), treated, ~treated), SmallArm)


def test_members_who_are_drawn_again_and_again_do_not_count_as_many():
    """Six who were left alone five times each, beside 840: the interval is that of six."""
    stays = np.arange(846) % 33 > 0
    once, again = (
        compare_drawn(
            Drawn(
                np.tile((np.arange(846) >= 6).astype(np.int64), times),
                np.tile(stays.astype(float), times),
                np.full(846 * times, 6 / 846),
                np.full(846 * times, 840 / 846),
                members_of_rows(np.tile(np.arange(846), times), 846 * times),
            ),
            share=True,
        )
        for times in (1, 5)
    )
    assert again.lift.interval == pytest.approx(once.lift.interval)

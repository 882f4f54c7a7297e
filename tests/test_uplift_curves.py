"""Qini curves and uplift by decile: by hand, with several arms and known propensities, and on planted effects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, NotEnoughData
from models.uplift_curves import ArmEffects, UpliftCurve, arm_effects, qini_curve, uplift_by_decile
from tests.uplift_worlds import ARMS, simulate_trial

CHOSEN = [1, 0, 1, 0]
OUTCOME = [1.0, 0.0, 0.0, 1.0]
EVEN = [[0.5, 0.5]] * 4
"""By hand: effects 1 / .5 = 2, 0, 0 and -2; their mean is 0."""


def curve_of(predicted, effects: ArmEffects, seed: int = 0, resamples: int = 50) -> UpliftCurve:
    return qini_curve(predicted, effects, rng=np.random.default_rng(seed), resamples=resamples)


def test_a_curve_by_hand() -> None:
    """2, 0, 0, -2 in this order gather .5, .5, .5, 0 a row: area (.0625 + .125 + .125 + .0625). Top means 2, 1, 2/3, 0."""
    curve = curve_of([4, 3, 2, 1], arm_effects(OUTCOME, CHOSEN, EVEN, 1))
    assert np.interp([0, 0.25, 0.5, 0.75, 1], curve.share, curve.gain) == pytest.approx([0, 0.5, 0.5, 0.5, 0])
    assert curve.qini.value == pytest.approx(0.375)
    assert curve.autoc.value == pytest.approx((2 + 1 + 2 / 3 + 0) / 4)
    assert curve.average.value == pytest.approx(0.0)


def test_the_best_and_the_worst_ranking_have_one_and_minus_one() -> None:
    effects = arm_effects(OUTCOME, CHOSEN, EVEN, 1)
    assert curve_of([4, 3, 2, 1], effects).qini_share.value == pytest.approx(1.0)
    assert curve_of([1, 2, 3, 4], effects).qini_share.value == pytest.approx(-1.0)


def test_one_prediction_for_all_is_the_straight_line() -> None:
    curve = curve_of([7, 7, 7, 7], arm_effects([1.0, 0.0, 1.0, 1.0], CHOSEN, EVEN, 1))
    assert curve.gain == pytest.approx(curve.share * curve.average.value)
    assert (curve.qini.value, curve.qini_share.value, curve.autoc.value) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)


def test_rows_that_are_all_alike_leave_nothing_to_find() -> None:
    """The predictions tell every outcome, and the effect is .5 throughout."""
    effects = arm_effects([0.5, 0.0, 0.5, 0.0], CHOSEN, EVEN, 1, predictions=[[0.0, 0.5]] * 4)
    assert curve_of([1, 2, 3, 4], effects).qini_share.value == 0.0


def test_known_propensities_weigh_the_rows() -> None:
    """1 / .25 - 0 and 0 - 1 / .75."""
    effects = arm_effects([1.0, 1.0], [1, 0], [[0.75, 0.25], [0.75, 0.25]], 1)
    assert effects.effect == pytest.approx([4.0, -4 / 3])


def test_the_control_of_an_arm_holds_no_other_arm() -> None:
    """Whatever came of the rows of arm 2, the curve of arm 1 stays as it is."""
    trial = simulate_trial("strong", 400, np.random.default_rng(2))
    chosen = np.array([("none", *ARMS).index(name) for name in trial.assignment])
    wild = np.where(chosen == 2, 1e6, trial.outcome)
    plain, changed = (arm_effects(outcome, chosen, trial.propensities, 1).effect for outcome in (trial.outcome, wild))
    assert np.array_equal(plain, changed)
    assert np.all(plain[(chosen != 1) & (chosen != 0)] == 0)


def test_rows_that_could_not_have_both_are_left_out() -> None:
    """Row 1 had no chance of acting, row 2 none of being left alone."""
    effects = arm_effects([1.0, 1.0, 1.0, 0.0], [0, 0, 1, 1], [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], 1)
    assert (effects.rows.tolist(), effects.left_out) == ([0, 3], 2)


def test_a_log_without_a_control_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="log assignments with a control"):
        arm_effects([1.0, 0.0], [1, 1], [[0.0, 1.0]] * 2, 1)


@pytest.mark.parametrize(("arm", "said"), [(0, "arm 0"), (2, "columns 1 to 1")])
def test_an_arm_that_does_not_exist_is_refused(arm: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        arm_effects(OUTCOME, CHOSEN, EVEN, arm)


def test_deciles_by_hand() -> None:
    """Two bins: effects 2 and 0, then 0 and -2. Equal predictions stay together."""
    effects = arm_effects(OUTCOME, CHOSEN, EVEN, 1)
    first, second = uplift_by_decile([0.4, 0.3, 0.2, 0.1], effects, bins=2)
    assert (first.n, first.predicted, first.effect.value) == pytest.approx((2, 0.35, 1.0))
    assert (second.n, second.predicted, second.effect.value) == pytest.approx((2, 0.15, -1.0))
    assert [found.n for found in uplift_by_decile([0.4, 0.4, 0.4, 0.1], effects, bins=2)] == [3, 1]


@given(st.integers(0, 2**32 - 1))
def test_no_ranking_passes_the_best_or_falls_below_the_worst(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 40))
    share = rng.uniform(0.1, 0.9, n)
    effects = arm_effects(rng.normal(size=n), rng.integers(0, 2, n), np.column_stack([share, 1 - share]), 1, rng.integers(0, n, n) // 2 * 2)
    if effects.members.n > 1:
        curve = curve_of(np.round(rng.normal(size=n), 1), effects, resamples=5)
        assert -1 - 1e-9 <= curve.qini_share.value <= 1 + 1e-9
        assert curve.qini_share.lower >= -1
        assert curve.qini_share.upper <= 1


def planted(seed: int, n: int = 6000) -> tuple[np.ndarray, ArmEffects]:
    """The true effects of the first arm of a world with risk-dependent assignment, and what its log says about them."""
    trial = simulate_trial("crossed", n, np.random.default_rng(seed))
    chosen = np.array([("none", *ARMS).index(name) for name in trial.assignment])
    predictions = np.column_stack([trial.untreated, trial.untreated[:, None] + trial.effects]) * 0.8
    return trial.effects[:, 0], arm_effects(trial.outcome, chosen, trial.propensities, 1, predictions=predictions)


def true_qini(effect: np.ndarray) -> float:
    """Area between the curve of the true effects, best first, and its straight line."""
    ranked = np.append(0.0, np.cumsum(np.sort(effect)[::-1])) / len(effect)
    return float((ranked[1:] + ranked[:-1]).mean() / 2 - ranked[-1] / 2)


def test_the_interval_of_a_qini_holds_the_planted_one() -> None:
    """60 worlds; the binomial error of a coverage of .9 is 4 points."""
    held = []
    for seed in range(60):
        truth, effects = planted(seed, n=1500)
        curve = curve_of(truth, effects, seed, resamples=100)
        held.append(curve.qini.lower <= true_qini(truth) <= curve.qini.upper)
    assert 0.8 <= np.mean(held) <= 0.98


def test_a_ranking_by_the_true_effect_is_seen_and_one_by_chance_is_not() -> None:
    truth, effects = planted(7, n=40_000)
    ranked, shuffled = curve_of(truth, effects), curve_of(np.random.default_rng(2).permutation(truth), effects)
    assert ranked.qini.lower > 0
    assert ranked.qini.value == pytest.approx(true_qini(truth), abs=0.01)
    assert shuffled.qini.lower < 0 < shuffled.qini.upper


def test_deciles_of_the_true_effect_fall_and_hold_it() -> None:
    truth, effects = planted(7, n=40_000)
    found = uplift_by_decile(truth, effects)
    assert len(found) == 10
    assert found[0].effect.lower > found[-1].effect.upper
    assert sum(decile.effect.lower <= decile.predicted <= decile.effect.upper for decile in found) >= 7

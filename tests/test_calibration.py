"""Calibration maps recover planted distortions, keep the order of members and survive JSON to the last bit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from models.calibration import Beta, Calibration, Identity, Isotonic, Platt, calibration_from_dict
from models.calibration_fit import assign_folds, fit_calibration
from models.errors import ModelRefused, NotEnoughData
from models.evaluation import ece, log_loss
from models.intervals import FloatArray


def staircase(margin: FloatArray) -> FloatArray:
    """Low and flat, a steep rise between 0 and .2, high and flat: no curve of the Platt or beta family."""
    return np.interp(margin, [-6.0, 0.0, 0.2, 6.0], [-2.6, -2.4, 1.0, 1.2])


def fitted(log_odds: FloatArray, margin: FloatArray, seed: int) -> Calibration:
    rng = np.random.default_rng(seed)
    churned = rng.random(len(margin)) < expit(log_odds)
    return fit_calibration(margin, churned, np.arange(len(margin)), rng=rng)


def margins(n: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(-1, 2, n)


def test_a_calibrated_margin_is_left_alone() -> None:
    margin = margins(5000, seed=1)
    assert fitted(margin, margin, seed=2) == Identity()


def test_a_planted_slope_and_intercept_are_recovered() -> None:
    margin = margins(20_000, seed=3)
    found = fitted(0.5 * margin - 0.7, margin, seed=4)
    assert isinstance(found, Platt)
    assert (found.slope, found.intercept) == pytest.approx((0.5, -0.7), abs=0.04)


def test_a_planted_beta_distortion_is_recovered() -> None:
    margin, planted = margins(20_000, seed=5), Beta(0.3, 1.6, 0.4)
    risk = planted(margin)
    found = fitted(np.log(risk / (1 - risk)), margin, seed=6)
    assert isinstance(found, Beta)
    assert np.abs(found(margin) - risk).max() < 0.03


def test_a_planted_staircase_is_recovered() -> None:
    margin = margins(20_000, seed=7)
    found = fitted(staircase(margin), margin, seed=8)
    assert isinstance(found, Isotonic)
    assert np.abs(found(margin) - expit(staircase(margin))).mean() < 0.015


def test_calibration_error_falls_on_a_miscalibrated_margin() -> None:
    rng = np.random.default_rng(9)
    margin, later = margins(8000, seed=10), margins(8000, seed=11)
    found = fitted(0.4 * margin - 1, margin, seed=12)
    churned = rng.random(8000) < expit(0.4 * later - 1)
    assert ece(churned, expit(later)) > 0.08
    assert ece(churned, found(later)) < 0.02
    assert log_loss(churned, found(later)) < log_loss(churned, expit(later))


def test_a_margin_that_ranks_the_wrong_way_round_is_flattened_and_never_reversed() -> None:
    margin = margins(4000, seed=13)
    found = fitted(-margin, margin, seed=14)
    risk = found(np.linspace(-8, 8, 50))
    assert np.diff(risk).min() >= 0
    assert np.ptp(found(np.quantile(margin, [0.1, 0.9]))) < 0.05


CALIBRATIONS = st.one_of(
    st.just(Identity()),
    st.builds(Platt, st.floats(0, 5), st.floats(-5, 5)),
    st.builds(Beta, st.floats(0, 5), st.floats(0, 5), st.floats(-5, 5)),
    st.builds(
        lambda starts, rises, slope: Isotonic(tuple(np.cumsum(starts).tolist()), tuple((np.cumsum(rises) - 4).tolist()), slope),
        st.lists(st.floats(0.01, 3), min_size=4, max_size=4),
        st.lists(st.floats(0.01, 3), min_size=4, max_size=4),
        st.floats(0, 2),
    ),
)


@given(CALIBRATIONS, st.lists(st.floats(-30, 30), min_size=2, max_size=20))
def test_a_higher_margin_never_gets_a_lower_probability(calibration: Calibration, asked: list[float]) -> None:
    risk = calibration(np.sort(asked))
    assert np.diff(risk).min() >= -1e-12
    assert ((risk >= 0) & (risk <= 1)).all()


@given(st.integers(0, 2**32 - 1))
def test_an_isotonic_fit_is_strictly_rising_and_stays_within_zero_and_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, 300)
    churned = rng.random(300) < expit(staircase(margin))
    found = fit_calibration(margin, churned, np.arange(300), rng=rng)
    risk = found(np.linspace(margin.min(), margin.max(), 200))
    assert np.diff(risk).min() > 0
    assert risk[0] > 0
    assert risk[-1] < 1


@given(CALIBRATIONS)
def test_a_calibration_survives_json_to_the_last_bit(calibration: Calibration) -> None:
    restored = calibration_from_dict(json.loads(json.dumps(calibration.to_dict())))
    assert restored == calibration
    asked = np.linspace(-9, 9, 37)
    assert (restored(asked) == calibration(asked)).all()


def test_one_margin_alone_gets_the_same_probability_as_in_a_batch() -> None:
    margin = margins(3000, seed=15)
    found = fitted(staircase(margin), margin, seed=16)
    assert [float(found(one)) for one in margin[:20]] == pytest.approx(found(margin)[:20].tolist(), abs=0)


def test_an_unknown_kind_of_calibration_is_refused() -> None:
    with pytest.raises(ModelRefused, match="'spline' is unknown; allowed: identity, platt, beta, isotonic"):
        calibration_from_dict({"kind": "spline"})


@given(st.lists(st.integers(0, 30), min_size=20, max_size=200), st.integers(0, 99))
def test_the_rows_of_one_member_share_a_fold(members: list[int], seed: int) -> None:
    codes = np.unique(members, return_inverse=True)[1]
    folds = assign_folds(codes, rng=np.random.default_rng(seed))
    assert all(len(set(folds[codes == code])) == 1 for code in set(codes))
    members_per_fold = [len(set(codes[folds == fold])) for fold in range(folds.max() + 1)]
    assert max(members_per_fold) - min(members_per_fold) <= 1


def test_rows_that_repeat_one_member_do_not_count_as_evidence() -> None:
    """30 members, each seen 200 times: row folds would see every member while fitting and believe the noise."""
    rng = np.random.default_rng(17)
    own = rng.normal(-0.5, 1, 30)
    churned = np.repeat(rng.random(30) < expit(own), 200)
    margin = np.repeat(own, 200) + rng.normal(0, 0.02, 6000)
    by_member = fit_calibration(margin, churned, np.repeat(np.arange(30), 200), rng=np.random.default_rng(18))
    by_row = fit_calibration(margin, churned, np.arange(6000), rng=np.random.default_rng(18))
    assert by_row != Identity()
    assert by_member == Identity()


def test_a_hundred_rows_are_enough() -> None:
    margin = margins(100, seed=19)
    assert np.isfinite(fitted(margin + 2, margin, seed=20)(margin)).all()


def test_a_million_rows_give_the_planted_map() -> None:
    margin = margins(1_000_000, seed=21)
    found = fitted(0.8 * margin + 0.3, margin, seed=22)
    assert isinstance(found, Platt)
    assert (found.slope, found.intercept) == pytest.approx((0.8, 0.3), abs=0.01)


def test_a_recency_rule_with_few_distinct_margins_is_calibrated() -> None:
    rng = np.random.default_rng(23)
    margin = rng.integers(0, 4, 5000).astype(float)
    share = np.array([0.05, 0.10, 0.60, 0.65])[margin.astype(int)]
    found = fit_calibration(margin, rng.random(5000) < share, np.arange(5000), rng=rng)
    assert found(np.arange(4.0)) == pytest.approx([0.05, 0.10, 0.60, 0.65], abs=0.03)


def test_one_churned_member_among_many_is_enough_and_none_is_refused() -> None:
    margin = margins(60, seed=24)
    one = fit_calibration(margin, np.arange(60) == 7, np.arange(60), rng=np.random.default_rng(25))
    assert ((one(margin) > 0) & (one(margin) < 1)).all()
    with pytest.raises(NotEnoughData, match="60 rows of 60 members with 0 churned"):
        fit_calibration(margin, np.zeros(60), np.arange(60), rng=np.random.default_rng(26))

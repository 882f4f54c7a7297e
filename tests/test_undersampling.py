"""Fitted on few of those who stayed, risks are those of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from models.churn_fit import TrainingRows, fit_horizon
from models.community import DAY_US
from models.evaluation import log_loss
from models.features import FeatureSpec, SignalUse
from models.margin_fits import BoosterSettings, fit_booster
from models.undersampling import undersample

SPEC = FeatureSpec((SignalUse("post", qualifying=True, valued=False),), (7,), 28, "UTC", touches=False)
ALL = np.arange(len(SPEC.names))


def true_risk(features: np.ndarray) -> np.ndarray:
    """4 % leave on average, of some one in a thousand and of others one in two."""
    return expit(-4.2 + 1.2 * features[:, 0] + 0.8 * np.abs(features[:, 1]) * (features[:, 2] > 0))


def planted(rows: int, seed: int, *, leave: bool = True) -> TrainingRows:
    """Twenty weekly cuts; without `leave` it is to stay that is rare."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(SPEC.names))).astype(np.float32)
    rare = rng.random(rows) < true_risk(features)
    return TrainingRows(features, rare if leave else ~rare, np.arange(rows), np.repeat(np.arange(20) * 7 * DAY_US, rows // 20))


def margins_of(rows: TrainingRows, later: TrainingRows, share: float) -> np.ndarray:
    """Of the blend, before calibration, which sees all rows and would hide a wrong level."""
    return fit_horizon(rows, 28, SPEC, ALL, majority_share=share, rng=np.random.default_rng(1)).model.margin(later.features)


@pytest.fixture(scope="module")
def later():
    return planted(100_000, seed=2)


@pytest.fixture(scope="module")
def corrected(later):
    """A tenth of those who stayed."""
    return margins_of(planted(30_000, seed=1), later, 0.1)


def test_the_mean_risk_and_the_log_loss_are_those_of_the_truth(later, corrected):
    truth = true_risk(later.features)
    assert expit(corrected).mean() == pytest.approx(truth.mean(), rel=0.05)
    assert log_loss(later.churned, expit(corrected)) - log_loss(later.churned, truth) < 0.004


def test_without_the_correction_the_risks_would_be_several_times_too_high(later, corrected):
    """Odds ten times as high: what the test above would see if the shift were left out."""
    raw, truth = expit(corrected - np.log(0.1)), true_risk(later.features)
    assert raw.mean() > 4 * truth.mean()
    assert log_loss(later.churned, raw) - log_loss(later.churned, truth) > 0.1


def test_where_to_leave_is_the_rule_those_who_left_are_thinned(later):
    margins = margins_of(planted(30_000, seed=1, leave=False), later, 0.1)
    assert expit(-margins).mean() == pytest.approx(true_risk(later.features).mean(), rel=0.05)


@given(st.floats(1e-4, 1 - 1e-4), st.floats(0.01, 0.99))
def test_the_shift_is_the_published_correction(fitted, share):
    shift = undersample(np.array([True, False, False]), share, np.random.default_rng(1)).shift
    assert expit(logit(fitted) + shift) == pytest.approx(share * fitted / (share * fitted + 1 - fitted))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0, 1, exclude_min=True))
def test_all_of_the_rarer_outcome_is_kept(outcomes, share):
    churned = np.array(outcomes)
    rarer = 2 * churned.sum() <= len(churned)
    kept = undersample(churned, share, np.random.default_rng(1)).rows
    assert np.isin(np.flatnonzero(churned == rarer), kept).all()
    assert (np.diff(kept) > 0).all()


def test_a_shifted_booster_explains_its_margins_exactly():
    rows = planted(2000, seed=3)
    plain, shifted = (fit_booster(rows.features, rows.churned, ALL, BoosterSettings(trees=20), shift=by) for by in (0.0, -2.5))
    np.testing.assert_allclose(shifted(rows.features), plain(rows.features) - 2.5, atol=1e-12)
    np.testing.assert_allclose(shifted.contributions(rows.features).margin, shifted(rows.features), atol=1e-9)
    np.testing.assert_allclose(shifted.contributions(rows.features).values, plain.contributions(rows.features).values, atol=1e-9)

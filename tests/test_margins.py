"""Margins are what their formula says, split exactly over the features, and survive JSON to the last bit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.margin_fits import BoosterSettings, fit_booster, fit_linear, mean_of, staged_margins
from models.margins import BlendedMargin, BoosterMargin, LinearMargin, Margin, margin_from_dict

COLUMNS = np.array([0, 2, 3])
NO_FILL = np.full(3, np.nan)
SETTINGS = BoosterSettings(trees=40, seed=5)


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Five columns of skewed positive and negative numbers, a fifth of column 2 missing; risk rises with column 0, falls with 3."""
    rng = np.random.default_rng(seed)
    features = (np.sinh(rng.normal(size=(n, 5))) * 3).astype(np.float32)
    features[rng.random(n) < 0.2, 2] = np.nan
    log_odds = np.arcsinh(features[:, 0]) - 0.8 * np.arcsinh(features[:, 3]) - 0.5
    return features, rng.random(n) < expit(log_odds)


FEATURES, CHURNED = planted(3000, seed=1)
OTHERS, _ = planted(400, seed=2)
LINEAR = fit_linear(FEATURES, CHURNED, COLUMNS, NO_FILL, penalties=(1e-3,))[0]
BOOSTER = fit_booster(FEATURES, CHURNED, COLUMNS, SETTINGS)
BLEND = BlendedMargin((0.25, 0.75), (LINEAR, BOOSTER))
MARGINS = pytest.mark.parametrize("margin", [LINEAR, BOOSTER, BLEND], ids=["linear", "booster", "blend"])


@MARGINS
def test_contributions_add_up_to_the_margin(margin: Margin):
    np.testing.assert_allclose(margin.contributions(OTHERS).margin, margin(OTHERS), atol=1e-9)


@MARGINS
def test_columns_that_a_margin_does_not_read_contribute_nothing_and_change_nothing(margin: Margin):
    changed = OTHERS.copy()
    changed[:, [1, 4]] = 1e6
    assert not margin.contributions(OTHERS).values[:, [1, 4]].any()
    np.testing.assert_array_equal(margin(changed), margin(OTHERS))


@MARGINS
def test_a_margin_survives_json_to_the_last_bit(margin: Margin):
    again = margin_from_dict(json.loads(json.dumps(margin.to_dict())))
    np.testing.assert_array_equal(again(OTHERS), margin(OTHERS))
    np.testing.assert_array_equal(again.contributions(OTHERS).values, margin.contributions(OTHERS).values)
    assert again.to_dict() == margin.to_dict()


@MARGINS
def test_one_member_alone_has_the_margin_of_the_batch(margin: Margin):
    alone = np.concatenate([margin(OTHERS[row : row + 1]) for row in range(len(OTHERS))])
    np.testing.assert_array_equal(alone, margin(OTHERS))


def test_one_member_alone_has_the_margin_of_the_batch_to_the_last_bit_with_many_columns():
    rng = np.random.default_rng(3)
    features, many = rng.normal(size=(300, 180)).astype(np.float32), np.arange(1, 180)
    margin = fit_linear(features, features[:, 5] > 0, many, np.full(179, np.nan), penalties=(1.0,))[0]
    alone = np.concatenate([margin(features[row : row + 1]) for row in range(len(features))])
    np.testing.assert_array_equal(alone, margin(features))


@MARGINS
def test_nobody_has_no_margin(margin: Margin):
    assert margin(OTHERS[:0]).shape == (0,)
    assert margin.contributions(OTHERS[:0]).values.shape == (0, 5)


def test_an_unknown_kind_of_margin_is_an_error():
    with pytest.raises(KeyError, match="spline"):
        margin_from_dict({"kind": "spline"})


def test_a_linear_margin_by_hand():
    """slog(e - 1) = 1 and slog(-(e^2 - 1)) = -2: z = (1 - 0.5) / 0.5 = 1 and (-2 - 1) / 3 = -1; 0.1 + 2 x 1 - 1 x -1 = 3.1."""
    margin = LinearMargin(np.array([2, 0]), np.zeros(2), np.array([0.5, 1.0]), np.array([0.5, 3.0]), np.array([2.0, -1.0]), 0.1)
    row = np.array([[-(np.e**2 - 1), 77.0, np.e - 1]])
    assert margin(row) == pytest.approx([3.1])
    assert margin.contributions(row).values[0] == pytest.approx([1.0, 0.0, 2.0])


def test_a_missing_value_counts_as_its_fill_and_a_far_one_as_five_standard_scores():
    margin = LinearMargin(np.array([0]), np.array([np.e - 1]), np.zeros(1), np.ones(1), np.array([3.0]), 0.0)
    assert margin(np.array([[np.nan], [np.e - 1], [1e12], [-1e12]])) == pytest.approx([3, 3, 15, -15])


def test_a_linear_fit_is_the_logistic_regression_of_standardised_signed_logs():
    """Penalty x n / 2 x |coefficient|^2 is scikit-learn's 1 / (C x 2) with C = 1 / (penalty x n)."""
    chosen = FEATURES[:, COLUMNS].astype(float)
    chosen = np.where(np.isnan(chosen), np.nanmedian(chosen, axis=0), chosen)
    logs = np.sign(chosen) * np.log1p(np.abs(chosen))
    z = (logs - logs.mean(axis=0)) / logs.std(axis=0)
    for penalty, found in zip((1.0, 0.01), fit_linear(FEATURES, CHURNED, COLUMNS, NO_FILL, penalties=(1.0, 0.01)), strict=True):
        expected = LogisticRegression(C=1 / (penalty * len(z)), solver="lbfgs", max_iter=2000, tol=1e-10).fit(z, CHURNED)
        assert found.coefficient == pytest.approx(expected.coef_[0], abs=1e-4)
        assert found.intercept == pytest.approx(expected.intercept_[0], abs=1e-4)


def test_a_stronger_penalty_shrinks_the_coefficients():
    sizes = [np.abs(fit.coefficient).sum() for fit in fit_linear(FEATURES, CHURNED, COLUMNS, NO_FILL, penalties=(10, 1, 0.1, 0.001))]
    assert sizes == sorted(sizes)


def test_a_missing_value_is_filled_as_told_or_else_with_the_median_of_the_column():
    fills = fit_linear(FEATURES, CHURNED, COLUMNS, np.array([np.nan, 365.0, np.nan]), penalties=(1,))[0].fill
    assert fills == pytest.approx([np.median(FEATURES[:, 0]), 365, np.median(FEATURES[:, 3])])


def test_a_column_without_any_value_and_a_constant_one_do_no_harm():
    features = FEATURES.copy()
    features[:, 0], features[:, 2] = np.nan, 7
    fitted = fit_linear(features, CHURNED, COLUMNS, NO_FILL, penalties=(1e-3,))[0]
    assert np.isfinite(fitted(features)).all()
    assert fitted.coefficient[:2] == pytest.approx([0, 0], abs=1e-9)


def test_the_booster_learns_what_was_planted():
    influence = np.abs(BOOSTER.contributions(OTHERS).values).mean(axis=0)
    assert influence[0] > influence[3] > 5 * influence[2]


def test_a_booster_is_the_same_whenever_it_is_fitted_with_the_same_seed():
    assert fit_booster(FEATURES, CHURNED, COLUMNS, SETTINGS).model_text == BOOSTER.model_text


def test_staged_margins_are_those_of_shorter_boosters():
    staged = staged_margins(BOOSTER, OTHERS, (10, 25, 40))
    for column, trees in enumerate((10, 25, 40)):
        expected = BOOSTER.booster.margins(OTHERS[:, COLUMNS], trees=trees)[:, 0]
        np.testing.assert_allclose(staged[:, column], expected, atol=1e-12)
    np.testing.assert_allclose(staged[:, -1], BOOSTER(OTHERS), atol=1e-12)


def test_a_blend_leaves_out_the_parts_without_weight():
    blend = BlendedMargin.of({"booster": 0.75, "linear": 0.25, "rfm": 0.0}, {"booster": BOOSTER, "linear": LINEAR, "rfm": LINEAR})
    assert blend.weights == (0.75, 0.25)
    np.testing.assert_allclose(blend(OTHERS), 0.75 * BOOSTER(OTHERS) + 0.25 * LINEAR(OTHERS), atol=1e-12)


@given(
    weights=st.lists(st.floats(-2, 2), min_size=2, max_size=2),
    values=st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=5, max_size=5),
)
def test_any_blend_adds_up_for_any_member(weights, values):
    blend = BlendedMargin(tuple(weights), (LINEAR, BOOSTER))
    row = np.array([values], dtype=np.float32)
    assert blend.contributions(row).margin == pytest.approx(blend(row), abs=1e-9)


def test_a_stored_booster_needs_nothing_but_its_text():
    again = BoosterMargin(COLUMNS, str(BOOSTER.model_text))
    np.testing.assert_array_equal(again(OTHERS), BOOSTER(OTHERS))


def test_the_mean_of_linear_margins_says_the_mean_of_what_they_say():
    fits = fit_linear(FEATURES, CHURNED, COLUMNS, NO_FILL, penalties=(1.0, 0.1, 1e-3))
    np.testing.assert_allclose(mean_of(fits)(OTHERS), np.mean([fit(OTHERS) for fit in fits], axis=0), atol=1e-12)

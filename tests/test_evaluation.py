"""Metrics against scikit-learn and published formulas; intervals against the truth that they should cover."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from models.errors import InputError, NotEnoughData
from models.evaluation import (
    ChurnMetrics,
    Estimate,
    auc,
    auc_difference,
    average_precision,
    best_baseline,
    brier,
    calibration_curve,
    ece,
    empc,
    evaluate_churn,
    grade,
    lift_at,
    log_loss,
    log_loss_difference,
)
from models.intervals import FloatArray, IntArray
from models.training_cuts import FEWEST_TO_GRADE


@dataclass(frozen=True)
class Rows:
    churned: FloatArray
    probability: FloatArray
    member: IntArray


def rows_with_ties(n: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    probability = np.round(rng.beta(2, 5, n), 2)
    return Rows((rng.random(n) < probability).astype(float), probability, np.arange(n))


def rows_of_members(rng: np.random.Generator, n_members: int, n_rows_each: int) -> Rows:
    """Every row of a member shares most of its margin and its outcome, as snapshots one week apart do."""
    margin = np.repeat(rng.normal(-1, 1, n_members), n_rows_each)
    churned = np.repeat(rng.random(n_members), n_rows_each) < expit(margin)
    noisy = expit(margin + rng.normal(0, 0.1, len(margin)))
    return Rows(churned.astype(float), noisy, np.repeat(np.arange(n_members), n_rows_each))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (auc, roc_auc_score),
        (average_precision, average_precision_score),
        (brier, brier_score_loss),
        (log_loss, sklearn_log_loss),
    ],
)
def test_a_weighted_metric_equals_that_of_scikit_learn(ours: Callable[..., float], theirs: Callable[..., float]) -> None:
    rows = rows_with_ties(500, seed=1)
    weight = np.random.default_rng(2).integers(0, 4, 500).astype(float)
    assert ours(rows.churned, rows.probability) == pytest.approx(theirs(rows.churned, rows.probability))
    weighted = theirs(rows.churned, rows.probability, sample_weight=weight)
    assert ours(rows.churned, rows.probability, weight) == pytest.approx(weighted)


@given(
    hnp.arrays(np.bool_, 40).filter(lambda churned: 0 < churned.sum() < 40),
    hnp.arrays(np.int64, 40, elements=st.integers(0, 10)),
    hnp.arrays(np.int64, 40, elements=st.integers(1, 4)),
)
def test_an_integer_weight_equals_repeated_rows(churned: np.ndarray, tenths: np.ndarray, weight: np.ndarray) -> None:
    probability = tenths / 10
    repeated = np.repeat(churned, weight), np.repeat(probability, weight)
    for metric in (auc, average_precision, brier, log_loss, ece, empc):
        assert metric(churned, probability, weight) == pytest.approx(metric(*repeated), abs=1e-9)
    assert lift_at(0.1, churned, probability, weight) == pytest.approx(lift_at(0.1, *repeated))


def test_calibration_error_by_hand() -> None:
    """Bins {.1, .2} with no churner and {.6, .9} with one: (.3 + |1 - 1.5|) / 4 = .2."""
    churned, probability = [0, 0, 0, 1], [0.1, 0.2, 0.6, 0.9]
    assert ece(churned, probability, n_bins=2) == pytest.approx(0.2)


def test_calibration_error_does_not_split_a_tie_over_bins() -> None:
    """All rows share p = .5 and half churn: however they are sorted, the error is 0."""
    assert ece([1] * 10 + [0] * 10, [0.5] * 20) == pytest.approx(0.0)


def test_the_calibration_curve_sums_to_the_calibration_error_and_to_all_rows() -> None:
    rows = rows_with_ties(1000, seed=3)
    curve = calibration_curve(rows.churned, rows.probability)
    assert sum(part.n for part in curve) == 1000
    assert [part.predicted for part in curve] == sorted(part.predicted for part in curve)
    gap = sum(part.n * abs(part.predicted - part.observed) for part in curve) / 1000
    assert gap == pytest.approx(ece(rows.churned, rows.probability))


def test_lift_counts_the_share_with_the_highest_risk() -> None:
    """Base rate .2; 9 of the 10 riskiest of 100 churn: lift .9 / .2."""
    churned = np.array([1] * 9 + [0] + [1] * 11 + [0] * 79)
    assert lift_at(0.10, churned, np.linspace(0.9, 0.1, 100)) == pytest.approx(4.5)


def test_lift_of_a_constant_risk_is_one() -> None:
    assert lift_at(0.05, [1, 0, 0, 1, 0, 0, 0], [0.3] * 7) == pytest.approx(1.0)


def test_calibration_slope_and_intercept_recover_a_planted_distortion() -> None:
    """Predicted log-odds are twice the true ones minus 1: slope 1/2; the intercept restores the base rate."""
    rng = np.random.default_rng(5)
    margin = rng.normal(-1, 1, 40_000)
    churned = rng.random(40_000) < expit(margin)
    predicted = 2 * margin - 1
    metrics = evaluate_churn(churned, expit(predicted), np.arange(40_000), rng=rng, resamples=50)
    assert metrics.calibration_slope.value == pytest.approx(0.5, abs=0.02)
    shifted = expit(predicted + metrics.calibration_intercept.value)
    assert shifted.mean() == pytest.approx(churned.mean(), abs=1e-6)


def test_the_slope_interval_agrees_with_refitting_on_every_resample() -> None:
    rows = rows_with_ties(600, seed=6)
    risk = np.clip(rows.probability, 0.005, 0.995)
    metrics = evaluate_churn(rows.churned, risk, rows.member, rng=np.random.default_rng(7), resamples=400)
    rng, slopes = np.random.default_rng(8), []
    for _ in range(200):
        drawn = rng.integers(0, 600, 600)
        refit = LogisticRegression(C=1e9).fit(logit(risk[drawn])[:, None], rows.churned[drawn])
        slopes.append(float(refit.coef_[0, 0]))
    lower, upper = np.quantile(slopes, [0.025, 0.975])
    assert metrics.calibration_slope.interval == pytest.approx([lower, upper], abs=0.08)


def test_the_same_generator_gives_the_same_intervals() -> None:
    rows = rows_with_ties(300, seed=9)

    def metrics() -> ChurnMetrics:
        rng = np.random.default_rng(10)
        return evaluate_churn(rows.churned, rows.probability, rows.member, rng=rng, resamples=60)

    assert metrics() == metrics()


def test_the_order_of_the_rows_and_the_names_of_the_members_change_nothing() -> None:
    rows = rows_of_members(np.random.default_rng(11), 80, 3)
    names = np.char.add("member-", np.char.zfill(rows.member.astype(str), 3))
    shuffled = np.random.default_rng(12).permutation(240)
    one = evaluate_churn(rows.churned, rows.probability, rows.member, rng=np.random.default_rng(13), resamples=60)
    other = evaluate_churn(
        rows.churned[shuffled],
        rows.probability[shuffled],
        names[shuffled],
        rng=np.random.default_rng(13),
        resamples=60,
    )
    assert one.auc.interval == pytest.approx(other.auc.interval)
    assert one.log_loss.interval == pytest.approx(other.log_loss.interval)


def test_repeating_every_row_of_every_member_does_not_narrow_the_interval() -> None:
    rows = rows_with_ties(300, seed=14)
    once = evaluate_churn(rows.churned, rows.probability, rows.member, rng=np.random.default_rng(15), resamples=80)
    five = evaluate_churn(
        np.tile(rows.churned, 5),
        np.tile(rows.probability, 5),
        np.tile(rows.member, 5),
        rng=np.random.default_rng(15),
        resamples=80,
    )
    assert (five.n, five.n_members) == (1500, 300)
    for name in ("auc", "average_precision", "brier", "log_loss", "empc", "calibration_slope"):
        assert getattr(five, name).interval == pytest.approx(getattr(once, name).interval, rel=1e-6)


def test_intervals_over_members_cover_the_truth_where_intervals_over_rows_do_not() -> None:
    """150 communities of 60 members with 8 dependent rows each; truth from 200,000 members; nominal coverage 90 %."""
    rng = np.random.default_rng(16)
    large = rows_of_members(rng, 200_000, 1)
    truth = auc(large.churned, large.probability)
    over_members: list[bool] = []
    over_rows: list[bool] = []
    for _ in range(150):
        rows = rows_of_members(rng, 60, 8)
        flat = np.full(len(rows.member), 0.5)
        for covered, codes in ((over_members, rows.member), (over_rows, np.arange(len(rows.member)))):
            gain = auc_difference(rows.churned, rows.probability, flat, codes, rng=rng, level=0.9, resamples=120)
            covered.append(gain.lower <= truth - 0.5 <= gain.upper)
    assert 0.82 <= np.mean(over_members) <= 0.97
    assert np.mean(over_rows) < 0.65


def test_the_calibration_error_interval_of_a_perfect_model_reaches_down_to_zero() -> None:
    """Noise alone gives an error of about .03 on 1,000 rows; a percentile interval would exclude the truth, 0."""
    rng = np.random.default_rng(17)
    risk = rng.beta(2, 5, 1000)
    metrics = evaluate_churn(rng.random(1000) < risk, risk, np.arange(1000), rng=rng, resamples=200)
    assert metrics.ece.lower < 0.01
    assert metrics.ece.value <= metrics.ece.upper


def test_an_equal_model_differs_by_nothing_and_is_graded_c() -> None:
    rows = rows_with_ties(200, seed=18)
    both = rows.churned, rows.probability, rows.probability, rows.member
    gain = auc_difference(*both, rng=np.random.default_rng(19), resamples=50)
    assert gain == Estimate(0.0, 0.0, 0.0)
    assert log_loss_difference(*both, rng=np.random.default_rng(19), resamples=50) == Estimate(0.0, 0.0, 0.0)
    assert grade(gain, 100) == "C"


def test_a_clearly_better_model_is_graded_a_and_a_doubtfully_better_one_b() -> None:
    rng = np.random.default_rng(20)
    margin = rng.normal(0, 1.5, 2000)
    churned, member = rng.random(2000) < expit(margin), np.arange(2000)
    good, poor = expit(margin), expit(margin + rng.normal(0, 2, 2000))
    gain = auc_difference(churned, good, poor, member, rng=rng, resamples=100)
    assert grade(gain, 500) == "A"
    assert gain.value == pytest.approx(auc(churned, good) - auc(churned, poor))
    assert log_loss_difference(churned, good, poor, member, rng=rng, resamples=100).upper < 0
    assert grade(Estimate(0.01, -0.02, 0.04), 500) == "B"


def test_on_too_few_of_one_outcome_no_gain_earns_a_grade() -> None:
    assert [grade(Estimate(0.2, 0.1, 0.3), rarer) for rarer in (FEWEST_TO_GRADE - 1, FEWEST_TO_GRADE)] == ["C", "A"]


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    rng = np.random.default_rng(21)
    margin = rng.normal(0, 1, 400)
    churned, member = rng.random(400) < expit(margin), np.arange(400)
    close = expit(margin + rng.normal(0, 0.2, 400))
    gain = auc_difference(churned, expit(margin), close, member, rng=rng, resamples=200)
    alone = evaluate_churn(churned, close, member, rng=rng, resamples=200).auc
    assert gain.upper - gain.lower < (alone.upper - alone.lower) / 2


def test_the_best_baseline_is_the_one_that_ranks_best() -> None:
    churned = [0, 0, 1, 1]
    assert best_baseline(churned, {"recency": [0.1, 0.3, 0.2, 0.4], "rfm_logistic": [0.1, 0.2, 0.3, 0.4]}) == ("rfm_logistic")


def test_a_constant_risk_has_slope_zero_and_no_discrimination() -> None:
    churned = np.tile([1.0, 0.0, 0.0, 0.0], 50)
    metrics = evaluate_churn(churned, np.full(200, 0.25), np.arange(200), rng=np.random.default_rng(22), resamples=40)
    assert metrics.auc == Estimate(0.5, 0.5, 0.5)
    assert metrics.calibration_slope.value == pytest.approx(0.0, abs=1e-9)


def test_risks_of_exactly_zero_and_one_give_finite_metrics() -> None:
    churned = np.tile([1.0, 0.0, 0.0], 30)
    metrics = evaluate_churn(churned, churned, np.arange(90), rng=np.random.default_rng(23), resamples=40)
    assert metrics.auc.value == 1.0
    assert all(np.isfinite(held) for held in np.hstack(list(metrics.to_dict().values())))


def test_metrics_are_written_as_plain_json() -> None:
    rows = rows_with_ties(100, seed=24)
    metrics = evaluate_churn(rows.churned, rows.probability, rows.member, rng=np.random.default_rng(25), resamples=40)
    written = json.loads(json.dumps(metrics.to_dict()))
    assert written["auc"] == metrics.auc.value
    assert written["auc_interval"] == [metrics.auc.lower, metrics.auc.upper]
    assert written["n"] == 100


def test_one_class_alone_is_refused_with_its_count() -> None:
    with pytest.raises(NotEnoughData, match="0 of 3 rows churned"):
        evaluate_churn([0, 0, 0], [0.1, 0.2, 0.3], [1, 2, 3], rng=np.random.default_rng(26))


def test_a_single_member_has_no_interval() -> None:
    with pytest.raises(NotEnoughData, match="at least two members"):
        evaluate_churn([1, 0], [0.4, 0.2], ["m", "m"], rng=np.random.default_rng(27), resamples=40)


def test_rows_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(InputError, match="one outcome and one probability"):
        auc([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match=r"probability 1\.5 lies outside"):
        brier([0, 1], [0.1, 1.5])
    with pytest.raises(InputError, match=r"outcome 2\.0 is neither 0 .* nor 1"):
        ece([0, 2], [0.1, 0.5])
    with pytest.raises(InputError, match="nan lies outside"):
        log_loss([0, 1], [0.1, np.nan])
    with pytest.raises(InputError, match="one code per row"):
        evaluate_churn([0, 1], [0.1, 0.2], [1], rng=np.random.default_rng(28))

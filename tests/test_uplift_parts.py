"""The parts of learning an effect, by hand: scores, weights, what was missed, and many models in one."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from models.distilling import distil
from models.doubly_robust import Scores, averages_of, scores_of
from models.errors import NotEnoughData
from models.propensity import overlap, propensities_of
from models.student import Student, merged
from models.trial import trial_of
from models.uplift_weights import dimensions_of, missed_spread, weigh_candidates
from tests.benchmarks import estimated_chances


def test_a_score_is_the_modelled_effect_and_the_weighted_surprise():
    """Row 0, mailed, chance 0.2, kept: 0.5 - 0.4 + (1 - 0.5) / 0.2 = 2.6; row 1, left alone, chance 0.8, lost: 0.1 - (0 - 0.4) / 0.8 = 0.6;
    row 2, called: 0.1 for the mail, which it had no part in.
    """
    trial = trial_of(np.zeros((3, 1)), ["mail", "none", "call"], [1, 0, 1], interventions=["mail", "call"])
    means = np.tile([0.4, 0.5, 0.7], (3, 1))
    shares = np.array([[0.5, 0.2, 0.3], [0.8, 0.1, 0.1], [0.4, 0.4, 0.2]])
    scores = scores_of(trial.arm, trial.outcome, shares, means)
    np.testing.assert_allclose(scores.score[:, 0], [2.6, 0.6, 0.1])
    np.testing.assert_allclose(scores.score[2, 1], 0.3 + 0.3 / 0.2)
    np.testing.assert_allclose(scores.weight[0], [1 / (1 / 0.2 + 1 / 0.5), 1 / (1 / 0.3 + 1 / 0.5)])


def test_the_error_of_an_average_sums_a_members_rows_before_it_squares_them():
    """Scores 1, 1 of one member and -1, -1 of another: sqrt(2 / 1 (2^2 + 2^2)) / 4, and 6.314 / 1.645 for the one degree of freedom."""
    scores = Scores(np.array([[1.0], [1.0], [-1.0], [-1.0]]), np.ones((4, 1)), np.ones((4, 1), dtype=bool))
    averages = averages_of(scores, np.array([0, 0, 1, 1]))
    assert averages.effect[0] == 0
    assert averages.error[0] == pytest.approx(6.3138 / 1.6449, rel=1e-4)


def test_the_error_of_an_average_counts_the_groups_that_could_have_had_it_alone():
    """Of 50 members two could have had the first, scores 1 and -1: sqrt(2 / 1 (1 + 1)) / 2, and t of one degree; one the second."""
    score, comparable = np.zeros((50, 2)), np.zeros((50, 2), dtype=bool)
    score[:2, 0], comparable[:2, 0], score[0, 1], comparable[0, 1] = (1.0, -1.0), True, 1.0, True
    averages = averages_of(Scores(score, comparable.astype(float), comparable), np.arange(50))
    assert averages.effect[0] == 0
    assert averages.error[0] == pytest.approx(6.3138 / 1.6449, rel=1e-4)
    assert np.isnan([averages.effect[1], averages.error[1]]).all()


def test_a_guess_that_holds_is_believed_and_one_that_is_noise_is_not(rng):
    n = 40_000
    true = rng.normal(0, 0.05, n)
    score = (true + rng.normal(0, 0.5, n))[:, None]
    effects = np.zeros((n, 1, 5))
    effects[:, 0, 2], effects[:, 0, 3] = true, rng.normal(0, 0.05, n)
    weighted = weigh_candidates(effects, Scores(score, np.ones((n, 1)), np.ones((n, 1), dtype=bool)), rng.integers(0, 5, n), np.arange(n))
    assert weighted.weights[2] == pytest.approx(1, abs=0.15)
    assert weighted.weights[3] < 0.12


def test_a_mean_that_was_learned_out_of_fold_does_not_count_against_its_guess(rng):
    """A guess that is low in exactly those folds whose scores are high is as good within them as ever."""
    n, fold = 50_000, rng.integers(0, 5, 50_000)
    shift, true = np.array([0.3, 0.1, 0.0, -0.1, -0.3]), rng.normal(0, 0.05, n)
    score = (true + shift[fold] + rng.normal(0, 0.4, n))[:, None]
    effects = np.zeros((n, 1, 5))
    effects[:, 0, 2] = true - shift[fold]
    weighted = weigh_candidates(effects, Scores(score, np.ones((n, 1)), np.ones((n, 1), dtype=bool)), fold, np.arange(n))
    assert weighted.weights[2] == pytest.approx(1, abs=0.15)


def test_what_a_ridge_leaves_behind_is_what_is_said_to_be_missed(rng):
    """20 independent features, effects of standard deviation 0.5, noise 3, 1,000 rows: the posterior mean finds a part of the variance."""
    d, n, spread, noise = 20, 1_000, 0.5, 3.0
    found, left = [], []
    for _ in range(60):
        beta = rng.normal(0, spread / np.sqrt(d), d)
        x = rng.normal(size=(n, d))
        fitted = np.linalg.solve(x.T @ x + d * noise**2 / spread**2 * np.eye(d), x.T @ (x @ beta + rng.normal(0, noise, n)))
        found.append((fitted**2).sum())
        left.append(((fitted - beta) ** 2).sum())
    told = missed_spread(np.array([np.mean(found)]), np.array([noise / np.sqrt(n)]), d, usual=0.0)
    assert told[0] == pytest.approx(np.sqrt(np.mean(left)), rel=0.1)


def test_where_nothing_could_be_found_the_usual_differences_may_be_missed():
    assert missed_spread(np.zeros(1), np.array([0.05]), 40, usual=0.03)[0] == pytest.approx(0.03, rel=0.1)
    assert missed_spread(np.zeros(1), np.array([0.0005]), 40, usual=0.03)[0] < 0.005


def test_dimensions_are_counted_by_what_columns_tell_of_each_other():
    """Two columns at right angles are two; with one twice, 3^2 / (3 + 2) = 1.8; one that is the same for all, or unknown, adds none."""
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert dimensions_of(square) == pytest.approx(2)
    assert dimensions_of(np.column_stack([square, 5 - 3 * square[:, 0]])) == pytest.approx(1.8)
    assert dimensions_of(np.column_stack([square, np.full(4, 7.0), np.full(4, np.nan)])) == pytest.approx(2)
    assert dimensions_of(np.zeros((4, 2))) == 1
    assert dimensions_of(np.vstack([square, [np.nan, np.nan]])) == pytest.approx(2)


def test_overlap_by_hand():
    """Weights 1/0.5, 1/0.25 of two mailed rows: (2 + 4)^2 / (2 (4 + 16)) = 0.9."""
    trial = trial_of(np.array([[0.0], [1.0], [0.0], [1.0]]), ["mail", "mail", "none", "none"], [0, 1, 0, 1])
    shares = np.array([[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.75, 0.25]])
    told = overlap(trial, shares)
    assert told.smallest[0] == 0.25
    assert told.effective[0] == pytest.approx(0.9)
    assert told.before[0] == pytest.approx(0)


def test_an_arm_that_one_member_alone_was_given_leaves_folds_with_nothing_to_tell_apart(rng):
    arms = ["mail", "none"] + ["mail"] * 98
    trial = trial_of(rng.normal(size=(100, 2)), arms, rng.integers(0, 2, 100))
    shares = propensities_of(trial, rng).shares
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.min() > 0
    assert shares[:, 0].mean() == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("world", estimated_chances.BY_CHANCE[2:])
def test_groups_that_drew_their_arms_by_chance_do_not_pass_for_members_chosen_by_features(world):
    """Of 12 logs; row by row all would, for features of a group differ from those of another by more than chance."""
    assert estimated_chances.told_by_features(world, worlds=12, seed=2) < 0.25


def test_a_feature_that_decides_who_gets_what_is_found_in_rows_of_members(rng):
    world = estimated_chances.BY_A_FEATURE[0]
    assert propensities_of(estimated_chances.log_of(world, rng), rng).kind == "observational"


def test_a_trial_in_which_everybody_was_left_alone_is_refused():
    with pytest.raises(NotEnoughData, match="given something"):
        trial_of(np.zeros((2, 1)), ["none", "none"], [0, 1])


def test_a_trial_on_one_group_alone_is_refused():
    with pytest.raises(NotEnoughData, match="there must be two"):
        trial_of(np.zeros((4, 1)), ["none", "gift"] * 2, np.ones(4), groups=["branch"] * 4)


def test_many_models_in_one_say_what_each_says(rng):
    features = rng.normal(size=(2_000, 6))
    features[rng.random(features.shape) < 0.1] = np.nan
    each = []
    for trees, column in ((7, 0), (3, 1), (5, 2)):
        parameters = {"objective": "regression", "num_leaves": 6, "verbose": -1, "num_threads": 1}
        each.append(lgb.train(parameters, lgb.Dataset(features, np.nan_to_num(features[:, column])), trees))
    one = Student(3, merged([booster.model_to_string() for booster in each]))
    np.testing.assert_array_equal(one(features), np.column_stack([booster.predict(features) for booster in each]))
    told = one.contributions(features[:20])
    np.testing.assert_allclose(told.sum(axis=2), one(features[:20]), atol=1e-9)
    for output in range(3):
        np.testing.assert_array_equal(one.contributions_to(features[:20], output), told[:, output])


def test_a_student_of_nothing_says_nothing(rng):
    features = rng.normal(size=(300, 3))
    np.testing.assert_allclose(distil(features, np.zeros((300, 2)), np.ones((300, 2), dtype=bool), 1)(features), 0.0, atol=1e-12)


def test_rows_repeated_for_a_member_make_no_guess_surer(rng):
    n, fold = 4_000, rng.integers(0, 5, 4_000)
    effects = np.zeros((n, 1, 5))
    effects[:, 0, 2] = rng.normal(0, 0.05, n)
    score, known = (effects[:, 0, 2] + rng.normal(0, 0.5, n))[:, None], np.ones((n, 1), dtype=bool)
    once = weigh_candidates(effects, Scores(score, np.ones((n, 1)), known), fold, np.arange(n))
    twice = np.tile(np.arange(n), 4)
    again = weigh_candidates(effects[twice], Scores(score[twice], np.ones((4 * n, 1)), known[twice]), fold[twice], twice)
    assert again.held_error[0] == pytest.approx(once.held_error[0], rel=0.15)


def test_what_is_learned_from_noise_is_not_said_to_hold_more_often_than_told(rng):
    """Least squares out of fold on scores without any effect: z is standard normal, and beyond 1.645 in a tenth of 400 trials."""
    z, n, every = [], 400, np.ones((400, 1), dtype=bool)
    for _ in range(400):
        x, score, fold = rng.normal(size=(n, 6)), rng.normal(size=(n, 1)), rng.integers(0, 5, n)
        effects = np.zeros((n, 1, 5))
        for number in range(5):
            asked, others = fold == number, fold != number
            effects[asked] = (x[asked] @ np.linalg.lstsq(x[others], score[others], rcond=None)[0])[:, :, None]
        told = weigh_candidates(effects, Scores(score, every.astype(float), every), fold, np.arange(n))
        z.append(float(told.held[0] / told.held_error[0]))
    assert np.std(z) == pytest.approx(1, abs=0.12)
    assert np.mean(np.abs(z) > 1.645) == pytest.approx(0.1, abs=0.045)


def test_where_no_learner_claims_a_difference_no_share_of_it_is_told(rng):
    scores = Scores(rng.normal(size=(500, 1)), np.ones((500, 1)), np.ones((500, 1), dtype=bool))
    told = weigh_candidates(np.zeros((500, 1, 5)), scores, rng.integers(0, 5, 500), np.arange(500))
    assert np.isnan(told.held).all()
    assert np.isnan(told.held_error).all()

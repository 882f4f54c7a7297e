"""What another policy would have earned: by hand, against the truth of a simulation, and refused where the log cannot tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, NotEnoughData
from models.measured import Measured, Swings
from models.policy_value import estimate_dr, estimate_ips, estimate_snips, policy_difference
from tests.benchmarks import few_explored
from tests.benchmarks.policy_value import coverage
from tests.policy_worlds import log_of, targets_of

REWARD = [10.0, 0.0, 4.0, 6.0]
CHOSEN = [1, 0, 0, 1]
LOGGED = [[0.5, 0.5], [0.8, 0.2], [0.5, 0.5], [0.75, 0.25]]
ALWAYS = [[0.0, 1.0]] * 4
NEVER = [[1.0, 0.0]] * 4
"""By hand: always acting weighs the rows 2, 0, 0, 4; never acting 0, 1.25, 2, 0."""


def test_importance_weights_by_hand() -> None:
    """(2 x 10 + 4 x 6) / 4 = 11; mean weight 6 / 4. ESS (2 + 4)^2 / (4 + 16) = 1.8; foreseen 4^2 / (2 + 5 + 2 + 4) = 1.23."""
    told = estimate_ips(REWARD, CHOSEN, LOGGED, ALWAYS)
    assert (told.value, told.mean_weight, told.largest_weight) == pytest.approx((11.0, 1.5, 4.0))
    assert told.effective_sample_size == pytest.approx(16 / 13)
    assert (told.n, told.n_members, told.clip, told.clipped_share, told.outside_support) == (4, 4, None, 0.0, 0.0)


def test_what_was_rarely_explored_and_by_chance_never_is_missed_in_the_effective_rows() -> None:
    """Acting with a chance of .01 in 300 rows, none of which did; the policy acts in half of them: so 300^2 / (150 / .01 + 150 / .99).

    Its weights average 1/2 where 1 is due, with a standard error of sqrt(150 x 99) / 300 = .41, though all that are seen are 0 or 1 / .99.
    """
    logged, wanted = np.tile([0.99, 0.01], (300, 1)), np.repeat([[1.0, 0.0], [0.0, 1.0]], 150, axis=0)
    told = estimate_ips(np.ones(300), np.zeros(300, dtype=int), logged, wanted)
    assert told.effective_sample_size == pytest.approx(300**2 / (150 / 0.01 + 150 / 0.99))
    assert told.mean_weight_error == pytest.approx(np.sqrt(150 * (99 + 1 / 99)) / 300)
    assert told.mean_weight == pytest.approx(150 / 0.99 / 300)


def test_self_normalised_weights_by_hand() -> None:
    """(2 x 10 + 4 x 6) / 6; of never acting (1.25 x 0 + 2 x 4) / 3.25."""
    assert estimate_snips(REWARD, CHOSEN, LOGGED, ALWAYS).value == pytest.approx(44 / 6)
    assert estimate_snips(REWARD, CHOSEN, LOGGED, NEVER).value == pytest.approx(8 / 3.25)


def test_doubly_robust_by_hand() -> None:
    """Prediction 7 of acting in each row: 7 + (2 (10 - 7) + 4 (6 - 7)) / 4 = 7.5."""
    predictions = [[1.0, 7.0]] * 4
    assert estimate_dr(REWARD, CHOSEN, LOGGED, ALWAYS, predictions).value == pytest.approx(7.5)


def test_the_error_is_that_of_members_and_not_of_rows() -> None:
    """Two members of two rows each, 1 and 3 on each: mean 2, sums 2 and 6 of 8, leaving one out gives 3 or 1.

    Influence (2 - 1) / 2 (2 - 3) = -1/2 and 1/2: the standard error is sqrt(2 (1/4 + 1/4)) = 1; of four members with a row each sqrt(1/3).
    """
    given = ([1.0, 1.0, 3.0, 3.0], [0, 0, 0, 0], [[1.0]] * 4, [[1.0]] * 4)
    assert estimate_ips(*given, ["a", "a", "b", "b"]).standard_error == pytest.approx(1.0)
    assert estimate_ips(*given).standard_error == pytest.approx(np.sqrt(1 / 3))


def test_the_error_of_a_plain_mean_is_the_textbooks() -> None:
    """Under the logged policy itself all weights are 1; with many symmetric rewards the interval is Student's."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=500)
    reward = np.concatenate([half, -half])
    logged = np.full((1000, 2), 0.5)
    told = estimate_ips(reward, rng.integers(0, 2, 1000), logged, logged)
    assert told.standard_error == pytest.approx(reward.std(ddof=1) / np.sqrt(1000))
    assert (told.low, told.high) == pytest.approx((-1.645 * told.standard_error, 1.645 * told.standard_error), rel=0.01)


def test_a_clipped_weight_is_named() -> None:
    """The weights 2, 0, 0, 4 become 2, 0, 0, 3: (20 + 18) / 4, and one row in four was clipped."""
    told = estimate_ips(REWARD, CHOSEN, LOGGED, ALWAYS, clip=3.0)
    assert told.value == pytest.approx(9.5)
    assert (told.clip, told.clipped_share, told.largest_weight, told.mean_weight) == (3.0, 0.25, 4.0, 1.5)


def test_a_policy_outside_what_was_tried_says_by_how_much() -> None:
    """Row 0 never had a chance of action 2, to which the policy gives .4; over two rows .2."""
    told = estimate_ips([1.0, 2.0], [0, 1], [[1.0, 0.0, 0.0], [0.4, 0.3, 0.3]], [[0.6, 0.0, 0.4], [0.0, 1.0, 0.0]])
    assert told.outside_support == pytest.approx(0.2)


def test_a_choice_without_a_chance_is_refused() -> None:
    with pytest.raises(InputError, match=r"row 1 chose action 1, to which the log gave probability 0 \(1 such rows\)"):
        estimate_ips([1.0, 2.0], [0, 1], [[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reward": [1.0, np.nan]}, "1 rewards are not finite"),
        ({"chosen": [0, 2]}, "positions from 0 to 1"),
        ({"target": [[0.5, 0.5], [0.5, 0.6]]}, "target probabilities of row 1"),
        ({"propensities": [[0.5, 0.3], [0.5, 0.5]]}, "logged propensities of row 0"),
        ({"target": [[1.0], [1.0]]}, "a column for each action"),
        ({"groups": [1]}, "member codes for 2 rows"),
    ],
)
def test_rows_that_do_not_fit_together_are_named(changed: dict, said: str) -> None:
    given = {"reward": [1.0, 2.0], "chosen": [0, 1], "propensities": [[0.5, 0.5]] * 2, "target": [[0.5, 0.5]] * 2, "groups": [1, 2]}
    with pytest.raises(InputError, match=said):
        estimate_ips(**(given | changed))


def test_a_policy_that_never_does_what_was_logged_cannot_be_told() -> None:
    with pytest.raises(InputError, match="never does what was logged"):
        estimate_snips([1.0, 2.0], [0, 0], [[0.5, 0.5]] * 2, [[0.0, 1.0]] * 2)


def test_one_member_alone_has_no_interval() -> None:
    with pytest.raises(NotEnoughData, match="one member"):
        estimate_ips(REWARD, CHOSEN, LOGGED, NEVER, ["only"] * 4)


def test_a_policy_does_not_differ_from_itself() -> None:
    told = estimate_snips(REWARD, CHOSEN, LOGGED, ALWAYS)
    gap = policy_difference(told, told)
    assert (gap.value, gap.low, gap.high, gap.standard_error) == (0.0, 0.0, 0.0, 0.0)


def test_a_difference_uses_what_both_policies_share() -> None:
    log = log_of(500, 1.0, np.random.default_rng(3))
    targets = targets_of(log)
    greedy, explored = (
        estimate_ips(log.reward, log.chosen, log.propensities, targets[name], log.member) for name in ("greedy", "explored")
    )
    gap = policy_difference(greedy, explored)
    assert gap.value == pytest.approx(greedy.value - explored.value)
    assert gap.standard_error < 0.2 * np.hypot(greedy.standard_error, explored.standard_error)


def test_policies_told_from_different_rows_are_not_compared() -> None:
    told = estimate_ips(REWARD, CHOSEN, LOGGED, ALWAYS)
    with pytest.raises(InputError, match="same rows"):
        policy_difference(told, estimate_ips(REWARD[:3], CHOSEN[:3], LOGGED[:3], ALWAYS[:3]))


@given(st.integers(0, 2**32 - 1))
def test_the_logged_policy_is_worth_what_was_earned(seed: int) -> None:
    """Weights of 1: IPS and SNIPS are the mean reward, DR too where the prediction of what was chosen does not depend on the action."""
    log = log_of(40, 1.0, np.random.default_rng(seed))
    given = (log.reward, log.chosen, log.propensities, log.propensities)
    assert estimate_ips(*given, log.member).value == pytest.approx(log.reward.mean())
    assert estimate_snips(*given, log.member).value == pytest.approx(log.reward.mean())
    assert estimate_dr(*given, np.full(log.propensities.shape, 5.0), log.member).value == pytest.approx(log.reward.mean())


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0.1, 10))
def test_self_normalised_values_move_with_the_rewards(seed: int, shift: float, scale: float) -> None:
    log = log_of(40, 1.0, np.random.default_rng(seed))
    target = targets_of(log)["explored"]
    told = estimate_snips(log.reward, log.chosen, log.propensities, target, log.member)
    moved = estimate_snips(scale * log.reward + shift, log.chosen, log.propensities, target, log.member)
    assert moved.value == pytest.approx(scale * told.value + shift)
    assert moved.standard_error == pytest.approx(scale * told.standard_error)


def test_intervals_hold_the_truth_nine_times_in_ten() -> None:
    """300 logs of clustered rows and skewed rewards; the binomial error of one cell is 1.7 points. The benchmark draws 600."""
    cells = coverage(members=500, sharpness=1.0, worlds=300, seed=5)
    shares = {key: np.mean([one.covered for one in seen]) for key, seen in cells.items()}
    assert np.mean(list(shares.values())) == pytest.approx(0.9, abs=0.02)
    assert min(shares.values()) > 0.84
    assert max(shares.values()) < 0.96


@pytest.mark.parametrize("groups", [2, 4, 12, 500])
def test_a_difference_is_called_beyond_chance_exactly_where_its_interval_leaves_0_out(groups: int) -> None:
    """At the level 1 - p an end of the interval is 0."""
    rng = np.random.default_rng(groups)
    for _ in range(20):
        influence = rng.exponential(size=groups) * rng.choice([-1, 1, 3], groups)
        told = Measured(float(rng.normal(0, np.sqrt(groups))), influence - influence.mean())
        if told.p < 0.999:
            ends = told.interval(1 - told.p).interval
            assert min(map(abs, ends)) == pytest.approx(0, abs=1e-6 * told.standard_error)
    assert Measured(1.0, np.zeros(groups)).p == 1


@pytest.mark.parametrize(("rows", "spread"), [(900, 0.0), (3000, 1.0)])
def test_few_explored_rows_reckon_with_leavers_of_whom_they_hold_none(rows: int, spread: float) -> None:
    """Of 31 and 102 explored rows 3 % leave, of equal and of log-normal values; 300 logs, a binomial error of 1.7 points at 0.9."""
    by_residuals, with_foreseen = few_explored.coverage(few_explored.World(0.97, 0.0, spread), rows, worlds=300, seed=rows)
    assert by_residuals.held < 0.85
    assert with_foreseen.held > 0.88


def test_what_is_foreseen_widens_no_interval_that_the_residuals_tell() -> None:
    """306 explored rows of whom half leave."""
    for child in np.random.default_rng(4).spawn(20):
        told = few_explored.gain(few_explored.World(0.5, 0.2, 0.0), 9000, child)
        assert told.foreseen.standard_error == pytest.approx(told.seen.standard_error, rel=0.005)
        assert told.foreseen.value == told.seen.value


def test_what_the_outcomes_decide_cancels_in_a_difference_like_all_that_is_shared() -> None:
    rng = np.random.default_rng(6)
    chance, influence = rng.random(50), rng.normal(size=50)
    swings = Swings(rng.normal(size=50), chance, (rng.random(50) < chance).astype(float))
    told = Measured(1.0, influence - influence.mean(), swings)
    assert (told - told).interval(0.9).interval == [0.0, 0.0]
    assert (told * 2.0).standard_error == pytest.approx(2 * told.standard_error)
    assert (told * 3.0 - told).standard_error == pytest.approx(2 * told.standard_error)


def test_the_variance_that_predictions_foresee_by_hand() -> None:
    """Ten of a chance of 0.9, all stayed: M = 10 x 0.09, O = 10 x 0.01, m = 0.9^2 / (10 x 0.09 x 0.64) = 1.40625, k = 3."""
    all_stayed = Swings(np.ones(10), np.full(10, 0.9), np.ones(10))
    assert all_stayed.unseen == pytest.approx(0.8 * 3 / (3 + 1.40625))
    assert Swings(np.ones(10), np.full(10, 0.9), np.zeros(10)).unseen == 0

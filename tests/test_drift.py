"""Drift: the index is the one computed by hand, chance is told from change, and a model's columns are weighed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift import MOST_ROWS, Bins, shift_of, shifts_of, stability_index


def test_the_index_is_the_one_computed_by_hand():
    """Shares with half a count added: (40.5, 60.5) / 101 and (20.5, 80.5) / 101.

    (20.5 - 40.5) / 101 x ln(20.5 / 40.5) + (80.5 - 60.5) / 101 x ln(80.5 / 60.5) = .134827 + .056557.
    """
    assert stability_index(np.array([40, 60]), np.array([20, 80])) == pytest.approx(0.191384, abs=1e-6)


def test_a_bin_that_was_empty_makes_the_index_large_and_finite():
    """p = (100.5, .5) / 101, q = (50.5, 50.5) / 101: 50 / 101 x ln(100.5 / 50.5) + 50 / 101 x ln(50.5 / .5) = .340685 + 2.284713."""
    assert stability_index(np.array([100, 0]), np.array([50, 50])) == pytest.approx(2.625398, abs=1e-5)


def test_bins_nobody_fills_count_for_nothing():
    assert stability_index(np.array([40, 0, 60]), np.array([20, 0, 80])) == stability_index(np.array([40, 60]), np.array([20, 80]))


def test_bins_hold_about_equal_parts_of_the_reference_and_missing_values_their_own(rng):
    values = np.append(rng.normal(size=1000), [np.nan] * 50)
    counts = Bins.of(values).counts
    assert counts[-1] == 50
    assert np.abs(counts[:-1] - 100).max() <= 1


def test_a_column_of_few_values_has_as_many_bins():
    bins = Bins.of(np.array([0.0] * 80 + [1.0] * 15 + [2.0] * 5))
    assert bins.counts.tolist() == [80, 20, 0]


def test_a_column_of_one_value_is_seen_to_leave_it():
    assert shift_of("constant", np.zeros(500), np.zeros(400)).psi == pytest.approx(0.0)
    assert shift_of("constant", np.zeros(500), np.full(400, np.nan)).beyond(0.25)


def test_where_nothing_moved_chance_explains_the_index_but_once_in_a_thousand(rng):
    told = [shift_of("x", rng.normal(size=300), rng.normal(size=200)) for _ in range(2000)]
    assert sum(shift.psi > shift.chance for shift in told) <= 8
    assert np.mean([shift.psi for shift in told]) == pytest.approx(9 * (1 / 300 + 1 / 200), rel=0.1)


def test_a_small_sample_needs_more_than_the_usual_threshold():
    """Ten members and ten: indices of .25 and more are nothing out of the way."""
    few = shift_of("x", np.arange(10.0), np.arange(10.0) + 3)
    assert few.psi > 0.25
    assert not few.beyond(0.25)


def test_a_normal_column_that_moves_by_one_spread_has_the_index_of_its_densities(rng):
    """For densities it is (difference / spread)^2 = 1; ten bins see a little less."""
    assert shift_of("x", rng.normal(size=20_000), rng.normal(1, size=20_000)).psi == pytest.approx(0.95, abs=0.1)


def test_columns_are_told_by_how_far_they_moved_and_those_the_model_does_not_use_not_at_all(rng):
    reference, now = rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3))
    now[:, 1] += 1
    now[:, 2] += 5
    told = shifts_of(["same", "moved", "unused"], reference, now, np.array([0.7, 0.3, 0.0]))
    assert [(shift.name, shift.beyond(0.25), shift.weight) for shift in told] == [("moved", True, 0.3), ("same", False, 0.7)]


def test_more_rows_than_are_looked_at_change_the_index_little(rng):
    reference, now = rng.normal(size=(3 * MOST_ROWS, 1)), rng.normal(0.5, size=(3 * MOST_ROWS, 1))
    (thinned,) = shifts_of(["x"], reference, now, np.ones(1))
    assert thinned.psi == pytest.approx(shift_of("x", reference[:, 0], now[:, 0]).psi, rel=0.1)


counts = st.lists(st.integers(0, 1000), min_size=2, max_size=12)


@given(counts, counts)
def test_the_index_is_never_negative_and_the_same_both_ways(one, other):
    left, right = np.array(one), np.resize(np.array(other), len(one))
    if left.sum() and right.sum():
        assert stability_index(left, right) >= 0
        assert stability_index(left, right) == pytest.approx(stability_index(right, left))

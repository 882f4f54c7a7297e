"""Which blend is taken: the even one, unless the rows can tell another to be better."""

import numpy as np
import pytest

from models.blending import nearest_within_one_error, weight_grid

GRID = weight_grid(2, 2)
EVEN = np.array([0.5, 0.5])


def test_weights_are_all_the_shares_that_add_up():
    np.testing.assert_allclose(GRID, [[0, 1], [0.5, 0.5], [1, 0]])
    assert len(weight_grid(3, 4)) == 15
    np.testing.assert_allclose(weight_grid(3, 4).sum(axis=1), 1)


@pytest.mark.parametrize(("gain", "taken"), [(0.0, [0.5, 0.5]), (0.02, [0.5, 0.5]), (1.0, [1, 0])])
def test_a_blend_is_left_for_a_better_one_that_stands_out_of_the_noise(rng, gain, taken):
    losses = rng.normal(1, 1, (400, 3)) * [1, 1, 1] + [0, 0, -gain]
    np.testing.assert_allclose(nearest_within_one_error(losses, GRID, EVEN, np.arange(400)), taken)


def test_rows_of_one_member_are_one_witness(rng):
    """Ten members' noise, each told forty times: what forty times as many members would show, ten do not."""
    gap = rng.normal(-0.05, 0.2, 10)
    losses = np.column_stack([np.ones(400), np.ones(400), 1 + np.repeat(gap - gap.mean() - 0.05, 40)])
    member = np.repeat(np.arange(10), 40)
    np.testing.assert_allclose(nearest_within_one_error(losses, GRID, EVEN, member), [0.5, 0.5])
    np.testing.assert_allclose(nearest_within_one_error(losses, GRID, EVEN, np.arange(400)), [1, 0])

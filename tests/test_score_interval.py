"""The interval of a difference of shares against published examples, against itself, and against truths that were planted."""

from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.score_interval import Shares, score, score_interval, score_p


def shares(count, members, other, other_members):
    return Shares(count / members, members, other / other_members, other_members)


counts = st.integers(2, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_the_published_example_of_the_method():
    """5 of 56 against none of 29: -.0186 to .1867, chi-square 3.025, p .082 (Laud 2017; the R package ratesci prints it)."""
    seen = shares(5, 56, 0, 29)
    assert score_interval(seen, 0.95).interval == pytest.approx([-0.01862, 0.1867], abs=5e-5)
    assert score(seen, 0.0) ** 2 == pytest.approx(3.025, abs=5e-4)
    assert score_p(seen) == pytest.approx(0.082, abs=5e-4)


@given(counts, counts)
def test_the_p_value_says_what_the_interval_says(one, other):
    seen = shares(*one, *other)
    told, p = score_interval(seen, 0.95), score_p(seen)
    assume(abs(p - 0.05) > 1e-6)
    assert (told.lower > 0 or told.upper < 0) == (p < 0.05)
    assert -1 <= told.lower <= told.value <= told.upper <= 1


@given(counts, counts)
def test_arms_that_change_places_change_the_sign(one, other):
    told, swapped = score_interval(shares(*one, *other), 0.95), score_interval(shares(*other, *one), 0.95)
    assert swapped.interval == pytest.approx([-told.upper, -told.lower], abs=1e-6)


@given(counts, counts)
def test_those_who_stay_and_those_who_go_tell_the_same(one, other):
    (count, n), (others, m) = one, other
    stay, go = score_interval(shares(count, n, others, m), 0.95), score_interval(shares(n - count, n, m - others, m), 0.95)
    assert go.interval == pytest.approx([-stay.upper, -stay.lower], abs=1e-6)


def test_of_many_members_it_is_the_interval_of_two_proportions():
    """.3 of 20,000 and .25 of 30,000: sqrt(.3 x .7 / 20000 + .25 x .75 / 30000) = .0041."""
    told = score_interval(shares(6_000, 20_000, 7_500, 30_000), 0.95)
    error = np.sqrt(0.3 * 0.7 / 20_000 + 0.25 * 0.75 / 30_000)
    assert told.interval == pytest.approx([0.05 - 1.959964 * error, 0.05 + 1.959964 * error], abs=2e-5)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.97])
def test_six_beside_many_are_hardly_ever_called_different_where_nothing_differs(share):
    """By the exact probabilities of what six do, beside 840 who do as expected: at most one in twenty."""
    n, many = 6, 840
    chance = {kept: comb(n, kept) * share**kept * (1 - share) ** (n - kept) for kept in range(n + 1)}
    assert sum(one for kept, one in chance.items() if score_p(shares(share * many, many, kept, n)) < 0.05) <= 0.05

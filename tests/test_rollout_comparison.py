"""What a roll-out shows: intervals that hold at every look, harm and gain that were planted, and what is still missing."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from models.always_valid import LIKELY_WITHIN, members_needed, reach, share_p
from models.rollout_comparison import FEWEST, Comparison, Sides, Watched, compare
from models.two_arms import ALPHA, Measure

DAY_US = 86_400_000_000
HORIZON = 30
UNTIL = 100 * DAY_US


def test_the_reach_is_that_of_the_published_formula():
    alpha, n, tuned = 0.05, 1_000, 5_000
    rho2 = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned
    sigma, t = 0.4, n
    published = sigma * sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * log(sqrt(t * rho2 + 1) / alpha))
    assert reach(sigma / sqrt(n), n, alpha) == pytest.approx(published, rel=1e-12)


@given(st.floats(1e-4, 1), st.integers(10, 100_000), st.floats(0.001, 0.5))
def test_the_members_that_are_needed_suffice_and_one_fewer_does_not(error, members, target):
    needed = members_needed(error, members, target, 0.01, 0.84)
    if needed is not None and needed > 2:
        errors = [error * sqrt(members / number) for number in (needed, needed - 1)]
        widths = [reach(one, number, 0.01) + 0.84 * one for one, number in zip(errors, (needed, needed - 1), strict=True)]
        assert widths[0] <= target < widths[1]


def looks(rng, effect, days=60, daily=60):
    """Whether an interval that is read every day ever leaves the planted difference out."""
    treated = rng.random(days * daily) < 0.5
    stays = (rng.random(len(treated)) < 0.7 + effect * treated).astype(float)
    missed = False
    for seen in range(daily, len(treated) + 1, daily):
        one, other = stays[:seen][treated[:seen]], stays[:seen][~treated[:seen]]
        if min(len(one), len(other)) < FEWEST:
            continue
        error = sqrt(one.var() / len(one) + other.var() / len(other))
        missed |= abs(one.mean() - other.mean() - effect) > reach(error, seen, ALPHA)
    return missed


def test_who_looks_every_day_is_misled_in_no_more_than_one_of_twenty(rng):
    missed = [looks(rng, effect) for effect in (0.0, 0.05) for _ in range(150)]
    assert np.mean(missed) < ALPHA


@pytest.mark.parametrize(("taken", "members", "share"), [(40, 60, 0.5), (1, 90, 0.05), (30, 300, 0.1), (0, 0, 0.3)])
def test_the_evidence_of_the_sizes_is_the_likelihood_ratio_over_all_shares_that_may_be(taken, members, share):
    around = beta(LIKELY_WITHIN * share, LIKELY_WITHIN * (1 - share))

    def ratio(other):
        return (other / share) ** taken * ((1 - other) / (1 - share)) ** (members - taken) * around.pdf(other)

    low, high = around.ppf([1e-12, 1 - 1e-12])
    assert share_p(taken, members, share) == pytest.approx(min(1, 1 / quad(ratio, low, high)[0]), rel=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_sizes_that_chance_makes_are_doubted_no_more_often_than_is_said_whoever_looks_every_day(rng, share):
    doubted = 0
    for _ in range(200):
        taken = np.cumsum(rng.random(90 * 60) < share)
        doubted += min(share_p(int(taken[seen - 1]), seen, share) for seen in range(60, 5401, 60)) < ALPHA
    assert doubted / 200 < ALPHA


def sides(members, share=0.5, taken=None, days=60):
    taken = np.arange(members) % round(1 / share) == 0 if taken is None else taken
    return Sides(taken, UNTIL - (np.arange(members) % days + 1) * DAY_US, share, UNTIL)


def kept(rng, side, effect, base=0.7, **watched):
    """Retention over thirty days, with `effect` for the challenger's members."""
    value = (rng.random(len(side.challenger)) < base + effect * side.challenger).astype(float)
    due = side.since_us + HORIZON * DAY_US <= UNTIL
    return Watched(Measure("retention", "retention", HORIZON, 0.05, value, due), 1, **{"tolerance": 0.0, **watched})


def refused(rng, side, effect=0.0, base=0.02, **watched):
    value = (rng.random(len(side.challenger)) < base + effect * side.challenger).astype(float)
    return Watched(Measure("refusals", "count", 0, 0.05, value, np.ones(len(value), dtype=bool)), -1, 0.0, rate=True, **watched)


def told(side, *watched):
    return compare(3, 50.0, UNTIL - 60 * DAY_US, side, (1.0, 0.9), watched)


@pytest.mark.parametrize(("effect", "verdict"), [(0.08, "better"), (-0.08, "harm"), (0.0, "not_yet")])
def test_a_planted_difference_is_found_and_none_where_none_is(rng, effect, verdict):
    side = sides(12_000)
    found = told(side, kept(rng, side, effect), refused(rng, side))
    assert found.verdict == verdict
    assert found.rows[0].difference.lower < effect < found.rows[0].difference.upper
    assert found.rows[0].members + found.rows[0].champion_members == int((np.arange(12_000) % 60 >= 29).sum())


def test_a_guardrail_alone_is_harm(rng):
    side = sides(6_000)
    found = told(side, kept(rng, side, 0.0), refused(rng, side, 0.04))
    assert (found.verdict, [row.name for row in found.harms]) == ("harm", ["refusals"])


def test_what_is_tolerated_is_no_harm(rng):
    side = sides(12_000)
    assert told(side, kept(rng, side, -0.08, tolerance=0.2)).verdict == "not_yet"


def test_a_challenger_that_is_as_good_is_no_worse_by_a_margin(rng):
    side = sides(20_000)
    assert told(side, kept(rng, side, 0.0, margin=0.05)).verdict == "no_worse"
    assert told(side, kept(rng, side, 0.0, margin=0.0)).verdict == "not_yet"


def test_members_who_are_not_on_their_sides_by_chance_show_no_gain(rng):
    side = sides(6_000, taken=np.arange(6_000) % 3 == 0)
    for effect, margin in ((0.2, 0.0), (0.0, 0.1)):
        found = told(side, kept(rng, side, effect, margin=margin))
        assert (found.verdict, found.rows[0].verdict) == ("not_readable", "open")


def test_harm_is_told_whatever_decides_who_is_on_which_side(rng):
    side = sides(6_000, taken=np.arange(6_000) % 3 == 0)
    found = told(side, kept(rng, side, -0.2))
    assert (found.verdict, found.check.mismatch) == ("harm", True)


def test_what_few_members_show_waits(rng):
    side = sides(2 * FEWEST)
    found = told(side, kept(rng, side, -0.3))
    assert (found.rows[0].verdict, found.rows[0].difference, found.verdict) == ("waiting", None, "not_yet")


def test_the_days_that_are_left_are_those_until_enough_members_are_due(rng):
    side = sides(3_000)
    row = told(side, kept(rng, side, 0.0)).rows[0]
    more = row.members_needed - len(side.since_us)
    assert more > 0
    assert row.days_needed == pytest.approx(more / 50 + HORIZON, abs=1)
    many = told(side, replace(kept(rng, side, 0.0, base=0.99))).rows[0]
    due = np.sort(side.since_us) + HORIZON * DAY_US
    assert many.members_needed < len(side.since_us)
    assert many.days_needed == max(0, -(-int(due[many.members_needed - 1] - UNTIL) // DAY_US))


def test_few_refusals_leave_room_on_the_side_that_has_none(rng):
    side = sides(400)
    none = Watched(Measure("refusals", "count", 0, 0.05, np.zeros(400), np.ones(400, dtype=bool)), -1, 0.0, rate=True)
    row = told(side, none).rows[0]
    assert row.difference.value == 0
    assert row.difference.upper > 0.01


def test_it_is_read_as_it_was_written(rng):
    side = sides(3_000)
    found = told(side, kept(rng, side, 0.0), refused(rng, side))
    assert Comparison.from_dict(found.to_dict()) == found

"""What was known before a draw is alike in its arms, and where it is not, or the arms have other sizes, the fit says what is wrong."""

import numpy as np
import pandas as pd
import pytest

from models.assignments import Assignments
from models.balance import SIZE, Draw, unlike
from models.held_out import hold_out
from models.snapshots import Snapshots
from models.trial import trial_of
from models.uplift_fit import fit_uplift


def trial(chance, known, *, logged=None, groups=None, seed=0):
    """chance (n,): of the offer, for all rows of a group together where there are any; logged: the chance that is told instead."""
    rng, n = np.random.default_rng(seed), len(chance)
    unit = np.arange(n) if groups is None else groups
    offered = rng.random(n)[unit] < chance
    told = chance if logged is None else logged
    return trial_of(known, np.where(offered, "offer", "none"), np.zeros(n), np.column_stack([1 - told, told]), groups=groups)


def test_the_difference_is_that_of_two_means_in_standard_errors():
    rng = np.random.default_rng(1)
    known, treated = rng.normal(size=4000), rng.random(4000) < 0.5
    known += 0.1 * treated
    one, other = known[treated], known[~treated]
    z = (one.mean() - other.mean()) / np.sqrt(one.var() / len(one) + other.var() / len(other))
    assert Draw(treated, np.full(4000, 0.5), np.arange(4000)).z(known) == pytest.approx(z, rel=0.01)


@pytest.mark.parametrize("share", [0.5, 0.85, 0.05])
@pytest.mark.parametrize("grouped", [False, True])
def test_draws_by_chance_are_hardly_ever_called_unlike(share, grouped):
    """One in a thousand is what may be; of 200 draws five would be."""
    rng, n = np.random.default_rng(2), 1500
    groups = np.arange(n) // 5 if grouped else None
    known = np.column_stack([rng.normal(size=n), rng.lognormal(0, 2, n), rng.random(n) < 0.02, np.where(rng.random(n) < 0.3, np.nan, 1.0)])
    if grouped:
        known = known[groups]
    called = sum(bool(unlike(trial(np.full(n, share), known, groups=groups, seed=seed))) for seed in range(200))
    assert called <= 4


def test_a_column_that_was_measured_afterwards_is_named_by_the_fit():
    rng, n = np.random.default_rng(3), 3000
    offered, outcome = rng.random(n) < 0.85, rng.random(n) < 0.3
    outcome |= offered & (rng.random(n) < 0.1)
    known = pd.DataFrame({"age": rng.normal(40, 9, n), "exposure": offered & (rng.random(n) < 0.4)}).astype(float)
    shares = np.tile([0.15, 0.85], (n, 1))
    given = (np.where(offered, "ad", "none"), outcome.astype(float), shares)
    found = fit_uplift(known, *given, rng=rng)
    assert [(one.column, one.arm) for one in found.unlike] == [(1, 1)]
    assert '"exposure" with ad (z +' in found.warning()
    assert '"age"' not in found.warning()
    assert '"column 1"' in fit_uplift(known.to_numpy(), *given, rng=rng).warning()
    assert fit_uplift(known[["age"]], *given, rng=rng).warning() is None


def test_a_hole_that_only_the_treated_have_is_named():
    rng = np.random.default_rng(4)
    offered = rng.random(2000) < 0.5
    opened = np.where(offered & (rng.random(2000) < 0.3), np.nan, 1.0)
    told = trial_of(opened[:, None], np.where(offered, "mail", "none"), np.zeros(2000), np.full((2000, 2), 0.5))
    assert {one.column for one in unlike(told)} == {0}


def test_chances_of_strata_are_sound_and_their_mean_for_all_is_not():
    stratum = np.arange(4000) % 2
    chance, known = np.where(stratum == 1, 0.8, 0.2), np.column_stack([stratum, np.arange(4000) % 7]).astype(float)
    assert unlike(trial(chance, known)) == ()
    assert [(one.column, one.z > 0) for one in unlike(trial(chance, known, logged=np.full(4000, 0.5)))] == [(0, True)]


def test_an_arm_that_was_assigned_less_often_than_its_chances_say_is_told():
    told = trial(np.full(3000, 0.44), np.zeros((3000, 1)), logged=np.full(3000, 0.5))
    assert [(one.column, one.z < 0) for one in unlike(told)] == [(SIZE, True)]
    rng = np.random.default_rng(5)
    offered = rng.random(3000) < 0.45
    names, outcome = np.where(offered, "offer", "none"), (rng.random(3000) < 0.5).astype(float)
    found = fit_uplift(np.zeros((3000, 1)), names, outcome, np.full((3000, 2), 0.5), rng=rng)
    assert "offer (z -" in found.warning()
    assert "less often than the logged chances say" in found.warning()


def test_what_judges_policies_and_targeting_names_a_column_that_was_measured_afterwards_too():
    rng, n = np.random.default_rng(6), 1500
    offered = rng.random(n) < 0.5
    known = np.column_stack([rng.normal(size=n), offered & (rng.random(n) < 0.4)]).astype(float)
    at = np.zeros(n, dtype=np.int64)
    made = Assignments(
        Snapshots(np.arange(n), at, at), ("offer",), offered.astype(np.int64), np.full((n, 2), 0.5), 1.0 * (rng.random(n) < 0.5)
    )
    (said,) = hold_out(known, made, rng=rng).warnings(["recency", "exposure:"])
    assert "(exposure)" in str(said)
    assert hold_out(known[:, :1], made, rng=rng).warnings(["recency"]) == ()
    kept = offered | (np.arange(n) % 3 > 0)
    (said,) = hold_out(known[kept, :1], made[kept], rng=rng).warnings(["recency"])
    assert str(said).endswith("were offer")


@pytest.mark.parametrize("value", [0.1, np.log1p(1), 3.0])
def test_what_was_the_same_of_all_is_alike_however_the_arms_are_sized(value):
    """Of 1,000 rows 900 were treated at .5; the mean of so many times the same number is off by a rounding error."""
    draw = Draw(np.arange(1000) < 900, np.full(1000, 0.5), np.arange(1000))
    assert draw.z(np.full(1000, value)) == 0
    assert abs(draw.size_z) > 20

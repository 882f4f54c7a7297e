"""Curves of each intervention from the held-out rows of a trial whose effects are planted."""

from dataclasses import replace

import numpy as np
import pytest

from models.assignments import Assignments
from models.doubly_robust import Scores
from models.effect_ranking import rank_effects
from models.held_out import HeldOut
from models.propensity import propensities_of
from models.snapshots import Snapshots
from models.touch_units import TouchUnits
from models.trial import trial_of
from tests.uplift_worlds import ARMS, simulate_trial

N = 20_000
ALL_JUDGE = np.ones(N, dtype=int)


@pytest.fixture(scope="module")
def held_of_trial():
    """The trial, and what is held of it; the last intervention was hardly ever assigned."""
    trial = simulate_trial("crossed", N, np.random.default_rng(3))
    arm = np.array([("none", *ARMS).index(name) for name in trial.assignment])
    treated = (arm[:, None] == np.arange(1, 5)) / trial.propensities[:, 1:]
    left = (arm == 0)[:, None] / trial.propensities[:, :1]
    expected = trial.untreated[:, None]
    residual = trial.outcome[:, None] - expected
    score = trial.effects + treated * (residual - trial.effects) - left * residual
    arm = np.where((arm == 4) & (np.cumsum(arm == 4) > 40), 1, arm)
    moments = Snapshots(np.arange(N), np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64))
    made = Assignments(moments, ARMS, arm, trial.propensities, trial.outcome)
    shares = propensities_of(trial_of(trial.features, trial.assignment, trial.outcome, trial.propensities, interventions=ARMS), None)
    retention = np.column_stack([trial.untreated, trial.untreated[:, None] + trial.effects])
    scores = Scores(score, np.ones_like(score), np.ones_like(score, dtype=bool))
    return trial, HeldOut(made, trial.features, np.zeros(N, dtype=int), shares, retention, scores)


@pytest.fixture(scope="module")
def told(held_of_trial):
    """Effects as they are predict."""
    trial, held = held_of_trial
    return trial, rank_effects(held, trial.effects, ALL_JUDGE, rng=np.random.default_rng(1))


def test_an_intervention_that_was_hardly_tried_is_left_out(told):
    assert [ranked.intervention for ranked in told[1]] == list(ARMS[:3])


def test_an_intervention_that_one_branch_alone_could_have_had_is_left_out(held_of_trial):
    trial, held = held_of_trial
    branch = np.arange(N) % 8
    comparable = held.scores.comparable.copy()
    comparable[:, [1, 2]] = (branch == 0)[:, None]
    by_branch = replace(held.assignments, units=TouchUnits("branch", branch, most=7))
    piloted = replace(held, assignments=by_branch, scores=replace(held.scores, comparable=comparable))
    told = rank_effects(piloted, trial.effects, ALL_JUDGE, rng=np.random.default_rng(1))
    assert [ranked.intervention for ranked in told] == [ARMS[0]]


def test_the_average_is_that_which_was_planted(told):
    trial, ranked = told
    for position, arm in enumerate(ranked):
        assert arm.average.lower < trial.effects[:, position].mean() < arm.average.upper


def test_true_effects_tell_members_apart(told):
    for arm in told[1]:
        assert arm.qini.lower > 0
        assert arm.fifths[0].effect.lower > arm.fifths[-1].effect.upper
        assert (len(arm.fifths), len(arm.deciles)) == (5, 10)
        assert sum(found.n for found in arm.fifths) == N


def test_models_of_two_parts_may_differ_in_level(held_of_trial, told):
    """Whatever is added to all that one model expects, its members are ranked among themselves."""
    trial, held = held_of_trial
    part = 1 + np.arange(N) % 2
    moved = trial.effects + 10.0 * (part == 1)[:, None]
    assert rank_effects(held, moved, part, rng=np.random.default_rng(1))[0].qini.value == pytest.approx(told[1][0].qini.value, rel=0.02)


def test_the_part_that_only_teaches_judges_nothing_but_the_average(held_of_trial, told):
    trial, held = held_of_trial
    part = np.where(np.arange(N) < 4000, 0, 1)
    effects = np.where(part[:, None] == 0, np.nan, trial.effects)
    (first, *_) = rank_effects(held, effects, part, rng=np.random.default_rng(1))
    assert sum(fifth.n for fifth in first.fifths) == N - 4000
    assert (first.assigned, first.average) == (told[1][0].assigned, told[1][0].average)

"""What is learned part by part is judged by intervals that hold 0 as often as they say where members do not differ."""

import numpy as np
import pytest

from models.in_turn import PARTS, PARTS_OF_MANY, parts_of, turns
from models.targeting import TrialRows, compare_targeting
from models.uplift_curves import ArmEffects, qini_curve

LOGS, N = 400, 600


def test_the_parts_before_teach_and_a_part_is_judged_once():
    unit = np.repeat(np.arange(50), 3)
    part = parts_of(unit, rng=np.random.default_rng(1))
    assert len(np.unique(np.column_stack([unit, part]), axis=0)) == 50
    assert np.ptp(np.bincount(part)) <= 3
    judged = np.zeros(150, dtype=int)
    for taught, asked in turns(part):
        assert part[taught].max() < part[asked].min()
        judged += asked
    np.testing.assert_array_equal(judged, part > 0)


@pytest.mark.parametrize(("units", "rows", "parts"), [(1000, 1, PARTS), (21_000, 1, PARTS_OF_MANY), (3, 10, 3), (1, 10, 1)])
def test_there_are_as_many_parts_as_units_at_most(units, rows, parts):
    assert parts_of(np.repeat(np.arange(units), rows), rng=np.random.default_rng(1)).max() + 1 == parts


@pytest.fixture(scope="module")
def by_noise():
    """Least squares, part by part, on scores that are noise: of each log three figures over their standard errors, and what is found."""
    rng, pivots, found = np.random.default_rng(1), [], []
    one, zero, who = np.ones((N, 1)), np.zeros((N, 1)), np.arange(N)
    for _ in range(LOGS):
        x, score, part = rng.normal(size=(N, 6)), rng.normal(size=N), parts_of(np.arange(N), rng=rng)
        effects = np.full(N, np.nan)
        for taught, asked in turns(part):
            effects[asked] = x[asked] @ np.linalg.lstsq(x[taught], score[taught], rcond=None)[0]
        rows = TrialRows(rng.random(N), effects[:, None], one[:, 0], zero, score[:, None], one, who, who, part)
        told = compare_targeting(rows, 0.2, curve=())
        qini = qini_curve(effects, ArmEffects.of_scores(score, part > 0, who), part=part, rng=rng, resamples=50).qini
        shown = (told.gap("effect", "random").kept, told.gap("effect", "risk").kept, qini)
        pivots.append([2 * 1.645 * figure.value / (figure.upper - figure.lower) for figure in shown])
        found.append(told.finding)
    return np.array(pivots), np.array(found)


@pytest.mark.parametrize("figure", range(3), ids=["effect - random", "effect - risk", "Qini"])
def test_what_was_learned_from_noise_is_within_chance_as_often_as_told(by_noise, figure):
    """Across folds, each taught by all others, the first has a standard deviation of 1.22 and is beyond 1.645 in .18 of the logs."""
    pivot = by_noise[0][:, figure]
    assert np.std(pivot) == pytest.approx(1, abs=0.12)
    assert np.mean(np.abs(pivot) > 1.645) == pytest.approx(0.1, abs=0.05)


def test_little_is_found_in_noise(by_noise):
    """Three sentences, each with a chance of .05 where there is nothing."""
    shares = [np.mean(by_noise[1] == found) for found in ("risk_hurts", "effect_is_better", "risk_is_better")]
    assert max(shares) < 0.05 + 0.04
    assert sum(shares) < 0.15 + 0.05

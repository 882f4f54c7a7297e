"""Whom to contact: by risk, by expected effect or at random, at equal numbers, on trials whose effects are planted."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError, NotEnoughData
from models.targeting import Places, TrialRows, as_logged, best_predicted, compare_targeting


def trial_rows(effect_of_risk, n: int = 20_000, seed: int = 1, error: float = 0.02) -> TrialRows:
    """One intervention, half of the members assigned; the true effect is a function of the risk, predicted with an error."""
    rng = np.random.default_rng(seed)
    risk = rng.beta(2, 3, n)
    effect = effect_of_risk(risk)
    acted = rng.random(n) < 0.5
    retained = (rng.random(n) < 1 - risk + acted * effect).astype(float)
    plain = 1 - risk
    score = effect + np.where(acted, 2 * (retained - plain - effect), -2 * (retained - plain))
    return TrialRows(
        risk=risk,
        predicted=(effect + error * rng.normal(size=n))[:, None],
        value=np.full(n, 100.0),
        cost=np.full((n, 1), 2.0),
        score=score[:, None],
        given=np.ones((n, 1)),
        member=np.arange(n),
        unit=np.arange(n),
        part=1 + rng.integers(0, 5, n),
    )


def test_the_most_likely_to_leave_cannot_be_kept_and_risk_targeting_hurts() -> None:
    told = compare_targeting(trial_rows(lambda risk: 0.2 * (1 - risk) ** 2), 0.2)
    assert told.finding == "risk_hurts"
    assert told.at["effect"].kept.value > told.at["random"].kept.value > told.at["risk"].kept.value
    assert told.gap("effect", "risk").money.lower > 0


def test_where_the_likely_to_leave_are_those_who_can_be_kept_nothing_is_hurt() -> None:
    told = compare_targeting(trial_rows(lambda risk: 0.2 * risk, error=0.0), 0.2)
    assert told.finding == "no_difference"
    assert told.gap("effect", "risk").kept.value == pytest.approx(0.0, abs=1e-9)
    assert told.gap("random", "risk").kept.upper < 0


def test_where_nothing_works_the_data_show_nothing() -> None:
    told = compare_targeting(trial_rows(np.zeros_like, n=3000), 0.2)
    assert told.finding == "no_difference"
    assert told.at["risk"].kept.lower < 0 < told.at["risk"].kept.upper


def test_a_prediction_that_is_wrong_is_found_out() -> None:
    rows = trial_rows(lambda risk: 0.3 * risk, error=0.0)
    told = compare_targeting(replace(rows, predicted=-rows.predicted), 0.2)
    assert told.finding == "risk_is_better"


def by_hand(risk, predicted, value, cost, score, given) -> TrialRows:
    """Each of four rows ten times, as ten members."""
    tens = [np.repeat(np.array(told, dtype=float), 10, axis=0) for told in (risk, predicted, value, cost, score, given)]
    return TrialRows(*tens, member=np.arange(40), unit=np.arange(40), part=np.ones(40, dtype=int))


def test_kept_and_money_by_hand() -> None:
    """Half are contacted: by risk the first two kinds, of scores 1 and 0; by effect the last two, of scores 2 and 1.

    Kept per 1,000: 500, 1500, at random (1 + 0 + 2 + 1) / 4. Money 10 x kept - 3 each.
    """
    predicted, score = [[0.1], [0.2], [0.3], [0.4]], [[1.0], [0.0], [2.0], [1.0]]
    told = compare_targeting(by_hand([0.9, 0.8, 0.2, 0.1], predicted, [10.0] * 4, [[3.0]] * 4, score, [[1]] * 4), 0.5)
    kept = {name: found.kept.value for name, found in told.at.items()}
    assert kept == pytest.approx({"risk": 500, "effect": 1500, "net_value": 1500, "random": 1000})
    assert told.at["risk"].money.value == pytest.approx(1000 * (10 * 0.5 - 3))
    assert told.gap("effect", "risk").kept.value == pytest.approx(1000)
    half = next(point for point in told.curve if point.share == 0.5)
    assert half.net["effect"].value == pytest.approx(0.5 * 1000 * (10 * 1.5 - 3))


POSSIBLE = np.array([[True, True], [True, True], [True, False], [False, False]])


def test_a_contacted_member_gets_what_the_log_gave_in_its_proportions() -> None:
    """The third kind could not have had the second action, the fourth had no control: scores (5 + 3 x 7) / 4 twice, then 5."""
    propensities = np.array([[0.6, 0.1, 0.3], [0.6, 0.1, 0.3], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    given = as_logged(propensities, POSSIBLE)
    assert given == pytest.approx(np.array([[0.25, 0.75], [0.25, 0.75], [1, 0], [0, 0]]))
    told = compare_targeting(by_hand([0.4, 0.3, 0.2, 0.1], [[0.1, 0.3]] * 4, [10.0] * 4, [[0.0, 1.0]] * 4, [[5.0, 7.0]] * 4, given), 1.0)
    assert told.at["random"].kept.value == pytest.approx(1000 * (6.5 + 6.5 + 5) / 3)
    assert told.at["random"].money.value == pytest.approx(1000 * (64.25 + 64.25 + 50) / 3)
    assert (told.mix, told.n, told.left_out) == (pytest.approx((0.5, 0.5)), 30, 10)


def test_or_the_best_action_that_was_possible() -> None:
    """Worth 10 x .1 - 0 and 10 x .3 - 1."""
    given = best_predicted(np.array([[0.1, 0.3]] * 4), np.full(4, 10.0), np.array([[0.0, 1.0]] * 4), POSSIBLE)
    assert given.tolist() == [[0, 1], [0, 1], [1, 0], [0, 0]]


def test_all_rankings_contact_as_many_in_each_fold_and_equal_scores_share_alike() -> None:
    score = np.array([3.0, 2.0, 2.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    fold = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert Places.of(score, fold).included(0.5) == pytest.approx([1, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0.5])


def test_the_first_part_judges_nothing_and_counts_among_the_rows() -> None:
    rows = trial_rows(lambda risk: 0.2 * (1 - risk), n=1000)
    first = np.arange(1000) < 300
    only_taught = replace(rows, part=np.where(first, 0, rows.part), predicted=np.where(first[:, None], np.nan, rows.predicted))
    later = replace(rows, **{name: getattr(rows, name)[~first] for name in ("risk", "predicted", "value", "cost", "score", "given")})
    later = replace(later, **{name: getattr(rows, name)[~first] for name in ("member", "unit", "part")})
    told, alone = compare_targeting(only_taught, 0.2), compare_targeting(later, 0.2)
    assert (told.n, told.n_members, told.only_taught, told.left_out) == (1000, 1000, 300, 0)
    assert (told.gaps, told.at, told.curve) == (alone.gaps, alone.at, alone.curve)


def test_contacting_everybody_is_the_same_by_every_ranking() -> None:
    told = compare_targeting(trial_rows(lambda risk: 0.1 * risk, n=1000), 1.0)
    assert len({round(found.kept.value, 6) for found in told.at.values()}) == 1
    assert told.finding == "no_difference"


def test_intervals_hold_what_was_planted() -> None:
    """60 trials; the effect of the fifth at highest risk is known; the binomial error of a coverage of .9 is 4 points."""
    everybody = trial_rows(lambda risk: 0.2 * (1 - risk), n=400_000, seed=99)
    top = Places.of(everybody.risk, everybody.part).included(0.2)
    truth = 1000 * float((top * 0.2 * (1 - everybody.risk)).sum() / top.sum())
    worlds = (trial_rows(lambda risk: 0.2 * (1 - risk), n=1500, seed=seed) for seed in range(60))
    told = [compare_targeting(world, 0.2, curve=()).at["risk"].kept for world in worlds]
    assert 0.8 <= np.mean([found.lower <= truth <= found.upper for found in told]) <= 0.98


def test_how_many_more_are_needed_follows_the_lead_that_was_seen() -> None:
    """The half-width shrinks with the root of n: at `needed` rows it would equal the lead."""
    told = compare_targeting(trial_rows(lambda risk: 0.2 * (1 - risk), n=800, seed=5), 0.2)
    ahead = told.gap("effect", "risk").kept
    assert ahead.value > 0
    assert (ahead.value - ahead.lower) * np.sqrt(told.n / told.needed) == pytest.approx(ahead.value, rel=1e-3)


def test_a_log_without_a_control_and_a_share_of_none_are_refused() -> None:
    rows = trial_rows(np.zeros_like, n=50)
    with pytest.raises(NotEnoughData, match="log a control"):
        compare_targeting(replace(rows, given=np.zeros((50, 1))), 0.2)
    with pytest.raises(InputError, match="share 0"):
        compare_targeting(rows, 0)

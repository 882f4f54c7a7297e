"""What is learned of each intervention's effect, against trials whose effects are known."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from models.errors import InputError, NotEnoughData
from models.uplift import Uplift
from models.uplift_fit import fit_uplift
from tests.uplift_worlds import ARMS, Trial, simulate_trial


@dataclass(frozen=True)
class Learned:
    trial: Trial
    later: Trial
    model: Uplift


def learn(world: str, n: int, seed: int, **given) -> Learned:
    trial = simulate_trial(world, n, np.random.default_rng(seed))
    later = simulate_trial(world, 20_000, np.random.default_rng(seed + 1000), of_use=True)
    given = {"propensities": trial.propensities, "interventions": ARMS, **given}
    return Learned(trial, later, fit_uplift(trial.features, trial.assignment, trial.outcome, rng=np.random.default_rng(seed), **given))


@pytest.fixture(scope="module")
def crossed() -> Learned:
    """Effects that differ much between members."""
    return learn("crossed", 30_000, 41)


@pytest.fixture(scope="module")
def small() -> Learned:
    return learn("harmful", 6_000, 42)


def naive(trial: Trial, arm: str) -> float:
    return trial.outcome[trial.assignment == arm].mean() - trial.outcome[trial.assignment == "none"].mean()


def test_acting_on_the_learned_effects_earns_more_than_the_best_learned_constant_where_members_differ(crossed):
    averages = np.array([evidence.average_effect for evidence in crossed.model.evidence.values()])
    constant = crossed.later.gain(np.tile(averages, (len(crossed.later.value), 1)))
    learned = crossed.later.gain(crossed.model.effect(crossed.later.features))
    assert learned > constant + 0.15 * crossed.later.oracle


def test_differences_between_members_are_neither_exaggerated_nor_lost(crossed):
    effect = crossed.model.effect(crossed.later.features)
    told, true = (values - values.mean(axis=0) for values in (effect, crossed.later.effects))
    slope = (told * true).sum() / (told**2).sum()
    assert 0.7 < slope < 1.5
    assert np.corrcoef(told.ravel(), true.ravel())[0, 1] > 0.4


def test_intervals_of_members_hold_most_true_effects(crossed):
    low, high = crossed.model.interval(crossed.later.features, level=0.9)
    covered = ((low <= crossed.later.effects) & (crossed.later.effects <= high)).mean()
    assert 0.75 < covered < 0.99


def test_average_effects_are_free_of_the_confounding_that_misleads_the_naive_difference(crossed):
    truth = crossed.trial.effects.mean(axis=0)
    errors = np.array([evidence.expected_error for evidence in crossed.model.evidence.values()])
    learned = np.array([evidence.average_effect for evidence in crossed.model.evidence.values()])
    misled = np.array([naive(crossed.trial, arm) for arm in ARMS])
    assert (np.abs(learned - truth) < 3.5 * errors).all()
    assert (np.abs(misled - truth) > 3.5 * errors).any()


def test_estimated_propensities_take_out_confounding_too_and_are_called_observational():
    told = learn("confounded", 12_000, 43, propensities=None)
    truth, misled = told.trial.effects.mean(axis=0), np.array([naive(told.trial, arm) for arm in ARMS])
    learned = np.array([evidence.average_effect for evidence in told.model.evidence.values()])
    assert np.abs(learned - truth).sum() < 0.5 * np.abs(misled - truth).sum()
    for evidence in told.model.evidence.values():
        assert evidence.source == "observational"
        assert evidence.imbalance_after < evidence.imbalance_before


def test_what_looks_like_a_coin_is_said_to_look_so_and_not_to_be_one(rng):
    features, arm = rng.normal(size=(2_000, 5)), rng.choice(["none", "mail"], 2_000)
    outcome = (rng.random(2_000) < 0.3 + 0.1 * (arm == "mail")).astype(float)
    evidence = fit_uplift(features, arm, outcome, rng=rng).evidence["mail"]
    assert (evidence.source, evidence.assignment, evidence.verdict) == ("observational", "as_if_random", "act")


def test_an_intervention_that_harms_is_to_be_avoided(small):
    assert small.model.evidence["call"].verdict == "avoid"
    assert small.model.evidence["call"].interval[1] < 0


def test_where_nothing_is_detectable_more_members_are_asked_for(rng):
    features, arm = rng.normal(size=(4_000, 3)), rng.choice(["none", "mail"], 4_000)
    outcome = (rng.random(4_000) < 0.05).astype(float)
    evidence = fit_uplift(features, arm, outcome, np.full((4_000, 2), 0.5), {"mail": (0.002, 50)}, rng=rng).evidence["mail"]
    assert not evidence.detectable
    assert evidence.more_members > 25_000


@pytest.mark.parametrize("elsewhere", [0, 4_000])
def test_the_members_still_needed_are_those_of_the_power_calculation(elsewhere):
    """A thousand in each of two arms, variance 1/4: to see 0.02 at 90 % and 80 % power takes (2.486 / 0.02)^2 / 2 = 7,727 in each."""
    rng = np.random.default_rng(5)
    arm = np.repeat(["none", "mail", "text"], [1_000, 1_000, elsewhere])
    outcome = np.tile([0.0, 1.0], len(arm) // 2)
    chances = np.tile([1_000 / len(arm), 1_000 / len(arm), elsewhere / len(arm)], (len(arm), 1))[:, : len(set(arm))]
    trial = (rng.normal(size=(len(arm), 1)), arm, outcome, chances)
    evidence = fit_uplift(*trial, {"mail": (0.02, 1)}, rng=rng).evidence["mail"]
    assert evidence.more_members == pytest.approx(7_727 - 1_000, rel=0.03)


def test_an_intervention_without_a_row_keeps_its_prior(rng):
    features, arm = rng.normal(size=(1_000, 3)), rng.choice(["none", "mail"], 1_000)
    outcome = (rng.random(1_000) < 0.5).astype(float)
    model = fit_uplift(features, arm, outcome, priors={"mail": (0.0, 10), "call": (0.07, 300)}, rng=rng)
    assert model.interventions == ("call", "mail")
    call = model.evidence["call"]
    assert (call.source, call.verdict, call.n, call.average_effect) == ("prior", "not_enough", 0, None)
    assert model.effect(features)[:, 0].mean() == pytest.approx(0.07, abs=1e-6)
    low, high = model.interval(features)
    assert (low[:, 0] < 0.07).all()
    assert (high[:, 0] > 0.07).all()


def test_little_data_moves_a_strong_prior_a_little_and_says_prior(rng):
    arm = np.array(["none"] * 900 + ["mail"] * 100)
    outcome = (rng.random(1_000) < np.where(arm == "mail", 0.8, 0.3)).astype(float)
    evidence = fit_uplift(rng.normal(size=(1_000, 2)), arm, outcome, priors={"mail": (0.0, 5_000)}, rng=rng).evidence["mail"]
    assert evidence.source == "prior"
    assert evidence.average_effect > 0.3
    assert 0 < evidence.expected_effect < 0.15


def of_twelve_branches(pilot, logged, rng):
    """What `fit_uplift` is given of 1,200 members of twelve branches, of which `pilot` ones drew a gift for half of their members."""
    branch, given = np.arange(1200) % 12, rng.random(1200) < 0.5
    tried = np.isin(branch, pilot)
    shares = np.where(tried[:, None], [0.5, 0.5], [1.0, 0.0]) if logged else None
    retained = (rng.random(1200) < 0.7).astype(float)
    return (rng.normal(size=(1200, 4)), np.where(tried & given, "gift", "none"), retained, shares), branch


@pytest.mark.parametrize("logged", [True, False])
def test_what_one_branch_alone_tried_keeps_its_prior_and_what_two_tried_is_told_with_little_certainty(logged, rng):
    given, branch = of_twelve_branches([3], logged, rng)
    found = fit_uplift(*given, {"gift": (0.02, 500.0)}, groups=branch, rng=rng)
    told = found.evidence["gift"]
    assert (told.average_effect, told.interval, told.source, told.verdict) == (None, None, "prior", "not_enough")
    assert found.effect(given[0]).mean() == pytest.approx(0.02, abs=0.005)
    with pytest.raises(NotEnoughData, match="gift was tried on one member or group alone"):
        fit_uplift(*given, groups=branch, rng=rng)
    given, branch = of_twelve_branches([3, 4], logged, rng)
    assert fit_uplift(*given, groups=branch, rng=rng).evidence["gift"].interval is not None


def test_a_handful_of_lucky_rows_is_not_taken_for_certainty(rng):
    arm = np.array(["none"] * 995 + ["mail"] * 5)
    outcome = np.where(arm == "mail", 1.0, (rng.random(1_000) < 0.3)).astype(float)
    low, high = fit_uplift(rng.normal(size=(1_000, 2)), arm, outcome, rng=rng).evidence["mail"].interval
    assert high - low > 0.6


def test_rows_of_one_member_count_once(rng):
    features, arm = rng.normal(size=(400, 2)), rng.choice(["none", "mail"], 400)
    outcome = (rng.random(400) < 0.5).astype(float)
    shares, again = np.full((400, 2), 0.5), lambda array: np.repeat(array, 5, axis=0)
    once = fit_uplift(features, arm, outcome, shares, rng=np.random.default_rng(1)).evidence["mail"]
    repeated = fit_uplift(
        again(features), again(arm), again(outcome), again(shares), groups=again(np.arange(400)), rng=np.random.default_rng(1)
    ).evidence["mail"]
    ratio = (repeated.interval[1] - repeated.interval[0]) / (once.interval[1] - once.interval[0])
    assert ratio == pytest.approx(1, abs=0.1)


def test_rows_in_which_an_intervention_was_not_possible_tell_nothing_of_it(rng):
    """Outcomes are worse where the mail is impossible, and were they used its effect would look like 0.3."""
    possible = rng.random(6_000) < 0.5
    mailed = possible & (rng.random(6_000) < 0.5)
    outcome = (rng.random(6_000) < np.where(possible, 0.6, 0.3)).astype(float)
    shares = np.where(possible[:, None], [[0.5, 0.5]], [[1.0, 0.0]])
    model = fit_uplift(rng.normal(size=(6_000, 2)), np.where(mailed, "mail", "none"), outcome, shares, rng=rng)
    assert model.evidence["mail"].average_effect == pytest.approx(0, abs=0.06)


def test_a_real_outcome_keeps_its_unit(rng):
    features, arm = rng.normal(size=(8_000, 4)), rng.choice(["none", "mail"], 8_000)
    spent = rng.exponential(20, 8_000) + np.where(arm == "mail", 5.0 + 4.0 * features[:, 0], 0.0)
    model = fit_uplift(features, arm, spent, np.full((8_000, 2), 0.5), rng=rng)
    assert model.evidence["mail"].average_effect == pytest.approx(5.0, abs=1.5)
    assert np.corrcoef(model.effect(features)[:, 0], features[:, 0])[0, 1] > 0.7


def test_one_member_gets_what_it_gets_among_others_nan_and_all(small):
    everyone = small.later.features[:50]
    assert np.isnan(everyone).any()
    alone = np.vstack([small.model.effect(row[None, :]) for row in everyone])
    np.testing.assert_array_equal(alone, small.model.effect(everyone))


def test_contributions_add_up_to_the_effect(small):
    rows = small.later.features[:200]
    np.testing.assert_allclose(small.model.contributions(rows).sum(axis=2), small.model.effect(rows), atol=1e-6)


def test_what_is_stored_says_the_same(small):
    again = Uplift.from_dict(json.loads(json.dumps(small.model.to_dict())))
    rows = small.later.features[:100]
    np.testing.assert_array_equal(again.effect(rows), small.model.effect(rows))
    np.testing.assert_array_equal(again.interval(rows), small.model.interval(rows))
    assert again.evidence == small.model.evidence


def test_the_same_draws_give_the_same_effects(rng):
    features, arm = rng.normal(size=(3_000, 4)), rng.choice(["none", "mail", "call"], 3_000)
    outcome = (rng.random(3_000) < 0.4).astype(float)
    one, other = (fit_uplift(features, arm, outcome, rng=np.random.default_rng(9)).effect(features) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_columns_of_a_frame_are_found_by_name(rng):
    frame = pd.DataFrame(rng.normal(size=(500, 3)), columns=["posts", "reads", "days"])
    arm, outcome = rng.choice(["none", "mail"], 500), (rng.random(500) < 0.4).astype(float)
    model = fit_uplift(frame, arm, outcome, rng=rng)
    np.testing.assert_array_equal(model.effect(frame[["days", "posts", "reads"]]), model.effect(frame))
    with pytest.raises(InputError, match="days missing"):
        model.effect(frame[["posts", "reads"]])
    with pytest.raises(InputError, match="2 columns"):
        model.effect(frame.to_numpy()[:, :2])


def test_what_is_missing_in_a_frame_is_missing_however_it_is_written(rng):
    known = pd.DataFrame({"posts": rng.normal(size=300), "reads": rng.normal(size=300)})
    known.loc[::3, "posts"] = np.nan
    arm, outcome = rng.choice(["none", "mail"], 300), (rng.random(300) < 0.4).astype(float)
    one, other = (fit_uplift(frame, arm, outcome, rng=np.random.default_rng(1)) for frame in (known, known.convert_dtypes()))
    np.testing.assert_array_equal(one.effect(known), other.effect(known.convert_dtypes()))


def test_named_propensities_settle_the_order_of_the_interventions(rng):
    arm = rng.choice(["none", "mail", "call"], 600, p=[0.5, 0.1, 0.4])
    shares = pd.DataFrame({"call": 0.4, "none": 0.5, "mail": 0.1}, index=range(600))
    model = fit_uplift(rng.normal(size=(600, 2)), arm, (rng.random(600) < 0.5).astype(float), shares, rng=rng)
    assert model.interventions == ("call", "mail")


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"outcome": np.full(600, np.nan)}, InputError, "600 values are missing"),
        ({"outcome": np.zeros(10)}, InputError, "outcome: 10 rows"),
        ({"assignment": np.full(600, "mail")}, NotEnoughData, "left alone"),
        ({"propensities": np.full((600, 3), 1 / 3)}, InputError, "2 arms: none, mail"),
        ({"propensities": np.full((600, 2), 0.6)}, InputError, "add up to 1"),
        ({"propensities": np.tile([1.0, 0.0], (600, 1))}, InputError, "no chance"),
        ({"propensities": np.tile([0.2, 0.8], (600, 1))}, InputError, "check the order of the columns"),
        ({"priors": {"mail": (0.1, 0)}}, InputError, "evidence above 0"),
        ({"interventions": ["call"]}, InputError, "mail was assigned"),
        ({"interventions": ["mail", "call"]}, InputError, "call was never assigned and has no prior"),
        ({"features": np.array([["a"]] * 600)}, InputError, "must be a number"),
        ({"features": np.zeros(600)}, InputError, "give a matrix"),
        ({"features": np.zeros((600, 0))}, InputError, "features: no columns"),
        ({"assignment": np.repeat([1, 0], 300)}, NotEnoughData, 'no row is "none", only "0", "1"'),
        ({"assignment": [None, "none", "mail"] * 200}, InputError, "assignment: 200 rows name nothing"),
        ({"assignment": pd.Series(["mail", "none", np.nan] * 200)}, InputError, "assignment: 200 rows name nothing"),
        ({"outcome": ["yes", "no"] * 300}, InputError, "outcome: every value must be a number"),
        ({"outcome": pd.Series([1, 0, None] * 200, dtype="Int64")}, InputError, "outcome: 200 values are missing"),
        ({"outcome": np.where(np.arange(600) < 492, 1.0, np.nan)}, InputError, r"108 .*\(60.0% of mail, 0.0% of none\); leave out"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(changed, error, said):
    arm = np.repeat(["none", "mail"], [420, 180])
    given = {"features": np.zeros((600, 1)), "assignment": arm, "outcome": np.tile([0.0, 1.0], 300), **changed}
    with pytest.raises(error, match=said):
        fit_uplift(**given, rng=np.random.default_rng(1))

"""Published experiments read as their authors read them, and what is learned from them."""

import numpy as np
import pytest

from models.policy_value import estimate_ips, policy_difference
from models.uplift_fit import fit_uplift
from tests.benchmarks.real_experiments import HeldOut, halves, learned, policy_values
from tests.experiment_logs import hillstrom, karlan_list, rscience, wikipedia_welcome
from tests.read_outs import arm_means, differences, holm, ratio_of_means


@pytest.fixture(scope="module")
def mails(shared_data):
    return hillstrom(shared_data)


@pytest.fixture(scope="module")
def donors(shared_data):
    return karlan_list(shared_data)


@pytest.fixture(scope="module")
def threads(shared_data):
    return rscience(shared_data)


@pytest.fixture(scope="module")
def threads_model(threads):
    return learned(threads, "comments", 0)


def is_ama(threads):
    return threads.features["post.ama"].to_numpy() == 1


def test_the_smallest_p_counts_as_often_as_there_are_differences_and_none_passes_a_smaller_one():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.7, 0.6])), [1, 1])


def test_the_arms_of_hillstrom_visit_as_published(mails):
    rates = {arm: 100 * mean.value for arm, mean in arm_means(mails, "visit").items()}
    assert rates == pytest.approx({"none": 10.617, "womens": 15.140, "mens": 18.276}, abs=0.0006)


def test_the_lift_in_spending_of_both_mails_has_the_known_interval(mails):
    gaps = {gap.arm: gap.estimate for gap in differences(mails, "spend", level=0.95) if gap.other == "none"}
    assert gaps["mens"].value == pytest.approx(0.770, abs=0.0005)
    assert gaps["mens"].interval == pytest.approx([0.485, 1.055], abs=0.03)
    assert gaps["womens"].interval == pytest.approx([0.169, 0.680], abs=0.03)


def test_no_other_policy_beats_the_mens_mail_to_everyone_and_the_learned_one_is_not_below_it(mails):
    learning, held = halves(mails, 0)
    values = policy_values([HeldOut.of(learning, held, "visit", 0)], "visit")
    assert policy_difference(values["personal"], values["mens to all"]).high >= 0
    for plain in ("nobody", "womens to all", "at random"):
        assert policy_difference(values["personal"], values[plain]).low > 0


def test_the_value_of_a_constant_policy_is_the_mean_of_its_arm(mails):
    target = np.tile([0.0, 0.0, 1.0], (len(mails), 1))
    value = estimate_ips(mails.outcomes["visit"], mails.chosen, mails.propensities, target)
    assert value.value == pytest.approx(arm_means(mails, "visit")["mens"].value, rel=0.005)
    assert value.low < 0.18276 < value.high


def test_donors_answer_a_match_as_in_the_paper(donors):
    matched = donors.pooled("match")
    gave, amount = (arm_means(matched.known(outcome), outcome) for outcome in ("gave", "amount"))
    assert (100 * gave["none"].value, 100 * gave["match"].value) == pytest.approx((1.786, 2.204), abs=0.0006)
    assert (amount["none"].value, amount["match"].value) == pytest.approx((0.8133, 0.9652), abs=0.0001)
    assert (gave["match"] - gave["none"]).standard_error == pytest.approx(0.00130, abs=0.00001)


def test_the_ratio_of_the_match_does_not_matter(donors):
    ratios = [gap for gap in differences(donors, "gave") if "none" not in (gap.arm, gap.other)]
    assert len(ratios) == 3
    assert all(gap.estimate.lower < 0 < gap.estimate.upper and gap.adjusted > 0.5 for gap in ratios)


def test_a_missing_answer_is_no_number_and_no_rate_of_the_outcome_is_a_feature(donors):
    assert np.nanmin(donors.features.to_numpy()) >= 0
    assert donors.features["female"].isna().sum() == 1111
    assert not [name for name in donors.features if "response" in name or name.startswith(("treat", "out"))]


def test_lapsed_donors_come_back_as_often_as_known(donors):
    dormant = donors.where(donors.features["dormant"].to_numpy() == 1).pooled("match")
    rates = {arm: 100 * mean.value for arm, mean in arm_means(dormant, "gave").items()}
    assert rates == pytest.approx({"none": 0.860, "match": 1.172}, abs=0.0006)


def test_posted_rules_bring_newcomers_to_usual_threads_as_published(threads):
    usual = threads.where(~is_ama(threads))
    assert [int((usual.assignment == arm).sum()) for arm in usual.arms] == [1095, 1095]
    ratio = ratio_of_means(usual, "comments", "rules")
    assert ratio.value == pytest.approx(1.703, abs=0.0005)
    assert 1 < ratio.lower < ratio.upper


def test_posted_rules_keep_newcomers_out_of_question_hours(threads):
    hours = threads.where(is_ama(threads))
    assert len(hours) == 24
    assert ratio_of_means(hours, "comments", "rules").upper < 1


def test_the_learned_effect_of_rules_changes_its_sign_with_the_kind_of_thread(threads, threads_model):
    ama, effect = is_ama(threads), threads_model.effect(threads.features)[:, 0]
    assert effect[~ama].mean() > 0
    assert effect[ama].max() < 0
    assert threads_model.interval(threads.features).high[ama].mean() < 0


@pytest.mark.parametrize("name", ["fr_2020 retained_4w", "fr_2020 active_7d", "de_welcome active_56d"])
def test_no_effect_of_a_welcome_can_be_seen_and_the_read_out_says_so(shared_data, name):
    experiment = wikipedia_welcome(shared_data)[name]
    model = learned(experiment, next(iter(experiment.outcomes)), 0)
    for evidence in model.evidence.values():
        assert not evidence.detectable
        assert evidence.interval[0] < 0 < evidence.interval[1]
        assert evidence.more_members > 10 * evidence.n


def test_an_invitation_to_the_teahouse_is_seen_to_help(shared_data):
    experiment = wikipedia_welcome(shared_data)["en_teahouse active_week3_4"]
    evidence = learned(experiment, "active_week3_4", 0).evidence["teahouse_invite"]
    assert evidence.verdict == "act"
    assert evidence.average_effect == pytest.approx(0.0115, abs=0.0003)


def test_four_trials_in_one_table_are_counted_as_published(shared_data):
    trials = wikipedia_welcome(shared_data)
    assert {name: len(trial) for name, trial in trials.items()} == {
        "fr_2020 active_7d": 57084,
        "fr_2020 retained_4w": 57084,
        "en_teahouse active_week3_4": 14766,
        "de_welcome active_56d": 14538,
    }
    rates = arm_means(trials["fr_2020 retained_4w"], "retained_4w")
    assert {arm: round(100 * rate.value, 3) for arm, rate in rates.items()} == {
        "none": 4.42,
        "welcome": 4.362,
        "welcome_with_mentor": 4.441,
    }


def test_what_is_learned_without_the_probabilities_finds_the_same_average(mails):
    some = mails[np.arange(0, len(mails), 8)]
    known = learned(some, "visit", 0).evidence
    given = (some.features, some.assignment, some.outcomes["visit"])
    estimated = fit_uplift(*given, rng=np.random.default_rng(0), interventions=some.arms[1:]).evidence
    for arm, evidence in estimated.items():
        assert evidence.average_effect == pytest.approx(known[arm].average_effect, abs=0.01)
        assert evidence.assignment != "observational"

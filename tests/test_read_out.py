"""What an experiment says, against truths that were planted, worked out by hand, or published."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt

from models.community import DAY_US
from models.experiment_wording import check_sentence
from models.read_out import Enrolment, drawn_ratio, holm, read_out, sample_ratio
from models.two_arms import Measure, compare_arms, compare_clusters
from tests import read_outs
from tests.experiment_logs import hillstrom, karlan_list, wikipedia_welcome


def measure(value, *, kind="count", name="metric", smallest_lift=0.05, **more):
    value = np.asarray(value, dtype=float)
    return Measure(name, kind, 30, smallest_lift, value, np.ones(len(value), dtype=bool), **more)


def enrolled(arm, *, arms=("none", "letter"), shares=(0.5, 0.5), since=None, ended=None):
    arm = np.asarray(arm)
    since = np.zeros(len(arm), dtype=np.int64) if since is None else since
    return Enrolment(arms, shares, arm, since, 0, ended)


def counted(successes, members):
    return np.concatenate([np.arange(n) < k for k, n in zip(successes, members, strict=True)]).astype(float)


def of_experiment(experiment, outcome, kind):
    enrolment = enrolled(experiment.chosen, arms=experiment.arms, shares=tuple(experiment.share.values()))
    return read_out("trial", "declared", enrolment, [measure(experiment.outcomes[outcome], kind=kind, name=outcome)], 60 * DAY_US)


def test_a_table_of_two_by_two_worked_out_by_hand():
    """100 of 1,000 stay and 150 of 1,000: a lift of .05, with the error sqrt(.1 x .9 / 1000 + .15 x .85 / 1000) = .014748."""
    value = counted([100, 150], [1000, 1000])
    found = compare_arms(measure(value, kind="retention"), np.arange(2000) >= 1000, np.arange(2000) < 1000)
    assert (found.control_mean, found.mean) == pytest.approx((0.1, 0.15))
    assert found.lift.value == pytest.approx(0.05)
    assert found.lift.interval == pytest.approx([0.05 - 1.959964 * 0.014748, 0.05 + 1.959964 * 0.014748], abs=1e-6)
    assert found.p == pytest.approx(0.000698, abs=2e-6)


@pytest.mark.parametrize("before", [None, np.tile([0.0, 1.0, 3.0], 44)[:131]])
def test_a_dozen_members_who_all_stay_prove_nothing(before):
    """13 of 13 beside 109 of 118: 122 of 131 stay in all, the error is sqrt(.9313 x .0687 x (1 / 13 + 1 / 118)) = .0739, the lift .0763."""
    value, treated = counted([13, 109], [13, 118]), np.arange(131) < 13
    found = compare_arms(measure(value, kind="retention", before=before), treated, ~treated)
    assert found.p == pytest.approx(0.302, abs=0.05)
    assert found.lift.lower < -0.05
    if before is None:
        assert found.lift.interval == pytest.approx([0.0763 - 1.959964 * 0.0739, 0.0763 + 1.959964 * 0.0739], abs=1e-3)


def test_means_and_ratios_are_those_of_the_library_on_a_table_of_members():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"variant": rng.integers(0, 2, 500), "value": rng.gamma(2, 3, 500), "per": rng.poisson(2, 500) + 1.0})
    rows["before"], rows["before_per"] = rows["value"] + rng.normal(0, 2, 500), rows["per"] + rng.poisson(1, 500)
    metrics = {
        "mean": tt.Mean("value"),
        "cuped": tt.Mean("value", "before"),
        "ratio": tt.RatioOfMeans("value", "per"),
        "both": tt.RatioOfMeans("value", "per", "before", "before_per"),
    }
    expected = tt.Experiment(metrics).analyze(rows)
    given = {name: rows[name].to_numpy(float) for name in ("per", "before", "before_per")}
    asked = {"mean": {}, "cuped": {"before": given["before"]}, "ratio": {"per": given["per"]}, "both": given}
    treated = rows["variant"].to_numpy() == 1
    for name, columns in asked.items():
        found = compare_arms(measure(rows["value"], **columns), treated, ~treated)
        assert found.lift.interval == pytest.approx([expected[name].effect_size_ci_lower, expected[name].effect_size_ci_upper])
        assert found.p == pytest.approx(expected[name].pvalue)
        assert found.adjusted == (name in ("cuped", "both"))


def test_what_members_did_before_makes_the_interval_narrower():
    rng = np.random.default_rng(1)
    before, treated = rng.gamma(1, 4, 4000), rng.random(4000) < 0.5
    value = before + rng.normal(0, 1, 4000) + 0.2 * treated
    plain, adjusted = (compare_arms(measure(value, before=one), treated, ~treated).lift for one in (None, before))
    assert adjusted.upper - adjusted.lower < (plain.upper - plain.lower) / 3
    assert adjusted.lower < 0.2 < adjusted.upper


def test_the_intervals_hold_a_planted_lift_about_as_often_as_they_say():
    rng, held = np.random.default_rng(2), []
    for _ in range(300):
        before, treated = rng.poisson(3, 600).astype(float), rng.random(600) < 0.3
        value = (rng.random(600) < 0.3 + 0.03 * np.minimum(before, 10) + 0.08 * treated).astype(float)
        lift = compare_arms(measure(value, kind="retention", before=np.log1p(before)), treated, ~treated).lift
        held.append(lift.lower < 0.08 < lift.upper)
    assert 0.92 <= np.mean(held) <= 0.98


def groups_in_arms(rng, n_groups=24):
    """Members of branches of unequal size; what differs between branches differs for all their members, and nothing has an effect."""
    sizes = rng.integers(10, 60, n_groups)
    group, arm = np.repeat(np.arange(n_groups), sizes), rng.permutation(n_groups) % 2
    stays = rng.random(len(group)) < 1 / (1 + np.exp(-rng.normal(0.3, 0.5, n_groups)[group]))
    return stays.astype(float), arm[group], group


def test_members_of_one_group_are_no_independent_witnesses():
    """Where groups were put into arms: 100 trials without an effect. By member a fourth would miss; the binomial error is 2.2 points."""
    rng, missed, missed_by_member = np.random.default_rng(3), 0, 0
    for _ in range(100):
        stays, arm, group = groups_in_arms(rng)
        by_group, by_member = (
            read_out("trial", "declared", replace(enrolled(arm), cluster=cluster), [measure(stays, kind="retention")], 60 * DAY_US).lifts[0]
            for cluster in (group, None)
        )
        missed += not by_group.lift.lower <= 0 <= by_group.lift.upper
        missed_by_member += not by_member.lift.lower <= 0 <= by_member.lift.upper
        assert by_group.lift.value == pytest.approx(by_member.lift.value)
    assert missed / 100 < 0.12
    assert missed_by_member / 100 > 0.15


def test_the_error_of_groups_is_that_of_drawing_whole_groups_again():
    rng = np.random.default_rng(5)
    stays, arm, group = groups_in_arms(rng, 60)
    found = compare_clusters(measure(stays, kind="retention"), arm == 1, arm == 0, group)
    sums, sizes = (np.bincount(group, weights=each) for each in (stays, np.ones(len(stays))))
    sides = [np.unique(group[arm == code]) for code in (1, 0)]
    drawn = [[rng.choice(side, len(side)) for side in sides] for _ in range(2000)]
    lifts = [sums[one].sum() / sizes[one].sum() - sums[other].sum() / sizes[other].sum() for one, other in drawn]
    assert (found.lift.upper - found.lift.lower) / (2 * 1.96) == pytest.approx(np.std(lifts), rel=0.1)
    assert found.members == len(stays)


def test_one_group_an_arm_is_nothing_to_compare_and_groups_are_what_is_counted():
    arm = np.repeat([0, 1], 300)
    told = read_out("trial", "declared", replace(enrolled(arm), cluster=arm), [measure(np.arange(600) % 3, kind="count")], 60 * DAY_US)
    assert (told.members, told.clusters.observed, told.lifts[0].verdict) == (600, (1, 1), "waiting")
    assert check_sentence(told.sizes, "en").startswith("The arms have as many groups as they should have: 1 : 1")


def test_the_sizes_of_the_arms_are_checked_against_their_shares():
    """(5,100 - 5,000)^2 / 5,000 twice is 4: p .0455; (5,200 - 5,000)^2 / 5,000 twice is 16: p .00006."""
    assert sample_ratio([5100, 4900], [0.5, 0.5]).p == pytest.approx(0.0455, abs=0.0001)
    assert not sample_ratio([5100, 4900], [0.5, 0.5]).mismatch
    assert sample_ratio([5200, 4800], [0.5, 0.5]).mismatch
    assert sample_ratio([0, 0], [0.5, 0.5]).p == 1


def test_where_nobody_was_assigned_no_sizes_are_praised():
    assert check_sentence(sample_ratio([0, 0], [0.5, 0.5]), "en") == "Nobody has been assigned yet: there is nothing to compare."


def test_rows_drawn_with_chances_of_their_own_are_checked_against_their_sum():
    rng = np.random.default_rng(3)
    chance = rng.random(5000)
    drawn = rng.random(5000) < chance
    assert not drawn_ratio(drawn, chance).mismatch
    assert drawn_ratio(drawn | (rng.random(5000) < 0.2), chance).mismatch


def test_nothing_is_read_from_arms_of_the_wrong_size():
    arm = np.repeat([0, 1], [4000, 4500])
    told = read_out("trial", "declared", enrolled(arm), [measure(arm + np.random.default_rng(0).normal(size=8500))], 60 * DAY_US)
    assert told.check.mismatch
    assert [lift.verdict for lift in told.lifts] == ["not_readable"]


@pytest.mark.parametrize("arms", [2, 3])
def test_nothing_is_read_from_arms_that_were_unlike_before(arms):
    rng, n = np.random.default_rng(12), 3000
    arm, usual = rng.integers(arms, size=n), rng.gamma(0.5, 8, n)
    names, shares = ("none", "letter", "card")[:arms], (1 / arms,) * arms
    made = enrolled(arm, arms=names, shares=shares)
    sound, busier = (
        read_out("trial", "declared", made, [measure(rng.poisson(usual), before=rng.poisson(before))], 60 * DAY_US)
        for before in (usual, usual * (1 + 0.5 * (arm == arms - 1)))
    )
    assert not sound.unlike_before
    assert busier.unlike_before
    assert busier.doubtful
    assert not busier.check.mismatch
    assert {lift.verdict for lift in busier.lifts} == {"not_readable"}


def test_arms_by_chance_are_hardly_ever_called_unlike_before():
    """One in a thousand is what may be; of 400 draws with a small arm five would be."""
    rng, called = np.random.default_rng(13), 0
    for _ in range(400):
        arm, before = (rng.random(800) < 0.05).astype(int), rng.lognormal(0, 2, 800) * (rng.random(800) < 0.3)
        made = enrolled(arm, shares=(0.95, 0.05))
        called += read_out("trial", "declared", made, [measure(rng.random(800), before=before)], 60 * DAY_US).unlike_before
    assert called <= 4


def test_a_clear_lift_is_told_as_one_and_its_opposite_as_harm():
    rng, arm = np.random.default_rng(4), np.tile([0, 1, 2], 1000)
    value = 10 + np.array([0, 2, -2])[arm] + rng.normal(size=3000)
    told = read_out("trial", "declared", enrolled(arm, arms=("none", "a", "b"), shares=(1 / 3,) * 3), [measure(value)], 60 * DAY_US)
    assert (told.lift("metric", "a").verdict, told.lift("metric", "b").verdict) == ("raises", "lowers")


def test_many_comparisons_told_together_ask_more_of_each():
    p = np.array([0.04, 0.01, 0.03, 0.7])
    assert list(holm(dict(enumerate(p))).values()) == pytest.approx(read_outs.holm(p))


def test_how_many_members_are_missing_follows_from_the_variance_and_how_many_days_from_the_pace():
    """For a lift d at error sd, (1.96 + 0.8416)^2 x 4 sd^2 / d^2 members of two equal arms: 3,140 for d = sd / 10; 100 come each day."""
    rng = np.random.default_rng(5)
    since = np.repeat(np.arange(20), 100) * DAY_US
    arm = np.arange(2000) % 2
    value = rng.permutation(np.tile([9.0, 11.0], 1000))
    told = read_out("trial", "declared", enrolled(arm, since=since), [measure(value, smallest_lift=0.01)], 20 * DAY_US)
    (lift,) = told.lifts
    assert told.pace == pytest.approx(100)
    assert lift.target == pytest.approx(0.1, rel=0.01)
    assert lift.members_needed == pytest.approx(3140, rel=0.02)
    assert lift.days_needed == pytest.approx((lift.members_needed - 2000) / 100, abs=1)
    assert lift.verdict == "more_days"


def test_an_experiment_that_enrols_nobody_any_more_says_that_it_was_too_small():
    value = np.random.default_rng(6).normal(10, 5, 40)
    told = read_out("trial", "declared", enrolled(np.arange(40) % 2, ended=5 * DAY_US), [measure(value)], 60 * DAY_US)
    assert (told.lifts[0].verdict, told.lifts[0].days_needed) == ("too_few", None)


def test_enough_members_without_a_difference_say_how_large_it_could_be_at_most():
    value = np.random.default_rng(7).normal(10, 1, 8000)
    told = read_out("trial", "declared", enrolled(np.arange(8000) % 2), [measure(value)], 60 * DAY_US)
    (lift,) = told.lifts
    assert lift.verdict == "no_larger_effect"
    assert lift.largest_compatible < lift.target == pytest.approx(0.5, rel=0.01)


def test_members_count_once_their_whole_window_was_seen():
    value, due = np.array([1.0, 2.0, 3.0, 4.0, 100.0]), np.array([True, True, True, True, False])
    told = read_out("trial", "declared", enrolled([0, 1, 0, 1, 1]), [Measure("metric", "count", 30, 0.05, value, due)], 60 * DAY_US)
    assert (told.lifts[0].members, told.lifts[0].mean, told.members) == (2, 3.0, 5)


@pytest.mark.parametrize("value", [np.zeros(10), np.ones(10)])
def test_a_metric_that_never_varies_says_nothing(value):
    told = read_out("trial", "declared", enrolled(np.arange(10) % 2), [measure(value, kind="retention")], 60 * DAY_US)
    assert (told.lifts[0].lift, told.lifts[0].verdict) == (None, "waiting")


def test_the_lift_in_spending_has_the_known_interval(shared_data):
    told = of_experiment(hillstrom(shared_data), "spend", "value")
    assert told.lift("spend", "mens").lift.interval == pytest.approx([0.485, 1.055], abs=0.003)
    assert told.lift("spend", "womens").lift.interval == pytest.approx([0.169, 0.680], abs=0.003)
    assert {lift.verdict for lift in told.lifts} == {"raises"}
    assert not told.check.mismatch


def test_donors_answer_a_match_with_the_published_error(shared_data):
    donors = karlan_list(shared_data).pooled("match")
    (gave,) = of_experiment(donors, "gave", "retention").lifts
    assert 100 * gave.lift.value == pytest.approx(0.418, abs=0.001)
    assert 100 * (gave.lift.upper - gave.lift.lower) / (2 * 1.959964) == pytest.approx(0.130, abs=0.001)
    assert gave.verdict == "raises"


def test_a_welcome_without_effect_is_told_as_one_that_cannot_be_large(shared_data):
    trials = wikipedia_welcome(shared_data)
    french = of_experiment(trials["fr_2020 retained_4w"], "retained_4w", "retention")
    assert all(lift.lift.lower < 0 < lift.lift.upper and lift.verdict != "raises" for lift in french.lifts)
    assert max(100 * lift.largest_compatible for lift in french.lifts) < 0.5
    (teahouse,) = of_experiment(trials["en_teahouse active_week3_4"], "active_week3_4", "retention").lifts
    assert 100 * teahouse.lift.value == pytest.approx(1.15, abs=0.02)

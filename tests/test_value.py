"""What a member is worth: learned from planted spending, or declared for a tier."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.community import DAY_US
from models.errors import NotEnoughData
from models.features import compute_features, feature_spec
from models.histories import EventHistories
from models.snapshots import Snapshots, pool
from models.spending import SeenSpending, learnable_days
from models.training_cuts import cuts_to_learn_from
from models.value import TierValue, spent_after, value_from_dict
from models.value_fit import SpendingColumns, SpendingRows, fit_purchase_value, fit_value, tweedie_deviance
from tests.planted import AS_OF_US, Member, arrays, community, signal, tier
from tests.trained_world import learn

SIGNALS = [signal("post"), signal("buy", value="money"), signal("rate", qualifying=False, value="quantity")]
DECLARED = community(signals=SIGNALS, value={"source": "purchases", "value_days": 30, "margin": 0.5})
MONEY = np.array([False, True, False, False])
MICROSECOND = 1 / DAY_US


def spent(*payments: tuple[float, float], rated: float | None = None) -> float:
    """Of one member in the 30 days from AS_OF; payments as (days before AS_OF, amount)."""
    member = Member(
        events={"post": [3.0], "buy": [days for days, _ in payments], "rate": [] if rated is None else [-1.0]},
        values={"buy": [amount for _, amount in payments], "rate": [] if rated is None else [rated]},
    )
    events = arrays([member, Member(events={"buy": [-1.0]}, values={"buy": [1000.0]})], DECLARED)
    return float(spent_after(events, Snapshots.at(events, AS_OF_US), MONEY, 30)[0])


def test_spending_counts_from_the_moment_of_the_cut_to_that_before_the_end():
    assert spent((0, 1.0), (-30 + MICROSECOND, 2.0), (-30, 4.0), (MICROSECOND, 8.0)) == pytest.approx(3)


def test_a_missing_amount_counts_as_nothing():
    assert spent((-1, np.nan), (-2, 5.0)) == pytest.approx(5)


def test_what_was_paid_back_is_taken_off_but_nobody_spends_less_than_nothing():
    assert spent((-1, 50.0), (-2, -20.0)) == pytest.approx(30)
    assert spent((-1, 50.0), (-2, -80.0)) == 0


def test_a_rating_is_no_money():
    assert spent((-1, 7.0), rated=5.0) == pytest.approx(7)


def test_a_member_without_events_spends_nothing():
    assert spent() == 0


@pytest.mark.parametrize(("posts", "worth"), [(0, 1.0), (2, 1.0), (3, 10.0), (9, 10.0), (10, 100.0)])
def test_a_tier_is_worth_its_declared_value_from_its_floor_on(posts, worth):
    declared = community(lifecycle={"tiers": [tier("base", 0, 1), tier("active", 3, 10), tier("koc", 10, 100)]})
    spec = feature_spec(declared)
    events = arrays([Member(events={"post": [float(day) for day in range(1, posts + 1)], "read": [1.0] * 20})], declared)
    value = TierValue.of(declared, spec)
    assert value(compute_features(events, Snapshots.at(events, AS_OF_US), spec)).tolist() == [worth]
    assert value_from_dict(json.loads(json.dumps(value.to_dict()))) == value


def shoppers(n: int, seed: int, *, before: int = 90, after: int = 30) -> list[Member]:
    """Each pays at a pace and of a size of their own (a third never); a twentieth of the amounts is missing, some are paid back."""
    rng = np.random.default_rng(seed)
    pace, size = rng.gamma(1.2, 0.05, n) * (rng.random(n) < 0.67), np.exp(rng.normal(3, 0.8, n))
    members = []
    for own_pace, own_size in zip(pace, size, strict=True):
        days = rng.uniform(-after, before, rng.poisson(own_pace * (before + after)))
        amounts = own_size * np.exp(rng.normal(0, 0.3, len(days))) * np.where(rng.random(len(days)) < 0.05, -1, 1)
        amounts[rng.random(len(days)) < 0.05] = np.nan
        members.append(Member(events={"post": [5.0], "buy": days.tolist()}, values={"buy": amounts.tolist()}))
    return members


def matrix(members: list[Member]) -> tuple[np.ndarray, np.ndarray]:
    """Features at AS_OF and spending in the 30 days from it."""
    events = arrays(members, DECLARED)
    snapshots = Snapshots.at(events, AS_OF_US)
    return compute_features(events, snapshots, feature_spec(DECLARED)), spent_after(events, snapshots, MONEY, 30)


def fit(features, paid, seed=2):
    rows = SpendingRows(features, paid, np.arange(len(paid)), np.full(len(paid), AS_OF_US), 30)
    columns = SpendingColumns.of(feature_spec(DECLARED), np.arange(features.shape[1]), MONEY)
    return fit_purchase_value(rows, columns, 0.5, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def learned():
    return fit(*matrix(shoppers(4000, seed=1))).model


def test_learned_values_follow_the_spending_of_other_members_and_add_up_to_it(learned):
    features, paid = matrix(shoppers(4000, seed=2))
    expected = learned(features)
    assert expected.min() >= 0
    assert np.corrcoef(expected, paid)[0, 1] > 0.6
    assert expected.sum() == pytest.approx(0.5 * paid.sum(), rel=0.15)


def test_who_never_paid_is_worth_little(learned):
    features, _ = matrix(shoppers(4000, seed=2))
    never = features[:, feature_spec(DECLARED).position("buy_count_365d")] == 0
    assert learned(features)[never].mean() < 0.2 * learned(features)[~never].mean()


def test_a_learned_value_survives_json_to_the_last_bit(learned):
    features, _ = matrix(shoppers(200, seed=3))
    again = value_from_dict(json.loads(json.dumps(learned.to_dict())))
    np.testing.assert_array_equal(again(features), learned(features))
    assert learned(features[:0]).shape == (0,)


def test_too_few_buyers_are_refused_and_counted():
    features, paid = matrix(shoppers(300, seed=4))
    paid[np.flatnonzero(paid > 0)[49:]] = 0
    with pytest.raises(NotEnoughData, match="only 49 snapshots"):
        fit(features, paid)


def test_the_deviance_is_zero_at_the_outcome_and_as_computed_by_hand_elsewhere():
    """p = 1.5: d(y, m) = 4 (sqrt(y) - sqrt(m))^2 / sqrt(m), so d(4, 1) = 4 and d(0, 9) = 12."""
    np.testing.assert_allclose(tweedie_deviance(np.array([4.0, 0.0, 7.0]), np.array([1.0, 9.0, 7.0])), [4, 12, 0], atol=1e-12)


@pytest.mark.parametrize("never", [0, 21])
def test_those_of_whom_all_or_nearly_all_were_seen_to_buy_can_be_valued(never):
    """As in a club that is paid every month: all together there are enough who paid nothing, and in each fit too few."""
    features, paid = matrix(shoppers(1000, seed=5))
    paid = np.where(np.arange(1000) < never, 0.0, paid + 1)
    fitted = fit(features, paid)
    assert "two_stage" not in fitted.validation.weights
    assert fitted.model(features).sum() == pytest.approx(0.5 * paid.sum(), rel=0.1)


def test_the_blend_is_checked_on_members_left_out_where_there_is_one_date_alone():
    features, paid = matrix(shoppers(1500, seed=6))
    told = fit(features, paid).validation
    assert (told.scheme, told.rows) == ("members", 1500)
    assert sum(told.weights.values()) == pytest.approx(1)
    assert told.deviance["blend"] < 1.02 * min(told.deviance.values())


@pytest.mark.parametrize(("value_days", "log_days", "learned_from"), [(90, 180, 90), (90, 179, 59), (273, 272, 90), (40, 1, 1)])
def test_a_log_too_short_for_the_value_is_split_in_three(value_days, log_days, learned_from):
    assert learnable_days(value_days, log_days, log_days) == learned_from


@pytest.mark.parametrize(("value_days", "reach", "learned_from"), [(90, 89, 29), (90, 135, 45), (90, 136, 90), (365, 205, 68)])
def test_dates_that_reach_back_less_than_the_log_are_split_in_three(value_days, reach, learned_from):
    assert learnable_days(value_days, 1000, reach) == learned_from


def test_what_is_spent_in_ninety_days_is_learned_beside_a_horizon_of_a_fortnight():
    """Its 26 dates reach back 89 days. Everybody pays 10 a time at an even pace of their own."""
    rng = np.random.default_rng(9)
    paid_at = [np.sort(rng.uniform(0, 400, rng.poisson(400 * pace)))[::-1].tolist() for pace in rng.gamma(2, 0.05, 800)]
    posted_at = [float(day) for day in range(400, 0, -7)]
    members = [Member(joined=420, events={"post": posted_at, "buy": days}, values={"buy": [10.0] * len(days)}) for days in paid_at]
    events = arrays(members, DECLARED)
    declared = DECLARED.model_copy(update={"value": DECLARED.value.model_copy(update={"value_days": 90})})
    churn = declared.churn.model_copy(update={"horizons_days": (14,), "horizon_days": 14})
    until_us = AS_OF_US - 90 * DAY_US
    histories = EventHistories.of(events, declared)
    cuts = pool([Snapshots.at(events, at_us) for at_us in cuts_to_learn_from(histories.first_us, until_us, churn)])
    spec = feature_spec(declared)
    features = compute_features(events, cuts, spec)
    columns = SpendingColumns.of(spec, np.arange(features.shape[1]), MONEY)
    test = Snapshots.at(events, until_us)
    seen = SeenSpending.of(histories, cuts, test, declared, until_us=until_us, end_us=AS_OF_US)
    fitted = fit_value(seen, cuts, features, columns, declared, rng=np.random.default_rng(10))
    assert (len(np.unique(cuts.as_of_us)), fitted.validation.label_days) == (26, 29)
    expected = fitted.model(compute_features(events, test, spec)).sum()
    assert expected == pytest.approx(declared.value.margin * seen.tested.sum(), rel=0.1)


def fading_shoppers(n, seed):
    """Everybody starts 120 days before AS_OF and pays 10 a time, at a pace that halves every 40 days."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(2, 0.15, n)
    members = []
    for own in pace:
        paid_at = np.cumsum(rng.exponential(1 / own, 200)) * np.log(2) / 40
        days = 120 + 40 * np.log2(1 - paid_at[paid_at < 0.98])
        members.append(Member(joined=121, events={"post": [120.0], "buy": days.tolist()}, values={"buy": [10.0] * len(days)}))
    return members


def test_spending_beyond_what_the_log_shows_fades_as_it_was_seen_to():
    """Learned from 40 days for 120: 1 + 1/2 + 1/4 of the first 40, where an even pace would be 3 of them."""
    events = arrays(fading_shoppers(1000, seed=7), DECLARED)
    declared = DECLARED.model_copy(update={"value": DECLARED.value.model_copy(update={"value_days": 120})})
    spec = feature_spec(declared)
    cuts = [Snapshots.at(events, AS_OF_US - days * DAY_US) for days in (100, 90, 80, 70, 60, 50, 40)]
    asked = pool(cuts)
    features = compute_features(events, asked, spec)
    columns = SpendingColumns.of(spec, np.arange(features.shape[1]), MONEY)
    nobody = asked[np.arange(0)]
    seen = SeenSpending.of(EventHistories.of(events, declared), asked, nobody, declared, until_us=AS_OF_US, end_us=AS_OF_US)
    fitted = fit_value(seen, asked, features, columns, declared, rng=np.random.default_rng(8))
    assert fitted.validation.label_days == 40
    assert fitted.model.periods == pytest.approx(1.75, abs=0.1)
    assert "learned from 40 days" in fitted.warnings[0]


def test_an_unknown_kind_of_value_is_an_error():
    with pytest.raises(KeyError, match="oracle"):
        value_from_dict({"kind": "oracle"})


def test_values_of_a_trained_engine_are_the_margin_of_what_members_then_spend(trained_world):
    """Simulated purchases have a long tail and few buyers: 916 members, so a fifth of tolerance."""
    told = trained_world.trained.value
    assert told.source == "purchases"
    assert told.expected == pytest.approx(told.actual, rel=0.2)


def test_a_log_with_hardly_any_purchase_falls_back_to_the_tiers_and_says_so(trained_world):
    few = trained_world.events.of_members(range(500))
    unpaid = replace(few, value=np.full(len(few.value), np.nan))
    main_alone = trained_world.declared.churn.model_copy(update={"horizons_days": (30,)})
    trained = learn(unpaid, trained_world.declared.model_copy(update={"churn": main_alone}), trained_world.test_as_of)
    assert trained.value.source == "tiers"
    assert trained.value.actual is None
    assert any("values of tiers are used: only 0 snapshots" in warning for warning in trained.warnings)
    assert isinstance(trained.engine.value, TierValue)

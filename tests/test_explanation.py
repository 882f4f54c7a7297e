import warnings

import lightgbm as lgb
import matplotlib as mpl
import numpy as np
import pytest
import shap
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from scipy.special import expit

from models.calibration import Identity, Isotonic, Platt
from models.explanation import Typical, percentage_points, reasons, reasons_of, shap_summary
from models.features import feature_spec
from models.margins import BoosterMargin
from models.precision import Precision, as_written
from models.reason_groups import OTHER, reason_groups
from models.wording import amount
from tests.told_community import SIGNALS, told_community

COMMUNITY = told_community()
SPEC = feature_spec(COMMUNITY)
GROUPS = reason_groups(COMMUNITY, SPEC)
K = len(SPEC.features)
COUNTS = np.array(["_count_" in name for name in SPEC.names])
BASE = -1.5
CALIBRATIONS = (Identity(), Platt(1.3, 0.2), Isotonic((-3.0, 0.0, 1.0, 3.0), (-2.5, -1.0, 0.5, 1.5), 0.7))


def typical_of(calibrate=CALIBRATIONS[0], base=BASE, **values):
    usual = np.zeros(K)
    usual[SPEC.position("tenure_days")] = 1000
    for name, value in values.items():
        usual[SPEC.position(name)] = value
    return Typical.of(calibrate, base, usual)


def row(**values):
    """Of one who has been a member for long."""
    filled = np.zeros(K, dtype=np.float32)
    filled[SPEC.position("tenure_days")] = 1000
    for name, value in values.items():
        filled[SPEC.position(name)] = value
    return filled


def told(contributions, features, typical, language="en", **more):
    c = row(**{"tenure_days": 0, **contributions}).astype(float)
    return reasons(c, features, float(expit(BASE + c.sum())), typical, GROUPS, language, **more)


def said(name, value, usual, language="en"):
    """The sentence of the one reason of a member in whom only `name` differs, and in the direction in which its difference reads."""
    (shown,) = (shown for shown in GROUPS.shown if shown.feature.name == name)
    more = np.nan_to_num(value, nan=shown.missing) > np.nan_to_num(usual, nan=shown.missing)
    contribution = 0.5 if more == (shown.reading == 1) else -0.5
    return told({name: contribution}, row(**{name: value}), typical_of(**{name: usual}), language)[0].text


@pytest.fixture
def trained(rng):
    X = rng.normal(size=(600, 8))
    X[rng.random(X.shape) < 0.1] = np.nan
    y = rng.random(600) < expit(np.nan_to_num(X[:, 0] * X[:, 1] + X[:, 2]))
    booster = lgb.train({"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1, "seed": 1}, lgb.Dataset(X, y), 30)
    return X, booster


def test_contributions_are_the_shap_values_of_the_margin(trained):
    X, booster = trained
    found = BoosterMargin(np.arange(8), booster.model_to_string()).contributions(X)
    explainer = shap.TreeExplainer(booster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # shap announces a change of its output for binary LightGBM models
        expected = explainer.shap_values(X)
    np.testing.assert_allclose(found.values, expected, atol=1e-9)
    np.testing.assert_allclose(found.margin, booster.predict(X, raw_score=True), atol=1e-9)


def test_the_summary_is_drawn_without_a_display_and_leaves_no_figure_open(trained):
    X, booster = trained
    part = BoosterMargin(np.arange(8), booster.model_to_string())
    before = mpl.get_backend()
    figure = shap_summary(part.contributions(X), X, [f"feature {j}" for j in range(8)])
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-1] in {"feature 0", "feature 1", "feature 2"}
    assert plt.get_fignums() == []
    assert mpl.get_backend() == before


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    st.sampled_from(CALIBRATIONS),
    st.floats(-4, 4),
)
def test_percentage_points_add_up_to_the_change_of_the_risk(contributions, calibrate, base):
    c = np.array([contributions])
    probability = calibrate(base + c.sum(axis=1))
    typical = Typical.of(calibrate, base, np.zeros(c.shape[1]))
    points = percentage_points(c, probability, typical)
    assert points.values.sum() + points.rest[0] == pytest.approx(100 * (probability[0] - typical.probability), abs=1e-9)


@given(st.lists(st.floats(-3, 3).filter(lambda c: abs(c) > 0.01), min_size=1, max_size=6), st.sampled_from(CALIBRATIONS))
def test_percentage_points_are_the_average_of_the_gradient_along_the_straight_path(contributions, calibrate):
    """The definition of Aumann and Shapley, integrated numerically with the midpoint rule."""
    c = np.array(contributions)
    if abs(c.sum()) < 0.01:
        return
    t = (np.arange(20_000) + 0.5) / 20_000
    h = 1e-6
    gradient = (calibrate(BASE + t * c.sum() + h) - calibrate(BASE + t * c.sum() - h)) / (2 * h)
    points = percentage_points(c[None], calibrate(np.array([BASE + c.sum()])), Typical.of(calibrate, BASE, c))
    np.testing.assert_allclose(points.values[0], 100 * c * gradient.mean(), atol=1e-2)
    assert points.rest[0] == 0


def test_where_contributions_cancel_the_slope_at_the_base_stands_in():
    points = percentage_points(np.array([[0.8, -0.8]]), expit([BASE]), typical_of())
    slope = expit(BASE) * (1 - expit(BASE))
    np.testing.assert_allclose(points.values, [[80 * slope, -80 * slope]], rtol=1e-5)
    np.testing.assert_allclose(points.rest, 0, atol=1e-12)


def test_a_jump_of_the_risk_without_a_change_of_the_margin_is_kept_apart_and_not_blown_up():
    points = percentage_points(np.array([[2.0, -2.0 + 1e-9]]), expit([BASE]) + 0.05, typical_of())
    assert np.abs(points.values).max() < 100
    np.testing.assert_allclose(points.rest, 5, atol=1e-6)


def test_a_risk_that_moved_against_its_margin_reverses_no_reason():
    points = percentage_points(np.array([[0.5]]), expit([BASE]) - 0.02, typical_of())
    assert points.values[0, 0] > 0
    assert points.values.sum() + points.rest[0] == pytest.approx(-2)


def test_on_a_flat_stretch_of_the_calibration_the_score_differs_and_the_risk_does_not():
    flat = Isotonic((-3.0, 3.0), (-1.0, -1.0), 0.0)
    typical = Typical.of(flat, 0.0, np.zeros(2))
    points = percentage_points(np.array([[1.0, 0.5], [1.0, -1.0]]), flat(np.array([1.5, 0.0])), typical)
    np.testing.assert_array_equal(points.values, 0)
    np.testing.assert_array_equal(points.rest, 0)


def test_the_groups_share_out_every_feature_once():
    columns = sorted(column for group in GROUPS.groups for column in group.columns)
    assert columns == list(range(K))
    assert len({group.code for group in GROUPS.groups}) == len(GROUPS.groups)
    assert all(shown.column in group.columns for group in GROUPS.groups for shown in group.shown)


def test_windows_of_one_signal_speak_as_one_reason():
    c = {"comment_count_7d": 0.2, "comment_trend_30d": 0.3, "comment_active_days_90d": -0.1}
    (only,) = told(c, row(comment_count_30d=2), typical_of(comment_count_30d=6))
    assert only.code == "comment_activity"
    assert (only.value, only.typical) == (2, 6)
    assert only.contribution_pp == pytest.approx(100 * (expit(BASE + 0.4) - expit(BASE)))


def test_the_window_shown_is_the_nearest_to_the_horizon():
    weekly = told_community(churn=COMMUNITY.churn.model_copy(update={"horizon_days": 7}))
    shown = {group.code: group.shown[0].column for group in reason_groups(weekly, SPEC).groups}
    assert SPEC.names[shown["comment_activity"]] == "comment_count_7d"
    assert SPEC.names[shown["purchase_value"]] == "purchase_sum_365d"


def test_where_one_signal_qualifies_any_activity_is_said_of_it():
    community = told_community(signals=(SIGNALS[2], SIGNALS[4]), touches=False)
    spec = feature_spec(community)
    codes = {group.code: group for group in reason_groups(community, spec).groups}
    assert not {"days_since_any", "activity"} & set(codes)
    assert spec.position("days_since_any") in codes["days_since_purchase"].columns
    assert {spec.position("any_count_30d"), spec.position("signals_used_30d")} <= set(codes["purchase_activity"].columns)
    assert all(shown.feature.signal == "purchase" for shown in codes["purchase_activity"].shown)


def random_rows(rng, n):
    features = rng.gamma(1.0, 10.0, size=(n, K)).astype(np.float32)
    features[(rng.random(features.shape) < 0.1) & ~COUNTS] = np.nan
    contributions = rng.normal(size=(n, K)) * (rng.random((n, K)) < 0.3) * 0.2
    return contributions, features, expit(BASE + contributions.sum(axis=1))


@pytest.mark.parametrize("max_reasons", [None, 0, 1, 5, 1000])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reasons_of_a_member_add_up_to_its_risk_against_the_usual_one(rng, max_reasons, language):
    contributions, features, probability = random_rows(rng, 60)
    typical = typical_of()
    for p, row_reasons in zip(
        probability, reasons_of(contributions, features, probability, typical, GROUPS, language, max_reasons=max_reasons), strict=True
    ):
        assert sum(reason.contribution_pp for reason in row_reasons) == pytest.approx(100 * (p - typical.probability), abs=1e-9)
        named = [reason for reason in row_reasons if reason.code != OTHER]
        assert len(named) <= (max_reasons if max_reasons is not None else len(GROUPS.groups))
        sizes = [abs(reason.contribution_pp) for reason in named]
        assert sizes == sorted(sizes, reverse=True)
        assert all((reason.contribution_pp > 0) == (reason.direction == "raises") for reason in named)
        assert OTHER not in [reason.code for reason in row_reasons[:-1]]


def test_a_member_alone_gets_the_reasons_it_gets_among_others(rng):
    contributions, features, probability = random_rows(rng, 5)
    together = reasons_of(contributions, features, probability, typical_of(), GROUPS, "en", max_reasons=4)
    alone = [
        reasons(c, x, float(p), typical_of(), GROUPS, "en", max_reasons=4)
        for c, x, p in zip(contributions, features, probability, strict=True)
    ]
    assert [[reason._replace(contribution_pp=0) for reason in each] for each in together] == [
        [reason._replace(contribution_pp=0) for reason in each] for each in alone
    ]


def test_equal_reasons_keep_the_order_of_the_declaration():
    c = {"days_since_post": 0.25, "days_since_comment": 0.25, "tenure_days": -0.25}
    assert [reason.code for reason in told(c, row(), typical_of())] == ["days_since_comment", "days_since_post", "tenure"]


def test_a_member_who_differs_in_nothing_has_no_reasons():
    assert told({}, row(), typical_of()) == ()


def test_no_sentence_shows_the_name_of_a_feature(rng):
    contributions, features, probability = random_rows(rng, 40)
    for language in ("en", "zh"):
        for told_reasons in reasons_of(contributions, features, probability, typical_of(), GROUPS, language):
            assert not any("_" in reason.text or "nan" in reason.text or "{" in reason.text for reason in told_reasons)


@pytest.mark.parametrize(
    ("name", "value", "usual", "english", "chinese"),
    [
        ("days_since_comment", 21.4, 4.2, "No comments for 21 days (usual: 4 days)", "已有21天没有评论（通常为4天）"),
        ("days_since_comment", 1.2, 4.2, "Most recent comments: 1 day ago (usual: 4 days)", "最近一次评论在1天前（通常为4天）"),
        ("days_since_purchase", np.nan, 30, "No purchases in the last 365 days (usual: 30 days)", "最近365天没有购买（通常为30天）"),
        ("days_since_purchase", 12, np.nan, "No purchases for 12 days (usual: none)", "已有12天没有购买（通常没有）"),
        ("comment_count_30d", 2, 6, "Comments: only 2 in the last 30 days (usual: 6)", "最近30天评论只有2次（通常为6次）"),
        ("comment_count_30d", 0, 6, "No comments in the last 30 days (usual: 6)", "最近30天没有评论（通常为6次）"),
        ("post_count_30d", 9, 6, "Posts: 9 in the last 30 days (usual: 6)", "最近30天发帖有9次（通常为6次）"),
        (
            "post_count_30d",
            6,
            6,
            "Posts: 6 in the last 30 days (as usual; finer differences count here)",
            "最近30天发帖有6次（与通常相同，差别在更细的方面）",
        ),
        (
            "purchase_sum_365d",
            20,
            182.5,
            "Spent on purchases in the last 365 days: only CN¥20 (usual: CN¥182)",
            "最近365天用于购买的金额只有¥20（通常为¥182）",
        ),
        ("rating_sum_365d", 0, 12, "Total over ratings in the last 365 days: nothing (usual: 12)", "最近365天评分的总量为零（通常为12）"),
        ("days_since_any", 9, 2, "Not active for 9 days (usual: 2 days)", "已有9天没有活跃（通常为2天）"),
        (
            "any_count_30d",
            1,
            8,
            "Contributions of all kinds: only 1 in the last 30 days (usual: 8)",
            "最近30天各类互动合计只有1次（通常为8次）",
        ),
        (
            "gap_now_to_usual",
            3.25,
            0.8,
            "The pause since the last activity is 3.2× this member's own average pause (usual: 0.8×)",
            "距上次活跃的间隔是本人平均间隔的3.2倍（通常为0.8倍）",
        ),
        (
            "gap_now_to_usual",
            np.nan,
            0.8,
            "Active on a single day so far, so there is no rhythm to go by (usual: 0.8×)",
            "至今只在一天里活跃过，还看不出节奏（通常为0.8倍）",
        ),
        (
            "evening_share",
            0.62,
            0.41,
            "62% of the activity is in the evening (usual: 41%)",
            "晚间的活动占62%（通常为41%）",
        ),
        (
            "silent_share_of_tenure",
            0.6,
            0.12,
            "Quiet for the last 60% of the time as a member (usual: 12%)",
            "最近没有活跃的时间占入会以来的60%（通常为12%）",
        ),
        ("weekend_share", 0, 0.3, "No activity at weekends (usual: 30%)", "周末没有活动（通常为30%）"),
        (
            "gap_mean",
            17.2,
            9,
            "From one active day to the next on average 17 days (usual: 9 days)",
            "平均每17天才活跃一次（通常为9天）",
        ),
        ("gap_max", 90, 33, "Longest pause in the last 365 days: 90 days (usual: 33 days)", "最近365天内最长的间隔为90天（通常为33天）"),
        ("active_weeks", 1, 7, "Active in only 1 week of the last 365 days (usual: 7 weeks)", "最近365天内只有1周活跃（通常为7周）"),
        ("week_streak", 0, 2, "Not active in the last 7 days (usual: 2 weeks)", "最近7天没有活跃（通常为2周）"),
        (
            "comment_active_days_14d",
            1,
            5,
            "Comments only on 1 day in the last 14 days (usual: on 5 days)",
            "最近14天内只有1天有评论（通常为5天）",
        ),
        ("any_active_days_14d", 5, 0, "Active on 5 days in the last 14 days (usual: none)", "最近14天内有5天活跃（通常没有）"),
        ("purchase_value_mean", 20, 31.5, "Purchases: only CN¥20 on average (usual: CN¥32)", "平均每次购买只有¥20（通常为¥32）"),
        ("rating_value_last", 2, 4, "Ratings: only 2 the last time (usual: 4)", "最近一次评分只有2（通常为4）"),
        ("tenure_days", 20, 400, "Joined recently, 20 days ago (usual: 400 days)", "加入不久，才20天（通常为400天）"),
        (
            "signals_used_30d",
            1,
            3,
            "Took part in only 1 kind of activity in the last 30 days (usual: 3 kinds)",
            "最近30天只参与了1种活动（通常为3种）",
        ),
        ("read_share", 0.1, 0.3, "Share of reads in the member's activity: only 10% (usual: 30%)", "阅读只占全部活动的10%（通常为30%）"),
        ("days_since_touch", 3, 12, "Last contacted by us 3 days ago (usual: 12 days)", "我们最近一次联系在3天前（通常为12天）"),
        ("touch_count_30d", 1, 3, "Contacted by us only once in the last 30 days (usual: 3 times)", "最近30天我们只联系了1次（通常为3次）"),
        (
            "touches_answered_share",
            0.2,
            0.5,
            "Active within 3 days of only 20% of our messages (usual: 50%)",
            "我们的消息发出后3天内，只有20%换来了活跃（通常为50%）",
        ),
    ],
)
def test_a_reason_tells_the_members_value_and_the_usual_one(name, value, usual, english, chinese):
    assert said(name, value, usual) == english
    assert said(name, value, usual, "zh") == chinese


@pytest.mark.parametrize(
    ("days", "weeks", "english", "chinese"),
    [
        (
            1 / 24,
            1,
            "Active in the first week as a member, and there was no other yet (usual: 7 weeks in 365 days)",
            "加入后的第一周有活动",
        ),
        (6.9, 1, "Active in the first week as a member, and there was no other yet (usual: 7 weeks in 365 days)", "加入后的第一周有活动"),
        (10, 1, "Active in only 1 week of the last 14 days (usual: 7 weeks in 365 days)", "最近14天内只有1周活跃"),
        (364.5, 1, "Active in only 1 week of the last 365 days (usual: 7 weeks)", "最近365天内只有1周活跃"),
    ],
)
def test_weeks_are_told_of_as_many_whole_weeks_as_there_were_of_a_member(days, weeks, english, chinese):
    features, usual = row(active_weeks=weeks, tenure_days=days), typical_of(active_weeks=7)
    for language, sentence in (("en", english), ("zh", chinese)):
        texts = {reason.code: reason.text for reason in told({"active_weeks": 0.5}, features, usual, language)}
        assert texts["rhythm"].startswith(sentence)


COMMENTS = {"comment_count_7d": 0, "comment_count_30d": 7, "comment_count_90d": 30}
USUAL_COMMENTS = {"comment_count_7d": 2, "comment_count_30d": 6, "comment_count_90d": 12}


def test_the_feature_that_drives_its_group_is_the_one_that_is_told():
    c = {"comment_count_7d": 0.4, "comment_count_30d": 0.1, "comment_count_90d": -0.2}
    (only,) = told(c, row(**COMMENTS), typical_of(**USUAL_COMMENTS))
    assert only.text == "No comments in the last 7 days (usual: 2)"
    assert (only.feature, only.window_days, only.value, only.typical) == ("comment_count_7d", 7, 0, 2)


def test_the_points_are_those_of_the_whole_group_whichever_feature_is_told():
    c = {"comment_count_7d": 0.4, "comment_count_30d": 0.1, "comment_count_90d": -0.2}
    (only,) = told(c, row(**COMMENTS), typical_of(**USUAL_COMMENTS))
    assert only.contribution_pp == pytest.approx(100 * (expit(BASE + 0.3) - expit(BASE)))


def test_a_group_that_lowers_the_risk_is_told_by_what_lowers_it():
    c = {"comment_count_7d": 0.2, "comment_count_90d": -0.5}
    (only,) = told(c, row(**COMMENTS), typical_of(**USUAL_COMMENTS))
    assert only.text == "Comments: 30 in the last 90 days (usual: 12)"


def test_many_events_are_not_told_for_a_raised_risk_while_something_else_can_be():
    c = {"comment_count_90d": 0.5, "comment_count_7d": 0.1}
    (only,) = told(c, row(**COMMENTS), typical_of(**USUAL_COMMENTS))
    assert (only.direction, only.feature) == ("raises", "comment_count_7d")


def test_the_share_of_the_membership_is_told_only_where_the_days_cannot_be():
    c = {"days_since_any": 0.1, "silent_share_of_tenure": 0.4}
    usual = typical_of(days_since_any=4, silent_share_of_tenure=0.1)
    texts = [told(c, row(days_since_any=days, silent_share_of_tenure=0.6), usual)[0].text for days in (9, 3)]
    assert texts == ["Not active for 9 days (usual: 4 days)", "Quiet for the last 60% of the time as a member (usual: 10%)"]


def test_where_nothing_can_be_told_the_window_of_the_horizon_is_shown_and_said_not_to_be_the_cause():
    (only,) = told({"comment_count_90d": 0.5}, row(**COMMENTS), typical_of(**USUAL_COMMENTS))
    assert only.feature == "comment_count_30d"
    assert only.text == "Comments: 7 in the last 30 days (usual: 6; finer differences weigh more here)"


def test_a_value_that_is_written_as_the_usual_one_is_told_as_usual():
    (only,) = told({"comment_count_30d": 0.5}, row(comment_count_30d=6), typical_of(comment_count_30d=6))
    assert only.text == "Comments: 6 in the last 30 days (as usual; finer differences count here)"


def test_service_contacts_may_raise_the_risk_and_may_lower_it():
    lifecycle = COMMUNITY.lifecycle.model_copy(update={"service_signals": ("read",)})
    community = COMMUNITY.model_copy(update={"lifecycle": lifecycle})
    groups = reason_groups(community, SPEC)
    texts = [
        reasons(row(tenure_days=0, read_count_7d=c), row(read_count_7d=3), float(expit(BASE + c)), typical_of(), groups, "en")[0].text
        for c in (-0.4, 0.4)
    ]
    assert set(texts) == {"Reads: 3 in the last 7 days (usual: none)"}


@pytest.mark.parametrize(
    ("recent", "both", "english", "chinese"),
    [
        (2, 8, "Comments: only 2 in the last 30 days, after 6 in the 30 days before", "最近30天评论只有2次，此前30天6次"),
        (0, 3, "No comments in the last 30 days, after 3 in the 30 days before", "最近30天没有评论，此前30天3次"),
        (4, 4, "Comments: 4 in the last 30 days, after none in the 30 days before", "最近30天评论有4次，此前30天没有"),
    ],
)
def test_a_trend_is_told_by_the_events_of_both_times(recent, both, english, chinese):
    trend = np.log((1 + recent) / (1 + both - recent))
    features = row(comment_trend_30d=trend, comment_count_30d=recent, comment_count_60d=both)
    c = {"comment_trend_30d": -0.4 * np.sign(trend)}
    assert told(c, features, typical_of())[0].text == english
    assert told(c, features, typical_of(), "zh")[0].text == chinese


@pytest.mark.parametrize(
    ("name", "value", "usual", "english", "chinese"),
    [
        ("days_since_purchase", np.nan, 30, "No purchases in the last day (usual: 30 days)", "最近1天没有购买（通常为30天）"),
        ("comment_count_30d", 0, 6, "No comments in the last day (usual: 6 in 30 days)", "最近1天没有评论（通常为30天内6次）"),
        ("comment_count_30d", 2, 6, "Comments: only 2 in the last day (usual: 6 in 30 days)", "最近1天评论只有2次（通常为30天内6次）"),
        (
            "purchase_sum_365d",
            0,
            45,
            "Nothing spent on purchases in the last day (usual: CN¥45 in 365 days)",
            "最近1天没有用于购买的支出（通常为365天内¥45）",
        ),
        (
            "post_count_30d",
            9,
            9,
            "Posts: 9 in the last day (usual: 9 in 30 days; finer differences weigh more here)",
            "最近1天发帖有9次（通常为30天内9次，更细的差别影响更大）",
        ),
    ],
)
def test_no_window_is_longer_than_there_has_been_something_to_see_of_a_member(name, value, usual, english, chinese):
    """Joined 14 hours ago: all there is was on this one day, and the usual value is said with the window in which it counts."""
    (shown,) = (shown for shown in GROUPS.shown if shown.feature.name == name)
    counted = {SPEC.names[column]: value for _, column in shown.shorter} or {name: value}
    features = row(tenure_days=0.6, first_seen_days=0.4, **counted)
    more = np.nan_to_num(value, nan=shown.missing) > usual
    c = {name: 0.5 if more == (shown.reading == 1) else -0.5}
    texts = [told(c, features, typical_of(**{name: usual}), language)[0].text for language in ("en", "zh")]
    assert texts == [english, chinese]


def test_what_was_before_a_member_joined_keeps_the_window_in_which_it_was():
    """Four purchases from before the member joined, eight days ago."""
    features = row(tenure_days=7.5, purchase_count_14d=0, purchase_count_30d=4)
    (only,) = told({"purchase_count_30d": -0.4}, features, typical_of(purchase_count_30d=1))
    assert only.text == "Purchases: 4 in the last 30 days (usual: 1)"


@pytest.mark.parametrize(
    ("days", "both", "english", "chinese"),
    [
        (39.5, 8, "Comments: only 2 in the last 30 days, after 6 in the 10 days before", "最近30天评论只有2次，此前10天6次"),
        (12.3, 2, "Comments: 2 in the last 13 days", "最近13天评论有2次"),
        (12.3, 8, "Comments: only 2 in the last 30 days, after 6 in the 30 days before", "最近30天评论只有2次，此前30天6次"),
        (1000, 8, "Comments: only 2 in the last 30 days, after 6 in the 30 days before", "最近30天评论只有2次，此前30天6次"),
    ],
)
def test_the_time_before_a_trend_ends_where_the_member_began(days, both, english, chinese):
    trend = np.log((1 + 2) / (1 + both - 2))
    features = row(comment_trend_30d=trend, comment_count_30d=2, comment_count_60d=both, tenure_days=days)
    c = {"comment_trend_30d": -0.4 * np.sign(trend)}
    assert [told(c, features, typical_of(), language)[0].text for language in ("en", "zh")] == [english, chinese]


def test_a_fall_that_is_smaller_than_the_usual_one_is_not_told():
    features = row(comment_trend_30d=-0.3, comment_count_30d=2, comment_count_60d=5)
    (only,) = told({"comment_trend_30d": -0.4}, features, typical_of(comment_trend_30d=-0.9))
    assert only.feature == "comment_count_30d"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_told_pushes_in_the_direction_of_its_reason_and_reads_so(rng, language):
    contributions, features, probability = random_rows(rng, 200)
    usual = Typical.of(expit, BASE, rng.gamma(1.0, 10.0, size=K))
    shown = {shown.feature.name: shown for shown in GROUPS.shown}
    seen = 0
    for c, row_reasons in zip(contributions, reasons_of(contributions, features, probability, usual, GROUPS, language), strict=True):
        for reason in row_reasons:
            if reason.code == OTHER or "finer" in reason.text or "更细" in reason.text:
                continue
            one, sign = shown[reason.feature], 1 if reason.direction == "raises" else -1
            assert c[one.column] * sign > 0
            value, typical = (one.missing if at is None else at for at in (reason.value, reason.typical))
            assert not np.sign(value - typical) * one.reading * sign < 0
            seen += 1
    assert seen > 1000


def test_both_languages_tell_the_same_features(rng):
    contributions, features, probability = random_rows(rng, 30)
    english, chinese = (
        [
            [(reason.code, reason.feature) for reason in row_reasons]
            for row_reasons in reasons_of(contributions, features, probability, typical_of(), GROUPS, language)
        ]
        for language in ("en", "zh")
    )
    assert english == chinese


@given(
    st.sampled_from(sorted({shown.unit for shown in GROUPS.shown} - {"trend"})),
    st.floats(0, 3000, width=32),
    st.floats(0, 3000, width=32),
)
def test_values_count_as_equal_where_they_are_written_alike(unit, one, other):
    written = as_written(np.array([[one], [other]]), Precision.of([unit]))
    alike = amount("en", one, unit, "CNY") == amount("en", other, unit, "CNY")
    assert alike or written[0] != written[1]


def test_a_value_that_is_missing_has_no_number():
    (only,) = told({"days_since_purchase": 0.4}, row(days_since_purchase=np.nan), typical_of(days_since_purchase=30))
    assert (only.value, only.typical) == (None, 30)

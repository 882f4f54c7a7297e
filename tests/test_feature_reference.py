"""The kernel against a second implementation and against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import compute_features
from tests.feature_reference import DAY, Event, reference_row
from tests.feature_worlds import NOON, SPEC, World, as_ofs, in_log_order, worlds

HOUR = DAY // 24


def features_of(*events: Event, spec=SPEC, as_of: int = NOON, joined: int = NOON - 20 * DAY) -> dict[str, float]:
    world = World(spec, [in_log_order(list(events))], [joined])
    row = compute_features(world.arrays(), world.snapshots([(0, as_of)]), spec)[0]
    return dict(zip(spec.names, row.tolist(), strict=True))


def ago(signal: str, days: float = 0, *, us: int = 0, value: float = math.nan) -> Event:
    return Event(NOON - round(days * DAY) - us, signal, value)


@given(worlds(), st.data())
def test_the_kernel_agrees_with_the_plain_implementation(world, data):
    rows = data.draw(st.lists(st.tuples(st.integers(0, len(world.members) - 1), as_ofs()), max_size=6))
    found = compute_features(world.arrays(), world.snapshots(rows), world.spec)
    for (member, as_of), row in zip(rows, found, strict=True):
        expected = reference_row(world.spec, world.members[member], as_of, world.joined[member])
        np.testing.assert_allclose(row, expected.astype(np.float32), rtol=3e-6, atol=1e-6)


def test_a_window_holds_its_first_instant_and_not_as_of():
    found = features_of(ago("post", 0), ago("post", us=1), ago("post", 1), ago("post", 1, us=1))
    assert found["post_count_1d"] == 2
    assert found["post_count_2d"] == 3
    assert found["post_active_days_2d"] == 2


def test_the_lookback_holds_its_first_instant_and_nothing_before():
    found = features_of(ago("post", 28), ago("post", 28, us=1))
    assert found["post_count_28d"] == 1
    assert found["days_since_post"] == found["first_seen_days"] == 28


def test_gaps_run_between_active_days_counted_back_from_as_of():
    found = features_of(ago("post", 0.5), ago("buy", 0.6), ago("post", 2.5), ago("post", 8.5), ago("read", 5))
    assert [found[name] for name in ("gap_mean", "gap_sd", "gap_max")] == [4, 2, 6]
    assert found["gap_now_to_usual"] == pytest.approx(0.5 / 4)
    assert found["gap_now_z"] == pytest.approx((0.5 - 4) / 3)
    assert found["regularity"] == pytest.approx(4 / 6)


def test_one_active_day_has_no_gap():
    found = features_of(ago("post", 3.1), ago("buy", 3.2))
    assert math.isnan(found["gap_mean"])
    assert math.isnan(found["regularity"])
    assert found["active_weeks"] == 1


@pytest.mark.parametrize(
    ("days", "streak"),
    [((1, 8, 15), 3), ((1, 15), 1), ((8, 15), 0), ((7,), 1), ((7.01, 14.01), 0), ((), 0), ((1, 2, 3, 13.9, 27.9), 2)],
)
def test_a_streak_counts_weeks_without_a_break_from_as_of(days, streak):
    assert features_of(*(ago("post", day) for day in days))["week_streak"] == streak


@pytest.mark.parametrize(
    ("after_hours", "answered"),
    [(0, False), (1, True), (72, True), (72.001, False)],
)
def test_a_touch_is_answered_within_72_hours(after_hours, answered):
    found = features_of(ago("touch", 10), ago("post", 10 - after_hours / 24))
    assert found["touches_answered"] == answered
    assert found["touches_answered_share"] == answered


def test_a_touch_younger_than_72_hours_is_not_yet_judged():
    found = features_of(ago("touch", 2.9), ago("post", 1))
    assert found["touches_answered"] == 0
    assert math.isnan(found["touches_answered_share"])
    assert features_of(ago("touch", 3), ago("post", 1))["touches_answered"] == 1


def test_an_event_that_does_not_qualify_answers_no_touch():
    assert features_of(ago("touch", 10), ago("read", 9))["touches_answered_share"] == 0


def test_one_event_answers_every_touch_of_the_72_hours_before_it():
    found = features_of(ago("touch", 12), ago("touch", 11), ago("touch", 5), ago("buy", 10))
    assert found["touches_answered"] == 2
    assert found["touches_answered_share"] == pytest.approx(2 / 3)


def test_another_member_does_not_answer():
    world = World(SPEC, [[ago("touch", 10)], [ago("post", 9)]], [NOON - 20 * DAY] * 2)
    found = compute_features(world.arrays(), world.snapshots([(0, NOON), (1, NOON)]), SPEC)
    assert found[0, SPEC.position("touches_answered")] == 0


def test_a_missing_value_is_passed_over_and_not_taken_for_zero():
    found = features_of(ago("rate", 3, value=4), ago("rate", 2, value=2), ago("rate", 1))
    assert found["rate_sum_7d"] == 6
    assert found["rate_value_mean"] == 3
    assert found["rate_value_last"] == 2
    assert found["rate_count_7d"] == 3


def test_a_trend_sets_the_window_against_the_one_before_it():
    found = features_of(*(ago("post", day) for day in (1, 2, 7, 8, 13.9, 14.1)))
    assert found["post_trend_7d"] == pytest.approx(math.log(4 / 3))


def test_the_hour_is_told_by_the_clock_of_the_community():
    at_23_utc = ago("post", 13 / 24)
    assert features_of(at_23_utc)["evening_share"] == 1
    assert features_of(at_23_utc, spec=replace(SPEC, timezone="Asia/Shanghai"))["morning_share"] == 1


def test_timing_is_that_of_the_member_and_not_of_our_touches():
    found = features_of(ago("post", 0.25), ago("touch", 0.5), ago("read", 0.75))
    assert found["morning_share"] == 1
    assert found["night_share"] == found["evening_share"] == 0


def test_the_week_begins_on_monday():
    monday = 20_003 * DAY  # 2024-10-07
    spec = replace(SPEC, touches=False)
    weekend = [Event(monday - 1, "post"), Event(monday - 2 * DAY, "post")]
    weekdays = [Event(monday - 2 * DAY - 1, "post"), Event(monday, "post")]
    assert features_of(*weekend, spec=spec, as_of=monday + DAY)["weekend_share"] == 1
    assert features_of(*weekdays, spec=spec, as_of=monday + DAY)["weekend_share"] == 0


def test_two_signals_in_equal_parts_have_an_entropy_of_log_two():
    assert features_of(ago("post", 1), ago("buy", 2), ago("read", 3))["signal_entropy"] == pytest.approx(math.log(2))


def test_a_member_without_events_has_counts_of_zero_and_no_recency():
    found = features_of()
    assert found["any_count_28d"] == found["week_streak"] == found["any_trend_7d"] == found["buy_sum_28d"] == 0
    assert found["tenure_days"] == 20
    assert all(math.isnan(found[name]) for name in ("days_since_any", "post_share", "signal_entropy", "night_share", "buy_value_mean"))


def test_a_day_begins_and_ends_at_the_hour_of_as_of():
    found = features_of(ago("post", 0, us=1), ago("post", 1 - 1 / 24), ago("post", 1 + 1 / 24))
    assert found["any_active_days_2d"] == 2
    assert found["any_active_days_1d"] == 1

"""Where members stand, told from events counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.declared import STAGES, TAGS
from models.features import compute_features, feature_spec
from models.lifecycle import STAGE_RULES, TAG_RULES, Lifecycles, lifecycle_of
from models.snapshots import Snapshots
from tests.planted import AS_OF_US, Member, arrays, community, signal, tier

CARE = (
    signal("post"),
    signal("read", qualifying=False),
    signal("ticket", qualifying=False),
    signal("rating", qualifying=False, value="quantity"),
)
ONE_TIER = {"tiers": [tier("base", 0, 10)]}
WEEKLY = [float(day) for day in range(2, 200, 7)]


def stand(members: list[Member], declared=None, value=0.0) -> Lifecycles:
    declared = declared or community()
    spec = feature_spec(declared)
    events = arrays(members, declared)
    features = compute_features(events, Snapshots.at(events, AS_OF_US), spec)
    return lifecycle_of(features, spec, declared.lifecycle, np.broadcast_to(value, len(members)))


def stage(member: Member, declared=None) -> str:
    return stand([member], declared).stage_of(0)


def tags(member: Member, declared=None, value=0.0) -> set[str]:
    return set(stand([member], declared, value).tags_of(0))


def cares() -> object:
    return community(signals=CARE, lifecycle={"service_signals": ["ticket"], "satisfaction_signals": ["rating"]})


@pytest.mark.parametrize(
    ("joined", "posts", "expected"),
    [
        (29.9, [1], "new"),
        (30, [1], "active"),
        (29.9, [7], "silent"),
        (29.9, [7.5], "silent"),
        (100, [6.9], "active"),
        (100, [30], "lost"),
        (100, [29.9], "silent"),
        (200, WEEKLY, "stable"),
        (179, WEEKLY[:25], "active"),
        (100, [1, 2, 3, 4, 20], "growing"),
        (100, [1, 2, 3, 16, 18, 20], "active"),
    ],
)
def test_the_stage_follows_from_joining_silence_and_growth(joined, posts, expected):
    assert stage(Member(joined, {"post": posts})) == expected


def test_a_member_of_long_standing_who_fades_is_active_and_no_longer_stable():
    busy_before = [1.0, *(15.0 + day for day in range(8))]
    assert stage(Member(400, {"post": busy_before})) == "active"


@pytest.mark.parametrize(("joined", "expected"), [(2.0, "new"), (8.0, "silent"), (31.0, "lost")])
def test_a_member_who_never_did_anything_is_silent_since_joining(joined, expected):
    assert stage(Member(joined, {})) == expected


def test_reading_keeps_nobody_from_being_silent():
    assert stage(Member(100, {"post": [8], "read": [1]})) == "silent"


@pytest.mark.parametrize(("posts", "expected"), [(19, "base"), (20, "koc"), (21, "koc")])
def test_the_tier_counts_contributions_of_the_longest_window_from_its_bound_on(posts, expected):
    inside = list(np.linspace(1, 89, posts))
    assert stand([Member(300, {"post": [*inside, 91, 92, 93]})]).tier_of(0) == expected


@pytest.mark.parametrize(
    ("joined", "posts", "at_risk"),
    [(2.0, [1.5], True), (2.0, [0.5], False), (3.0, [1.0], True), (3.1, [1.5], False), (1.5, [], True), (0.5, [], False)],
)
def test_a_newcomer_is_at_risk_after_a_silent_day_in_the_first_72_hours(joined, posts, at_risk):
    assert ("newcomer_at_risk" in tags(Member(joined, {"post": posts}))) == at_risk


def test_interest_decays_when_reading_and_posting_together_fall_to_half():
    """Last 14 days: 1 post, 2 reads: 1.5 a week. The 16 days before: 2 posts, 5 reads: 3.06 a week. 1.5 <= 0.5 x 3.06."""
    member = Member(100, {"post": [3, 20, 25], "read": [4, 5, 15, 17, 19, 21, 23]})
    assert "interest_decay" in tags(member)
    still_reading = Member(100, {"post": [3, 20, 25], "read": [4, 5, 6, 15, 17, 19, 21, 23]})
    assert "interest_decay" not in tags(still_reading)


def test_interest_decays_when_it_falls_from_above_five_a_week_to_below_three():
    """12 in the 16 days before are 5.25 a week, 5 in the last 14 are 2.5; that is 48 %. Of ratio 0.4, only the crossing tells."""
    before = list(np.linspace(14.5, 29.5, 12))
    declared = community(lifecycle={"fading_ratio": 0.4})
    assert "interest_decay" in tags(Member(100, {"post": [1, 4, 7, 10, 13, *before]}), declared)
    assert "interest_decay" not in tags(Member(100, {"post": [1, 3, 5, 7, 10, 13, *before]}), declared)


def test_a_few_events_are_no_interest_that_could_decay():
    assert "interest_decay" not in tags(Member(100, {"post": [1, 20, 22, 24]}, {}))
    assert "interest_decay" in tags(Member(100, {"post": [1, 20, 22, 24, 26]}, {}))


def test_a_member_who_does_nothing_at_all_is_estranged_and_one_who_reads_is_not():
    gone = {"post": [8, 15, 16, 17, 18, 20]}
    assert tags(Member(100, gone)) >= {"estrangement"}
    assert "interest_decay" not in tags(Member(100, gone))
    assert "estrangement" not in tags(Member(100, {**gone, "read": [6]}))


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [([1, 2], True), ([1], False), ([1, 2, 20], True), ([1, 2, 16, 20], False), ([1, 2, 3, 16, 20], True), ([20, 21], False), ([], False)],
)
def test_rising_contacts_with_the_service_are_a_demand_mismatch(tickets, expected):
    """Two in the last 14 days are 1 a week; one in the 16 days before is 0.44, two are 0.875: 1 < 1.5 x 0.875; three are 1.5."""
    member = Member(100, {"post": [1], "ticket": tickets})
    assert ("demand_mismatch" in tags(member, cares())) == expected


@pytest.mark.parametrize(("days", "expected"), [([2, 40, 50], True), ([20, 40, 50], False)])
def test_a_fresh_rating_at_half_of_the_usual_is_a_demand_mismatch(days, expected):
    """Ratings 1, 5, 5, newest first: the last is 1, the mean 3.67."""
    member = Member(100, {"post": [1], "rating": days}, {"rating": [1, 5, 5]})
    assert ("demand_mismatch" in tags(member, cares())) == expected


def test_contacts_with_the_service_are_no_interest():
    member = Member(100, {"post": [1, *range(15, 30)], "ticket": [1, 2, 3, 4, 5, 6, 7]})
    assert tags(member, cares()) >= {"interest_decay", "demand_mismatch"}


@pytest.mark.parametrize(("posts", "expected"), [([8, 9, 10, 11, 12], True), ([8, 9, 10, 11], False), ([6, 9, 10, 11, 12], False)])
def test_silent_members_who_once_contributed_are_candidates_to_win_back(posts, expected):
    assert ("win_back_candidate" in tags(Member(300, {"post": posts}))) == expected


def test_high_value_is_that_of_the_highest_tier_unless_it_is_declared():
    assert [("high_value" in tags(Member(), value=value)) for value in (99, 100)] == [False, True]
    declared = community(lifecycle={"high_value": 40})
    assert [("high_value" in tags(Member(), declared, value)) for value in (39, 40)] == [False, True]
    assert "high_value" not in tags(Member(), community(lifecycle=ONE_TIER), value=10)


def test_every_stage_and_every_tag_has_its_rule():
    assert {name for name, _ in STAGE_RULES} == set(STAGES)
    assert set(TAG_RULES) == set(TAGS)


ago = st.lists(st.floats(0.01, 200), max_size=12)
members = st.builds(Member, st.floats(0, 200), st.fixed_dictionaries({"post": ago, "read": ago}))


@given(st.lists(members, min_size=1, max_size=5), st.sampled_from([(1,), (7, 28), (3, 30, 90), (1, 3, 7, 14, 30, 60, 90)]))
def test_a_member_alone_stands_where_it_stands_in_a_batch_with_any_windows(crowd, windows):
    declared = community(windows_days=windows)
    batch = stand(crowd, declared)
    for row, member in enumerate(crowd):
        alone = stand([member], declared)
        assert (alone.stage_of(0), alone.tier_of(0), alone.tags_of(0)) == (batch.stage_of(row), batch.tier_of(row), batch.tags_of(row))


def test_a_community_with_purchases_alone_and_one_window_has_stages_too():
    declared = community(
        signals=[signal("purchase", value="money")],
        windows_days=[30],
        lookback_days=30,
        lifecycle=ONE_TIER,
        churn={"horizons_days": [30]},
    )
    crowd = [Member(200, {"purchase": [1, 20]}), Member(200, {"purchase": [10]}), Member(200, {})]
    lifecycles = stand(crowd, declared)
    assert [lifecycles.stage_of(row) for row in range(3)] == ["stable", "silent", "lost"]


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("service_signals", ["tickets"], r"lifecycle.service_signals: unknown signal 'tickets'; declared are \['post', 'read'\]"),
        ("satisfaction_signals", ["post"], "lifecycle.satisfaction_signals: unknown signal with `value: quantity` 'post'"),
    ],
)
def test_a_declaration_names_the_signal_that_it_does_not_have(key, value, names):
    with pytest.raises(ValidationError, match=names):
        community(lifecycle={key: value})

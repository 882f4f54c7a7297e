"""What holds of the feature matrix whatever the log."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import features
from models.community import Community
from models.events import NEVER_US, EventArrays
from models.features import DEFINITIONS, FeatureSpec, SignalUse, compute_features, feature_spec
from models.snapshots import Snapshots
from tests.feature_reference import DAY, Event
from tests.feature_worlds import NOON, SPEC, World, as_ofs, worlds

MANY_SIGNALS = FeatureSpec(
    signals=tuple(SignalUse(f"s{i}", qualifying=i % 5 != 1, valued=i % 3 == 0) for i in range(12)),
    windows_days=(1, 3, 7, 14, 30, 60, 90),
    lookback_days=365,
    timezone="Europe/London",
    touches=True,
)


def a_log(rng: np.random.Generator, lengths: np.ndarray, spec: FeatureSpec = MANY_SIGNALS) -> EventArrays:
    """So many events for each member over 400 days before `NOON`."""
    n = int(lengths.sum())
    member = np.repeat(np.arange(len(lengths)), lengths)
    at = NOON - rng.integers(-5 * DAY, 400 * DAY, n)
    value = np.where(rng.random(n) < 0.3, np.nan, rng.gamma(2.0, 10.0, n))
    return EventArrays(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        timestamp_us=at[np.lexsort((at, member))],
        signal=rng.integers(0, len(spec.uses), n).astype(np.uint8),
        value=value,
        joined_us=NOON - rng.integers(0, 500 * DAY, len(lengths)),
        contract_end_us=np.full(len(lengths), NEVER_US),
    )


def matrix(world: World, as_of: int) -> np.ndarray:
    return compute_features(world.arrays(), Snapshots.at(world.arrays(), as_of), world.spec)


@given(worlds(), as_ofs())
def test_events_at_or_after_as_of_change_nothing(world, as_of):
    np.testing.assert_array_equal(matrix(world, as_of), matrix(world.before(as_of), as_of))


@given(worlds(), as_ofs())
def test_one_member_alone_equals_the_same_member_in_a_batch(world, as_of):
    batch = matrix(world, as_of)
    for member in range(len(world.members)):
        alone = world.arrays().of_members([member])
        assert compute_features(alone, Snapshots.at(alone, as_of), world.spec)[0].tobytes() == batch[member].tobytes()


def test_one_of_thousands_of_members_keeps_every_bit(rng):
    events = a_log(rng, np.minimum(rng.geometric(0.02, 3000) - 1, 900))
    batch = compute_features(events, Snapshots.at(events, NOON), MANY_SIGNALS)
    for member in rng.choice(3000, 200, replace=False):
        alone = events.of_members([member])
        assert compute_features(alone, Snapshots.at(alone, NOON), MANY_SIGNALS)[0].tobytes() == batch[member].tobytes()


@given(worlds(), as_ofs(), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(world, as_of, random):
    order = random.sample(range(len(world.members)), len(world.members))
    shuffled = World(world.spec, [world.members[i] for i in order], [world.joined[i] for i in order])
    np.testing.assert_array_equal(matrix(shuffled, as_of), matrix(world, as_of)[order])


@given(worlds(), st.data())
def test_snapshots_stand_alone_whatever_their_order_and_number(world, data):
    rows = data.draw(st.lists(st.tuples(st.integers(0, len(world.members) - 1), as_ofs()), max_size=8))
    together = compute_features(world.arrays(), world.snapshots(rows), world.spec)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_array_equal(compute_features(world.arrays(), world.snapshots([row]), world.spec)[0], found)


@given(worlds(), as_ofs(), st.sampled_from([1, 17, 40, 100]))
def test_the_size_of_a_block_does_not_matter(world, as_of, block):
    whole = matrix(world, as_of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "BLOCK_EVENTS", block)
        np.testing.assert_array_equal(matrix(world, as_of), whole)


def test_two_threads_give_what_one_gives(rng, monkeypatch):
    monkeypatch.setattr(features, "BLOCK_EVENTS", 1000)
    events = a_log(rng, rng.integers(0, 60, 500))
    snapshots = Snapshots.at(events, NOON)
    one, two = (compute_features(events, snapshots, MANY_SIGNALS, threads=threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@given(worlds(zones=("UTC", "Asia/Shanghai")), as_ofs(), st.integers(-40, 40))
def test_whole_weeks_later_everything_is_the_same(world, as_of, weeks):
    by = 7 * DAY * weeks
    later = replace(
        world,
        members=[[replace(event, at=event.at + by) for event in events] for events in world.members],
        joined=[joined + by for joined in world.joined],
    )
    np.testing.assert_array_equal(matrix(later, as_of + by), matrix(world, as_of))


@given(worlds(), as_ofs())
def test_windows_nest_and_signals_add_up(world, as_of):
    found = dict(zip(world.spec.names, matrix(world, as_of).T, strict=True))
    for kind in ("count", "active_days"):
        by_window = np.stack([found[f"any_{kind}_{w}d"] for w in world.spec.windows])
        assert (np.diff(by_window, axis=0) >= 0).all()
    qualifying = [use.name for use in world.spec.signals if use.qualifying]
    for w in world.spec.windows:
        np.testing.assert_array_equal(found[f"any_count_{w}d"], sum(found[f"{name}_count_{w}d"] for name in qualifying))
        assert (found[f"any_active_days_{w}d"] <= w).all()


def test_no_snapshots_give_an_empty_matrix():
    world = World(SPEC, [[Event(NOON - DAY, "post")]], [NOON - DAY])
    assert compute_features(world.arrays(), world.snapshots([]), SPEC).shape == (0, len(SPEC.names))


def test_a_log_without_one_event_has_features():
    found = matrix(World(SPEC, [[], []], [NOON - DAY, NOON + DAY]), NOON)
    assert found[:, SPEC.position("tenure_days")].tolist() == [1, 0]
    assert (found[:, SPEC.position("any_count_28d")] == 0).all()


def test_a_member_with_a_million_events_beside_one_with_none(rng):
    events = a_log(rng, np.array([0, 1_000_000, 3]))
    found = compute_features(events, Snapshots.at(events, NOON), MANY_SIGNALS)
    age = NOON - events.timestamp_us[:1_000_000]
    qualifying = MANY_SIGNALS.layout.qualifying[events.signal[:1_000_000]]
    for days in MANY_SIGNALS.windows:
        expected = np.count_nonzero((age > 0) & (age <= days * DAY) & qualifying)
        assert found[:, MANY_SIGNALS.position(f"any_count_{days}d")].tolist()[:2] == [0, expected]
    assert found[1, MANY_SIGNALS.position("any_active_days_365d")] == 365


def test_several_signals_give_more_than_a_hundred_features():
    assert len(MANY_SIGNALS.features) > 100
    assert len(set(MANY_SIGNALS.names)) == len(MANY_SIGNALS.names)
    assert [MANY_SIGNALS.position(name) for name in MANY_SIGNALS.names] == list(range(len(MANY_SIGNALS.names)))


def test_every_definition_says_what_it_means():
    assert all(line.meaning for line in DEFINITIONS)
    assert len({line.name for line in DEFINITIONS}) == len(DEFINITIONS)


def test_a_signal_may_not_take_the_name_of_all_signals():
    spec = replace(SPEC, signals=(SignalUse("any", qualifying=True, valued=False),))
    with pytest.raises(ValueError, match="rename the signal: 'any' and 'touch' are taken"):
        _ = spec.features


def test_an_undeclared_feature_has_no_position():
    with pytest.raises(ValueError, match="no feature is named 'likes_count_7d'"):
        SPEC.position("likes_count_7d")


def test_the_declaration_of_a_community_gives_the_specification():
    label = {"en": "x", "zh": "x"}
    spec = feature_spec(
        Community.model_validate(
            {
                "name": "Forum",
                "timezone": "Asia/Shanghai",
                "log": {"path": "log.csv", "member": "who", "time": "when", "type": "what"},
                "touches": {"path": "touches.csv", "member": "who", "time": "when"},
                "signals": [
                    {"name": "post", "event_types": ["post"], "label": label},
                    {"name": "order", "event_types": ["paid", "paid_again"], "value": "money", "label": label},
                    {"name": "read", "event_types": ["open"], "qualifying": False, "label": label},
                ],
                "lifecycle": {"tiers": [{"name": "base", "min_contributions": 0, "value": 1, "label": label}]},
                "interventions": [
                    {
                        "id": "digest",
                        "label": label,
                        "category": "content",
                        "lever": "curiosity",
                        "channels": ["email"],
                        "cost": 0.1,
                        "starting_uplift": 0.01,
                        "starting_evidence": 100,
                    }
                ],
            }
        )
    )
    assert [(use.name, use.qualifying, use.valued) for use in spec.uses] == [
        ("post", True, False),
        ("order", True, True),
        ("read", False, False),
        ("touch", False, False),
    ]
    assert spec.windows == (1, 3, 7, 14, 30, 60, 90, 365)
    assert spec.timezone == "Asia/Shanghai"


@settings(max_examples=30)
@given(worlds(), as_ofs())
def test_shares_lie_between_zero_and_one(world, as_of):
    found = matrix(world, as_of)
    for name in ("post_share", "night_share", "weekend_share", "regularity"):
        column = found[:, world.spec.position(name)]
        assert ((column >= 0) & (column <= 1) | np.isnan(column)).all()
    assert math.isfinite(float(np.nansum(found)))

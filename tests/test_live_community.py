"""A simulated community that is decided on step by step: what can be seen of it, what acting does, and what only its oracle knows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from polars.testing import assert_frame_equal
from scipy.stats import poisson

from models.errors import InputError
from models.simulation import ARM_IDS, QUALIFYING, WORLDS, SimulationConfig, World, simulate
from models.simulation_loop import LiveCommunity, Observed, poisson_counts

START, CAMPAIGN_DAYS = date(2025, 1, 1), 60
CONFIG = SimulationConfig(
    members=3_000, days=180, start=START, campaign_days=CAMPAIGN_DAYS, horizons_days=(30,), truth_paths=64, world=WORLDS["strong"]
)
PROPENSITIES = [f"propensity_{arm}" for arm in ARM_IDS]


@cache
def experienced() -> LiveCommunity:
    """On the day after its last campaign; to be forked, not advanced."""
    community = LiveCommunity.found(CONFIG, np.random.default_rng(4))
    community.advance(CAMPAIGN_DAYS)
    return community


@cache
def simulated() -> World:
    """The same community, simulated as a whole; of its truth nothing is asked."""
    return simulate(replace(CONFIG, truth_as_of=()), np.random.default_rng(4))


def everybody(intervention: str) -> pl.DataFrame:
    return experienced().observe().members.select("member_id", intervention=pl.lit(intervention))


def after(intervention: str, days: int = 30) -> LiveCommunity:
    community = experienced().fork()
    community.act(everybody(intervention))
    community.advance(days)
    return community


def came(observed: Observed, since: datetime) -> np.ndarray:
    """Of the members who had joined by then, in their order: was there a qualifying event?"""
    recent = observed.events.filter(pl.col("type").is_in(QUALIFYING) & (pl.col("timestamp") >= since))["member_id"].unique()
    return experienced().observe().members["member_id"].is_in(recent.implode()).to_numpy()


def test_it_stands_at_the_midnight_after_the_days_that_were_lived():
    assert experienced().now == datetime(2025, 3, 2, tzinfo=UTC)
    assert after("none", days=3).now == datetime(2025, 3, 5, tzinfo=UTC)


def test_under_the_logging_policy_it_is_as_active_and_as_touched_as_a_whole_simulated_log():
    observed, whole = experienced().observe(), simulated()
    earlier = pl.col("timestamp") < experienced().now
    assert observed.events.height == pytest.approx(whole.events.filter(earlier).height, rel=0.1)
    assert observed.touches.columns == whole.touches.columns
    assert observed.touches["intervention"].value_counts().sort("intervention")["count"].to_numpy() == pytest.approx(
        whole.touches["intervention"].value_counts().sort("intervention")["count"].to_numpy(), rel=0.25
    )


def test_no_campaign_of_the_logging_policy_runs_once_somebody_else_decides():
    later = experienced().fork()
    later.advance(60)
    assert later.observe().touches.equals(experienced().observe().touches)
    assert simulated().touches["timestamp"].max() < experienced().now


def test_nothing_of_the_time_after_a_moment_is_observed():
    community = after("personal_call")
    then = experienced().now
    assert_frame_equal(community.observe(then).events, experienced().observe().events)
    assert_frame_equal(community.observe(then).touches, experienced().observe().touches)
    assert_frame_equal(community.observe(then).members, experienced().observe().members)
    seen = community.observe(then + timedelta(days=10))
    for log in (seen.events, seen.touches):
        assert log["timestamp"].max() < then + timedelta(days=10)
    assert seen.members["joined"].max() < (then + timedelta(days=10)).date()
    assert set(seen.events["member_id"]) <= set(seen.members["member_id"])


def test_a_moment_that_was_not_lived_yet_cannot_be_observed():
    with pytest.raises(InputError, match="not yet lived; the community stands at 2025-03-02"):
        experienced().observe(experienced().now + timedelta(days=1))
    with pytest.raises(InputError, match="advance it first"):
        LiveCommunity.found(CONFIG, np.random.default_rng(4)).observe()


def test_what_was_assigned_is_in_the_log_with_the_propensities_that_came_with_it():
    told = everybody("group_invitation").with_columns(
        channel=pl.lit("group_chat"), propensity_none=pl.lit(0.3), propensity_group_invitation=pl.lit(0.7)
    )
    community = experienced().fork()
    community.act(told)
    community.advance(1)
    touches = community.observe().touches.filter(pl.col("timestamp") >= experienced().now)
    assert touches.select("member_id", "intervention", "channel", "propensity_none", "propensity_group_invitation").equals(
        told.select("member_id", "intervention", "channel", "propensity_none", "propensity_group_invitation")
    )
    assert touches["delivered"].mean() == pytest.approx(0.85, abs=0.05)
    assert community.observe().touches["touch_id"].is_unique().all()


def test_an_event_or_a_touch_keeps_its_row_as_the_log_grows():
    early, late = after("personal_call", days=5), after("personal_call", days=5)
    late.advance(25)
    for log in ("events", "touches"):
        before, grown = getattr(early.observe(), log), getattr(late.observe(), log)
        assert before.equals(grown.filter(pl.col("timestamp") < early.now))


def test_the_same_past_and_the_same_acts_have_the_same_future():
    one, other = after("comeback_offer"), after("comeback_offer")
    assert one.observe().events.equals(other.observe().events)
    assert np.array_equal(one.oracle(30).retention, other.oracle(30).retention)


def test_what_is_done_for_one_member_changes_no_day_of_another():
    touched = experienced().observe().members["member_id"].gather_every(2)
    community, untouched = experienced().fork(), after("none")
    community.act(pl.DataFrame({"member_id": touched, "intervention": "personal_call"}))
    community.advance(30)
    others = ~experienced().observe().members["member_id"].is_in(touched.implode()).to_numpy()
    one, other = (came(seen.observe(), experienced().now) for seen in (community, untouched))
    assert np.array_equal(one[others], other[others])
    assert not np.array_equal(one[~others], other[~others])


@pytest.mark.parametrize("arm", ["none", "silence_benefit", "comeback_offer", "personal_call"])
def test_as_many_come_back_as_the_oracle_says_under_each_arm(arm):
    expected = experienced().oracle(30).retention[:, ARM_IDS.index(arm)]
    found = came(after(arm).observe(), experienced().now)
    error = np.sqrt((expected * (1 - expected)).sum()) / len(expected)
    assert abs(found.mean() - expected.mean()) < 3.5 * error


def test_the_oracle_knows_whom_an_intervention_brings_back_and_whom_it_drives_away():
    """With the same chance, outcomes under two arms differ on average by the effect: in the best and in the worst tenth."""
    effect = experienced().oracle(30).effects[:, ARM_IDS.index("personal_call")]
    gain = came(after("personal_call").observe(), experienced().now).astype(float) - came(after("none").observe(), experienced().now)
    order = np.argsort(effect)
    tenth = len(order) // 10
    for members in (order[:tenth], order[-tenth:]):
        assert gain[members].mean() == pytest.approx(effect[members].mean(), abs=0.05)
    assert gain[order[:tenth]].mean() < -0.02
    assert gain[order[-tenth:]].mean() > 0.05


def test_looking_ahead_changes_nothing_of_what_comes():
    asked, silent = experienced().fork(), experienced().fork()
    asked.oracle(30)
    for community in (asked, silent):
        community.advance(10)
    assert asked.observe().events.equals(silent.observe().events)


def test_members_spend_about_what_they_are_worth_while_they_are_engaged():
    """Newly joined members are engaged; some of them begin to fade within the month."""
    community = after("none")
    new = (experienced().observe().members["joined"] > date(2025, 2, 1)).to_numpy()
    spent = community.observe().events.filter((pl.col("type") == "purchase") & (pl.col("timestamp") >= experienced().now))
    members = experienced().observe().members.join(spent.group_by("member_id").agg(pl.col("value").sum()), on="member_id", how="left")
    ratio = members["value"].fill_null(0).to_numpy()[new].sum() / experienced().worth(30)[new].sum()
    assert 0.5 < ratio < 1.2


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ({"member_id": ["m0002999"], "intervention": ["none"]}, '"m0002999" cannot be assigned at 2025-03-02'),
        ({"member_id": ["m0000001"], "intervention": ["gift"]}, 'intervention: "gift" cannot be assigned'),
        ({"member_id": ["m0000001"] * 2, "intervention": ["none"] * 2}, '"m0000001" is assigned twice'),
    ],
)
def test_an_impossible_assignment_is_refused(assignments, message):
    with pytest.raises(InputError, match=message):
        experienced().fork().act(pl.DataFrame(assignments))


def test_a_day_has_one_round_of_assignments_and_the_simulation_an_end():
    community = experienced().fork()
    community.act(everybody("none"))
    with pytest.raises(InputError, match="assigned already"):
        community.act(everybody("none"))
    with pytest.raises(InputError, match="121 days: from 1 to 120 can be lived"):
        community.advance(121)


@given(uniform=hnp.arrays(np.float64, 20, elements=st.floats(0, 1, exclude_max=True)), rate=st.floats(2**-10, 30, width=32))
def test_counts_by_inversion_are_the_quantiles_of_the_poisson_distribution(uniform, rate):
    counts = poisson_counts(uniform, np.full(20, rate, dtype=np.float32))
    assert (poisson.cdf(counts, np.float32(rate)) >= uniform * (1 - 1e-9)).all()
    assert ((counts == 0) | (poisson.cdf(counts - 1, np.float32(rate)) <= uniform + 1e-9)).all()

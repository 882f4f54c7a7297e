from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import InputError
from models.simulation import ARM_IDS, QUALIFYING, SimulationConfig, World, simulate, simulate_blocks
from pipelines.simulate import simulate_to, write_simulation

START = date(2025, 1, 1)
CAMPAIGN_DAYS = (56, 91, 126, 161, 196)
SMALL = SimulationConfig(members=600, days=120, start=START, truth_paths=8)
EXPERIMENT = SimulationConfig(
    members=8_000,
    days=240,
    start=START,
    campaign_weeks=1,
    effect_scale=1.5,
    horizons_days=(7, 30),
    truth_as_of=tuple(START + timedelta(days=day) for day in CAMPAIGN_DAYS),
)


@cache
def small() -> World:
    return simulate(SMALL, np.random.default_rng(11))


@cache
def experiment() -> World:
    """Everybody in the audience is assigned every week; the truth stands on five days of assignment."""
    return simulate(EXPERIMENT, np.random.default_rng(5))


@cache
def community() -> World:
    return simulate(SimulationConfig(members=4_000, days=365, start=START), np.random.default_rng(3))


def is_qualifying() -> pl.Expr:
    return pl.col("type").is_in(QUALIFYING)


@cache
def with_silence(simulated: Callable[[], World]) -> pl.DataFrame:
    """The truth, and beside it what happened: `silent` over the horizon, `recent` if active in the 30 days before."""
    world = simulated()
    spans = world.truth.select("member_id", "as_of", "horizon_days").join(
        world.events.filter(is_qualifying()).select("member_id", "timestamp"), on="member_id"
    )
    end = pl.col("as_of") + pl.duration(days="horizon_days")
    came = spans.group_by("member_id", "as_of", "horizon_days").agg(
        came=((pl.col("timestamp") >= pl.col("as_of")) & (pl.col("timestamp") < end)).any(),
        recent=((pl.col("timestamp") < pl.col("as_of")) & (pl.col("timestamp") >= pl.col("as_of") - timedelta(days=30))).any(),
    )
    joined = world.truth.join(came, on=["member_id", "as_of", "horizon_days"], how="left")
    return joined.with_columns(silent=~pl.col("came").fill_null(value=False), recent=pl.col("recent").fill_null(value=False))


@cache
def experiment_rows() -> pl.DataFrame:
    """One row for each assignment on a day of truth: arm, propensities, true effects over 30 days, and the outcome."""
    outcomes = with_silence(experiment).filter(pl.col("horizon_days") == 30)
    return experiment().touches.with_columns(as_of=pl.col("timestamp").dt.truncate("1d")).join(outcomes, on=["member_id", "as_of"])


def clustered_error(members: pl.Series, deviations: np.ndarray) -> float:
    """Standard error of the mean of `deviations`, whose rows are dependent within a member."""
    sums = pl.DataFrame({"member": members, "deviation": deviations - deviations.mean()}).group_by("member").sum()["deviation"].to_numpy()
    return float(np.sqrt((sums**2).sum()) / len(deviations))


@pytest.mark.parametrize("horizon_days", [7, 30])
def test_members_fall_silent_as_often_as_their_true_risk_says(horizon_days):
    rows = with_silence(experiment).filter(pl.col("horizon_days") == horizon_days)
    edges = np.quantile(rows["true_risk"], np.linspace(0.1, 0.9, 9))
    for group in rows.with_columns(bin=np.digitize(rows["true_risk"], edges)).partition_by("bin"):
        deviations = (group["silent"].cast(pl.Float64) - group["true_risk"]).to_numpy()
        assert abs(deviations.mean()) < 4 * clustered_error(group["member_id"], deviations) + 0.002


def test_the_true_risk_holds_over_ninety_days_and_across_later_campaigns():
    rows = with_silence(community).filter((pl.col("horizon_days") == 90) & (pl.col("as_of") <= datetime(2025, 10, 3, tzinfo=UTC)))
    for group in rows.filter("recent").with_columns(high=pl.col("true_risk") > 0.2).partition_by("high"):
        deviations = (group["silent"].cast(pl.Float64) - group["true_risk"]).to_numpy()
        assert abs(deviations.mean()) < 4 * clustered_error(group["member_id"], deviations)


def weighted_outcome(rows: pl.DataFrame, arm: str) -> np.ndarray:
    """Unbiased for the effect of `arm` on each row: inverse propensity weights on the outcome, less the true risk as control variate."""
    weight = {name: (rows["intervention"] == name).to_numpy() / rows[f"propensity_{name}"].to_numpy() for name in (arm, "none")}
    surprise = (rows["true_risk"] - rows["silent"].cast(pl.Float64)).to_numpy()
    return (weight[arm] - weight["none"]) * surprise


@pytest.mark.parametrize("arm", [name for name in ARM_IDS if name != "none"])
def test_propensity_weighting_of_the_log_finds_the_true_average_effects(arm):
    rows = experiment_rows()
    deviations = weighted_outcome(rows, arm) - rows[f"effect_{arm}"].to_numpy()
    assert abs(deviations.mean()) < 4 * clustered_error(rows["member_id"], deviations)


def test_members_differ_in_their_response_as_the_true_effects_say():
    """The slope of the weighted outcome on the true effect, over members and interventions, is 1 and not 0."""
    rows, arms = experiment_rows(), [name for name in ARM_IDS if name not in ("none", "question", "recognition_badge")]
    effect = np.concatenate([rows[f"effect_{arm}"].to_numpy() for arm in arms])
    outcome = np.concatenate([weighted_outcome(rows, arm) for arm in arms])
    slope = (effect @ outcome) / (effect @ effect)
    members = pl.concat([rows["member_id"]] * len(arms))
    error = clustered_error(members, effect * (outcome - slope * effect)) * len(effect) / (effect @ effect)
    assert error < 0.2
    assert abs(slope - 1) < 3 * error


def test_assignment_is_confounded_so_a_plain_comparison_of_arms_misleads():
    rows = experiment_rows()
    risk = {arm: rows.filter(pl.col("intervention") == arm)["true_risk"].mean() for arm in ("none", "comeback_offer", "recognition_badge")}
    assert risk["comeback_offer"] > risk["none"] + 0.05
    assert risk["recognition_badge"] < risk["none"]


def test_propensities_sum_to_one_and_keep_every_arm_possible():
    propensities = experiment().touches.select(pl.col("^propensity_.*$"))
    assert propensities.columns == [f"propensity_{arm}" for arm in ARM_IDS]
    assert np.allclose(propensities.sum_horizontal(), 1, atol=1e-12)
    assert propensities.to_numpy().min() >= 0.2 / len(ARM_IDS) - 1e-6


@pytest.mark.parametrize("arm", ARM_IDS)
def test_arms_are_assigned_as_often_as_their_propensities_say(arm):
    touches = experiment().touches.with_columns(assigned=pl.col("intervention") == arm, p=pl.col(f"propensity_{arm}"))
    for group in touches.with_columns(likely=pl.col("p") > pl.col("p").median()).partition_by("likely"):
        error = np.sqrt((group["p"] * (1 - group["p"])).sum()) / group.height
        assert abs(group["assigned"].mean() - group["p"].mean()) < 4 * error


def test_some_interventions_do_nothing_and_some_members_react_badly():
    month = community().truth.filter(pl.col("horizon_days") == 30)
    assert (month["effect_question"] == 0).all()
    assert (month["effect_recognition_badge"] == 0).all()
    for arm in ("silence_benefit", "group_invitation", "personal_call"):
        assert month[f"effect_{arm}"].mean() > 0.005
    young = month.join(community().members.filter(pl.col("birthday") > date(2000, 6, 1)), on="member_id")
    assert young["effect_personal_call"].mean() < -0.005
    assert young["effect_group_invitation"].mean() > 0.005


def test_effects_vanish_when_they_are_scaled_to_nothing():
    world = simulate(replace(SMALL, effect_scale=0.0), np.random.default_rng(1))
    assert (world.truth.select(pl.col("^effect_.*$")).to_numpy() == 0).all()


def test_risk_is_spread_out_and_a_month_of_silence_is_neither_rare_nor_common():
    recent = with_silence(community).filter(pl.col("recent") & (pl.col("horizon_days") == 30))
    assert 0.15 < recent["true_risk"].mean() < 0.30
    counts = recent["true_risk"].hist(bins=[-1e-9, 0.05, 0.2, 0.4, 0.6, 1.0])["count"]
    assert (counts / recent.height > 0.05).all()


def test_the_risk_of_active_members_is_the_same_from_cut_to_cut():
    recent = with_silence(community).filter(pl.col("recent") & (pl.col("horizon_days") == 30))
    by_cut = recent.group_by("as_of").agg(pl.col("true_risk").mean(), error=pl.col("true_risk").std() / pl.len().sqrt())
    assert by_cut["true_risk"].max() - by_cut["true_risk"].min() < 0.01 + 3 * by_cut["error"].max()


def test_a_longer_silence_is_never_more_likely_than_a_shorter_one():
    for one, next_one in pairwise(community().truth.partition_by("horizon_days", maintain_order=True)):
        assert (next_one["true_risk"].to_numpy() <= one["true_risk"].to_numpy() + 0.01).mean() > 0.99


def test_members_join_at_one_rate_through_the_whole_period():
    joined = community().members["joined"]
    assert (joined < START).any()
    by_quarter = joined.filter(joined >= START).dt.quarter().value_counts()["count"]
    expected = 4_000 * 365 / (365 + 540) / 4
    assert ((by_quarter - expected).abs() < 4 * np.sqrt(expected)).all()


def test_activity_is_unequal():
    counts = community().events.group_by("member_id").len()["len"].sort(descending=True)
    assert counts.head(counts.len() // 10).sum() > 0.35 * counts.sum()


def test_logs_are_sorted_and_stay_within_the_period():
    world, opening = small(), datetime(2025, 1, 1, tzinfo=UTC)
    for log in (world.events, world.touches):
        assert_frame_equal(log, log.sort("member_id", "timestamp", maintain_order=True))
        assert log["timestamp"].min() >= opening
        assert log["timestamp"].max() < opening + timedelta(days=SMALL.days)
    assert world.events["event_id"].n_unique() == world.events.height
    assert world.touches["touch_id"].n_unique() == world.touches.height


def test_nobody_acts_or_is_contacted_before_joining():
    for log in (small().events, small().touches):
        dated = log.join(small().members, on="member_id")
        assert dated.height == log.height
        assert (dated["timestamp"].dt.date() >= dated["joined"]).all()


def test_only_purchases_have_a_value_and_some_of_them_lack_it():
    purchases = pl.col("type") == "purchase"
    assert community().events.filter(~purchases)["value"].is_null().all()
    missing = community().events.filter(purchases)["value"].is_null().mean()
    assert 0.04 < missing < 0.06
    assert community().events["value"].min() > 0


def test_attributes_of_members_are_missing_as_often_as_declared():
    for name in ("birthday", "region", "acquired_through"):
        assert 0.13 < community().members[name].is_null().mean() < 0.17
    assert community().members["joined"].null_count() == 0


def test_doing_nothing_has_no_channel_and_is_never_delivered():
    none = small().touches["intervention"] == "none"
    assert small().touches.filter(none)["channel"].is_null().all()
    assert not small().touches.filter(none)["delivered"].any()
    assert small().touches.filter(~none)["channel"].null_count() == 0


def test_more_actions_in_a_visit_make_a_longer_log_and_change_no_risk():
    busy = simulate(replace(SMALL, actions_per_visit=8.0), np.random.default_rng(11))
    assert busy.events.height > 3 * small().events.height
    assert abs(busy.truth["true_risk"].mean() - small().truth["true_risk"].mean()) < 0.05


def test_the_same_seed_gives_the_same_world_and_another_seed_another():
    again, other = (simulate(SMALL, np.random.default_rng(seed)) for seed in (11, 12))
    for table in fields(World):
        assert_frame_equal(getattr(again, table.name), getattr(small(), table.name))
        assert not getattr(other, table.name).equals(getattr(small(), table.name))


def test_dates_of_truth_leave_the_logs_as_they_are():
    blind = simulate(replace(SMALL, truth_as_of=()), np.random.default_rng(11))
    assert blind.truth.is_empty()
    assert blind.truth.schema == small().truth.schema
    for name in ("events", "members", "touches"):
        assert_frame_equal(getattr(blind, name), getattr(small(), name))


def test_blocks_number_members_events_and_touches_through():
    config = replace(SMALL, block_members=250)
    whole, blocks = simulate(config, np.random.default_rng(2)), list(simulate_blocks(config, np.random.default_rng(2)))
    assert [block.members.height for block in blocks] == [250, 250, 100]
    assert whole.members["member_id"].to_list() == [f"m{number:07d}" for number in range(600)]
    assert whole.events["event_id"][-1] == f"e{whole.events.height - 1:010d}"
    assert whole.events["member_id"].is_sorted()


@settings(max_examples=15, deadline=None)
@given(members=st.integers(1, 30), days=st.integers(1, 40), history_days=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_any_small_community_can_be_simulated(members, days, history_days, seed):
    config = SimulationConfig(members=members, days=days, start=START, history_days=history_days, truth_paths=2, horizons_days=(3,))
    world = simulate(config, np.random.default_rng(seed))
    assert world.members.height == members
    assert world.truth["true_risk"].is_between(0, 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 0}, "simulation.members: got 0"),
        ({"actions_per_visit": 0.5}, "simulation.actions_per_visit: got 0.5"),
        ({"truth_paths": 7}, "an even number"),
        ({"missing_values": 1.2}, "a share from 0 to 1"),
        ({"truth_as_of": (date(2026, 1, 1),)}, "a date from 2025-01-01 to 2025-05-01"),
    ],
)
def test_an_impossible_configuration_is_refused_with_its_bounds(change, message):
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)


def test_files_hold_the_world_and_the_same_seed_writes_the_same_bytes(tmp_path: Path):
    config = replace(SMALL, block_members=250)
    one, two = (write_simulation(tmp_path / name, config, seed=11) for name in ("one", "two"))
    world = simulate(config, np.random.default_rng(11))
    for table in fields(World):
        path = getattr(one, table.name)
        assert_frame_equal(pl.read_parquet(path), getattr(world, table.name))
        assert path.read_bytes() == getattr(two, table.name).read_bytes()
    assert one.event_rows == world.events.height
    assert one.touch_rows == world.touches.height


def test_a_folder_with_files_is_overwritten_only_when_told_so(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("kept")
    with pytest.raises(InputError, match="the folder is not empty"):
        simulate_to(tmp_path, members=20, days=20, seed=1)
    files = simulate_to(tmp_path, members=20, days=20, seed=1, overwrite=True)
    assert pl.read_parquet(files.members).height == 20
    assert (tmp_path / "notes.txt").read_text() == "kept"

"""What a world declares to be planted is found in its truth and in its log."""

import json
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.errors import InputError
from models.simulation import ARM_IDS, QUALIFYING, WORLDS, SimulationConfig, World, simulate
from models.simulation_worlds import ARMS, DRIVERS
from pipelines.simulate import simulate_to, write_simulation

START, DAYS, CHANGE_DAY = date(2025, 1, 1), 120, 84
CAMPAIGN_DAYS, QUIET_DAY = (56, 63, 91), 57
INTERVENTIONS = [name for name in ARM_IDS if name != "none"]
HELPFUL = [name for name in INTERVENTIONS if name not in ("question", "recognition_badge")]
each_world = pytest.mark.parametrize("name", WORLDS)


@cache
def world(name: str) -> World:
    """Campaigns for everybody every week; the truth on three days of campaigns, one of them late, and on a day without."""
    config = SimulationConfig(
        members=2_500,
        days=DAYS,
        start=START,
        campaign_weeks=1,
        horizons_days=(1, 30),
        truth_as_of=tuple(START + timedelta(days=day) for day in (*CAMPAIGN_DAYS, QUIET_DAY)),
        truth_paths=16,
        world=WORLDS[name],
    )
    return simulate(config, np.random.default_rng(8))


def month(name: str) -> pl.DataFrame:
    return world(name).truth.filter(pl.col("horizon_days") == 30)


def spread(name: str) -> float:
    return float(np.mean([month(name)[f"effect_{arm}"].std() for arm in HELPFUL]))


@each_world
def test_every_world_offers_the_same_interventions(name):
    effects = [column.removeprefix("effect_") for column in world(name).truth.columns if column.startswith("effect_")]
    assert effects == INTERVENTIONS
    assert set(world(name).touches["intervention"].unique()) == set(ARM_IDS)


@each_world
def test_a_world_names_no_driver_and_no_intervention_that_does_not_exist(name):
    plan = WORLDS[name]
    for weights in (plan.preferences, *(regime.shifts for regime in plan.regimes)):
        assert set(weights) <= set(ARM_IDS)
        assert {driver for drivers in weights.values() for driver in drivers} <= set(DRIVERS)
    assert all("none" not in regime.shifts for regime in plan.regimes)


def test_effects_are_larger_in_the_strong_world_and_smaller_in_the_weak_one():
    assert spread("strong") > 1.6 * spread("mixed")
    assert spread("weak") < 0.5 * spread("mixed")


def shifts_on_delivery(name: str, arm: str) -> np.ndarray:
    """Shift of the log visits per day, of those who may well come: log(log(silence if delivered) / log(silence)) over one day."""
    day = world(name).truth.filter(
        (pl.col("horizon_days") == 1) & (pl.col("as_of").dt.date() == START + timedelta(days=QUIET_DAY)) & (pl.col("true_risk") < 0.99)
    )
    delivery = next(declared.delivery for declared in ARMS if declared.id == arm)
    untouched = day["true_risk"].to_numpy()
    return np.log(np.log(untouched - day[f"effect_{arm}"].to_numpy() / delivery) / np.log(untouched))


@pytest.mark.parametrize("arm", HELPFUL)
def test_without_heterogeneity_an_intervention_shifts_the_log_visits_of_everybody_by_what_is_declared(arm):
    found = shifts_on_delivery("no_heterogeneity", arm)
    declared = WORLDS["no_heterogeneity"].first.shifts[arm]["constant"]
    assert found == pytest.approx(np.full(len(found), declared), rel=0.1)
    assert found.mean() == pytest.approx(declared, rel=0.01)
    assert shifts_on_delivery("mixed", arm).std() > 0.1


def test_the_harmful_invitation_costs_members_on_average_and_the_young_many():
    harm = month("harmful").join(world("harmful").members, on="member_id")
    assert harm["effect_group_invitation"].mean() < -0.02
    assert harm.filter(pl.col("birthday") > date(2000, 6, 1))["effect_group_invitation"].mean() < -0.08
    assert harm["effect_silence_benefit"].mean() > 0.005
    assert month("mixed")["effect_group_invitation"].mean() > 0.005


def test_in_the_contrary_world_the_riskiest_are_driven_away_by_what_keeps_the_others():
    truth = month("contrary")
    risk, kept = truth["true_risk"].to_numpy(), [f"effect_{arm}" for arm in ("silence_benefit", "comeback_offer", "personal_call")]
    effect = truth.select(pl.mean_horizontal(kept)).to_series().to_numpy()
    riskiest, safest = risk >= np.quantile(risk, 0.9), risk < np.median(risk)
    assert effect[riskiest].mean() < -0.005 < 0.005 < effect[safest].mean()
    assert truth.filter(pl.Series(riskiest))["effect_recognition_badge"].abs().max() == 0


def outcomes(name: str) -> pl.DataFrame:
    """Assignments on the days of truth, with the true effects over 30 days, and whether the member came within them."""
    touches = world(name).touches.with_columns(as_of=pl.col("timestamp").dt.truncate("1d")).join(month(name), on=["member_id", "as_of"])
    visits = world(name).events.filter(pl.col("type").is_in(QUALIFYING)).select("member_id", at="timestamp")
    later = touches.select("touch_id", "member_id", "as_of").join(visits, on="member_id")
    came = later.filter(pl.col("at").is_between("as_of", pl.col("as_of") + timedelta(days=30), closed="left"))["touch_id"].unique()
    return touches.with_columns(retained=pl.col("touch_id").is_in(came.implode()))


def test_in_the_confounded_world_what_helps_looks_harmful():
    rows = outcomes("confounded")
    untouched = rows.filter(pl.col("intervention") == "none")["retained"].mean()
    for arm in HELPFUL:
        assert rows[f"effect_{arm}"].mean() > 0.005
        assert rows.filter(pl.col("intervention") == arm)["retained"].mean() < untouched - 0.05


@each_world
def test_propensities_are_written_but_for_the_confounded_world(name):
    written = [column for column in world(name).touches.columns if column.startswith("propensity_")]
    assert written == ([] if name == "confounded" else [f"propensity_{arm}" for arm in ARM_IDS])


def test_in_the_rare_world_few_of_the_active_members_fall_silent():
    shares = {name: outcomes(name)["retained"].mean() for name in ("mixed", "rare")}
    assert 1 - shares["mixed"] > 0.15
    assert 0.01 < 1 - shares["rare"] < 0.07


def test_in_the_drifting_world_effects_turn_on_the_declared_day():
    change = pl.lit(START + timedelta(days=CHANGE_DAY))
    early, late = (month("drifting").filter(holds) for holds in (pl.col("as_of").dt.date() < change, pl.col("as_of").dt.date() >= change))
    assert early["effect_silence_benefit"].mean() > 0.005
    assert late["effect_silence_benefit"].mean() < -0.005
    assert (early["effect_recognition_badge"] == 0).all()
    assert late["effect_recognition_badge"].mean() > 0.01


def test_in_the_drifting_world_people_come_less_after_the_declared_day_and_as_usual_before():
    """Beside the mixed world of the same seed, which is the same until that day."""
    at = pl.col("timestamp").dt.date() < START + timedelta(days=CHANGE_DAY)
    drifting, mixed = (world(name).events for name in ("drifting", "mixed"))
    assert drifting.filter(at).select("member_id", "timestamp").equals(mixed.filter(at).select("member_id", "timestamp"))
    assert drifting.filter(~at).height < 0.9 * mixed.filter(~at).height


def test_the_file_beside_the_tables_says_what_is_planted_and_when_it_changes(tmp_path: Path):
    files = simulate_to(tmp_path, members=200, days=200, seed=1, world="drifting", start=START)
    planted = json.loads(files.planted.read_text())
    assert planted["world"] == "drifting"
    assert planted["change_on"] == (START + timedelta(days=140)).isoformat() == planted["regimes"][1]["from"]
    assert planted["regimes"][1]["shifts"]["recognition_badge"] == {"constant": 0.4}
    first, *_ = planted["average_effects"]
    rows = pl.read_parquet(files.truth).filter(
        (pl.col("as_of").dt.date() == date.fromisoformat(first["as_of"])) & (pl.col("horizon_days") == first["horizon_days"])
    )
    assert first["members"] == rows.height
    assert first["effect_personal_call"] == pytest.approx(rows["effect_personal_call"].mean(), abs=1e-6)


def test_what_is_planted_is_written_by_the_byte_again(tmp_path: Path):
    config = SimulationConfig(members=300, days=60, start=START, truth_paths=2, block_members=100, world=WORLDS["harmful"])
    one, two = (write_simulation(tmp_path / name, config, seed=3) for name in ("one", "two"))
    assert one.planted.read_bytes() == two.planted.read_bytes()


def test_a_world_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path):
    with pytest.raises(InputError, match='"rosy" is no world that can be simulated; there are mixed, strong, weak'):
        simulate_to(tmp_path, members=10, days=10, seed=1, world="rosy")


def test_worlds_have_different_names_and_each_says_what_is_planted():
    assert all(name == plan.name and len(plan.planted) > 20 for name, plan in WORLDS.items())
    assert len({plan.planted for plan in WORLDS.values()}) == len(WORLDS)

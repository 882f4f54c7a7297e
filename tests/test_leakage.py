"""Columns that know the future are found by what they tell of it, whatever they are called."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from models.intake import read_log
from tests.written_logs import NOW, declared

DAY = 86_400
START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
MEMBERS, DAYS, HORIZON = 600, 240, 30
SOURCE = {"path": "members.parquet", "member": "member", "joined": "joined"}


@pytest.fixture
def world(rng):
    """Posts of members with unequal rates who leave at a constant hazard, and the rate itself, which is known at joining."""
    rate = np.exp(rng.normal(-1.5, 0.8, MEMBERS))
    joined = rng.uniform(0, DAYS - 10, MEMBERS)
    left = np.minimum(joined + rng.exponential(120, MEMBERS), DAYS)
    number = rng.poisson(rate * (left - joined))
    member = np.repeat(np.arange(MEMBERS), number)
    at = rng.uniform(joined[member], left[member])
    events = pl.DataFrame({"member": member, "time": START + (at * DAY).astype(int)}).cast({"member": pl.String})
    last = np.full(MEMBERS, np.nan)
    np.fmax.at(last, member, at)
    columns = pl.DataFrame(
        {
            "member": np.arange(MEMBERS).astype(str),
            "joined": START + (joined * DAY).astype(int),
            "taste": rng.normal(size=MEMBERS) + 0.3 * np.log(rate),
            "region": rng.choice(["north", "south"], MEMBERS),
            "born": rng.integers(START - 60 * 365 * DAY, START - 20 * 365 * DAY, MEMBERS),
            "points": number,
            "noisy": number * rng.lognormal(0, 0.3, MEMBERS),
            "seen": pl.Series(START + np.nan_to_num(last) * DAY).cast(pl.Int64).cast(pl.String),
            "state": np.where(last > DAYS - HORIZON, "on", "off"),
            "ended": pl.Series(np.where(left < DAYS, "2025-06-01", "")).replace("", None),
        }
    )
    return events, columns


def leaking(folder, world, attributes=()):
    events, columns = world
    events.write_parquet(folder / "events.parquet")
    columns.write_parquet(folder / "members.parquet")
    churn = {"horizons_days": [HORIZON], "active_days": HORIZON}
    return read_log(declared("events.parquet", members=SOURCE | {"attributes": list(attributes)}, churn=churn), folder, now=NOW)


def test_totals_last_visits_and_final_states_are_found_and_what_was_known_at_joining_is_not(tmp_path, world):
    assert {leak.column for leak in leaking(tmp_path, world).leaks} == {"points", "noisy", "seen", "state", "ended"}


def test_a_leaking_column_is_an_error_where_it_is_declared_and_a_warning_where_it_is_not(tmp_path, world):
    findings = leaking(tmp_path, world, ["points", "region"]).findings
    levels = {finding.column: finding.level for finding in findings if "tells what members did later" in finding.message}
    assert levels == {"points": "error", "noisy": "warning", "seen": "warning", "state": "warning", "ended": "warning"}


def test_attributes_stay_with_the_members_of_the_log(tmp_path, world):
    members = leaking(tmp_path, world, ["region"]).log.members
    assert members.columns == ["member_id", "joined", "region"]
    assert members["member_id"].is_sorted()


def test_the_edit_count_at_the_end_of_the_spanish_newcomers_is_found_and_their_wiki_is_not(shared_data):
    folder = shared_data / "wikipedia_newcomers_es"
    source = {"path": "members_es.csv.gz", "member": "member_id", "joined": "registered"}
    for horizon in (7, 28):
        churn = {"horizons_days": [horizon], "horizon_days": horizon, "active_days": 28}
        log = {"member": "member_id", "type_is": "post"}
        intake = read_log(declared("edits_es.csv.gz", log=log, members=source, churn=churn), folder, now=NOW)
        assert [leak.column for leak in intake.leaks] == ["edit_count_at_query"]
        assert (intake.log.events.height, intake.log.members.height) == (35_181, 34_357)

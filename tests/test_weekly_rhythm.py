"""A community that lives by the week has not drifted because it is another weekday than on the day of the test."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift import shift_of, shifts_of
from models.drift_figures import drift_figures
from models.events import event_arrays
from models.moments import microseconds
from models.readings import feature_drift, score_drift
from models.schedule import Watch
from models.watched_model import ModelWatch, same_hour_of_the_week, weights_of
from tests.serving_world import world

WATCH = Watch()
TESTED = datetime(2025, 6, 19, tzinfo=UTC)
MONDAYS = [TESTED + timedelta(days=days) for days in (18, 25)]
WEEK = [TESTED + timedelta(days=days) for days in range(24, 31)]
moments = st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))


def watching(*wanted, changed=TESTED):
    """Of the simulated community, had its members come from Friday to Sunday alone, and since `changed` only as `wanted` says."""
    at = pl.col("timestamp")
    events = world().log.events.filter(at.dt.weekday() >= 5, *((at < changed) | one for one in wanted))
    return ModelWatch.of(world().engine, event_arrays(replace(world().log, events=events), world().engine.community), WEEK[-1])


@pytest.fixture(scope="module")
def weekly():
    return watching()


def readings(watch, as_of):
    moved = watch.moved(as_of, rng=np.random.default_rng(1))
    return feature_drift(moved.features, WATCH), score_drift(moved.score, WATCH)


def test_the_rhythm_is_such_that_another_weekday_looks_like_drift(weekly):
    """The test began on a Thursday."""
    engine = weekly.engine
    asked = [weekly.asked(microseconds(at)) for at in (TESTED, *MONDAYS)]
    thursday, *mondays = (engine.features(weekly.events, one) for one in asked)
    for monday in mondays:
        assert feature_drift(shifts_of(engine.names, thursday, monday, weights_of(engine, thursday)), WATCH).status == "alarm"


@pytest.mark.parametrize("as_of", WEEK, ids="{:%A}".format)
def test_no_weekday_raises_an_alarm_where_nothing_but_the_weekday_changed(weekly, as_of):
    features, _ = readings(weekly, as_of)
    assert features.status == "ok"


def test_members_are_compared_with_those_of_the_same_weekday_near_the_test(weekly):
    told = drift_figures(weekly.engine, weekly.events, MONDAYS[0], WATCH)
    assert (told.since, told.as_of) == (TESTED - timedelta(days=3), MONDAYS[0])
    assert not any(column.notable for column in told.columns)


def test_an_event_type_that_is_lost_is_seen_on_every_weekday():
    lost = watching(pl.col("type") != "comment")
    assert {readings(lost, as_of)[0].status for as_of in WEEK} == {"alarm"}


def test_members_who_come_a_third_as_often_are_seen_on_every_weekday():
    quiet = watching(pl.int_range(pl.len()) % 3 == 0)
    assert {readings(quiet, as_of)[0].status for as_of in WEEK} == {"alarm"}


def test_a_log_that_tells_the_past_otherwise_than_it_did_at_the_test_is_seen_by_the_risks():
    """Without reactions from its first day on, the log is the same at both times; the risks of the test are not."""
    other = watching(pl.col("type") != "reaction", changed=datetime(2024, 1, 1, tzinfo=UTC))
    features, risks = readings(other, TESTED + timedelta(days=28))
    assert (features.status, risks.status) == ("ok", "alarm")


def test_a_change_of_the_past_is_not_hidden_by_what_chance_does_with_few_members():
    other = watching(pl.col("type") != "reaction", changed=datetime(2024, 1, 1, tzinfo=UTC))
    few = replace(other.sides(TESTED), risk_before=np.linspace(0.1, 0.6, 6), risk_after=np.full(6, 0.9))
    between = shift_of("risk", few.risk_before, few.risk_after)
    told = other.score(few)
    assert told.psi < between.psi < between.chance
    assert told.beyond(WATCH.score_psi)


@given(moments, moments, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York"]))
def test_both_times_show_the_same_weekday_and_clock_at_most_half_a_week_from_the_test(as_of, tested, zone):
    since = same_hour_of_the_week(as_of, tested, ZoneInfo(zone))
    clock = as_of.astimezone(ZoneInfo(zone))
    assert (since.weekday(), since.time()) == (clock.weekday(), clock.time())
    away = tested.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - since.replace(tzinfo=None)
    assert abs(away) <= timedelta(days=3.5)


def test_the_day_of_the_test_is_compared_with_itself():
    assert same_hour_of_the_week(TESTED, TESTED, ZoneInfo("Europe/Berlin")) == TESTED

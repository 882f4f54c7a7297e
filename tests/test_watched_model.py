"""A model is watched: what came true beside what it led to expect, and what moved; alarms need size, and more than chance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.drift import Shift
from models.errors import NotEnoughData
from models.events import event_arrays
from models.foreseen import foresee
from models.intervals import Estimate
from models.moments import microseconds
from models.readings import feature_drift, freshness, rejected_rows, score_drift
from models.schedule import Watch
from models.watched_model import ModelWatch, Moved, model_readings, weights_of
from tests.serving_world import world

WATCH = Watch()
AS_OF = datetime(2025, 7, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def events():
    return event_arrays(world().log, world().engine.community)


@pytest.fixture(scope="module")
def watching(events):
    return ModelWatch.of(world().engine, events, AS_OF)


@pytest.fixture(scope="module")
def matured(watching):
    return watching.matured(rng=np.random.default_rng(1))


def by_name(readings):
    return {reading.name: reading for reading in readings}


def test_what_came_true_is_measured_at_the_last_midnight_whose_outcome_is_known(matured):
    """The log ends on the evening of 19 July."""
    assert [(one.horizon_days, one.as_of.date().isoformat()) for one in matured] == [(14, "2025-07-05"), (30, "2025-06-19")]
    assert all(one.out_of_time for one in matured)


def test_nothing_after_as_of_is_looked_at(events, matured):
    """A month earlier, as if the log had ended then."""
    earlier = ModelWatch.of(world().engine, events, AS_OF - timedelta(days=30)).matured(rng=np.random.default_rng(1))
    assert [one.as_of.date().isoformat() for one in earlier] == ["2025-06-06", "2025-05-21"]
    assert [one.out_of_time for one in earlier] == [False, False]
    assert earlier[1].seen.n != matured[1].seen.n


def test_the_figures_are_those_of_the_evaluation(matured):
    """The 30 days are those that the engine was tested on."""
    main = matured[1]
    assert main.as_of == world().engine.provenance.trained_through
    assert main.seen.n == len(world().engine.reference.probabilities)
    assert main.expected.churn_rate.value == pytest.approx(world().engine.reference.probabilities.mean(), abs=1e-6)


def test_a_model_that_is_as_it_was_raises_no_alarm(watching, matured):
    readings = model_readings(WATCH, watching.moved(AS_OF, rng=np.random.default_rng(1)), matured)
    assert {reading.status for reading in readings} == {"ok"}
    of_outcomes = [f"{what}_{days}d" for days in (14, 30) for what in ("auc", "log_loss", "calibration")]
    assert [reading.name for reading in readings] == ["feature_drift", "score_drift", "foreseen_auc", *of_outcomes]


def test_a_model_compared_with_its_own_test_has_not_moved(watching):
    moved = watching.moved(world().engine.provenance.trained_through, rng=np.random.default_rng(1))
    assert {shift.psi for shift in moved.features} == {0.0}
    assert moved.score.psi == pytest.approx(0, abs=1e-9)
    assert moved.foreseen.auc.value == pytest.approx(moved.reference_auc)


def test_features_are_weighed_by_what_the_model_rests_on(events, watching):
    engine = world().engine
    tested = watching.asked(microseconds(engine.provenance.trained_through))
    weights = weights_of(engine, engine.features(events, tested))
    assert weights.shape == (len(engine.names),)
    assert 0.5 < weights.sum() <= 1
    assert weights[weights > 0].min() >= 0.01


def test_where_nobody_is_there_to_ask_about_that_is_said(events):
    late = ModelWatch.of(world().engine, events, AS_OF)
    with pytest.raises(NotEnoughData, match="nobody was active in the 30 days before 2026-07-20"):
        late.moved(AS_OF + timedelta(days=365), rng=np.random.default_rng(1))
    (drift, *_) = model_readings(WATCH, None, ())
    assert (drift.name, drift.status) == ("feature_drift", "unknown")


def outcome(matured, **seen):
    return (replace(matured[1], seen=replace(matured[1].seen, **seen)),)


def nothing_moved():
    still = Shift("risk", 0.0, 0.1)
    risk = np.linspace(0.01, 0.9, 500)
    return Moved((still,), still, foresee(risk, rng=np.random.default_rng(0)), 0.8)


def alarms(one):
    return {name for name, reading in by_name(model_readings(WATCH, None, one)).items() if reading.status == "alarm"}


def test_an_auc_far_below_the_expected_one_raises_an_alarm(matured):
    expected = matured[1].expected.auc
    low = expected.value - 0.2
    assert alarms(outcome(matured, auc=Estimate(low, low - 0.02, low + 0.02))) == {"auc_30d"}


def test_an_auc_that_chance_explains_raises_none(matured):
    """Below the expected one by more than the threshold, and within what outcomes drawn from the risks give."""
    expected = matured[1].expected.auc
    within = expected.lower
    assert expected.value - within > WATCH.auc_drop
    assert alarms(outcome(matured, auc=Estimate(within, within, within))) == set()


def test_more_members_who_went_than_foretold_raise_an_alarm_whichever_way(matured):
    rate = matured[1].expected.churn_rate.value
    assert alarms(outcome(matured, base_rate=rate + 0.25)) == {"calibration_30d"}
    assert alarms(outcome(matured, base_rate=max(rate - 0.25, 0.0))) == {"calibration_30d"}
    assert alarms(outcome(matured, base_rate=rate + 0.01)) == set()


def test_risks_that_are_too_sure_raise_an_alarm(matured):
    high = matured[1].expected.log_loss.value + 0.5
    assert alarms(outcome(matured, log_loss=Estimate(high, high, high))) == {"log_loss_30d"}


def test_features_that_moved_by_chance_or_little_raise_none():
    still = (Shift("x", 0.3, 0.5), Shift("y", 0.2, 0.1))
    assert feature_drift(still, WATCH).status == "ok"
    drift = feature_drift((Shift("z", 0.4, 0.1, 0.25), *still), WATCH)
    assert (drift.status, drift.value) == ("alarm", 0.4)
    assert drift.said == "1 of 3 measures that the model rests on has moved, 25% of its weight; the largest index is 0.40"


def test_a_model_that_rests_on_no_feature_has_none_that_moved():
    assert (feature_drift((), WATCH).status, feature_drift((), WATCH).value) == ("ok", 0.0)


def test_scores_that_moved_raise_an_alarm_and_say_what_chance_would_leave():
    assert score_drift(Shift("risk", 0.3, 0.1), WATCH).status == "alarm"
    assert score_drift(Shift("risk", 0.3, 0.1), WATCH).interval == (0.0, 0.1)
    assert score_drift(Shift("risk", 0.2, 0.1), WATCH).status == "ok"


def test_a_model_that_tells_members_less_apart_than_it_did_is_noticed_before_outcomes_are_known():
    moved = nothing_moved()
    assert by_name(model_readings(WATCH, moved, ()))["foreseen_auc"].status == "ok"
    flat = replace(moved, foreseen=foresee(np.linspace(0.4, 0.5, 2000), rng=np.random.default_rng(0)))
    assert by_name(model_readings(WATCH, flat, ()))["foreseen_auc"].status == "alarm"


@pytest.mark.parametrize(("hours", "status"), [(0, "ok"), (24, "ok"), (24.1, "alarm")])
def test_a_log_that_ended_too_long_ago_is_stale(hours, status):
    reading = freshness(AS_OF - timedelta(hours=hours), AS_OF, WATCH)
    assert (reading.status, reading.value, bool(reading.todo)) == (status, hours, status == "alarm")


@pytest.mark.parametrize(("rejected", "status"), [(0, "ok"), (5, "ok"), (6, "alarm")])
def test_rejected_rows_are_a_share_of_all_rows(rejected, status):
    reading = rejected_rows("rejected", rejected, 100, WATCH)
    assert (reading.status, reading.value) == (status, rejected / 100)
    assert rejected_rows("rejected", 0, 0, WATCH).value == 0

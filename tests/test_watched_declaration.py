"""What is declared otherwise than when the model in force was trained is told, for it is not done yet."""

from dataclasses import replace

import pytest

from models.watched_declaration import declared_otherwise, declared_reading
from pipelines.monitor import monitor
from pipelines.workspace import Workspace
from tests.planted import community, intervention
from tests.serving_world import DECLARED, NOW, world, write_home, write_logs

CALL, NUDGE, BADGE = (intervention(name) for name in ("call", "nudge", "badge"))
TRAINED = community(CALL, NUDGE)


def test_a_model_that_was_trained_with_what_is_declared_raises_no_alarm():
    reading = declared_reading(DECLARED, world().engine)
    assert (reading.status, reading.value, reading.todo) == ("ok", 0.0, "")


@pytest.mark.parametrize(
    ("declared", "keys"),
    [
        (community(CALL, BADGE), ("interventions.nudge", "interventions.badge")),
        (community({**CALL, "cost": 7.5}, NUDGE), ("interventions.call",)),
        (community(CALL, NUDGE, policy={"exploration": 0.01}), ("policy",)),
        (community(CALL, NUDGE, contact_policy={"quiet_hours": {"start": "20:00:00", "end": "09:00:00"}}), ("contact_policy",)),
        (community(CALL, NUDGE, lookback_days=500, capacity={"budget": 3.0}), ("lookback_days",)),
    ],
)
def test_what_is_declared_otherwise_is_named(declared, keys):
    assert declared_otherwise(declared, TRAINED) == keys


def test_words_that_people_read_and_rates_that_are_learned_are_aside():
    told = [{**one, "label": {"en": "Other", "zh": "别的"}, "redemption_rate": 0.2} for one in (CALL, NUDGE)]
    assert declared_otherwise(community(*told), TRAINED) == ()


def test_the_monitor_says_in_both_languages_what_to_do_until_a_model_knows():
    engine = world().engine
    priced = [one.model_copy(update={"cost": one.cost + 1}) for one in DECLARED.interventions[:1]]
    other = DECLARED.model_copy(update={"interventions": (*priced, *DECLARED.interventions[1:])})
    reading = declared_reading(other, replace(engine, version="7"))
    name = DECLARED.interventions[0].id
    assert reading.status == "alarm"
    assert reading.said == f"since version 7 was trained, this was declared otherwise, and is not done yet: interventions.{name}"
    assert "keepwell promote" in reading.todo
    assert f"尚未执行：interventions.{name}" in reading.to_dict("zh")["said"]


def test_the_monitor_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    home = write_home(tmp_path / "home")
    write_logs(home)
    readings = monitor(Workspace(home), as_of=None, now=NOW).readings
    (reading,) = (one for one in readings if one.name == "declared")
    assert (reading.status, reading.subject) == ("ok", "model")

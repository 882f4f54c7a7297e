"""What the monitor read is there for clients and for Prometheus, the same in both, and of nobody in particular."""

from datetime import UTC, datetime

import numpy as np
import pytest

from models.events import event_arrays
from models.moments import microseconds
from models.readings import MONITOR, Monitored, Reading, freshness
from models.watched_decisions import Drawn, decision_readings
from models.watched_model import ModelWatch, model_readings
from tests.serving_world import DECLARED, serving, world, write_home
from tests.test_service_metrics import figures

AS_OF = datetime(2025, 7, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


def monitored():
    watch, engine = DECLARED.monitor, world().engine
    watching = ModelWatch.of(engine, event_arrays(world().log, engine.community), AS_OF)
    moved, matured = watching.moved(AS_OF, rng=np.random.default_rng(1)), watching.matured(rng=np.random.default_rng(2))
    nobody = Drawn([], ("none",), np.array([], dtype=np.int64), np.empty((0, 1)))
    readings = (
        freshness(world().log.last, AS_OF, watch),
        *model_readings(watch, moved, matured),
        *decision_readings(nobody, DECLARED, limited=False),
        Reading("rejected", "data", "alarm", "rejected", {"rejected": 20, "rows": 100, "share": 0.2}, 0.2, 0.05),
    )
    return Monitored(AS_OF, engine.version, readings, moved.features, matured, moved.foreseen)


def test_clients_and_prometheus_are_told_the_same_once_the_monitor_has_run(running):
    before = running.client.get("/v1/monitor")
    assert (before.status_code, before.json()["type"]) == (404, "/docs#no-run")
    assert not [name for name, *_ in figures(running.client) if name.startswith("keepwell_monitor")]
    kept = monitored()
    running.store.keep_figures(MONITOR, microseconds(AS_OF), kept.to_json())
    answer = running.client.get("/v1/monitor").json()
    assert (answer["version"], answer["alarms"]) == (kept.version, ["rejected"])
    assert [reading["name"] for reading in answer["readings"]] == [reading.name for reading in kept.readings]
    assert answer["matured"][1]["seen"]["auc"] == kept.matured[1].seen.auc.value
    assert answer["foreseen"]["auc"] == kept.foreseen.auc.to_dict()
    assert answer["features"][0]["psi"] == kept.features[0].psi
    told = figures(running.client)
    assert told["keepwell_monitor_as_of_seconds",] == AS_OF.timestamp()
    for reading in answer["readings"]:
        label = ("reading", reading["name"])
        expected = {"ok": 0, "alarm": 1, "unknown": None}[reading["status"]]
        assert told.get(("keepwell_monitor_alarm", label)) == expected
        assert told.get(("keepwell_monitor_value", label)) == pytest.approx(reading["value"])
        assert told.get(("keepwell_monitor_threshold", label)) == reading["threshold"]

"""MLflow's own server, in a process of its own, answers with the engine's probabilities."""

import json
import os
import re
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pytest
from mlflow import set_registry_uri, set_tracking_uri
from mlflow.pyfunc import load_model

from models.errors import InputError
from models.registry import MODEL_NAME
from models.snapshots import Snapshots
from tests.patience import PATIENCE_SECONDS, PLAIN, wait_until

ROOT = Path(__file__).parents[1]


def iso(at_us) -> str:
    return datetime.fromtimestamp(int(at_us) / 1e6, tz=UTC).isoformat()


def row_of(world, code):
    """A member as the model's signature wants it, without the touches, which it does not take."""
    start, stop = world.events.offsets[code : code + 2]
    signals = world.declared.signals
    events = [
        {"type": signals[signal].event_types[0], "timestamp": iso(at), "value": None if np.isnan(value) else value}
        for at, signal, value in zip(
            world.events.timestamp_us[start:stop], world.events.signal[start:stop], world.events.value[start:stop], strict=True
        )
        if signal < len(signals)
    ]
    member_id = world.log.members["member_id"][code]
    return [member_id, world.test_as_of.isoformat(), iso(world.events.joined_us[code]), json.dumps(events)]


@contextmanager
def model_server(uri, port, log):
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    serve = [Path(sys.executable).with_name("mlflow"), "models", "serve", "-m", f"models:/{MODEL_NAME}/1", "--env-manager", "local"]
    with log.open("w") as said:
        process = subprocess.Popen(
            [*serve, "--port", str(port), "--workers", "1"], cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, verify=PLAIN) as client:
                wait_until(lambda: process.poll() is not None or client.get("/ping").status_code == 200)
                assert process.poll() is None, log.read_text()
                yield client
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="module")
def loaded(registered_world):
    set_tracking_uri(registered_world)
    set_registry_uri(registered_world)
    with warnings.catch_warnings(record=True):  # MLflow insists on a warning about type hints
        return load_model(f"models:/{MODEL_NAME}/1")


MEMBER = {"member_id": "ann", "as_of": "2025-06-01T00:00:00+00:00", "joined": "2025-01-01T00:00:00+00:00"}


def asked(events, **changes):
    return pd.DataFrame([{**MEMBER, "events": events if isinstance(events, str) else json.dumps(events), **changes}])


def test_a_member_is_scored_whatever_the_order_of_its_events(loaded):
    days = [{"type": "post", "timestamp": f"2025-05-{day:02}T08:00:00+08:00"} for day in (3, 9, 20, 28)]
    one, other = (loaded.predict(asked(events)) for events in (days, days[::-1]))
    assert one["status"].tolist() == ["scored"]
    pd.testing.assert_frame_equal(one, other)


def test_events_from_the_date_on_are_not_looked_at(loaded):
    known = [{"type": "post", "timestamp": "2025-05-20T08:00:00+00:00"}]
    later = [{"type": "post", "timestamp": f"2025-06-0{day}T00:00:00+00:00"} for day in (1, 2)]
    pd.testing.assert_frame_equal(loaded.predict(asked(known)), loaded.predict(asked(known + later)))


@pytest.mark.parametrize("events", [[], [{"type": "unheard-of", "timestamp": "2025-05-20T08:00:00+00:00"}]])
def test_a_member_of_whom_nothing_is_known_has_a_status_and_no_number(loaded, events):
    (told,) = loaded.predict(asked(events)).to_dict("records")
    assert told.pop("status") == "insufficient_history"
    assert told.pop("member_id") == "ann"
    assert all(np.isnan(probability) for probability in told.values())


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (asked("nonsense"), "row 0: events must be JSON such as"),
        (asked([1]), "row 0: events must be JSON such as"),
        (asked([{"type": "post"}]), "KeyError: 'timestamp'"),
        (asked([{"type": "post", "timestamp": "2025-05-20T08:00:00+00:00", "value": "much"}]), "could not convert string to float"),
        (asked([{"type": "post", "timestamp": "2025-05-20T08:00:00"}]), '"2025-05-20T08:00:00" is no time with an offset'),
        (asked([], joined="last year"), '"last year" is no time with an offset from UTC'),
        (asked([], as_of="2025-06-01"), '"2025-06-01" is no time with an offset from UTC'),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_what_to_write(loaded, row, why):
    with pytest.raises(InputError, match=re.escape(why)):
        loaded.predict(row)


def test_the_model_server_of_mlflow_scores_as_the_engine_does(trained_world, registered_world, free_port, tmp_path):
    members = np.arange(0, 40)
    alone = trained_world.events.of_members(members)
    scores = trained_world.trained.engine.score(alone, Snapshots.at(alone, trained_world.test_as_of_us))
    columns = ["member_id", "as_of", "joined", "events"]
    body = {"dataframe_split": {"columns": columns, "data": [row_of(trained_world, code) for code in members.tolist()]}}
    with model_server(registered_world, free_port, tmp_path / "said.txt") as client:
        answer = client.post("/invocations", json=body)
        refused = client.post("/invocations", json={"dataframe_split": {"columns": columns[:2], "data": [["ann", "2025-07-01"]]}})
    told = pd.DataFrame(answer.json()["predictions"])
    assert told["member_id"].tolist() == trained_world.log.members["member_id"].gather(members).to_list()
    assert told["status"].tolist() == scores.status.tolist()
    scored = scores.status == "scored"
    assert 0 < scored.sum() < len(members)
    for position, days in enumerate(trained_world.trained.engine.churn.horizons_days):
        column = pd.to_numeric(told[f"churn_probability_{days}d"])
        np.testing.assert_allclose(column[scored], scores.probability[scored, position], atol=1e-9)
        assert column[~scored].isna().all()
    assert refused.status_code == 400

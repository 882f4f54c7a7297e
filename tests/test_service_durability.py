"""What was answered outlives the process: started as `keepwell serve` does, killed, and started again."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from models.errors import InputError
from models.events import event_arrays
from models.store import Loaded, Store
from pipelines.ingest import canonical_log
from pipelines.serve import prepare, serve
from pipelines.workspace import Workspace
from tests.serving_world import DECLARED, NOW, client_of, wait_until, world, write_home, write_logs

SERVE = "from pathlib import Path; import sys; from pipelines.serve import serve; from pipelines.workspace import Workspace; \
serve(Workspace.find(Path(sys.argv[1])), '127.0.0.1', int(sys.argv[2]), int(sys.argv[3]))"
EVENT = {"event_id": "kept", "member_id": "m0000003", "type": "post", "timestamp": "2025-07-20T11:00:00+00:00"}


@pytest.fixture
def home(tmp_path):
    folder = write_home(tmp_path / "home")
    write_logs(folder)
    return folder


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def started(home, port, workers):
    """The process and what it wrote before the server came up; killed with all its children in the end."""
    environment = {**os.environ, "KEEPWELL_MLFLOW_URI": world().mlflow_uri, "KEEPWELL_AS_OF": NOW.isoformat(), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SERVE, str(home), str(port), str(workers)]
    output = home / f"output-{workers}.txt"
    with output.open("w") as written:
        process = subprocess.Popen(command, env=environment, stdout=written, stderr=written, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: output.read_text().count("Application startup complete") == workers)
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200)
        yield url, output.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True)
class Life:
    """What a service of two processes answered before it was killed."""

    home: Path
    key: str
    answer: httpx2.Response
    events: httpx2.Response
    contacted: list[bool]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("killed") / "home")
    write_logs(home)
    with started(home, _free_port(), 2) as (url, output):
        key = next(word for word in output.split() if word.startswith("kw_"))

        def contacted(_):
            with client_of(url, key) as client:
                return bool(client.post("/v1/score", json={"member_id": "m0000003"}).json()["actions"])

        with ThreadPoolExecutor(10) as pool, client_of(url, key) as client:
            contacts = list(pool.map(contacted, range(20)))
            answer = client.post("/v1/score", json={"member_id": "m0000007", "request_id": "once"})
            events = client.post("/v1/events", json={"events": [EVENT]})
    return Life(home, key, answer, events, contacts)


def test_two_processes_keep_to_one_cap(killed):
    assert sum(killed.contacted) == 2


def test_a_killed_service_has_lost_nothing_that_it_answered(killed):
    assert killed.answer.status_code == 200
    assert killed.events.json()["accepted"] == 1
    with started(killed.home, _free_port(), 1) as (url, output), client_of(url, killed.key) as client:
        assert "kw_" not in output
        decision = client.get(f"/v1/decisions/{killed.answer.json()['decision_id']}")
        assert decision.status_code == 200
        assert decision.json()["member_id"] == "m0000007"
        assert client.post("/v1/score", json={"member_id": "m0000007", "request_id": "once"}).content == killed.answer.content
        assert client.post("/v1/events", json={"events": [EVENT]}).json()["duplicate"] == 1


def test_the_store_is_prepared_once_and_holds_the_log(home):
    workspace, now = Workspace(home), datetime.now(UTC)
    first, second = prepare(workspace, now=now), prepare(workspace, now=now)
    log = canonical_log(workspace, DECLARED, now=now)
    assert first.loaded.events == log.events.height
    assert first.loaded.members == log.members.height
    assert first.first_key.startswith("kw_")
    assert (second.loaded, second.first_key) == (Loaded(0, 0, 0), None)
    with closing(Store.open(workspace.store_url)) as store:
        stored = store.history(log.members["member_id"].to_list(), 0, DECLARED)
    expected = event_arrays(log, DECLARED)
    assert (stored.timestamp_us == expected.timestamp_us).all()
    assert (stored.signal == expected.signal).all()
    assert (stored.joined_us == expected.joined_us).all()


def test_an_address_that_cannot_be_listened_on_is_named(home):
    with pytest.raises(InputError, match=r"203\.0\.113\.1:80"):
        serve(Workspace(home), "203.0.113.1", 80, 1)

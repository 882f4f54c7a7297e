"""What was answered outlives the process: started as `keepwell serve` does, killed, and started again."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2
import pytest

from models.errors import InputError
from models.events import event_arrays
from models.store import Loaded, Store
from pipelines.ingest import canonical_log
from pipelines.serve import prepare, serve
from pipelines.workspace import Workspace
from tests.patience import answered
from tests.service_process import started
from tests.serving_world import DECLARED, client_of, write_home, write_logs

EVENT = {"event_id": "kept", "member_id": "m0000003", "type": "post", "timestamp": "2025-07-20T11:00:00+00:00"}


@pytest.fixture
def home(tmp_path):
    folder = write_home(tmp_path / "home")
    write_logs(folder)
    return folder


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
    with started(home, 2) as process:
        url, key = process.url, next(word for word in process.said.split() if word.startswith("kw_"))

        def contacted(_):
            with client_of(url, key) as client:
                return bool(answered(partial(client.post, "/v1/score", json={"member_id": "m0000003"})).json()["actions"])

        with ThreadPoolExecutor(10) as pool, client_of(url, key) as client:
            contacts = list(pool.map(contacted, range(20)))
            answer = answered(partial(client.post, "/v1/score", json={"member_id": "m0000007", "request_id": "once"}))
            events = answered(partial(client.post, "/v1/events", json={"events": [EVENT]}))
    return Life(home, key, answer, events, contacts)


def test_two_processes_keep_to_one_cap(killed):
    assert sum(killed.contacted) == 2


def test_a_killed_service_has_lost_nothing_that_it_answered(killed):
    assert killed.answer.status_code == 200
    assert killed.events.json()["accepted"] == 1
    with started(killed.home) as process, client_of(process.url, killed.key) as client:
        assert "kw_" not in process.said
        decision = client.get(f"/v1/decisions/{killed.answer.json()['decision_id']}")
        assert decision.status_code == 200
        assert decision.json()["member_id"] == "m0000007"
        again = answered(partial(client.post, "/v1/score", json={"member_id": "m0000007", "request_id": "once"}))
        assert again.content == killed.answer.content
        assert answered(partial(client.post, "/v1/events", json={"events": [EVENT]})).json()["duplicate"] == 1


def test_the_store_is_prepared_once_and_holds_the_log(home):
    workspace, now = Workspace(home), datetime.now(UTC)
    first, second = prepare(workspace, now=now), prepare(workspace, now=now)
    log = canonical_log(workspace, DECLARED, now=now).read()
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

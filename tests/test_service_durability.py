"""What was answered outlives the process: started as `keepwell serve` does, killed, and started again."""

import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest

from models.errors import InputError
from models.events import event_arrays
from models.store import Loaded, Store
from pipelines.ingest import canonical_log
from pipelines.serve import prepare, serve
from pipelines.workspace import Workspace
from tests.chaos.kills import kill_under_load
from tests.patience import answered
from tests.service_process import started
from tests.serving_world import DECLARED, client_of, settings_of, write_home, write_logs


@pytest.fixture
def home(tmp_path):
    folder = write_home(tmp_path / "home")
    write_logs(folder)
    return folder


def test_a_service_killed_under_load_has_lost_nothing_that_it_answered(home):
    survived = kill_under_load(home, settings_of(home).store_url, rounds=1, seconds=0.5)
    crm = survived.crm
    assert survived.lost == ()
    assert survived.decisions > 0
    (request_id, answer), event_id = next(iter(crm.answers.items())), next(iter(crm.accepted))
    with started(home) as process, client_of(process.url, crm.key) as client:
        assert "kw_" not in process.said
        told = json.loads(answer)
        decision = client.get(f"/v1/decisions/{told['decision_id']}")
        assert (decision.status_code, decision.json()["member_id"]) == (200, told["member_id"])
        again = answered(partial(client.post, "/v1/score", json={"member_id": told["member_id"], "request_id": request_id}))
        assert again.text == answer
        assert answered(partial(client.post, "/v1/events", json={"events": [crm.event(event_id)]})).json()["duplicate"] == 1


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

"""What the service writes down about its requests, and that no member can be found in it."""

import json
import logging
import re
import socket
import sqlite3
import sys
import time
from contextlib import closing

import pytest

from models.api_keys import create_key
from models.store import KeyRow
from serving.logs import line_formatter
from serving.traces import continued
from tests.patience import wait_until
from tests.serving_world import NOW, client_of, serving, world, write_home

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
SECRETS = ("Zhang-Wei-139", "event-of-zhang", "peculiar-type", "channel-of-zhang", "crm-of-zhang", "4711.25")
MEMBER, EVENT_ID, TYPE, CHANNEL, REQUEST_ID, VALUE = SECRETS


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


class StandardError(logging.Handler):
    """Whatever stands for it now, for pytest changes that."""

    def emit(self, record):
        sys.stderr.write(f"{self.format(record)}\n")


@pytest.fixture
def lines(capsys):
    """What has gone to the log so far, read as JSON."""
    handler = StandardError()
    handler.setFormatter(line_formatter())
    logging.getLogger().addHandler(handler)
    written = []

    def read():
        written.extend(json.loads(line) for line in capsys.readouterr().err.splitlines())
        return written

    yield read
    logging.getLogger().removeHandler(handler)
    logging.captureWarnings(capture=False)


def requests_in(lines, count=1):
    """The lines of so many requests; one is written after its answer was sent."""
    found = lambda: [line for line in lines() if line["event"] == "request"]  # noqa: E731 - said twice
    wait_until(lambda: len(found()) >= count)
    return found()


def test_a_request_is_logged_once_with_what_an_operator_asks_for(running, lines):
    member_id = world().log.members["member_id"][0]
    answer = running.client.get(f"/v1/members/{member_id}/explanation", headers={"X-Request-ID": "r-1", "traceparent": TRACEPARENT})
    assert answer.status_code == 200
    [line] = requests_in(lines)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/members/{member_id}/explanation", 200)
    assert (line["request_id"], line["trace_id"], line["level"]) == ("r-1", TRACE_ID, "info")
    assert line["key_id"] == running.client.headers["authorization"].split("_")[1]
    assert line["ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["time"])


def test_no_member_event_or_key_can_be_found_in_the_log(running, lines):
    event = {"event_id": EVENT_ID, "type": "post", "timestamp": NOW.isoformat(), "value": float(VALUE), "channel": CHANNEL}
    running.client.post(
        "/v1/events", json={"events": [{**event, "member_id": MEMBER}, {**event, "type": TYPE, "member_id": MEMBER}, MEMBER]}
    )
    for body in (
        {"member_id": MEMBER, "request_id": REQUEST_ID, "events": [event], "context": {"channel": CHANNEL}},
        {"member_id": MEMBER, MEMBER: MEMBER},
        {"member_id": f"{MEMBER}-unknown"},
    ):
        running.client.post("/v1/score", json=body, headers={"Idempotency-Key": REQUEST_ID})
        running.client.post("/v1/score/batch", json={"requests": [body, MEMBER]})
    running.client.post("/v1/score", content=f'{{"{MEMBER}"'.encode(), headers={"Content-Type": "application/json"})
    paths = [f"/v1/members/{MEMBER}/{part}" for part in ("explanation", "data", "preferences")]
    paths += [f"/members/{MEMBER}", f"/v1/decisions/{MEMBER}", f"/{MEMBER}", f"/v1/models?{MEMBER}", f"/v1/score/{MEMBER}"]
    for path in paths:
        running.client.get(path, headers={"User-Agent": MEMBER, "Referer": MEMBER, "X-Request-ID": f"({MEMBER})", "traceparent": MEMBER})
        running.client.request("PROPFIND", path)
    assert len(requests_in(lines, 24)) == 24
    logged = json.dumps(lines())
    assert [secret for secret in SECRETS if secret in logged] == []
    assert running.client.headers["authorization"].split("_", 2)[2] not in logged


def test_an_unforeseen_error_is_logged_by_its_kind_and_place_and_not_by_its_words(running, lines):
    running.store.add_key(KeyRow("odd", "odd", "read", f"no hexadecimal {MEMBER}", "digest", 0))
    with client_of(str(running.client.base_url), "kw_odd_token") as client:
        answer = client.get("/v1/models", headers={"X-Request-ID": "r-2"})
    assert answer.status_code == 500
    wait_until(lambda: any("errors" in line for line in lines()))
    told = {line["event"]: line for line in lines() if line["request_id"] == "r-2"}
    assert told["request"]["status"] == 500
    assert told["problem"]["problem"] == "internal-error"
    [where] = [line["errors"][-1] for line in told.values() if "errors" in line]
    assert where["error"] == "ValueError"
    assert "api_keys.py" in where["at"][-1]
    assert MEMBER not in json.dumps(lines())


def test_who_sends_several_requests_at_once_and_hangs_up_leaves_no_error(running, lines):
    """While the first is being answered; here somebody else writes to the store until then."""
    body = json.dumps({"member_id": world().log.members["member_id"][2]})
    head = f"POST /v1/score HTTP/1.1\r\nHost: keepwell\r\nAuthorization: Bearer {running.key}\r\nContent-Type: application/json\r\n"
    asked = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    url, file = running.client.base_url, running.settings.store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with socket.create_connection((url.host, url.port)) as opened:
            opened.sendall(asked * 2)
            time.sleep(0.3)
        time.sleep(0.3)
    assert {line["route"] for line in requests_in(lines)} == {"/v1/score"}
    assert [line for line in lines() if line["level"] != "info"] == []


def test_what_was_not_matched_is_told_without_its_path(running, lines):
    running.client.get("/nowhere/at/all")
    running.client.get("/v1/score")
    running.client.get("/openapi.json")
    told = [(line["route"], line["status"]) for line in requests_in(lines, 3)]
    assert told == [("unmatched", 404), ("/v1/score", 405), ("/openapi.json", 200)]


def test_a_refused_key_is_logged_without_a_name(running, lines):
    with client_of(str(running.client.base_url), create_key(running.store, "quiet", ["ingest"], now=NOW)[:-2] + "xx") as client:
        client.get("/v1/models")
    assert [(line["status"], line["key_id"]) for line in requests_in(lines)] == [(401, None)]


def test_the_trace_of_the_sender_goes_on_in_the_answer(running):
    answered = running.client.get("/livez", headers={"traceparent": TRACEPARENT}).headers["traceparent"]
    version, trace_id, span_id, flags = answered.split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert span_id != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        TRACEPARENT.upper(),
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"{TRACEPARENT}-more",
    ],
)
def test_a_trace_that_breaks_the_form_starts_a_new_one(broken):
    trace = continued(broken)
    assert trace.trace_id != TRACE_ID
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace.traceparent)


def test_of_a_later_version_the_known_parts_are_read():
    assert continued(f"01-{TRACE_ID}-00f067aa0ba902b7-01-more").trace_id == TRACE_ID

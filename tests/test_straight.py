"""The short way of a score and FastAPI's own give the same answer to every request."""

import json
import re

import pytest

from serving import straight
from tests.serving_world import serving, simulated_world, world, write_home

MEMBER = simulated_world().members["member_id"][0]
PLAIN = {"member_id": MEMBER, "mode": "score_only"}
EVENT = {"event_id": "e1", "type": "post", "timestamp": "2025-07-20T09:00:00+08:00"}
BODIES = {
    "plain": PLAIN,
    "full": {**PLAIN, "mode": "simulate", "include": ["reasons", "candidates"], "max_actions": 1, "language": "zh", "events": [EVENT]},
    "with a refused event": {**PLAIN, "events": [{**EVENT, "type": "pst"}]},
    "a number for a time": {**PLAIN, "events": [{**EVENT, "timestamp": 1_750_000_000}]},
    "a word for an amount": {**PLAIN, "events": [{**EVENT, "value": "3"}]},
    "of nobody": {"member_id": "nobody", "mode": "score_only"},
    "misspelt": {**PLAIN, "memberid": "m"},
    "of another type": {**PLAIN, "max_actions": "3", "persist_events": "yes"},
    "empty": {},
    "a list": [PLAIN],
}
RAW = {
    "no JSON": b'{"member_id": ',
    "nothing": b"",
    "repeated key": b'{"member_id": "nobody", "mode": "score_only", "member_id": "%s"}' % MEMBER.encode(),
    "NaN": b'{"member_id": "%s", "mode": "score_only", "max_actions": NaN}' % MEMBER.encode(),
    "other encoding": json.dumps(PLAIN).encode("utf-16"),
    "no text": b'{"member_id": "\xff"}',
    "half a character": b'{"member_id": "\\ud800", "mode": "score_only"}',
}
OWN = ("date", "x-request-id", "traceparent", "ratelimit")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


def both(running, monkeypatch, headers=None, **sent):
    """Status, headers and body, the ids of the request aside, by either way."""
    told = []
    for paths in (straight.PATHS, ()):
        monkeypatch.setattr(straight, "PATHS", paths)
        answer = running.client.post("/v1/score", headers={"Content-Type": "application/json", **(headers or {})}, **sent)
        kept = {name: value for name, value in answer.headers.items() if name not in OWN}
        told.append((answer.status_code, kept, re.sub(r'"request_id":"\w{16}"', "", answer.text)))
    return told


@pytest.mark.parametrize("body", [*(json.dumps(body).encode() for body in BODIES.values()), *RAW.values()], ids=[*BODIES, *RAW])
def test_both_ways_answer_alike(running, monkeypatch, body):
    straight_on, usual = both(running, monkeypatch, content=body)
    assert straight_on == usual


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer kw_no_key", "Basic eDp5", "bearer  kw_x_y"])
def test_both_ways_refuse_the_same_keys(running, monkeypatch, authorization):
    straight_on, usual = both(running, monkeypatch, {"Authorization": authorization}, json=PLAIN)
    assert straight_on == usual
    assert usual[0] == 401

"""Requests that offer another protocol, as clients do that speak HTTP/2 too, are answered as if they had not.

What never comes whole is given up, and nobody else.
"""

import json
import socket
import sqlite3
import time
from contextlib import closing, contextmanager
from http.client import HTTPResponse

import pytest

from serving import heads
from serving.heads import MOST_HEAD_BYTES
from tests.patience import PATIENCE_SECONDS
from tests.serving_world import serving, world, write_home

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
WEB_SOCKET = (
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
DECIDED = json.dumps({"member_id": world().log.members["member_id"][2]}).encode()
LIVE = b"GET /livez HTTP/1.1\r\nHost: keepwell\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("heads") / "home"), world().log, max_body_bytes=50_000) as running:
        yield running


@contextmanager
def connection(running):
    url = running.client.base_url
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_SECONDS) as opened:
        yield opened


def score(running, offer, framing=None):
    """A request for a score, in front of its body, and the body."""
    body = json.dumps({"member_id": world().log.members["member_id"][2], "mode": "score_only"}).encode()
    framing = framing or b"Content-Length: %d\r\n" % len(body)
    head = b"POST /v1/score HTTP/1.1\r\nHost: keepwell\r\nAuthorization: Bearer %s\r\n" % running.key.encode()
    return head + b"Content-Type: application/json\r\n" + offer + framing + b"\r\n", body


def answer_on(opened, method="GET"):
    answer = HTTPResponse(opened, method=method)
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.parametrize("offer", [H2C, WEB_SOCKET])
@pytest.mark.parametrize("piece", [1, 7, 200, 1_000_000])
def test_an_offer_is_passed_over_and_the_body_is_read_however_it_comes(running, offer, piece):
    head, body = score(running, offer)
    with connection(running) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            whole = head + body
            for start in range(0, len(whole), piece):
                opened.sendall(whole[start : start + piece])
            status, text = answer_on(opened)
            assert (status, json.loads(text).get("decision_id", "")) == (200, None), text


def test_a_body_in_chunks_and_one_that_waits_to_be_asked_for_are_read(running):
    head, body = score(running, H2C, b"Transfer-Encoding: chunked\r\n")
    with connection(running) as opened:
        opened.sendall(head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n")
        assert answer_on(opened)[0] == 200
        head, body = score(running, H2C + b"Expect: 100-continue\r\n")
        opened.sendall(head)
        assert opened.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(body)
        assert answer_on(opened)[0] == 200


def test_requests_behind_one_another_are_answered_whether_they_offer_or_not(running):
    many = 300
    with connection(running) as opened:
        opened.sendall((LIVE + H2C + b"\r\n" + LIVE + b"\r\n") * many)
        with opened.makefile("rb") as answers:
            told = [_next(answers) for _ in range(2 * many)]
    assert told == [(200, b'{"status":"alive"}')] * (2 * many)


def _next(answers):
    status = int(answers.readline().split()[1])
    headers = dict(line.lower().rstrip().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
    return status, answers.read(int(headers[b"content-length"]))


def test_limits_hold_for_who_offers_too(running):
    head, _ = score(running, H2C, b"Content-Length: 60000\r\n")
    with connection(running) as opened:
        opened.sendall(head + b" " * 60_000)
        assert answer_on(opened)[0] == 413
    with connection(running) as opened:
        opened.sendall(LIVE + H2C + b"X: " + b"a" * MOST_HEAD_BYTES + b"\r\n\r\n")
        assert answer_on(opened)[0] == 431


def test_who_wants_a_tunnel_is_refused(running):
    with connection(running) as opened:
        opened.sendall(b"CONNECT keepwell:443 HTTP/1.1\r\nHost: keepwell\r\n\r\n")
        status, text = answer_on(opened)
    assert (status, json.loads(text)["type"]) == (400, "/docs#malformed-request")


@pytest.mark.parametrize("length", [7, -1])
def test_a_request_that_does_not_come_whole_is_given_up(running, monkeypatch, length):
    """Within its head, or within a body that is shorter than was said."""
    monkeypatch.setattr(heads, "READ_SECONDS", 0.2)
    whole = b"".join(score(running, b""))
    with connection(running) as opened:
        opened.sendall(whole[:length])
        status, text = answer_on(opened)
        assert (status, json.loads(text)["type"]) == (408, "/docs#request-timeout")
        assert opened.recv(1) == b""


def test_a_connection_on_which_nothing_begins_is_closed_without_a_word(running, monkeypatch):
    monkeypatch.setattr(heads, "READ_SECONDS", 0.2)
    with connection(running) as opened:
        assert opened.recv(1) == b""


def test_who_waits_for_an_answer_is_not_given_up(running, monkeypatch):
    """However long it takes: here somebody else writes to the store for a while."""
    monkeypatch.setattr(heads, "READ_SECONDS", 0.5)
    head, _ = score(running, b"", b"Content-Length: %d\r\n" % len(DECIDED))
    with connection(running) as opened:
        with closing(sqlite3.connect(running.settings.store_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            opened.sendall(head + DECIDED)
            time.sleep(1.5)
        assert answer_on(opened)[0] == 200

"""How a service ends on a signal: what was begun is answered, and nobody can keep it from ending."""

import json
import os
import signal
import socket
from contextlib import closing, contextmanager
from http.client import HTTPResponse

import psutil
import pytest

from models.api_keys import SCOPES, create_key
from models.store import Store
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.service_process import started
from tests.serving_world import NOW, settings_of, world, write_home, write_logs

BODY = json.dumps({"member_id": world().log.members["member_id"][2]}).encode()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = write_home(tmp_path_factory.mktemp("service") / "home")
    write_logs(folder)
    return folder


@contextmanager
def half_asked(process, key):
    """A connection on which a request for a score has come but for the last byte of its body."""
    host, _, port = process.url.removeprefix("http://").partition(":")
    head = f"POST /v1/score HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    waiting = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + waiting)
        assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY[:-1])
        yield connection


def new_key(home):
    with closing(Store.open(settings_of(home).store_url)) as store:
        return create_key(store, "tests", SCOPES, now=NOW)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_had_begun_to_come_is_answered_after_the_signal(home, workers):
    key = new_key(home)
    with started(home, workers) as process, half_asked(process, key) as connection:
        os.kill(process.group, signal.SIGTERM)
        wait_until(lambda: "Waiting for connections to close" in process.output.read_text())
        connection.sendall(BODY[-1:])
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["member_id"]) == (200, json.loads(BODY)["member_id"])
        assert process.exit_code() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_never_comes_whole_keeps_nothing_from_ending(home, workers):
    key = new_key(home)
    with started(home, workers, grace_seconds=1) as process, half_asked(process, key):
        os.kill(process.group, signal.SIGTERM)
        assert process.exit_code() == 0


def test_processes_end_when_their_parent_was_killed(home):
    with started(home, workers=2) as process:
        children = psutil.Process(process.group).children(recursive=True)
        os.kill(process.group, signal.SIGKILL)
        _, left = psutil.wait_procs(children, PATIENCE_SECONDS)
        assert (len(children) >= 2, left) == (True, [])

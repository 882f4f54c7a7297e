"""A member gets the same answer alone, among others at once and in a batch."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving_world import serving, world, write_home

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("together") / "home"), world().log) as server:
        yield server


@pytest.fixture(scope="module")
def asked():
    members = world().log.members["member_id"].to_list()
    return [{"member_id": member_id, "mode": "simulate", "language": LANGUAGES[row % 2]} for row, member_id in enumerate(members[:60])]


@pytest.fixture(scope="module")
def alone(running, asked):
    return [running.client.post("/v1/score", json=request).content for request in asked]


def test_requests_that_come_at_once_are_answered_as_each_would_be_alone(running, asked, alone):
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda request: running.client.post("/v1/score", json=request).content, asked)) == alone


def test_a_batch_holds_the_answers_that_its_members_would_get_alone(running, asked, alone):
    batch = running.client.post("/v1/score/batch", json={"requests": asked}).content
    rows = [b'{"index":%d,"status":200,"answer":%b,"problem":null}' % (row, answer) for row, answer in enumerate(alone)]
    assert batch == b'{"results":[' + b",".join(rows) + b"]}"

"""Several processes of several threads want the same thing at the same moment, on both databases: one gets it."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

import pytest
from sqlalchemy import text

from models.store import LoggedEvent, Store
from tests import contenders

MEMBERS = [f"m{number}" for number in range(40)]
WORKERS = ("a", "b")


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(len(WORKERS), get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        store.add_events([LoggedEvent(member_id, 1, "post", member_id) for member_id in MEMBERS])
        yield store


def together(processes, act, url, *arguments):
    """What each of the processes came to."""
    return [future.result() for future in [processes.submit(act, url, worker, *arguments) for worker in WORKERS]]


def count(store, query):
    with store.engine.connect() as connection:
        return connection.scalar(text(query))


def test_no_more_members_are_contacted_than_there_are_places(processes, store, store_url):
    placed = together(processes, contenders.take_places, store_url, MEMBERS, 7)
    assert sum(placed) == 7
    assert count(store, "SELECT count(*) FROM touches") == 7
    assert store.used(0) == {"intervention:digest": 7.0}


def test_one_contact_of_many_that_saw_the_same_free_slot_is_made(processes, store, store_url):
    assert sum(together(processes, contenders.contact_one, store_url, "m3", 20)) == 1
    assert count(store, "SELECT count(*) FROM touches") == 1
    assert count(store, "SELECT count(*) FROM decisions") == 1


def test_one_draw_of_many_for_a_member_whom_nothing_was_drawn_for_before_is_kept(processes, store, store_url):
    assert sum(together(processes, contenders.draw_one, store_url, "m4", 20)) == 1
    assert count(store, "SELECT count(*) FROM touches") == 0
    assert count(store, "SELECT count(*) FROM decisions WHERE drawn_us = 5") == 1


def test_each_request_is_answered_once_and_everybody_hears_that_answer(processes, store, store_url):
    requests = [f"r{number}" for number in range(40)]
    given = [text for texts in together(processes, contenders.answer_requests, store_url, requests) for text in texts]
    stored = [store.claim("key", [(request, "body")], 6)[0].answer for request in requests]
    assert sorted(given) == sorted(stored)

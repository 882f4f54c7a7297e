"""Keys are changed while two services on one store go on answering."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from models.store import Store
from tests.command_line import keepwell
from tests.patience import PATIENCE_SECONDS
from tests.serving_world import client_of, serving, simulated_world, world, write_home

MEMBER = simulated_world().members["member_id"][1]


@pytest.fixture(scope="module")
def both(tmp_path_factory, shared_store_url):
    """The addresses of two services on one store, each with a home of its own."""
    homes = [write_home(tmp_path_factory.mktemp("homes") / name) for name in ("first", "second")]
    told = {"store_url": shared_store_url, "model_seconds": PATIENCE_SECONDS}
    with pytest.MonkeyPatch.context() as environment, serving(homes[0], world().log, **told) as first, serving(homes[1], **told) as second:
        environment.setenv("KEEPWELL_STORE_URL", shared_store_url)
        yield homes[0], [str(one.client.base_url) for one in (first, second)]


def shown_key(*arguments):
    said = keepwell("keys", *arguments)
    assert said.code == 0, said
    return re.search(r"kw_\S+", said.out)[0]


def id_of(key):
    return key.split("_")[1]


def statuses(addresses, key):
    """What each process answers to a request with this key."""
    found = []
    for address in addresses:
        with client_of(address, key) as client:
            found.append(client.post("/v1/score", json={"member_id": MEMBER, "mode": "score_only"}).status_code)
    return found


@contextmanager
def signed_in(address, key):
    with client_of(address, "none") as browser:
        del browser.headers["Authorization"]
        token = re.search(r'name="form_token" value="([^"]+)"', browser.get("/sign-in").text)[1]
        assert browser.post("/sign-in", data={"form_token": token, "key": key}).status_code == 303
        yield browser


def test_a_new_key_works_at_once_in_both_and_the_old_one_until_the_overlap_ends(both, shared_store_url):
    home, addresses = both
    old = shown_key("create", "crm", "--scopes", "score,read", "--config", home)
    new = shown_key("rotate", id_of(old), "--overlap-hours", "1", "--config", home)
    assert (statuses(addresses, old), statuses(addresses, new)) == ([200, 200], [200, 200])
    store = Store.open(shared_store_url)
    (kept,) = [key for key in store.all_keys() if key.key_id == id_of(old)]
    assert 0 < kept.expires_us / 1e6 - datetime.now(UTC).timestamp() <= 3600
    store.end_key(id_of(old), 1)
    store.close()
    assert (statuses(addresses, old), statuses(addresses, new)) == ([401, 401], [200, 200])


def test_without_an_overlap_the_old_key_ends_with_the_next_request(both):
    home, addresses = both
    old = shown_key("create", "crm", "--scopes", "score", "--config", home)
    assert statuses(addresses, old) == [200, 200]
    new = shown_key("rotate", id_of(old), "--overlap-hours", "0", "--config", home)
    assert (statuses(addresses, old), statuses(addresses, new)) == ([401, 401], [200, 200])
    listed = keepwell("keys", "list", "--config", home).out
    assert new not in listed
    assert id_of(new) in listed


def test_whoever_signed_in_with_a_key_is_signed_out_by_its_end(both):
    home, addresses = both
    key = shown_key("create", "marketer", "--scopes", "read", "--config", home)
    with signed_in(addresses[0], key) as browser:
        assert browser.get("/experiments").status_code == 200
        assert keepwell("keys", "revoke", id_of(key), "--config", home).code == 0
        assert statuses(addresses, key) == [401, 401]
        sent = browser.get("/experiments")
        assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "/sign-in")


def test_a_repeated_request_is_known_by_the_key_that_it_came_with(both):
    home, addresses = both
    old = shown_key("create", "crm", "--scopes", "score", "--config", home)
    body = {"member_id": MEMBER, "request_id": "once"}
    with client_of(addresses[0], old) as client:
        answer = client.post("/v1/score", json=body).json()
    new = shown_key("rotate", id_of(old), "--config", home)
    with client_of(addresses[1], old) as client:
        assert client.post("/v1/score", json=body).json() == answer
    with client_of(addresses[1], new) as client:
        assert client.post("/v1/score", json=body).json()["decision_id"] != answer["decision_id"]

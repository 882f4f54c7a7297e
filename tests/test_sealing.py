"""Secrets of webhooks are sealed in the store by keys that it does not hold, which can be changed, and are told of where missing."""

import re
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from models.errors import InputError, SecretLocked
from models.moments import microseconds
from models.sealing import Seal, is_sealed, new_key
from models.store import Store
from models.webhooks import Message, new_endpoint
from serving.settings import Settings
from tests.command_line import keepwell
from tests.patience import wait_until
from tests.serving_world import NOW, serving, world, write_home
from tests.test_webhooks import receiving

URL = "https://crm.example/hook"
TYPE = "decision_job.ended"
NOW_US = microseconds(NOW)
NUMBERS = count()


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


def kept(store):
    with store.engine.connect() as connection:
        return list(connection.execute(text("SELECT secret, old_secret FROM webhooks")))


def keep_in_the_open(store, endpoint):
    """As an earlier release did."""
    with store.engine.begin() as connection:
        values = {"id": endpoint.endpoint_id, "url": endpoint.url, "events": TYPE, "secret": endpoint.secret}
        connection.execute(
            text("INSERT INTO webhooks (endpoint_id, url, events, secret, created_us) VALUES (:id, :url, :events, :secret, 0)"), values
        )


def leased(store, endpoint, seal):
    """The endpoint as it signs, for a message of its own."""
    store.post_messages([Message(TYPE, str(next(NUMBERS)), 0, {})])
    return store.lease_deliveries(endpoint.endpoint_id, NOW_US, 1, seal).endpoint


def test_what_the_store_keeps_is_not_the_secret_and_opens_to_it(store):
    seal, endpoint = Seal((new_key(),)), new_endpoint(URL, [TYPE], 0)
    store.add_endpoint(endpoint, seal)
    ((secret, old),) = kept(store)
    assert (endpoint.secret in secret, is_sealed(secret), old) == (False, True, None)
    assert leased(store, endpoint, seal).secret == endpoint.secret


def test_secrets_of_an_earlier_release_are_sealed_when_they_are_first_met(store):
    seal, endpoint = Seal((new_key(),)), new_endpoint(URL, [TYPE], 0)
    keep_in_the_open(store, endpoint)
    assert leased(store, endpoint, Seal()).secret == endpoint.secret
    assert [store.seal_secrets(seal) for _ in range(2)] == [1, 0]
    ((secret, _),) = kept(store)
    assert is_sealed(secret)
    assert leased(store, endpoint, seal).secret == endpoint.secret


def test_with_another_key_messages_wait_and_nothing_is_lost(store):
    seal, endpoint = Seal((new_key(),)), new_endpoint(URL, [TYPE], 0)
    store.add_endpoint(endpoint, seal)
    before = kept(store)
    for other in (Seal((new_key(),)), Seal()):
        with pytest.raises(SecretLocked, match=endpoint.endpoint_id):
            leased(store, endpoint, other)
        with pytest.raises((SecretLocked, InputError)):
            store.reseal_secrets(other)
    assert kept(store) == before
    lease = store.lease_deliveries(endpoint.endpoint_id, NOW_US, 10, seal)
    assert (lease.endpoint.secret, [delivery.attempts for delivery in lease.deliveries]) == (endpoint.secret, [1, 1])


def test_keys_are_changed_with_both_at_hand(store):
    old, new, endpoint = new_key(), new_key(), new_endpoint(URL, [TYPE], 0)
    store.add_endpoint(endpoint, Seal((old,)))
    fresh = store.rotate_secret(endpoint.endpoint_id, NOW_US, Seal((old,)))
    assert leased(store, endpoint, Seal((new, old))).secret == fresh
    assert store.reseal_secrets(Seal((new, old))) == 2
    both = leased(store, endpoint, Seal((new,)))
    assert (both.secret, both.old_secret) == (fresh, endpoint.secret)
    with pytest.raises(SecretLocked, match="another key"):
        leased(store, endpoint, Seal((old,)))


def test_where_a_key_is_lost_for_good_a_new_secret_can_be_given(store):
    lost, endpoint = Seal((new_key(),)), new_endpoint(URL, [TYPE], 0)
    store.add_endpoint(endpoint, lost)
    seal = Seal((new_key(),))
    fresh = store.rotate_secret(endpoint.endpoint_id, NOW_US, seal)
    signing = leased(store, endpoint, seal)
    assert (signing.secret, signing.old_secret) == (fresh, None)
    headers = signing.headers("msg_1", "{}", NOW)
    assert headers["webhook-signature"] == Webhook(fresh).sign("msg_1", NOW, "{}")


def test_a_key_beside_a_file_store_is_made_once_and_for_its_owner_alone(tmp_path):
    seal = Seal.of(None, "sqlite:///x.db", tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Seal(file=seal.file).make_key([]), range(8)))
    assert stat.S_IMODE(seal.file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
    assert len(seal.keys) == 1
    assert seal.opened(seal.sealed("whsec_a")) == "whsec_a"


def test_no_new_key_is_made_where_the_old_one_is_missing(tmp_path):
    seal = Seal.of(None, "sqlite:///x.db", tmp_path)
    with pytest.raises(SecretLocked, match=r"secret\.key is missing.*put it back"):
        seal.make_key([Seal((new_key(),)).sealed("whsec_a")])
    assert not seal.file.exists()


def test_a_store_of_a_server_needs_a_key_that_all_its_machines_are_given(tmp_path):
    with pytest.raises(InputError, match="KEEPWELL_SECRET_KEY is not set"):
        Seal.of(None, "postgresql://host/base", tmp_path).make_key([])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", ["short", "x" * 44, "{good},short"])
def test_what_is_no_key_is_refused_and_not_repeated(told, tmp_path):
    told = told.format(good=new_key())
    with pytest.raises(InputError, match=r"key \d of \d is no key") as refused:
        Settings.from_environment({"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_SECRET_KEY": told})
    assert not any(key in str(refused.value) for key in told.split(","))


def test_settings_do_not_show_their_keys(tmp_path):
    key = new_key()
    settings = Settings.from_environment({"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_SECRET_KEY": key})
    assert settings.seal.keys == (key,)
    assert key not in repr(settings)


def test_the_command_line_changes_the_key_of_a_file(tmp_path):
    home = write_home(tmp_path / "home")
    added = keepwell("webhooks", "add", URL, "--events", TYPE, "-c", home)
    (secret,) = re.findall(r"whsec_\S+", added.out)
    (endpoint_id,) = re.findall(r"ep_\w+", added.out)
    file = home / ".keepwell" / "secret.key"
    before = file.read_text()
    assert "1 secret is" in keepwell("webhooks", "rekey", "-c", home).out
    assert (len(file.read_text().split()), file.read_text() == before) == (1, False)
    with closing(Store.open(f"sqlite:///{home / '.keepwell' / 'keepwell.db'}")) as store:
        store.post_messages([Message(TYPE, "j", 0, {})])
        assert store.lease_deliveries(endpoint_id, NOW_US, 1, Seal(file=file)).endpoint.secret == secret


def test_the_command_line_tells_of_a_missing_key_and_changes_nothing(tmp_path, monkeypatch):
    home = write_home(tmp_path / "home")
    keepwell("webhooks", "add", URL, "-c", home)
    file, away = home / ".keepwell" / "secret.key", tmp_path / "away"
    shutil.move(file, away)
    for command in (["add", URL], ["rekey"]):
        assert "put it back" in keepwell("webhooks", *command, "-c", home).refusal
    assert not file.exists()
    monkeypatch.setenv("KEEPWELL_SECRET_KEY", new_key())
    assert "another key" in keepwell("webhooks", "rekey", "-c", home).refusal
    monkeypatch.setenv("KEEPWELL_SECRET_KEY", f"{keepwell('webhooks', 'key').out.strip()},{away.read_text().strip()}")
    assert "1 secret is" in keepwell("webhooks", "rekey", "-c", home).out


def test_the_service_seals_what_it_finds_and_goes_on_delivering(tmp_path):
    home = write_home(tmp_path / "home")
    with receiving() as receiver:
        endpoint = new_endpoint(receiver.url, [TYPE], 0)
        with closing(Store.open(Settings.from_environment({"KEEPWELL_HOME": str(home)}).store_url)) as store:
            keep_in_the_open(store, endpoint)
        with serving(home, world().log) as running:
            wait_until(lambda: is_sealed(kept(running.store)[0][0]))
            wait_until(lambda: not files_with(endpoint.secret, home / ".keepwell"))
            running.store.post_messages([Message(TYPE, "j", 0, {"job_id": "j"})])
            wait_until(lambda: bool(receiver.got))
            assert receiver.verified(0, endpoint.secret)["data"] == {"job_id": "j"}


def files_with(secret, folder):
    return [path for path in Path(folder).rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]

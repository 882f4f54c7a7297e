"""Outbound webhooks: real receivers that fail, hang and recover; signatures checked by the standard's own library."""

import asyncio
import io
import json
import re
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import numpy as np
import pytest
from rich.console import Console
from standardwebhooks import Webhook, WebhookVerificationError

from models.errors import InputError
from models.moments import microseconds
from models.sealing import Seal, new_key
from models.store import DecisionRow, LoggedEvent, Store
from models.webhooks import ATTEMPTS, EVENT_TYPES, Message, checked_url, new_endpoint, retry_seconds
from pipelines.printing_webhooks import print_dead_letters
from serving.deliveries import Deliveries
from tests.command_line import keepwell
from tests.patience import wait_until
from tests.serving_world import serving, world, write_home

BAND = "member.risk_band_changed"
NEVER_SECONDS = 3_600
"""No attempt is given up before, except on a loop whose time leaps."""


@dataclass
class Receiver:
    """`answers` are the statuses of the next requests, then 204; of 0 hangs until the test ends, and a redirection leads `elsewhere`."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    elsewhere: str = ""

    def verified(self, at, secret):
        headers, body = self.got[at]
        return Webhook(secret).verify(body, headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def receiving():
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answers.pop(0) if receiver.answers else 204
            if status == 0:
                receiver.released.wait()
                return
            self.send_response(status)
            self.send_header("location", receiver.elsewhere)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield receiver
    receiver.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Wall:
    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now

    @property
    def us(self):
        return microseconds(self.now)


class LeapingLoop(asyncio.SelectorEventLoop):
    """What waits on it for a time waits shorter by the seconds `leapt`."""

    leapt = 0

    def time(self):
        return super().time() + self.leapt


@dataclass
class Bench:
    store: Store
    wall: Wall
    workers: list[Deliveries]
    seal: Seal

    def round(self, given_up=None):
        """Every worker looks once at what is due, and ends what it began; when `given_up` holds, what still hangs has hung too long."""

        async def once():
            async with httpx2.AsyncClient(timeout=None) as client:
                await asyncio.gather(*(worker.round(client) for worker in self.workers))
                if given_up is not None:
                    await asyncio.to_thread(wait_until, given_up)
                    asyncio.get_running_loop().leapt += NEVER_SECONDS
                await asyncio.gather(*(worker.settled() for worker in self.workers))

        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(once())

    def endpoint(self, url, *events):
        endpoint = new_endpoint(url, events or EVENT_TYPES, self.wall.us)
        self.store.add_endpoint(endpoint, self.seal)
        return endpoint

    def post(self, number=1):
        self.store.post_messages(
            [Message("decision_job.ended", f"job-{at}", self.wall.us, {"job_id": f"job-{at}"}) for at in range(number)]
        )

    def standing(self, endpoint):
        return next(one for one in self.store.endpoints() if one.endpoint.endpoint_id == endpoint.endpoint_id)


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


@pytest.fixture
def bench(store):
    wall = Wall()
    seal = Seal((new_key(),))
    workers = [Deliveries(lambda: store, seal, wall, np.random.default_rng(seed), attempt_seconds=NEVER_SECONDS) for seed in range(3)]
    return Bench(store, wall, workers, seal)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def decided(member_id, band, number):
    return DecisionRow(f"d{number}", member_id, 1_767_225_600_000_000 + number, "1", "none", None, 0, "{}", risk_band=band)


def test_a_change_of_the_band_is_posted_with_the_decision_and_nothing_else_is(bench, receiver, store):
    endpoint = bench.endpoint(receiver.url, BAND)
    store.add_events([LoggedEvent(name, 1, "post") for name in ("anna", "ben")])
    bands = [("anna", "low"), ("ben", "high"), ("anna", "low"), ("anna", None), ("anna", "high"), ("ben", "high"), ("anna", "low")]
    for number, (member_id, band) in enumerate(bands):
        store.record([decided(member_id, band, number)])
    bench.round()
    told = [receiver.verified(at, endpoint.secret) for at in range(len(receiver.got))]
    assert sorted(one["data"]["decision_id"] for one in told) == ["d4", "d6"]
    assert {key for one in told for key in one["data"]} == {"member_id", "decision_id"}
    assert {one["type"] for one in told} == {BAND}


def test_a_decision_that_is_not_kept_tells_nobody(bench, receiver, store):
    bench.endpoint(receiver.url)
    store.add_events([LoggedEvent("anna", 1, "post")])
    store.record([decided("anna", "low", 0)])
    contacted = DecisionRow("d1", "anna", 1_767_225_600_000_000, "1", "digest", "email", 7, "{}", risk_band="high")
    assert store.record([contacted]) == {"anna"}
    bench.round()
    assert receiver.got == []


def test_a_receiver_that_fails_and_hangs_gets_the_same_message_until_it_recovers(bench, receiver):
    endpoint = bench.endpoint(receiver.url)
    receiver.answers = [500, 0, 302]
    bench.post()
    for seconds, given_up in ((0, None), (8, lambda: len(receiver.got) == 2), (31, None), (121, None)):
        bench.wall.now += timedelta(seconds=seconds)
        bench.round(given_up)
        bench.round()
    assert len(receiver.got) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert receiver.got[-1][0]["webhook-timestamp"] == str(int(bench.wall.now.timestamp()))
    assert receiver.verified(3, endpoint.secret)["data"] == {"job_id": "job-0"}
    assert (bench.standing(endpoint).delivered, bench.standing(endpoint).pending) == (1, 0)


def test_a_forged_body_is_not_what_was_signed(bench, receiver):
    endpoint = bench.endpoint(receiver.url)
    bench.post()
    bench.round()
    headers, body = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(body.replace(b"job-0", b"job-1"), headers)


def test_workers_at_the_same_moment_deliver_each_message_once(bench, receiver):
    bench.endpoint(receiver.url)
    bench.post(40)
    bench.round()
    assert len(receiver.got) == 40
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 40


def test_a_lease_whose_worker_died_is_taken_over(bench, receiver):
    endpoint = bench.endpoint(receiver.url)
    bench.post()
    assert len(bench.store.lease_deliveries(endpoint.endpoint_id, bench.wall.us, 10, bench.seal).deliveries) == 1
    bench.round()
    assert receiver.got == []
    bench.wall.now += timedelta(seconds=61)
    bench.round()
    assert len(receiver.got) == 1


def test_messages_wait_for_the_key_of_their_secret(bench, receiver):
    endpoint = bench.endpoint(receiver.url)
    bench.post()
    knowing, bench.workers = bench.workers, [replace(bench.workers[0], seal=Seal((new_key(),)))]
    for _ in range(3):
        bench.round()
    assert (receiver.got, bench.standing(endpoint).pending) == ([], 1)
    bench.workers = knowing
    bench.round()
    assert receiver.verified(0, endpoint.secret)["data"] == {"job_id": "job-0"}


def test_an_endpoint_that_hangs_holds_up_no_other(bench, receiver):
    with receiving() as other:
        receiver.answers = [0] * 3
        hanging, quick = bench.endpoint(receiver.url), bench.endpoint(other.url)
        bench.post(3)
        bench.round(given_up=lambda: bench.standing(quick).delivered == 3 and len(receiver.got) == 3)
        assert (len(other.got), bench.standing(quick).pending) == (3, 0)
        assert (bench.standing(hanging).delivered, bench.standing(hanging).pending) == (0, 3)


def test_after_the_last_attempt_a_message_is_a_dead_letter_that_can_be_sent_again(bench, receiver):
    endpoint = bench.endpoint("http://127.0.0.1:9/nobody")
    bench.post()
    for _ in range(ATTEMPTS):
        bench.round()
        bench.wall.now += timedelta(days=2)
    (letter,) = bench.store.dead_letters()
    assert (letter.endpoint_id, letter.attempts, letter.error) == (endpoint.endpoint_id, ATTEMPTS, "ConnectError")
    assert bench.store.dead_letters(after=letter.delivery_key) == []
    assert bench.store.redeliver(bench.wall.us, endpoint_id="ep_other") == 0
    assert bench.store.redeliver(bench.wall.us, message_id=letter.message_id) == 1
    assert (bench.store.dead_letters(), bench.standing(endpoint).pending) == ([], 1)


def test_a_receiver_that_wants_no_more_is_not_asked_again(bench, receiver):
    bench.endpoint(receiver.url)
    receiver.answers = [410]
    bench.post()
    bench.round()
    (letter,), printed = bench.store.dead_letters(), io.StringIO()
    print_dead_letters([letter], Console(file=printed, width=80))
    assert letter.error == "status 410"
    assert f"{letter.message_id} to {letter.endpoint_id}: " in printed.getvalue()
    assert printed.getvalue().endswith("; 1 attempt, status 410\n")


def test_a_dead_letter_is_forgotten_after_a_month(bench, receiver):
    bench.endpoint(receiver.url)
    receiver.answers = [410]
    bench.post()
    bench.round()
    bench.store.sweep_outbox(bench.wall.us + 29 * 86_400_000_000)
    assert len(bench.store.dead_letters()) == 1
    bench.store.sweep_outbox(bench.wall.us + 31 * 86_400_000_000)
    assert bench.store.dead_letters() == []


def test_after_a_rotation_both_secrets_hold_for_a_day(bench, receiver):
    endpoint = bench.endpoint(receiver.url)
    fresh = bench.store.rotate_secret(endpoint.endpoint_id, bench.wall.us, bench.seal)
    bench.post()
    bench.round()
    assert receiver.verified(0, endpoint.secret) == receiver.verified(0, fresh)
    bench.store.rotate_secret(endpoint.endpoint_id, bench.wall.us - 86_400_000_000, bench.seal)
    bench.store.post_messages([Message("model.changed", "2", bench.wall.us, {"version": "2"})])
    bench.round()
    with pytest.raises(WebhookVerificationError):
        receiver.verified(1, fresh)


def test_a_new_model_is_announced_once_by_however_many_processes(bench, receiver):
    bench.endpoint(receiver.url)
    for version in ("1", "1", "2", "2", "2"):
        bench.store.announce_model(version, bench.wall.us)
    bench.round()
    assert [json.loads(body)["data"] for _, body in receiver.got] == [{"version": "2"}]


def test_waiting_times_grow_fourfold_with_chance_and_end():
    rng = np.random.default_rng(5)
    waits = [[retry_seconds(attempts, rng) for attempts in range(1, ATTEMPTS)] for _ in range(200)]
    least = np.array([5 * 4**step for step in range(ATTEMPTS - 1)])
    assert (np.min(waits, axis=0) >= least).all()
    assert (np.max(waits, axis=0) <= 1.5 * least).all()
    assert (np.std(waits, axis=0) > 0.1 * least).all()
    assert retry_seconds(ATTEMPTS, rng) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/x",
        "ftp://127.0.0.1/x",
        "https://",
        "https://user:secret@crm.example/x",
        "crm.example",
        "http://[::1",
        "https://a:b/",
    ],
)
def test_a_url_that_others_could_read_or_that_is_none_is_refused(url):
    with pytest.raises(InputError) as refused:
        checked_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://crm.example:8443/x?y=1", "http://localhost:1/x", "http://127.8.0.1/", "http://[::1]:80/"])
def test_a_url_over_tls_or_on_this_machine_is_taken(url):
    assert checked_url(url) == url


def test_the_service_delivers_what_its_own_answers_cause(tmp_path, receiver):
    with serving(write_home(tmp_path / "home"), world().log) as running:
        endpoint = new_endpoint(receiver.url, [BAND], 0)
        running.store.add_endpoint(endpoint, running.settings.seal)
        ids = world().log.members["member_id"].to_list()
        answers = [running.score(member_id).json() for member_id in ids[:40]]
        scored = next(one for one in answers if one["churn"]["risk_band"])
        other = "high" if scored["churn"]["risk_band"] == "low" else "low"
        with running.store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE members SET risk_band = ?", (other,))
        again = running.score(scored["member_id"]).json()
        wait_until(lambda: bool(receiver.got))
        assert receiver.verified(0, endpoint.secret)["data"] == {"member_id": scored["member_id"], "decision_id": again["decision_id"]}
        wait_until(lambda: running.store.endpoints()[0].delivered == 1)


def test_a_receiver_leads_no_message_elsewhere(tmp_path, receiver):
    """To an address within our own network, say, which only we can reach."""
    with receiving() as other, serving(write_home(tmp_path / "home"), world().log) as running:
        receiver.answers, receiver.elsewhere = [307], other.url
        running.store.add_endpoint(new_endpoint(receiver.url, EVENT_TYPES, 0), running.settings.seal)
        running.store.post_messages([Message("decision_job.ended", "job", 0, {"job_id": "job"})])

        def failures():
            with running.store.engine.connect() as connection:
                return connection.exec_driver_sql("SELECT error FROM deliveries").scalars().all()

        wait_until(lambda: failures() == ["status 307"])
        assert (len(receiver.got), other.got) == (1, [])


def test_dead_letters_are_shown_to_administrators(tmp_path, receiver):
    with serving(write_home(tmp_path / "home"), world().log) as running:
        receiver.answers = [410] * 202
        running.store.add_endpoint(new_endpoint(receiver.url, EVENT_TYPES, 0), running.settings.seal)
        running.store.post_messages([Message("decision_job.ended", f"{at}", 0, {"job_id": f"{at}"}) for at in range(101)])
        wait_until(lambda: len(running.store.dead_letters()) == 101)
        first = running.client.get("/v1/webhooks/dead-letters").json()
        rest = running.client.get("/v1/webhooks/dead-letters", params={"cursor": first["next_cursor"]}).json()
        assert (len(first["dead_letters"]), len(rest["dead_letters"]), rest["next_cursor"]) == (100, 1, None)
        assert first["dead_letters"][0]["error"] == "status 410"
        assert not {one["message_id"] for one in first["dead_letters"]} & {one["message_id"] for one in rest["dead_letters"]}


def test_endpoints_are_kept_by_the_command_line(tmp_path):
    home = write_home(tmp_path / "home")

    def webhooks(*arguments):
        return keepwell("webhooks", *arguments, "-c", home)

    added = webhooks("add", "https://crm.example/hook", "--events", "model.changed")
    (secret,) = re.findall(r"whsec_\S+", added.out)
    (endpoint_id,) = re.findall(r"ep_\w+", added.out)
    (told,) = webhooks("list", "--json").json()["endpoints"]
    assert (told["endpoint_id"], told["url"], told["events"]) == (endpoint_id, "https://crm.example/hook", ["model.changed"])
    listed = webhooks("list").out
    assert f"{endpoint_id} https://crm.example/hook: 0 delivered, 0 pending, 0 dead; is told of model.changed\n" in listed
    assert "whsec_" not in listed
    assert re.findall(r"whsec_\S+", webhooks("rotate", endpoint_id).out) != [secret]
    assert webhooks("dead", "--json").json() == {"dead_letters": []}
    assert "0 messages" in webhooks("redeliver").out
    assert webhooks("remove", endpoint_id).code == 0
    assert "no endpoint" in webhooks("list").out
    assert endpoint_id in webhooks("remove", endpoint_id).refusal
    assert "https://" in webhooks("add", "http://crm.example/").refusal
    assert "model.changed" in webhooks("add", "https://crm.example/", "--events", "all").refusal


@pytest.mark.parametrize(
    "events",
    [
        ("--events", "model.changed", "--events", "decision_job.ended"),
        ("--events", "model.changed,decision_job.ended"),
        ("--events", "model.changed, decision_job.ended", "--events", "model.changed"),
    ],
)
def test_types_of_messages_are_named_by_commas_or_one_by_one(tmp_path, events):
    home = write_home(tmp_path / "home")
    assert keepwell("webhooks", "add", "https://crm.example/hook", *events, "-c", home).code == 0
    (told,) = keepwell("webhooks", "list", "--json", "-c", home).json()["endpoints"]
    assert told["events"] == ["model.changed", "decision_job.ended"]

"""API keys: what is kept of them, what they may do and for how long, and how often they may ask."""

import gc
import hmac
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from starlette.routing import Router

from models import api_keys
from models.api_keys import SCOPES, create_key, ensure_first_key, holder_of, revoke_key, rotate_key
from models.errors import InputError, StoreUnavailable
from models.store import KeyRow, Store
from serving.app import create_app
from serving.rates import Rates
from serving.settings import Settings
from tests.command_line import keepwell
from tests.databases import sqlite_url
from tests.patience import wait_until
from tests.serving_world import client_of, listening, serving, settings_of, world, write_home

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPEN = {"GET /livez", "GET /readyz", "GET /docs", "GET /docs/docs.js", "GET /docs/docs.css", "GET /openapi.json"}
ENTRANCE = {"GET /sign-in", "POST /sign-in", "POST /sign-out", "POST /look", "GET /static/{name}"}
PAGES = {
    *("GET /", "GET /audience", "GET /audience.csv", "GET /members", "GET /members/", "GET /members/{member_id}"),
    *("GET /members/{member_id}/report.html", "POST /members/{member_id}/what-if"),
    *("GET /interventions", "GET /experiments", "GET /experiments/{experiment_id}", "GET /model", "GET /monitor"),
    *("GET /planner", "POST /planner/confirm", "GET /planner/jobs/{job_id}", "GET /planner/jobs/{job_id}/results.{kind}"),
    "POST /planner/jobs/{job_id}/cancel",
}
"""For people with a session, which a key with the scope `read` opens."""
SCOPE_OF = {
    "POST /v1/score": "score",
    "POST /score": "score",
    "POST /v1/score/batch": "score",
    "POST /v1/events": "ingest",
    "POST /v1/touches": "ingest",
    "POST /v1/outcomes": "ingest",
    "GET /v1/webhooks/dead-letters": "admin",
    "GET /v1/decisions": "read",
    "GET /v1/decisions/{decision_id}": "read",
    "POST /v1/decisions/{decision_id}/replay": "read",
    "GET /v1/decision-jobs": "plan",
    "POST /v1/decision-jobs": "plan",
    "GET /v1/decision-jobs/{job_id}": "plan",
    "GET /v1/decision-jobs/{job_id}/results": "plan",
    "DELETE /v1/decision-jobs/{job_id}": "plan",
    "GET /v1/members/{member_id}/explanation": "read",
    "POST /v1/members/{member_id}/what-if": "read",
    "GET /v1/experiments": "read",
    "GET /v1/experiments/{experiment_id}": "read",
    "GET /v1/audience": "read",
    "GET /v1/overview": "read",
    "GET /v1/interventions": "read",
    "GET /v1/interventions/figures": "read",
    "GET /v1/models/report": "read",
    "GET /v1/monitor": "read",
    "POST /v1/plans": "plan",
    "GET /v1/models": "read",
    "GET /metrics": "metrics",
    "POST /v1/models/reload": "admin",
    "GET /v1/rollouts/current": "read",
    "POST /v1/rollouts/current/rollback": "admin",
    "PUT /v1/members/{member_id}/preferences": "privacy",
    "GET /v1/members/{member_id}/preferences": "privacy",
    "GET /v1/members/{member_id}/data": "privacy",
    "DELETE /v1/members/{member_id}": "privacy",
}
"""Every route that asks for a key, with the scope that it needs: a new route needs its line here, or stands in OPEN."""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("keys") / "home"), world().log) as running:
        yield running


@pytest.fixture
def keys(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


def status(running, secret, path="/v1/models"):
    with client_of(str(running.client.base_url), secret) as client:
        return client.get(path).status_code


def routes_of(app):
    """`METHOD /path` of all that is routed; HEAD is answered as GET."""
    routes = [route for each in app.routes for route in getattr(each, "original_router", Router(routes=[each])).routes]
    found = {f"{method} {route.path_format}" for route in routes for method in route.methods or ()}
    return {route for route in found if not route.startswith("HEAD ")}


def test_every_route_is_open_or_has_its_scope(tmp_path):
    app = create_app(settings_of(write_home(tmp_path / "home")))
    assert routes_of(app) == OPEN | ENTRANCE | PAGES | SCOPE_OF.keys()


@pytest.mark.parametrize("route", sorted(PAGES))
def test_a_page_shows_nothing_without_a_session(running, route):
    method, path = route.split(" ")
    with running.without_key() as client:
        asked = path.format(member_id="m0000001", experiment_id="m0000001", job_id="m0000001", kind="csv")
        answer = client.request(method, asked, follow_redirects=False)
    assert answer.status_code in {303, 403}
    assert "m0000001" not in answer.text


@pytest.mark.parametrize("route", sorted(SCOPE_OF))
def test_a_route_answers_keys_of_its_scope_and_of_admin_alone(running, secret_of, route):
    method, path = route.split(" ")
    path = path.format(member_id="nobody", decision_id="none", job_id="none", experiment_id="none")

    def answered(client):
        return client.request(method, path, json={} if method in {"POST", "PUT"} else None).status_code

    with running.without_key() as client:
        assert answered(client) == 401
    for scope in SCOPES:
        with client_of(str(running.client.base_url), secret_of[scope]) as client:
            told = answered(client)
        if scope in {SCOPE_OF[route], "admin"}:
            assert told in {200, 202, 404, 422}, (route, scope, told)
        else:
            assert told == 403, (route, scope, told)


@pytest.fixture(scope="module")
def secret_of(running):
    return {scope: create_key(running.store, f"only {scope}", [scope], now=NOW) for scope in SCOPES}


def test_a_key_with_any_sign_changed_is_refused(keys):
    secret = create_key(keys, "crm", ["read"], now=NOW)
    assert holder_of(keys, secret, now=NOW).name == "crm"
    for place, sign in enumerate(secret):
        other = secret[:place] + ("A" if sign != "A" else "B") + secret[place + 1 :]
        assert holder_of(keys, other, now=NOW) is None, place


@pytest.mark.parametrize("malformed", ["", "kw", "kw_", "kw__", "kw_x", "_", "kw_ffffffffffff_", "kw_\x00_\x00", "密钥", "kw_" * 10_000])
def test_what_is_no_key_is_nobodys(keys, malformed):
    assert holder_of(keys, malformed, now=NOW) is None


@pytest.fixture
def steps_of(keys):
    """What `models.api_keys` calls, one after another, to look a secret up: functions of its own and of others, but no finalizers."""

    def traced(secret):
        steps = []

        def step(frame, event, called):
            if event == "c_call" and frame.f_code.co_filename == api_keys.__file__:
                steps.append(called.__name__)
            elif event == "call" and api_keys.__file__ in {frame.f_code.co_filename, frame.f_back.f_code.co_filename}:
                steps.append(frame.f_code.co_qualname)

        gc.disable()
        sys.setprofile(step)
        try:
            holder = holder_of(keys, secret, now=NOW)
        finally:
            sys.setprofile(None)
            gc.enable()
        return holder, steps

    return traced


def test_an_unknown_key_and_a_wrong_secret_are_told_apart_by_nothing_that_is_done(keys, steps_of):
    """The comparison is `hmac.compare_digest`, which takes the same time wherever two digests differ."""
    secret = create_key(keys, "crm", ["read"], now=NOW)
    prefix, key_id, token = secret.split("_", 2)
    holder, right = steps_of(secret)
    other_tokens = ("-" + token, token[:-1], "A" * len(token), "")
    nobody, unknown = steps_of(f"{prefix}_{'f' * len(key_id)}_{token}")
    wrong = [steps_of(f"{prefix}_{key_id}_{other}") for other in other_tokens]
    assert holder.key_id == key_id
    assert nobody is None
    assert wrong == [(None, unknown)] * len(wrong)
    compared = hmac.compare_digest.__name__
    for steps in (right, unknown):
        assert (steps.count(compared), steps.count("_digest"), steps.count("KeyStore.keys")) == (1, 1, 1)
        assert steps.index("KeyStore.keys") < steps.index("_digest") < steps.index(compared)


def test_the_store_keeps_no_secret(keys):
    secret = create_key(keys, "quiet", ["read"], now=NOW)
    token = secret.split("_", 2)[2]
    assert len(token) >= 43
    assert token not in f"{keys.all_keys()}"
    assert len({key.digest for key in [*keys.all_keys(), keys.key(create_key(keys, "quiet", ["read"], now=NOW).split("_")[1])]}) == 2


@pytest.mark.parametrize(
    ("scopes", "expires", "said"),
    [(["nothing"], None, "nothing scope"), ([], None, "no scope"), (["read"], NOW, "has passed already")],
)
def test_a_key_that_could_do_nothing_is_not_made(keys, scopes, expires, said):
    with pytest.raises(InputError, match=said):
        create_key(keys, "odd", scopes, now=NOW, expires=expires)
    assert keys.all_keys() == []


def test_the_first_key_is_made_once(keys):
    secret = ensure_first_key(keys, now=NOW)
    assert all(holder_of(keys, secret, now=NOW).may(scope) for scope in SCOPES)
    assert ensure_first_key(keys, now=NOW) is None


def test_a_key_ends_when_it_expires(keys):
    secret = create_key(keys, "short", ["read"], now=NOW, expires=NOW + timedelta(days=1))
    assert holder_of(keys, secret, now=NOW + timedelta(hours=23, minutes=59))
    assert holder_of(keys, secret, now=NOW + timedelta(days=1)) is None


def test_a_renewed_key_is_valid_beside_the_old_one_until_the_overlap_is_over(keys):
    old = create_key(keys, "crm", ["score", "ingest"], now=NOW)
    new = rotate_key(keys, old.split("_")[1], now=NOW, overlap=timedelta(hours=2))
    assert holder_of(keys, new, now=NOW).scopes == {"score", "ingest"}
    assert holder_of(keys, old, now=NOW + timedelta(minutes=119))
    assert holder_of(keys, old, now=NOW + timedelta(minutes=120)) is None
    assert holder_of(keys, new, now=NOW + timedelta(days=999))
    with pytest.raises(InputError, match="has ended"):
        rotate_key(keys, old.split("_")[1], now=NOW + timedelta(hours=3), overlap=timedelta())


def test_an_end_is_never_put_off(keys):
    short = create_key(keys, "short", ["read"], now=NOW, expires=NOW + timedelta(hours=1))
    rotate_key(keys, short.split("_")[1], now=NOW, overlap=timedelta(days=9))
    revoke_key(keys, short.split("_")[1], now=NOW + timedelta(days=1))
    assert holder_of(keys, short, now=NOW + timedelta(hours=1)) is None


def test_a_revoked_key_is_refused_by_every_process_with_its_next_request(running, secret_of):
    other = create_app(running.settings)
    with listening(other) as url, client_of(url, create_key(running.store, "gone", ["read"], now=NOW)) as there:
        wait_until(lambda: there.get("/v1/models").status_code == 200)
        secret = there.headers["authorization"].removeprefix("Bearer ")
        assert status(running, secret) == 200
        revoke_key(running.store, secret.split("_")[1], now=datetime.now(UTC))
        assert (there.get("/v1/models").status_code, status(running, secret)) == (401, 401)


def test_the_clock_of_a_service_that_looks_at_the_past_lets_no_key_live_on(running):
    """The service's own clock stands in 2025."""
    ended, lives = (
        create_key(running.store, "past", ["read"], now=NOW, expires=datetime.now(UTC) + timedelta(days=days)) for days in (-1, 1)
    )
    assert (status(running, ended), status(running, lives)) == (401, 200)


def test_keys_are_known_again_when_the_database_is_back(postgres):
    with postgres.database() as url, closing(Store.open(url)) as store:
        secret = create_key(store, "crm", ["read"], now=NOW)
        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(lambda _: holder_of(store, secret, now=NOW), range(60)))
        postgres.stop()
        with pytest.raises(StoreUnavailable):
            holder_of(store, secret, now=NOW)
        postgres.start()
        assert [holder_of(store, secret, now=NOW).name for _ in range(8)] == ["crm"] * 8


def test_the_commands_make_list_renew_and_end_keys(tmp_path):
    home = write_home(tmp_path / "home")
    made = keepwell("keys", "create", "crm", "--scopes", "score,privacy", "--days", 30, "-c", home).out
    key_id = made.split("kw_")[1].split("_")[0]
    renewed = keepwell("keys", "rotate", key_id, "--overlap-hours", 0, "-c", home).out
    assert renewed.startswith("API key, shown this once: kw_")
    assert "is revoked" in keepwell("keys", "revoke", renewed.split("kw_")[1].split("_")[0], "-c", home).out
    with closing(Store.open(sqlite_url(home / ".keepwell"))) as store:
        assert [(key.name, key.scopes) for key in store.all_keys()] == [("crm", "privacy score")] * 2
        assert all(key.expires_us is not None for key in store.all_keys())
    listed = keepwell("keys", "list", "-c", home).out
    assert key_id in listed
    assert made.strip().split("_", 2)[2] not in listed
    assert 'no key has the id "nokey"' in keepwell("keys", "revoke", "nokey", "-c", home).refusal


def test_scopes_are_named_by_commas_or_one_by_one(tmp_path):
    home = write_home(tmp_path / "home")
    assert keepwell("keys", "create", "night", "--scopes", "score", "--scopes", "plan,read", "-c", home).code == 0
    assert keepwell("keys", "create", "usual", "-c", home).code == 0
    with closing(Store.open(sqlite_url(home / ".keepwell"))) as store:
        assert {key.name: key.scopes for key in store.all_keys()} == {"night": "plan read score", "usual": "read score"}


def test_a_key_that_asks_too_often_is_told_when_to_come_again(tmp_path):
    with serving(write_home(tmp_path / "home"), rate_limit="3/year", mlflow_uri=sqlite_url(tmp_path)) as running:
        answers = [running.client.get("/v1/decisions/none") for _ in range(5)]
        other = create_key(running.store, "other", ["read"], now=NOW)
        assert status(running, other, "/v1/decisions/none") == 404
        assert running.client.get("/livez").status_code == 200
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=31536000'
    assert answers[0].headers["ratelimit"].startswith('"key";r=2;t=')
    refused = answers[-1]
    assert refused.json()["type"] == "/docs#too-many-requests"
    assert 0 < int(refused.headers["retry-after"]) <= 31_536_000
    assert refused.headers["ratelimit"].startswith('"key";r=0;t=')


def test_processes_together_grant_no_more_than_one_would():
    for limit, processes in (("9/year", 3), ("10/year", 3), ("3/year", 3)):
        workers = [Rates(limit, processes) for _ in range(processes)]
        granted = sum(worker.hit("key").allowed for worker in workers for _ in range(12))
        assert int(limit.split("/")[0]) - processes < granted <= int(limit.split("/")[0])
        assert workers[0].hit("another").allowed


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5", "²"])
def test_a_number_of_processes_is_whole(tmp_path, workers):
    with pytest.raises(InputError, match="is no number of processes"):
        Settings.from_environment({"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_WORKERS": workers})


def test_every_process_has_a_share(tmp_path):
    asked = {"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_WORKERS": "4", "KEEPWELL_RATE_LIMIT": "3/second"}
    settings = Settings.from_environment(asked)
    with pytest.raises(InputError, match="of 3/second none of 4 processes has a share; give at least 4"):
        Rates(settings.rate_limit, settings.workers)


@pytest.mark.parametrize(
    "told", ["often", "0/minute", "-1/minute", "1.5/minute", "5/fortnight", "5", "/minute", "5/minute;9/hour", "٣/minute"]
)
def test_a_rate_that_cannot_be_read_is_refused(tmp_path, told):
    with pytest.raises(InputError, match=f'KEEPWELL_RATE_LIMIT: "{told}" is no rate'):
        Rates(told)
    assert Settings.from_environment({"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_RATE_LIMIT": "5/second"}).rate_limit == "5/second"


HARDENING = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-resource-policy")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/livez", 200), ("/docs", 200), ("/v1/models", 200), ("/v1/nowhere", 404), ("/openapi.json", 200), ("/v1/score", 405)],
)
def test_every_answer_forbids_the_browser_what_nobody_needs(running, path, expected):
    answer = running.client.get(path)
    assert answer.status_code == expected
    assert [name for name in HARDENING if name not in answer.headers] == []
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_an_answer_to_something_unforeseen_forbids_it_too(running):
    running.store.add_key(KeyRow("broken", "broken", "read", "no hexadecimal salt", "digest", 0))
    with client_of(str(running.client.base_url), "kw_broken_token") as client:
        answer = client.get("/v1/models")
    assert answer.status_code == 500
    assert [name for name in HARDENING if name not in answer.headers] == []

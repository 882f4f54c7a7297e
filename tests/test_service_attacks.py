"""Requests that mean harm, sent to a server that runs: each is answered as the description says, and none does any."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote

import pytest

from serving.heads import MOST_HEAD_BYTES
from tests.fuzzing import fuzz
from tests.serving_world import NOW, serving, world, write_home

MOST_PLACES = 4
PLACE_IN_PATH = re.compile(r"\{\w+\}")
JSON = {"Content-Type": "application/json"}
STRINGS = (
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "1); DELETE FROM members WHERE (1=1",
    "%' UNION SELECT digest FROM api_keys --",
    "{{7*7}}{% for x in ().__class__.__base__.__subclasses__() %}{{x}}{% endfor %}",
    "${jndi:ldap://127.0.0.1/a}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "a\x00b",
    "\ud800",
    "\u202egnp.exe",
    "\U0001f9d1\u200d\U0001f33e" * 20,
    "=cmd|' /C calc'!A0",
    "%s%n%d{0.__class__}",
    "A" * 100_000,
)
EVENT = {"event_id": "x", "member_id": "m0000001", "type": "post", "timestamp": NOW.isoformat()}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


@pytest.fixture(scope="module")
def described(running):
    return running.client.get("/openapi.json").json()


def post(running, path, text, **headers):
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    answer = running.client.post(path, content=content, headers={**JSON, **headers})
    assert answer.status_code < 500, answer.text
    return answer


def filled(example, text):
    """The example with this text wherever it has one."""
    match example:
        case dict():
            return {key: filled(value, text) for key, value in example.items()}
        case list():
            return [filled(value, text) for value in example]
        case str():
            return text
    return example


def one_by_one(example, text):
    """The example with this text in one place at a time."""
    match example:
        case dict():
            yield from ({**example, key: changed} for key, value in example.items() for changed in one_by_one(value, text))
        case list():
            yield from (
                [*example[:place], changed, *example[place + 1 :]] for place, one in enumerate(example) for changed in one_by_one(one, text)
            )
        case str():
            yield text


def requests_of(described):
    """(method, path, example of a body or None) of every operation."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            bodies = operation.get("requestBody", {}).get("content", {})
            yield from ((method, path, body["example"], media_type) for media_type, body in bodies.items())
            if not bodies:
                yield method, path, None, "application/json"


@pytest.mark.parametrize("text", STRINGS, ids=range(len(STRINGS)))
def test_a_string_that_means_harm_is_data_in_every_field_and_path(running, described, text):
    members = running.store.known(world().log.members["member_id"].to_list())
    harmless = text.encode("utf-8", "replace").decode()
    for method, path, example, media_type in requests_of(described):
        url = PLACE_IN_PATH.sub(quote(harmless, safe="").replace("\\", "%5C"), path)[:8_000]
        bodies = [None] if example is None else [filled(example, text), *list(one_by_one(example, text))[:MOST_PLACES]]
        for body in bodies:
            content = None if body is None else json.dumps(body).encode()
            answer = running.client.request(method, url, content=content, headers={"Content-Type": media_type} if content else {})
            assert answer.status_code < 500, (method, path, answer.text)
    assert running.store.known(members) == members
    assert running.client.get("/readyz").json()["ready"]


def test_a_string_that_means_harm_is_data_in_every_parameter(running, described):
    gets = {path: item["get"].get("parameters", ()) for path, item in described["paths"].items() if "get" in item}
    named = [(path, one["name"]) for path, parameters in gets.items() for one in parameters if one["in"] == "query"]
    assert {"member_id", "cursor", "lang"} <= {name for _, name in named}
    for path, name in named:
        for text in STRINGS:
            value = text.encode("utf-8", "replace").decode()[:8_000]
            answer = running.client.get(PLACE_IN_PATH.sub("nobody", path), params={name: value})
            assert answer.status_code < 500, (path, name, answer.text)


@pytest.mark.parametrize(
    "name", ["X-Request-ID", "Idempotency-Key", "traceparent", "If-None-Match", "Accept", "Authorization", "ce-id", "Cookie"]
)
def test_a_header_that_means_harm_is_data(running, name):
    for text in STRINGS:
        value = text.encode("utf-8", "replace").replace(b"\0", b"%00")[:4_000].strip()
        for path in ("/v1/interventions", "/v1/members/m0000001/explanation"):
            assert running.client.get(path, headers={name.encode(): value}).status_code < 500
        answer = running.client.post("/v1/score", json={"member_id": "m0000001", "mode": "score_only"}, headers={name.encode(): value})
        assert answer.status_code < 500, answer.text
        assert not [line for line in answer.headers.raw if b"\n" in line[1] or b"\r" in line[1]]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"member_id": "m0000001", "mode": "score_only", "member_id": "nobody"}', 404),
        ('{"member_id": ' + "[" * 50_000 + "]" * 50_000 + "}", 400),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, 400),
        ('{"member_id": "m0000001", "max_actions": 1e400}', 422),
        ('{"member_id": "m0000001", "max_actions": ' + "9" * 5_000 + "}", 400),
        ('{"member_id": "m0000001", "max_actions": NaN}', 422),
        ('{"member_id": "m0000001", "max_actions": -Infinity}', 422),
        ('{"member_id": "m0000001", "max_actions": 0x10}', 400),
        ('{"member_id": "\\ud800"}', 422),
        ('{"member_id": "m0000001"} trailing', 400),
        ('["member_id"]', 422),
        ('"member_id"', 422),
        ("null", 422),
        ("", 422),
        ('\ufeff{"member_id": "m0000001", "mode": "score_only"}', 200),
        ('{"member_id": "m0000001", "mode": "score_only"}'.encode("utf-16"), 400),
        (b'{"member_id": "\xff\xfe"}', 400),
        (b"\x1f\x8b\x08\x00gzip", 400),
        ('{"__proto__": {"admin": true}, "member_id": "m0000001"}', 422),
    ],
    ids=range(19),
)
def test_a_body_that_is_odd_is_refused_and_never_guessed(running, text, status):
    answer = post(running, "/v1/score", text)
    assert answer.status_code == status, answer.text


def test_of_a_key_that_a_body_gives_twice_the_last_counts(running):
    """JSON leaves that open (RFC 8259, section 4); all that reads bodies here has it alike."""
    decided = '{"member_id": "m0000001", "mode": "decide", "mode": "score_only", "max_actions": 9, "max_actions": 1}'
    for headers in ({}, {"Idempotency-Key": "given-twice"}):
        assert post(running, "/v1/score", decided, **headers).json()["decision_id"] is None
    event = json.dumps({**EVENT, "event_id": "given-twice"})[:-1]
    told = post(running, "/v1/events", f'{{"events": [], "events": [{event}, "type": "unheard-of", "type": "comment"}}]}}').json()
    assert (told["accepted"], told["rejected"]) == (1, [])
    wishes = running.client.put(
        "/v1/members/m0000001/preferences", content='{"personalization": false, "personalization": true}', headers=JSON
    )
    assert wishes.json()["personalization"] is True


def test_a_body_that_is_said_to_be_packed_is_not_unpacked(running):
    answer = post(running, "/v1/score", b"\x1f\x8b\x08\x00" + b"\0" * 100, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


def told_over_the_wire(running, *pieces):
    """The status and the body of what is answered to these bytes; none of them after the answer has begun."""
    with socket.create_connection((running.client.base_url.host, running.client.base_url.port)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_headers_without_end_are_refused_before_they_fill_the_memory(running):
    begin = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "
    status, told = told_over_the_wire(running, begin, b"a" * (MOST_HEAD_BYTES + 1 - len(begin)))
    assert (status, told["type"], told["status"]) == (431, "/docs#head-too-large", 431)
    long = {"X-Long": "a" * 20_000}
    for _ in range(5):
        assert running.client.get("/livez", headers=long).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez?%s HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_a_head_that_comes_in_one_piece_is_bounded_too(running, head):
    status, told = told_over_the_wire(running, head % (b"a" * MOST_HEAD_BYTES))
    assert (status, told["type"]) == (431, "/docs#head-too-large")


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("head", [b"GET /livez?%s HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n"])
def test_a_head_is_too_long_from_one_byte_above_the_bound_on(running, head, more):
    begin, end = head.replace(b"Host: x", b"Host: x\r\nConnection: close").split(b"%s")
    status, told = told_over_the_wire(running, begin, b"a" * (MOST_HEAD_BYTES + more - len(begin) - len(end)), end)
    assert (status, told.get("status")) == ((431, 431) if more else (200, "alive"))


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"no header at all\r\n",
    ],
)
def test_headers_that_contradict_each_other_are_no_request(running, headers):
    status, told = told_over_the_wire(running, b"POST /v1/score HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n{}")
    assert (status, told["type"], len(told["request_id"])) == (400, "/docs#malformed-request", 16)


def test_of_a_key_that_is_given_twice_the_first_holds(running):
    right = running.client.headers["authorization"]
    with running.without_key() as client:
        answers = [client.get("/v1/models", headers=[("Authorization", one) for one in keys]) for keys in ((right, "x"), ("x", right))]
    assert [answer.status_code for answer in answers] == [200, 401]


def test_values_at_the_bound_do_not_spoil_a_score(running):
    far = [{**EVENT, "event_id": f"far-{sign}", "type": "purchase", "value": sign * 1e15, "member_id": "rich"} for sign in (1, -1)]
    most = [{**EVENT, "event_id": f"most-{number}", "type": "purchase", "value": 1e15, "member_id": "richer"} for number in range(50)]
    early = {**EVENT, "event_id": "early", "timestamp": "0001-01-01T00:00:00+14:00", "member_id": "old"}
    late = {**EVENT, "event_id": "late", "timestamp": (NOW + timedelta(seconds=301)).isoformat(), "member_id": "late"}
    told = post(running, "/v1/events", json.dumps({"events": [*far, *most, early, late]})).json()
    assert (told["accepted"], [one["code"] for one in told["rejected"]]) == (53, ["future_timestamp"])
    for member_id in ("rich", "richer", "old"):
        answer = running.score(member_id, mode="simulate", include=["reasons", "candidates"])
        assert answer.status_code == 200, answer.text
        assert "null" not in json.dumps([candidate["priority"] for candidate in answer.json()["candidates"]])


def test_many_at_once_with_half_of_a_request_do_not_hold_the_others_up(running):
    host, port = running.client.base_url.host, running.client.base_url.port

    def half(_):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            return running.client.get("/livez").status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(half, range(64))) == {200}


def test_a_short_run_of_schemathesis_finds_nothing(running, tmp_path):
    key = running.client.headers["authorization"].removeprefix("Bearer ")
    fuzzed = fuzz(str(running.client.base_url).rstrip("/"), key, tmp_path, examples=1, phases="examples,fuzzing")
    assert fuzzed.found == ""
    assert fuzzed.cases > 30

"""The contract at the edge: keys, problems, limits, the description of the service."""

import json
import re
from datetime import timedelta

import pytest
from jsonschema import Draft202012Validator

from models.api_keys import create_key
from models.errors import InputError
from models.store import KeyRow
from serving import problems
from serving.app import create_app
from serving.negotiation import best_media_type
from serving.problems import PROBLEM_TYPES, ProblemType
from serving.settings import Settings
from tests.patience import wait_until
from tests.serving_world import NOW, client_of, listening, serving, settings_of, world, write_home

GOOD_EVENT = {"event_id": "a", "member_id": "m0000001", "type": "post", "timestamp": "2025-07-20T09:00:00+00:00"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log, max_body_bytes=50_000) as running:
        yield running


def problem(answer, status, name):
    """The answer is a problem of this type, and complete."""
    told = answer.json()
    assert (answer.status_code, told["status"], told["type"]) == (status, status, f"/docs#{name}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["title"]
    assert told["detail"]
    return told


def post(running, events):
    answer = running.client.post("/v1/events", json={"events": events})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/score", [], "give an object"),
        ("/v1/score", {"member_id": "a\nb"}, "no control characters"),
        ("/v1/score", {"member_id": "m0000001", "events": {}}, "give a list"),
        ("/v1/score", {"member_id": "m0000001", "events": [{"type": "post", "timestamp": 5}]}, "give a time as RFC 3339 writes it"),
        ("/v1/score/batch", {"requests": [3]}, "give an object"),
        ("/v1/events", {"events": ["post"]}, "give an object"),
        ("/v1/touches", {"touches": [None]}, "give an object"),
        ("/v1/outcomes", {"outcomes": "x"}, "give a list"),
    ],
)
def test_a_fault_names_no_class_and_no_pattern_of_the_code_that_found_it(running, path, body, said):
    answer = running.client.post(path, json=body).text
    assert said in answer
    assert not re.search(r"Value error|instance of|match pattern|dictionary|extract|[A-Z][a-z]+[A-Z][a-z]+", answer), answer


def test_without_a_key_nothing_is_answered(running):
    with running.without_key() as client:
        answer = client.post("/v1/score", json={"member_id": "m0000001"})
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/decisions/x", "/v1/members/m0000001/explanation", "/v1/interventions", "/v1/models"):
            problem(client.get(path), 401, "unauthenticated")
        problem(client.post("/v1/events", json={"events": []}), 401, "unauthenticated")


@pytest.mark.parametrize("wrong", ["kw", "kw_abc", "kw__", "kw_ffffffffffff_x", "Bearer", "密钥".encode().decode("latin-1")])
def test_a_wrong_key_is_refused(running, wrong):
    with running.without_key() as client:
        answer = client.get("/v1/models", headers={"Authorization": f"Bearer {wrong}".encode("latin-1")})
        problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/member_id", "missing"),
        ({"member_id": ""}, "/member_id", "string_too_short"),
        ({"member_id": "m" * 257}, "/member_id", "string_too_long"),
        ({"member_id": "m\x00"}, "/member_id", "string_pattern_mismatch"),
        ({"member_id": "m\ud800"}, "/member_id", "string_unicode"),
        ({"member_id": 5}, "/member_id", "string_type"),
        ({"member_id": "m", "max_action": 3}, "/max_action", "extra_forbidden"),
        ({"member_id": "m", "mode": "dream"}, "/mode", "literal_error"),
        ({"member_id": "m", "max_actions": -1}, "/max_actions", "greater_than_equal"),
        ({"member_id": "m", "events": [{"type": "post", "timestamp": "2025-07-20T09:00:00"}]}, "/events/0/timestamp", "timezone_aware"),
        ({"member_id": "m", "context": {"a/b~c": 1}}, "/context/a~1b~0c", "extra_forbidden"),
    ],
)
def test_a_request_that_breaks_the_contract_is_told_where(running, body, pointer, code):
    content = json.dumps(body)
    answer = running.client.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
    told = problem(answer, 422, "invalid-request")
    assert [(fault["pointer"], fault["code"]) for fault in told["errors"]] == [(pointer, code)]


def test_a_number_that_is_none_is_refused(running):
    content = b'{"member_id": "m", "events": [{"type": "post", "timestamp": "2025-07-20T09:00:00Z", "value": NaN}]}'
    answer = running.client.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
    assert problem(answer, 422, "invalid-request")["errors"][0]["pointer"] == "/events/0/value"


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[" * 40_000])
def test_a_body_that_is_no_json_is_a_problem_of_the_sender(running, content):
    answer = running.client.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("path", ["/v1/score", "/v1/score/batch", "/v1/events"])
def test_a_body_in_another_coding_than_utf_8_is_not_read(running, path, coding):
    told = {"/v1/score": {"member_id": "m0000001", "mode": "score_only"}, "/v1/score/batch": {"requests": []}, "/v1/events": {"events": []}}
    answer = running.client.post(path, content=json.dumps(told[path]).encode(coding), headers={"Content-Type": "application/json"})
    assert "send JSON in UTF-8" in problem(answer, 400, "malformed-json")["detail"]


def test_a_body_that_ceases_to_be_utf_8_is_told_where(running):
    for broken in (b"\xff", b"\xed\xa0\x80"):
        answer = running.client.post("/v1/score", content=b'{"member_id": "' + broken + b'"}', headers={"Content-Type": "application/json"})
        assert "from byte 15 on" in problem(answer, 400, "malformed-json")["detail"]


def operations(running):
    """Method and path of each that the description has below /v1."""
    paths = running.client.get("/openapi.json").json()["paths"]
    return [(method, path) for path, item in paths.items() for method in item if path.startswith("/v1/")]


def test_every_operation_refuses_a_parameter_that_it_does_not_know(running):
    assert len(operations(running)) > 25
    for method, path in [*operations(running), ("post", "/score")]:
        url = f"{re.sub(r'{[a-z_]+}', 'm0000001', path)}?unheard-of=1"
        told = problem(running.client.request(method, url), 422, "invalid-request")
        assert [(fault["parameter"], fault["code"]) for fault in told["errors"]] == [("query.unheard-of", "extra_forbidden")]


@pytest.fixture(scope="module")
def keyless(running):
    """One without a key, one with a key that nobody gave, and one whose key opens figures alone; each with what it is told."""
    metrics = create_key(running.store, "figures", ["metrics"], now=NOW)
    with (
        running.without_key() as nobody,
        client_of(str(running.client.base_url), "kw_ffffffffffff_x") as stranger,
        client_of(str(running.client.base_url), metrics) as other,
    ):
        yield (nobody, 401, "unauthenticated"), (stranger, 401, "unauthenticated"), (other, 403, "forbidden")


def test_who_may_not_ask_is_told_so_before_what_else_is_wrong(running, keyless):
    for method, path in [*operations(running), ("post", "/score")]:
        url = re.sub(r"{[a-z_]+}", "m0000001", path)
        for client, status, name in keyless:
            problem(client.request(method, f"{url}?unheard-of=1"), status, name)
            if method in {"post", "put"}:
                for broken in (b"{", b"\xff", b"[" * 40_000, b"1" * 5_000, "{}".encode("utf-16")):
                    problem(client.request(method, url, content=broken, headers={"Content-Type": "application/json"}), status, name)


def test_what_json_cannot_be_read_is_said(running):
    for broken, said in ((b"[" * 40_000, "nested deeper"), (b"1" * 5_000, "more digits"), (b'{"member_id": ', "from character 14 on")):
        answer = running.client.post("/v1/score/batch", content=broken, headers={"Content-Type": "application/json"})
        assert said in problem(answer, 400, "malformed-json")["detail"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("/v1/decisions?limti=5", 'did you mean "limit"?'),
        ("/v1/decisions?form=2025-01-01T00:00:00Z&x=1&x=2", 'did you mean "from"?'),
        ("/v1/decisions?unheard-of", "known are cursor, from, limit, member_id, to"),
        ("/v1/models?lang=en", "none is read"),
        ("/v1/audience?sage=silent", 'did you mean "stage"?'),
    ],
)
def test_a_parameter_that_is_misspelt_is_refused_with_the_nearest(running, asked, said):
    told = problem(running.client.get(asked), 422, "invalid-request")
    assert said in told["errors"][0]["detail"]
    assert told["errors"][0]["detail"] in told["detail"]
    assert len(told["errors"]) == 1 + ("x=1" in asked)


def test_of_a_parameter_that_is_given_twice_the_last_counts(running):
    assert running.client.get("/v1/decisions?limit=0&limit=5").status_code == 200
    problem(running.client.get("/v1/decisions?limit=5&limit=0"), 422, "invalid-request")


def test_probes_are_answered_whatever_is_asked_beside(running):
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert running.client.get(path, params={"unheard-of": "1"}).status_code == 200, path


def test_another_media_type_is_not_read(running):
    problem(running.client.post("/v1/score", content=b"member_id=m", headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type")
    problem(running.client.post("/v1/score", content=b'{"member_id": "m"}'), 415, "unsupported-media-type")


def test_head_is_get_without_the_body(running):
    with running.without_key() as client:
        told, head = client.get("/livez"), client.head("/livez")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", told.headers["content-length"])
        assert client.head("/v1/models").status_code == 401
    refused = running.client.head("/v1/score")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "offered"),
    [
        ("/v1/members/m0000001/preferences", "GET, HEAD, PUT, DELETE"),
        ("/v1/members/m0000001/what-if", "POST, DELETE"),
        ("/v1/decision-jobs", "GET, HEAD, POST"),
        ("/v1/decision-jobs/none", "GET, HEAD, DELETE"),
        ("/sign-in", "GET, HEAD, POST"),
        ("/livez", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_offered_is_answered_with_all_that_are(running, path, offered):
    answer = running.client.patch(path, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["allow"]) == (405, offered)
    assert answer.json()["detail"] == f"this path takes {offered}"


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/score/", "/score/", "/v1/decisions/", "/v1/nothing"])
def test_a_path_that_there_is_not_is_a_problem_and_leads_nowhere_else(running, path):
    """A redirect would send the key along, and in plain text where a proxy ends TLS."""
    for method in ("GET", "POST"):
        answer = running.client.request(method, path, json={}, follow_redirects=False)
        assert "none of which ends with a slash" in problem(answer, 404, "not-found")["detail"]
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("looked_at", "led_to"),
    [
        ("/audience/", "/audience"),
        ("/audience/?from=60&band=high", "/audience?from=60&band=high"),
        ("/audience//", None),
        *((f"{path}/", path) for path in ("/sign-in", "/docs", "/experiments/global_control", "/experiments/a%20b")),
        ("/experiments/a%3Fb/", "/experiments/a%3Fb"),
        ("/nothing/", None),
        ("/v1/models/", None),
    ],
)
def test_who_looks_with_a_slash_too_much_finds_the_page(running, looked_at, led_to):
    answer = running.client.get(looked_at, headers={"Accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers.get("location")) == (404 if led_to is None else 307, led_to)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("2026-11-01T00:00:00+08:00", "08:00, in an address with %2B for the +"),
        ("2026-11-01T00:00:00", "the offset is missing"),
        ("2026-02-30T00:00:00Z", "give a time that there is, as RFC 3339 writes it"),
        ("2026-11-01T25:00:00Z", "give a time that there is, as RFC 3339 writes it"),
        ("1700000000", "give a time as RFC 3339 writes it"),
    ],
)
def test_a_time_that_cannot_be_read_is_told_how_to_write_it(running, asked, said):
    (fault,) = problem(running.client.get(f"/v1/decisions?from={asked}"), 422, "invalid-request")["errors"]
    assert (fault["parameter"], said in fault["detail"]) == ("query.from", True)


def test_a_time_in_a_body_is_told_as_a_body_has_it(running):
    event = {"member_id": "m0000001", "timestamp": "2026-11-01T00:00:00 08:00", "type": "post"}
    (told,) = running.client.post("/v1/events", json={"events": [event]}).json()["rejected"]
    assert told["detail"].startswith("/timestamp: the offset has lost its sign; give a time as RFC 3339 writes it")


def test_a_body_above_the_limit_is_not_read(running):
    long = {"member_id": "m" * 60_000}
    problem(running.client.post("/v1/score", json=long), 413, "body-too-large")
    with running.without_key() as client:
        problem(client.post("/v1/score", json=long), 413, "body-too-large")


def test_a_body_without_a_length_is_counted_as_it_comes(running):
    answer = running.client.post("/v1/score", content=(b"x" * 1_000 for _ in range(60)), headers={"Content-Type": "application/json"})
    problem(answer, 413, "body-too-large")


def test_too_many_rows_are_refused(running):
    rows = [{"member_id": f"{i}"} for i in range(1_001)]
    assert (
        problem(running.client.post("/v1/score/batch", json={"requests": rows}), 422, "invalid-request")["errors"][0]["code"] == "too_long"
    )
    assert (
        problem(running.client.post("/v1/score/batch", json={"requests": []}), 422, "invalid-request")["errors"][0]["code"] == "too_short"
    )


def test_what_is_not_there_is_a_problem(running):
    problem(running.client.get("/v1/nowhere"), 404, "not-found")
    answer = running.client.get("/v1/score")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    problem(running.client.get("/v1/decisions/none"), 404, "unknown-decision")
    problem(running.score("M0000001"), 404, "unknown-member")
    told = problem(running.client.get("/v1/members/m0000001/explanation", params={"lang": "fr"}), 422, "invalid-request")
    assert told["errors"][0]["parameter"] == "query.lang"


def test_the_request_id_of_the_client_comes_back(running):
    assert running.client.get("/livez", headers={"X-Request-ID": "trace-1"}).headers["x-request-id"] == "trace-1"
    assert running.client.get("/livez", headers={"X-Request-ID": "a b" * 100}).headers["x-request-id"] != "a b" * 100


def test_what_goes_wrong_inside_stays_inside(running):
    running.store.add_key(KeyRow("broken", "broken", "read", "no hexadecimal salt", "digest", 0))
    with client_of(str(running.client.base_url), "kw_broken_token") as client:
        answer = client.get("/v1/models")
    told = problem(answer, 500, "internal-error")
    assert "hex" not in answer.text
    assert told["detail"] == "the log of the service tells why, under this request id"


def test_events_are_accepted_once(running):
    assert post(running, [GOOD_EVENT, {**GOOD_EVENT, "event_id": "b"}]) == {"accepted": 2, "duplicate": 0, "rejected": []}
    assert post(running, [GOOD_EVENT, {**GOOD_EVENT, "event_id": "c"}, GOOD_EVENT]) == {"accepted": 1, "duplicate": 2, "rejected": []}
    nameless = {key: value for key, value in GOOD_EVENT.items() if key != "event_id"}
    assert post(running, [nameless])["accepted"] == 1
    assert post(running, [{**nameless, "timestamp": "2025-07-20T17:00:00+08:00"}])["duplicate"] == 1


def test_an_event_id_that_was_another_events_is_rejected(running):
    first = {**GOOD_EVENT, "event_id": "reused"}
    later = {**first, "timestamp": "2025-07-20T09:00:01+00:00"}
    assert post(running, [first, later])["rejected"][0]["index"] == 1
    answer = post(running, [first, later, {**first, "member_id": "m-never-seen"}, {**first, "channel": "email"}])
    assert (answer["accepted"], answer["duplicate"]) == (0, 2)
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [(1, "event_id_reused"), (2, "event_id_reused")]
    assert '"reused"' in answer["rejected"][0]["detail"]
    assert running.score("m-never-seen").status_code == 404


def test_a_row_that_cannot_be_used_is_refused_and_the_rest_accepted(running):
    rows = [
        {**GOOD_EVENT, "event_id": "r0"},
        {**GOOD_EVENT, "event_id": "r1", "type": "pst"},
        {**GOOD_EVENT, "event_id": "r2", "timestamp": (NOW + timedelta(seconds=301)).isoformat()},
        {**GOOD_EVENT, "event_id": "r3", "timestamp": (NOW + timedelta(seconds=299)).isoformat()},
        {**GOOD_EVENT, "event_id": "r4", "timestamp": "2025-07-20 09:00"},
        {**GOOD_EVENT, "event_id": "r5", "value": "much"},
        {"event_id": "r6"},
        None,
    ]
    answer = post(running, rows)
    assert (answer["accepted"], answer["duplicate"]) == (2, 0)
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [
        (1, "unknown_event_type"),
        (2, "future_timestamp"),
        *((index, "invalid_event") for index in (4, 5, 6, 7)),
    ]
    assert '"pst"' in answer["rejected"][0]["detail"]
    assert "/timestamp" in answer["rejected"][2]["detail"]


def test_a_new_member_can_be_scored_after_the_first_event(running):
    assert running.score("小明-1").status_code == 404
    post(running, [{**GOOD_EVENT, "event_id": "xm", "member_id": "小明-1"}])
    answer = running.score("小明-1").json()
    assert answer["member_id"] == "小明-1"
    assert answer["member"]["stage"] == "new"
    assert running.client.get("/v1/members/小明-1/explanation", headers={"Accept": "text/html"}).status_code == 200


def bodies(described):
    """`METHOD path status media-type` and its content, of every request and every answer."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            for name, body in (("request", operation.get("requestBody", {})), *operation["responses"].items()):
                for media_type, content in body.get("content", {}).items():
                    yield f"{method.upper()} {path} {name} {media_type}", content


def test_every_request_answer_and_problem_has_an_example_that_is_true(running):
    described = running.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    without = []
    for name, content in bodies(described):
        schema = {**content["schema"], "components": described["components"]}
        Draft202012Validator.check_schema(schema)
        examples = [content["example"]] if "example" in content else [one["value"] for one in content.get("examples", {}).values()]
        for example in examples:
            Draft202012Validator(schema).validate(example)
        if not examples and content["schema"] != {"type": "string"}:
            without.append(name)
    assert without == []


def left_out(described, schema, example, place=""):
    """The fields that the schema has and the example has not."""
    while "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", ()):
        yield from left_out(described, one, example, place)
    if isinstance(example, list):
        for part in example:
            yield from left_out(described, schema.get("items", {}), part, f"{place}[]")
    elif isinstance(example, dict):
        fields = schema.get("properties", {})
        yield from (f"{place}.{name}" for name in fields.keys() - example.keys())
        for name in fields.keys() & example.keys():
            yield from left_out(described, fields[name], example[name], f"{place}.{name}")


def test_an_example_of_an_answer_leaves_no_field_out(running):
    described = running.client.get("/openapi.json").json()
    answers = [(name, content) for name, content in bodies(described) if " 2" in name and "example" in content]
    assert [(name, *left_out(described, content["schema"], content["example"])) for name, content in answers] == [
        (name,) for name, _ in answers
    ]


def test_every_problem_is_documented_where_it_may_be_met(running):
    described = running.client.get("/openapi.json").json()
    met = {kind for name, content in bodies(described) if "problem+json" in name for kind in content["examples"]}
    told_elsewhere = {"method-not-allowed", "repeated-member", "malformed-request", "request-timeout", "head-too-large"}
    assert {kind.name for kind in PROBLEM_TYPES} - met == told_elsewhere
    score = described["paths"]["/v1/score"]["post"]["responses"]
    assert set(score) == {"200", "400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"}
    assert set(score["503"]["content"]["application/problem+json"]["examples"]) == {
        "busy",
        "no-model",
        "store-outdated",
        "store-unavailable",
    }


def test_every_endpoint_of_the_contract_is_described_with_its_problems(running):
    described = running.client.get("/openapi.json").json()
    paths = {f"{method.upper()} {path}" for path, item in described["paths"].items() for method in item}
    assert paths >= {
        *("POST /v1/score", "POST /v1/score/batch", "POST /v1/events", "GET /v1/decisions/{decision_id}"),
        *("GET /v1/members/{member_id}/explanation", "GET /livez", "GET /readyz"),
        *("GET /v1/interventions", "GET /v1/models", "POST /v1/models/reload"),
    }
    assert {kind["name"] for kind in described["x-problem-types"]} == {kind.name for kind in PROBLEM_TYPES}
    assert all("500" in operation["responses"] for item in described["paths"].values() for operation in item.values())


def test_the_answers_are_as_described(running):
    described = running.client.get("/openapi.json").json()

    def check(name, answer):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator(schema).validate(answer.json())

    member_id = world().log.members["member_id"][3]
    scored = running.score(member_id, include=["reasons", "candidates"])
    check("ScoreAnswer", scored)
    check("DecisionAnswer", running.client.get(f"/v1/decisions/{scored.json()['decision_id']}"))
    check("BatchAnswer", running.client.post("/v1/score/batch", json={"requests": [{"member_id": member_id}, {"member_id": "nobody"}]}))
    check("EventsAnswer", running.client.post("/v1/events", json={"events": [None]}))
    check("Problem", running.score("nobody"))
    check("CatalogueAnswer", running.client.get("/v1/interventions"))
    check("Readiness", running.client.get("/readyz"))


def test_the_documentation_asks_for_nothing_from_elsewhere(running):
    page = running.client.get("/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    for asset in ("/docs/docs.js", "/docs/docs.css"):
        assert asset in page.text
        text = running.client.get(asset).text
        assert "http://" not in text
        assert "https://" not in text


def test_without_a_model_events_are_taken_and_scores_asked_for_later(tmp_path):
    home = write_home(tmp_path / "home")
    with serving(home, world().log, mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db") as running:
        answer = running.score("m0000001")
        problem(answer, 503, "no-model")
        assert int(answer.headers["retry-after"]) > 0
        ready = running.client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"], ready.json()["store"]) == (503, False, "ok")
        assert running.client.get("/livez").status_code == 200
        assert post(running, [GOOD_EVENT])["accepted"] == 1
        assert str(tmp_path) not in answer.text + ready.text


def test_a_store_that_does_not_answer_is_a_problem_that_passes(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log, store_seconds=0.2) as running:
        lock = running.store.engine.raw_connection()
        lock.driver_connection.execute("BEGIN IMMEDIATE")
        refused = [running.score("m0000003"), running.client.post("/v1/events", json={"events": [GOOD_EVENT]})]
        lock.driver_connection.execute("ROLLBACK")
        lock.close()
        for answer in refused:
            problem(answer, 503, "store-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        wait_until(lambda: running.client.post("/v1/events", json={"events": [GOOD_EVENT]}).status_code == 200)
        wait_until(lambda: running.score("m0000003").status_code == 200)


def test_a_store_that_cannot_be_opened_does_not_stop_the_process(tmp_path):
    home = write_home(tmp_path / "home")
    with serving(home, world().log) as running:
        key = running.key
    (home / ".keepwell").rename(home / "gone")
    app = create_app(settings_of(home, mlflow_uri=world().mlflow_uri, model_cache=home / "gone/model-cache"))
    with listening(app) as url, client_of(url, key) as client:
        wait_until(lambda: client.get("/readyz").json()["model"] == "ok")
        problem(client.get("/v1/models"), 503, "store-unavailable")
        (home / "gone").rename(home / ".keepwell")
        assert client.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/*", "text/html"),
        ("application/json;q=0.5, text/html;q=0.4", "application/json"),
        ("application/json;q=0, */*", "text/html"),
        ("TEXT/HTML", "text/html"),
        ("", "application/json"),
        ("image/png", None),
        ("text/html;q=x", None),
    ],
)
def test_the_best_offered_media_type_is_chosen(accept, best):
    assert best_media_type(accept, ["application/json", "text/html"]) == best


def test_the_environment_says_where_things_are_and_what_time_it_is(tmp_path):
    given = Settings.from_environment({"KEEPWELL_HOME": str(tmp_path), "KEEPWELL_AS_OF": "2018-03-01"})
    assert given.declaration == tmp_path / "keepwell.yaml"
    assert given.store_url == f"sqlite:///{tmp_path}/.keepwell/keepwell.db"
    assert given.clock().isoformat() == "2018-03-01T00:00:00+00:00"
    moved = Settings.from_environment({"KEEPWELL_STORE_URL": "postgresql://db/keepwell", "KEEPWELL_MLFLOW_URI": "http://mlflow"})
    assert (moved.store_url, moved.mlflow_uri) == ("postgresql://db/keepwell", "http://mlflow")
    with pytest.raises(InputError, match="yesterday"):
        Settings.from_environment({"KEEPWELL_AS_OF": "yesterday"})


def test_the_catalogue_is_sent_again_only_where_it_has_changed(running):
    first = running.client.get("/v1/interventions")
    assert first.headers["cache-control"] == "private, no-cache"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = running.client.get("/v1/interventions", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert running.client.get("/v1/interventions", headers={"If-None-Match": '"other"'}).content == first.content


def test_every_type_of_problem_is_listed():
    assert {kind for kind in vars(problems).values() if isinstance(kind, ProblemType)} == set(PROBLEM_TYPES)

"""The description is one that generators of clients can read, and says no less and no more than the service does."""

import re
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from serving.plain_schemas import in_plain_words
from tests.serving_world import serving, world, write_home

METHODS = {"get", "put", "post", "delete"}
INTERVAL = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}], "minItems": 2, "maxItems": 2}
OPEN_ENDED = {**INTERVAL, "prefixItems": [{"type": "number"}, {"anyOf": [{"type": "number"}, {"type": "null"}]}]}
NAMED = {"type": "object", "propertyNames": {"maxLength": 3}, "patternProperties": {"^[a-z]+$": {"type": "boolean"}}}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("described") / "home"), world().log) as running:
        yield running


@pytest.fixture(scope="module")
def described(running):
    return running.client.get("/openapi.json").json()


def operations(described):
    return {f"{method} {path}": operation for path, item in described["paths"].items() for method, operation in item.items()}


def schemas(schema, place=""):
    """Each with where it stands, itself first; what properties are called is no schema."""
    if isinstance(schema, dict):
        yield place, schema
        for name, part in schema.items():
            for key, one in part.items() if name == "properties" else [(name, part)]:
                yield from schemas(one, f"{place}/{key}")
    elif isinstance(schema, list):
        for part in schema:
            yield from schemas(part, place)


def test_operations_are_named_for_people_and_clash_with_no_schema(described):
    """Generators call what an operation is asked with after it: `Request` behind its name is taken where a schema is called so."""
    named = {operation["operationId"]: operation for operation in operations(described).values()}
    assert len(named) == len(operations(described))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in named)
    taken = {name.lower() for name in described["components"]["schemas"]}
    for name, operation in named.items():
        if f"{name.replace('_', '')}request" in taken:
            assert f"/{name.replace('_', '')}request" in str(operation["requestBody"]).lower()


def test_no_schema_is_named_after_the_module_that_declares_it(described):
    names = described["components"]["schemas"]
    assert [name for name in names if not name.isalnum()] == []
    assert len({name.lower() for name in names}) == len(names)


def test_schemas_hold_nothing_that_generators_pass_over(described):
    found = Counter()
    for place, schema in schemas(described["components"]["schemas"]):
        assert "patternProperties" not in schema, place
        assert "items" in schema or schema.get("type") != "array", place
        assert schema.get("type") != "null" or "/anyOf" in place, place
        assert schema.get("default", 0) not in (None, [], {}), place
        assert not isinstance(schema.get("default"), dict), place
        found["lists of fixed length"] += "prefixItems" in schema
        found["objects by name"] += "propertyNames" in schema
    assert found["lists of fixed length"] > 20
    assert found["objects by name"] > 4


def test_no_parameter_is_null_or_belongs_to_http_itself(described):
    parameters = [one for operation in operations(described).values() for one in operation.get("parameters", ())]
    assert len(parameters) > 30
    for parameter in parameters:
        assert "null" not in str(parameter["schema"]), parameter
        assert parameter["name"].lower() not in {"accept", "content-type", "authorization"}


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        (INTERVAL, [[1, 2]], [[1], [1, 2, 3], [1, "2"], [1, None]]),
        (OPEN_ENDED, [[1, 2], [1, None]], [[None, 1], [1], [1, None, 3]]),
        (NAMED, [{}, {"ab": True}], [{"ab": 1}, {"abcd": True}]),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}, [["a"], ["a", "a"]], [["c"]]),
    ],
)
def test_plain_words_allow_what_the_service_reads(schema, taken, refused):
    plain = {"properties": {"default": schema}}
    in_plain_words(plain)
    told = Draft202012Validator(plain["properties"]["default"])
    assert [told.is_valid(one) for one in (*taken, *refused)] == [True] * len(taken) + [False] * len(refused)


def test_what_a_description_allows_is_read_and_what_it_forbids_is_refused(running, described):
    """Where the words were changed: keys of objects, and sets."""

    def allows(name, body):
        return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **described}).is_valid(body)

    member_id = world().log.members["member_id"][5]
    for body, known in (({"contact": {}}, True), ({"contact": {"a\tb": True}}, False), ({"contact": {"a" * 65: True}}, False)):
        answer = running.client.put(f"/v1/members/{member_id}/preferences", json=body)
        assert allows("PreferencesRequest", body) == (answer.status_code == 200) == known
    for include, known in ((["reasons", "reasons"], True), (["reason"], False)):
        answer = running.score(member_id, include=include, mode="score_only")
        assert allows("ScoreRequest", {"member_id": member_id, "include": include}) == (answer.status_code == 200) == known


def test_headers_that_clients_act_on_are_described_and_sent(running, described):
    told = {
        (name, status): {header.lower() for header in answer["headers"]}
        for name, operation in operations(described).items()
        for status, answer in operation["responses"].items()
        if "headers" in answer and status[0] in "23"
    }
    assert told == {
        ("post /v1/decision-jobs", "202"): {"location"},
        ("get /v1/decisions", "200"): {"link"},
        ("get /v1/interventions", "200"): {"etag"},
        ("get /v1/interventions", "304"): {"etag"},
    }
    assert running.client.post("/v1/decision-jobs", json={"dry_run": True}).headers["location"].startswith("/v1/decision-jobs/")
    catalogue = running.client.get("/v1/interventions")
    again = running.client.get("/v1/interventions", headers={"If-None-Match": catalogue.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (304, catalogue.headers["etag"])
    limited = {
        status
        for operation in operations(described).values()
        for status, answer in operation["responses"].items()
        if "Retry-After" in str(answer)
    }
    assert limited == {"409", "429", "503"}


def test_every_part_of_the_service_is_told_and_the_probes_ask_for_no_key(described):
    told = {tag["name"] for tag in described["tags"]}
    assert told == {tag for operation in operations(described).values() for tag in operation["tags"]}
    assert {name for name, operation in operations(described).items() if not operation["security"]} == {"get /livez", "get /readyz"}

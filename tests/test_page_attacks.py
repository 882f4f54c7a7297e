"""Words that mean harm in the address of a page or in one of its forms: the page answers, and shows them as words."""

import re
from urllib.parse import quote

import pytest
from starlette.routing import Router

from models.api_keys import create_key
from serving.app import create_app
from tests.serving_world import NOW, serving, world, write_home
from tests.shown_run import form_token, reader, show_runs, sign_in
from tests.test_service_attacks import STRINGS

ODD = (*STRINGS, "", "-1", "1e400", "NaN", "9" * 400, "0x10", "٣")
LONGEST = 1_000


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("pages") / "home"), world().log) as running:
        show_runs(running)
        yield running


@pytest.fixture(scope="module")
def routes(running):
    """Of every page and form: method, path and the names that its address may hold; signing out comes last."""
    found = [route for each in create_app(running.settings).routes for route in getattr(each, "original_router", Router()).routes]
    pages = [route for route in found if not getattr(route, "include_in_schema", True)]
    told = [(method, route.path_format, sorted(names_of(route.dependant))) for route in pages for method in route.methods]
    return sorted(told, key=lambda route: "sign-out" in route[1])


def names_of(dependant):
    """Of the parameters of a query, those of what it depends on included."""
    own = {parameter.alias for parameter in dependant.query_params}
    own |= {field for parameter in dependant.query_params for field in getattr(parameter.field_info.annotation, "model_fields", ())}
    return own.union(*(names_of(below) for below in dependant.dependencies))


@pytest.fixture
def visitor(running):
    with reader(running) as client:
        sign_in(client, create_key(running.store, "visitor", ["read", "score"], now=NOW))
        yield client


def answered(visitor, method, path, **sent):
    answer = visitor.request(method, path, **sent)
    assert answer.status_code < 500, (method, path, sent, answer.text[:500])
    assert "<script>alert" not in answer.text
    return answer


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_words_that_mean_harm_are_words_in_the_address_of_every_page(visitor, routes, text):
    harmless = text.encode("utf-8", "replace").decode()[:LONGEST]
    asked = [(path, names) for method, path, names in routes if method == "GET"]
    assert {"/", "/audience", "/members/{member_id}"} <= {path for path, _ in asked}
    for path, names in asked:
        filled = re.sub(r"\{.*?\}", lambda _: quote(harmless, safe="") or "m0000003", path)
        answered(visitor, "GET", filled, params=dict.fromkeys(names, harmless))
        answered(visitor, "GET", filled, params=[(name, harmless) for name in names * 2], headers={"HX-Request": "true"})
        for name in names:
            answered(visitor, "GET", re.sub(r"\{.*?\}", "m0000003", path), params={name: harmless})


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_words_that_mean_harm_are_words_in_every_form(running, visitor, routes, text):
    harmless = text.encode("utf-8", "replace").decode()
    token, pages = form_token(visitor.get("/").text), [visitor.get(path).text for path in ("/sign-in", "/members/m0000003", "/planner")]
    names = {"key", "next", *(name for page in pages for name in re.findall(r'name="(\w+)"', page))} - {"form_token"}
    for path in [path for method, path, _ in routes if method == "POST"]:
        filled = re.sub(r"\{.*?\}", "m0000003", path)
        answered(visitor, "POST", filled, data={**dict.fromkeys(names, harmless), "form_token": token})
        answered(visitor, "POST", filled, content=harmless.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})
        answered(visitor, "POST", filled, data={**dict.fromkeys(names, harmless), "form_token": harmless})

"""The pages Interventions and Model: they say what their twins in JSON say, and what was never measured is told as such."""

import re
from dataclasses import replace
from html import unescape

import pytest

from models.api_keys import create_key
from models.drift_figures import DRIFT
from models.moments import microseconds
from models.texts import decimal, money, number
from tests.serving_world import NOW, serving, world, write_home
from tests.shown_figures import drift, interventions, show_figures
from tests.shown_run import reader, show_runs, sign_in


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("figures") / "home"), world().log) as running:
        show_runs(running)
        show_figures(running)
        yield running


@pytest.fixture(scope="module")
def key(running):
    return create_key(running.store, "marketing", ["read"], now=NOW)


def opened(running, key, path, language="en"):
    with reader(running, language) as client:
        sign_in(client, key)
        answer = client.get(path)
        assert answer.status_code == 200
        return answer.text


def words(page):
    """The text of a page, without marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_interventions_says_what_its_twin_says(running, key, language):
    told = running.client.get(f"/v1/interventions/figures?lang={language}").json()
    page = words(opened(running, key, "/interventions", language))
    for one in told["interventions"]:
        sentences = [one["label"], one["verdict_text"], one["effect_text"], one["cost_per_saved"]["text"], one["source_text"]]
        steps = [*one["run"], *(one["contacts"] if one["contacts"][0]["members"] else [])]
        sentences += [f"{step['label']} {number(language, step['members'])}" for step in steps if step["members"] is not None]
        sentences += [blocked["text"] for step in steps for blocked in step["blocked"]]
        assert [sentence for sentence in sentences if " ".join(sentence.replace("`", " ").split()) not in page] == []


def test_the_funnel_ends_where_the_run_of_the_first_page_ends(running):
    told = running.client.get("/v1/interventions/figures").json()
    chosen = running.client.get("/v1/overview").json()["chosen"]
    assert {one["id"]: one["run"][-1]["members"] for one in told["interventions"]} == {
        name: chosen.get(name, 0) for name in ("coupon", "call")
    }
    assert all(one["run"][0]["members"] == told["members"] for one in told["interventions"])
    for one in told["interventions"]:
        counts = [step["members"] for step in one["run"]]
        assert counts == sorted(counts, reverse=True)


def test_the_page_of_the_model_says_what_its_twin_says(running, key):
    told, page = running.client.get("/v1/models/report?lang=en").json(), words(opened(running, key, "/model"))
    test = told["of_champion"]["test"]
    assert test["version"] == told["champion"] == "1"
    assert f"Right order in 100 pairs {decimal(100 * test['auc'], 0)}" in page
    assert all(sentence in page for sentence in [told["of_champion"]["text"], *told["of_champion"]["details"]])
    for policy in told["policies"]["policies"]:
        value = money("en", policy["value"], told["policies"]["currency"])
        assert f"{policy['label']} {value}" in page
    for group in told["drift"]["groups"][:5]:
        assert f"{group['text']} {group['moved']} of {group['columns']} {decimal(group['psi'], 2)}" in page
    assert f"in the right order than by the best simple rule {decimal(100 * test['auc_gain'], 1, signed=True)} pairs" in page
    assert told["of_champion"]["gain_text"] in page
    assert all(one["message"] in page and one["what_to_do"] in page for one in told["input"]["findings"])


def test_the_last_test_of_the_model_in_use_is_the_one_that_is_told(running):
    told = running.client.get("/v1/models/report").json()
    assert told["of_champion"]["test"]["as_of"] == max(one["as_of"] for one in told["tests"] if one["version"] == "1")


def test_the_gravest_finding_stands_first_and_names_no_member(running, key):
    told = running.client.get("/v1/models/report").json()["input"]["findings"]
    assert [one["level"] for one in told] == ["error", "advice"]
    assert "m0000007" not in opened(running, key, "/model")


@pytest.mark.parametrize("path", ["/interventions", "/model"])
def test_a_page_has_nothing_inline_and_asks_for_nothing_from_elsewhere(running, key, path):
    page = opened(running, key, path)
    assert not re.search(r"<[^>]+\s(style|on\w+)=", page)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=\"/static/)", page)


def test_before_the_first_run_the_pages_say_what_is_missing_and_which_command_brings_it(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log) as bare, reader(bare) as client:
        sign_in(client, create_key(bare.store, "marketing", ["read"], now=NOW))
        answer = client.get("/interventions")
        assert (answer.status_code, "keepwell decide" in answer.text) == (404, True)
        page = client.get("/model")
        assert page.status_code == 200
        for command in ("keepwell train", "keepwell evaluate", "keepwell evaluate --policy", "keepwell decide"):
            assert command in page.text
        assert bare.client.get("/v1/interventions/figures").json()["type"] == "/docs#no-run"
        told = bare.client.get("/v1/models/report").json()
        assert [told[name] for name in ("champion", "policies", "shadow", "drift", "input")] == [None] * 5
        assert told["of_champion"]["test"] is None


def test_drift_that_was_measured_of_another_version_is_told_so(running, key):
    told = replace(drift(), model_version="0")
    running.store.keep_figures(DRIFT, microseconds(NOW), told.to_json())
    try:
        assert "measured for version 0" in opened(running, key, "/model")
    finally:
        running.store.keep_figures(DRIFT, microseconds(NOW), replace(told, model_version="1").to_json())


def test_each_intervention_leads_to_its_read_out(running, key):
    page = opened(running, key, "/interventions")
    assert re.findall(r'href="(/experiments/\w+)"', page) == ["/experiments/coupon", "/experiments/call"]


def test_a_later_look_at_the_pages_changes_no_number(running, key):
    running.clock.pass_(days=3)
    try:
        assert running.client.get("/v1/interventions/figures?lang=en").json()["members"] == interventions().members
    finally:
        running.clock.pass_(days=-3)

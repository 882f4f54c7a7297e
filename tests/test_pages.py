"""The pages of marketers: who may see them, that they say what their twins in JSON say, and that nothing comes from elsewhere."""

import csv
import io
import re
from codecs import BOM_UTF8
from contextlib import closing
from decimal import Decimal
from hashlib import sha256

import polars as pl
import pytest

from models.api_keys import create_key, revoke_key
from models.audience import STANDING_COLUMNS
from models.store import Store
from models.texts import money, number, text
from serving.pages.assets import FOLDER, OWN, VENDORED
from serving.pages.audience import cell
from serving.pages.visitors import own_address
from tests.serving_world import DECLARED, NOW, serving, wait_until, world, write_home
from tests.shown_run import form_token, reader, show_runs, sign_in

PAGES = ("/", "/audience", "/audience?from=40&stage=active&tag=&risk_band=high", "/members/m0000003")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("pages") / "home"), world().log) as running:
        yield running


@pytest.fixture(scope="module")
def rows(running):
    return show_runs(running)


@pytest.fixture(scope="module")
def key(running):
    return create_key(running.store, "marketing", ["read"], now=NOW)


@pytest.fixture
def visitor(running, rows, key):
    with reader(running) as client:
        sign_in(client, key)
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_having_signed_in(running, path):
    with reader(running) as client:
        answer = client.get(path)
        assert answer.url.path == "/sign-in"
        assert (
            client.get(path, headers={"HX-Request": "true"}, follow_redirects=False)
            .headers.get("hx-redirect", "")
            .startswith("/sign-in?next=")
        )


def test_a_key_opens_a_session_that_no_script_and_no_other_site_can_use(running, key):
    with reader(running) as client:
        token = form_token(client.get("/sign-in?next=/audience").text)
        answer = client.post("/sign-in", data={"form_token": token, "key": key, "next": "/audience"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/audience")
        cookie = answer.headers["set-cookie"].lower()
        assert "keepwell_session=" in cookie
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert key not in cookie


@pytest.mark.parametrize("scopes", [["score", "plan"], ["metrics"]])
def test_a_key_that_may_not_read_opens_nothing(running, scopes):
    weak = create_key(running.store, "weak", scopes, now=NOW)
    with reader(running) as client:
        for wrong in (weak, "", "kw_nobody_nothing", weak[:-1]):
            assert sign_in(client, wrong).status_code == 401
        assert client.get("/").url.path == "/sign-in"


def test_a_session_ends_with_its_key_and_with_signing_out(running, rows):
    secret = create_key(running.store, "short", ["read"], now=NOW)
    with reader(running) as client, reader(running) as other:
        for each in (client, other):
            sign_in(each, secret)
            assert each.get("/").url.path == "/"
        stolen = client.cookies["keepwell_session"]
        client.post("/sign-out", data={"form_token": form_token(client.get("/").text)})
        assert client.get("/").url.path == "/sign-in"
        assert client.get("/", headers={"Cookie": f"keepwell_session={stolen}"}).url.path == "/sign-in"
        revoke_key(running.store, secret.split("_")[1], now=NOW)
        assert other.get("/").url.path == "/sign-in"


def test_a_session_ends_after_its_time_and_is_forgotten(store_url):
    with closing(Store.open(store_url)) as store:
        store.open_session("first", "key", expires_us=10, now_us=1)
        assert [store.session_key("first", now_us) for now_us in (9, 10)] == ["key", None]
        store.open_session("second", "key", expires_us=30, now_us=20)
        assert store.session_key("first", 5) is None
        store.close_session("second")
        assert store.session_key("second", 21) is None


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", ["/members", "/members/", "/members?id=", "/members/?id=%20%20"])
def test_whoever_names_no_member_is_asked_for_one(visitor, path, language):
    answer = visitor.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    assert text(language, "page.find_id") in answer.text
    assert 'name="id"' in answer.text.partition("<main")[2]


@pytest.mark.parametrize("path", ["/members/?id=m0000003", "/members?id=%20m0000003%20"])
def test_whoever_names_a_member_is_led_to_the_page(visitor, path):
    assert visitor.get(path).url.path == "/members/m0000003"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("path", "parameter"), [(f"/members/{'m' * 257}", "path.member_id"), ("/audience?from=x", "query.from")])
def test_what_a_page_cannot_read_is_told_in_the_language_of_the_reader(visitor, path, parameter, language):
    answer = visitor.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 422
    assert text(language, "page.odd_request") in answer.text
    assert (parameter in answer.text) == (language == "en")


def test_a_form_from_another_site_is_refused(visitor):
    for data in ({"more_post": "1"}, {"more_post": "1", "form_token": "0" * 64}):
        assert visitor.post("/members/m0000003/what-if", data=data).status_code == 403
    assert visitor.post("/look", data={"theme": "dark"}).status_code == 403


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", None, "/a\nb"])
def test_signing_in_leads_to_no_other_site(elsewhere):
    assert own_address(elsewhere) == "/"
    assert own_address("/audience?from=5") == "/audience?from=5"


def test_before_the_first_run_a_page_tells_how_to_make_one(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log) as running:
        secret = create_key(running.store, "marketing", ["read"], now=NOW)
        with reader(running) as client:
            answer = sign_in(client, secret)
            assert answer.status_code == 404
            assert "keepwell decide" in answer.text
            assert "keepwell train" not in answer.text
        assert running.client.get("/v1/audience").json()["type"] == "/docs#no-run"


def test_before_the_first_model_a_page_tells_how_to_make_one(tmp_path):
    home, pages = write_home(tmp_path / "home"), []
    with serving(home, world().log, mlflow_uri=f"sqlite:///{home}/mlflow.db") as running:
        key = create_key(running.store, "marketing", ["read"], now=NOW)
        for language in ("en", "zh"):
            with reader(running, language) as client:
                sign_in(client, key)
                pages += [client.get(path).text for path in ("/", "/members/m0000001")]
    for page in pages:
        assert page.index('<code class="command">keepwell train</code>') < page.index("keepwell promote")


@pytest.mark.parametrize("query", ["", "from=30", "from=20&to=60&stage=silent", "tag=estrangement", "risk_band=low&tier=base"])
def test_page_csv_and_json_tell_the_same_of_an_audience(running, visitor, rows, query):
    told = running.client.get(f"/v1/audience?{query}&limit=5").json()
    page = visitor.get(f"/audience?{query}").text
    table = visitor.get(f"/audience.csv?{query}").content
    assert table.startswith(BOM_UTF8)
    listed = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    total = told["total"]
    assert len(listed) == total["members"]
    assert sum(float(row["probability"]) for row in listed) == pytest.approx(total["expected"]["value"])
    assert f"<dd>{number('en', total['members'])}</dd>" in page
    assert f"<dd>{number('en', round(total['expected']['value']))}</dd>" in page
    assert money("en", total["value_at_risk"], DECLARED.currency).replace("&", "&amp;") in page
    assert [row["member_id"] for row in told["members"]] == re.findall(r'<th scope="row"><a href="/members/(\w+)"', page)[:5]
    known = dict(zip(rows["member_id"], rows["probability"], strict=True))
    assert all(known[row["member_id"]] == pytest.approx(row["probability"]) for row in told["members"])


def test_the_first_page_says_what_its_twin_says(running, visitor, rows):
    told, page = running.client.get("/v1/overview").json(), visitor.get("/").text
    scored = rows.filter(pl.col("probability").is_not_null())
    assert told["scored"]["members"] == scored.height
    assert told["scored"]["expected"]["value"] == pytest.approx(scored["probability"].sum())
    assert f"{round(scored['probability'].sum())} of {scored.height} active members" in page
    for band in told["bands"]:
        assert band["members"] == rows.filter(pl.col("risk_band") == band["name"]).height
        assert f"<dd>{band['members']}</dd>" in page
        change = band["members"] - band["members_before"]
        assert f"{abs(change)} more" in page if change > 0 else f"{abs(change)} fewer" in page if change else "no change" in page


@pytest.mark.parametrize(("language", "said"), [("en", "This is how things stood 3 days ago"), ("zh", "这是3天前的情况")])
def test_a_run_that_is_older_than_a_log_may_be_says_so_first(running, visitor, language, said):
    assert said not in visitor.get("/", headers={"Accept-Language": language}).text
    running.clock.pass_(days=3)
    with reader(running, language) as client:
        page = sign_in(client, create_key(running.store, f"late-{language}", ["read"], now=running.clock.now)).text
    running.clock.pass_(days=-3)
    assert page.index("<h1>") < page.index(said) < page.index("<h2")
    assert '<code class="command">keepwell run</code>' in page


def test_a_job_for_a_part_is_told_beside_the_numbers_that_stay(running, visitor):
    told = running.client.get("/v1/overview").json()
    assert told["decided_since"] == {"jobs": 0, "members": 0}
    asked = {"audience": {"member_ids": ["m0000001", "m0000002"]}}
    for job in (asked, asked | {"dry_run": True}):
        place = running.client.post("/v1/decision-jobs", json=job).headers["location"]
        wait_until(lambda place=place: running.client.get(place).json()["status"] == "succeeded")
    assert running.client.get("/v1/overview").json() == told | {"decided_since": {"jobs": 1, "members": 2}}
    assert running.client.get("/v1/audience?limit=0").json()["decided_since"] == {"jobs": 1, "members": 2}
    for path in ("/", "/audience"):
        assert "decided on 2 members. The counts here stay" in visitor.get(path).text


def test_a_supposed_change_is_computed_as_by_the_interface(running, visitor):
    page = visitor.get("/members/m0000003").text
    form = {"form_token": form_token(page), "more_comment": "2", "more_purchase": "1", "amount_purchase": "30"}
    answer = visitor.post("/members/m0000003/what-if", data=form)
    assert answer.status_code == 200
    spread = [{"type": "comment", "timestamp": "2025-07-18T18:00:00Z"}, {"type": "comment", "timestamp": "2025-07-15T06:00:00Z"}]
    bought = {"type": "purchase", "timestamp": "2025-07-17T00:00:00Z", "value": 30}
    told = running.client.post("/v1/members/m0000003/what-if", json={"add": [*spread, bought]}).json()
    if told["after"]["churn"]["probability"] is not None:
        assert f"{100 * told['after']['churn']['probability']:.1f}%" in answer.text
    assert "Enter at least one change" in visitor.post("/members/m0000003/what-if", data={"form_token": form_token(page)}).text


def test_what_is_told_of_a_supposed_change_adds_up_and_a_first_risk_is_no_change(visitor, rows):
    form = {"form_token": form_token(visitor.get("/members/m0000003").text)}
    known, sums = rows.filter(pl.col("probability").is_not_null())["member_id"].sort().to_list(), []
    for member_id, more in zip(known[:12], range(1, 13), strict=True):
        said = visitor.post(f"/members/{member_id}/what-if", data=form | {"more_comment": str(more)}).text
        told = re.search(r"would be ([\d.]+)% instead of ([\d.]+)%: ([+\u2212][\d.]+) pp", said)
        if told is not None:
            after, before, change = (Decimal(figure.replace("\N{MINUS SIGN}", "-")) for figure in told.groups())
            sums.append(after - before == change != 0)
    assert len(sums) > 5
    assert all(sums)
    gone = rows.filter(pl.col("stage") == "lost", pl.col("probability").is_null())["member_id"].sort()[0]
    assert "as things are there is none to tell" in visitor.post(f"/members/{gone}/what-if", data=form | {"more_comment": "3"}).text


def test_an_unknown_member_is_told_on_a_page(visitor):
    answer = visitor.get("/members", params={"id": "nobody/at all"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_an_address_that_nothing_lies_at_is_told_on_a_page_to_a_browser_and_as_a_problem_to_a_client(visitor):
    page = visitor.get("/nowhere", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in page.text
    for path, accept in (("/nowhere", "*/*"), ("/v1/nowhere", "text/html")):
        problem = visitor.get(path, headers={"Accept": accept})
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(("language", "word"), [("zh-CN,zh;q=0.9,en;q=0.5", "人群"), ("en-US,en", "Audience"), ("fr", "Audience")])
def test_a_page_speaks_the_language_of_the_browser_until_another_is_chosen(running, rows, key, language, word):
    with reader(running, language) as client:
        sign_in(client, key)
        page = client.get("/audience").text
        assert word in page
        other = "en" if word == "人群" else "zh"
        changed = client.post("/look", data={"form_token": form_token(page), "language": other, "next": "/audience?from=50"})
        assert f'<html lang="{"zh-CN" if other == "zh" else "en"}"' in changed.text
        assert changed.url.path == "/audience"


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/members/nobody"])
def test_a_page_has_nothing_inline_and_asks_for_nothing_from_elsewhere(visitor, path):
    answer = visitor.get(path)
    assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=\"/static/)", answer.text)
    assert [link for link in re.findall(r'(?:src|href|action)="([^"]+)"', answer.text) if not link.startswith(("/", "#"))] == []


def test_the_files_of_others_are_those_that_they_published():
    found = {one.file: sha256((FOLDER / one.file).read_bytes()).hexdigest() for one in VENDORED}
    assert found == {one.file: one.sha256 for one in VENDORED}
    vendored = {f"vendor/{path.name}" for path in (FOLDER / "vendor").glob("*.js")}
    assert vendored == set(found)
    assert all((FOLDER / "vendor" / f"{one.file.split('/')[1].split('.')[0]}.LICENSE.txt").is_file() for one in VENDORED)


def test_every_file_of_the_pages_is_served_and_kept_by_the_browser(visitor):
    for name in (*OWN, *(one.file for one in VENDORED)):
        answer = visitor.get(f"/static/{name}")
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    for outside in ("docs.html", "../app.py", "..%2fapp.py", "vendor/"):
        assert visitor.get(f"/static/{outside}").status_code == 404


def test_acell_that_a_spreadsheet_would_run_is_written_as_text():
    assert [cell(given) for given in ("=1+1", "@x", "-2", "m1", ",a,b,", -2.0)] == ["'=1+1", "'@x", "'-2", "m1", "a,b", -2.0]
    assert STANDING_COLUMNS[0] == "member_id"

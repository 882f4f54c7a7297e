"""A campaign asked about beforehand: one answer on the command line, over HTTP and on the page; nothing written; and the job it becomes."""

import csv
import io
import json
import re
from codecs import BOM_UTF8
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlencode

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.api_keys import create_key
from models.audience_filter import AudienceFilter
from models.job_rows import JobRow
from models.moments import microseconds
from models.plan_figures import Arm
from models.plan_ground import MOST_STRATA, PlanGround, Terms, lay_ground
from models.simulated_plan import EVERYONE, Question, frontier_of, simulate_plan
from models.store import LoggedEvent, Store
from models.strata import Strata
from models.supply import Capacity
from models.texts import decimal, money, number, span
from pipelines.asked import audience_of, question_of
from pipelines.decide import decide_all
from pipelines.plan import plan_campaign
from pipelines.workspace import Workspace
from serving.pages.planner import address_of
from serving.pages.planner_view import headline, slider_of_places
from serving.plan_desk import Asked, PlanDesk
from serving.schemas import AudienceRequest, DecisionJobRequest
from tests.serving_world import DECLARED, NOW, serving, wait_until, world, write_home, write_logs
from tests.shown_run import form_token, reader, sign_in
from tests.test_expected_plan import strata
from tests.test_planning import crowd

ASKED = [
    ({}, "", ()),
    ({"budget": 0.3}, "", ()),
    ({"budget": 0.2, "capacity": {"interventions": {"coupon": 15}, "channels": {"email": 5}}}, "from=10&to=60&stage=active", ()),
    (
        {"audience": {"stages": ["silent", "active"]}, "hold_out": 0.2, "interventions": ["coupon"]},
        "stage=silent&stage=active",
        ("coupon",),
    ),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = write_home(tmp_path_factory.mktemp("planner") / "home")
    write_logs(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        yield Workspace.find(home)


@pytest.fixture(scope="module")
def running(home, workspace, tmp_path_factory):
    with serving(home, world().log) as running:
        assert running.client.post("/v1/plans", json={}).json()["type"] == "/docs#no-run"
        table = tmp_path_factory.mktemp("out") / "all.parquet"
        decide_all(workspace, table, as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        yield running


@pytest.fixture
def visitor(running):
    with reader(running) as client:
        sign_in(client, create_key(running.store, "marketing", ["read", "plan"], now=NOW))
        yield client


def planned(running, **request):
    answer = running.client.post("/v1/plans", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()


def on_the_command_line(workspace, request, audience, only):
    capacity = request.get("capacity", {})
    places = [f"{name}={n}" for name, n in capacity.get("interventions", {}).items()]
    places += [f"channel:{name}={n}" for name, n in capacity.get("channels", {}).items()]
    question = question_of(request.get("budget"), places, only, hold_out=request.get("hold_out", 0.0), points=8)
    told = plan_campaign(workspace, question, audience_of(audience), as_of=NOW.isoformat(), now=NOW, progress=lambda _: None)
    return json.loads(json.dumps(told.to_dict()))


@pytest.mark.parametrize(("request_", "audience", "only"), ASKED)
def test_command_line_and_service_give_the_same_answer_to_the_same_question(running, workspace, request_, audience, only):
    asked = request_ | ({"audience": {"risk_from": 10, "risk_to": 60, "stages": ["active"]}} if audience.startswith("from") else {})
    told = planned(running, **asked)
    offline = on_the_command_line(workspace, request_, audience, only)
    assert told["members"] == offline["members"] > 0
    for key in ("plan", "frontier", "before", "after", "capacities", "shadow_price_of_budget", "held_out", "exploration"):
        assert flat(told[key]) == pytest.approx(flat(offline[key]), rel=1e-9), key
    assert [{name: one[name] for name in one if name != "text"} for one in told["blocked"]] == offline["blocked"]


def flat(told, prefix=""):
    """Every number by its path; what is no number is left out."""
    if isinstance(told, dict):
        return {path: one for key, part in told.items() for path, one in flat(part, f"{prefix}/{key}").items()}
    if isinstance(told, list | tuple):
        return {path: one for at, part in enumerate(told) for path, one in flat(part, f"{prefix}/{at}").items()}
    return {prefix: told} if isinstance(told, int | float) else {}


@given(st.integers(1, 10**7))
def test_a_slider_reaches_the_end_where_there_is_no_limit(worth):
    slider = slider_of_places("most:coupon", "Coupon", "", worth, None)
    highest, step = int(slider.highest), int(slider.step)
    assert highest % step == 0
    assert worth <= highest < worth + step


@pytest.mark.parametrize("limits", [{}, {"budget": "0.3"}, {"budget": "0.2", "most:coupon": "15", "hold_out": "10"}])
def test_the_page_says_what_its_twin_says(running, visitor, limits):
    page = visitor.get(f"/planner?{urlencode({'from': '0', 'to': '80', **limits})}").text
    request = {"audience": {"risk_to": 80}, "hold_out": int(limits.get("hold_out", 0)) / 100}
    request |= {"budget": float(limits["budget"])} if "budget" in limits else {}
    request |= {"capacity": {"interventions": {"coupon": 15}}} if "most:coupon" in limits else {}
    told = planned(running, **request)
    saved, currency = told["plan"]["members_saved"], DECLARED.currency
    assert f"<dd>{decimal(saved['value'], 1)}</dd>" in page
    assert span("en", decimal(saved["lower"], 1), decimal(saved["upper"], 1)) in page
    assert f"<dd>{money('en', round(told['plan']['net_value']), currency)}</dd>" in page
    assert f"<dd>{money('en', told['plan']['spend'], currency)}</dd>" in page
    assert f"<dd>{number('en', round(told['plan']['members_contacted']))}</dd>" in page
    drawn = sorted(float(value) for value in re.findall(r'data-spend="([^"]+)"', page))
    assert drawn == pytest.approx(sorted([*(point["spend"] for point in told["frontier"]), told["plan"]["spend"]]))
    assert f">{number('en', round(told['before']['going']['value']))}</td>" in page
    for blocked in told["blocked"][:1]:
        assert blocked["text"][:20] in page


def test_a_plan_keeps_its_limits_and_says_what_one_more_would_bring(running):
    free, tight = planned(running), planned(running, budget=0.2, capacity={"interventions": {"coupon": 12}})
    coupon = next(arm for arm in tight["plan"]["interventions"] if arm["intervention_id"] == "coupon")
    assert coupon["members"] <= 12 * (1 + 1e-9)
    assert tight["capacities"]["coupon"]["shadow_price"] > 0
    assert tight["plan"]["net_value"] < free["plan"]["net_value"]
    assert free["frontier"][-1]["budget"] is None
    spends = [point["spend"] for point in free["frontier"]]
    assert spends == sorted(spends)
    going = free["before"]["going"]["value"]
    assert going - free["after"]["going"]["value"] == pytest.approx(free["plan"]["members_saved"]["value"], rel=0.2)
    assert free["after"]["value_at_risk"] < free["before"]["value_at_risk"]
    assert free["warnings"] == ["the effect of Coupon is a belief of the catalogue and was not measured here"]
    assert free["plan"]["share_by_prior"] == pytest.approx(1)


def test_nothing_is_written(running):
    def rows():
        with running.store.engine.begin() as connection:
            names = ("decisions", "touches", "jobs", "deliveries", "ground_members")
            return [connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in names]  # noqa: S608 - names of our own

    before = rows()
    planned(running, budget=0.1, include=["members"])
    assert rows() == before


def test_members_come_with_what_each_would_get_by_pages(running):
    request = {"include": ["members"], "limit": 100, "budget": 0.3}
    first = planned(running, **request)
    rows = first["rows"]
    while first["next_cursor"]:
        first = planned(running, **request, cursor=first["next_cursor"])
        rows += first["rows"]
    assert [row["member_id"] for row in rows] == sorted(world().log.members["member_id"])
    got = [row for row in rows if row["intervention_id"] == "coupon"]
    assert len(got) == pytest.approx(first["plan"]["members_contacted"], abs=1)
    assert {row["channel"] for row in got} <= {"wecom", "email"}
    assert {row["channel"] for row in rows if row["intervention_id"] == "none"} == {None}


def test_members_who_are_named_are_planned_for_alone(running):
    names = world().log.members["member_id"].to_list()[:40]
    told = planned(running, audience={"member_ids": [*names, "nobody"]}, include=["members"])
    assert told["members"] == 40
    assert [row["member_id"] for row in told["rows"]] == sorted(names)
    assert told["before"]["members"] == sum(row["churn_probability"] is not None for row in told["rows"])


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"interventions": ["cupon"]}, "refused-input"),
        ({"capacity": {"channels": {"pigeon": 1}}}, "refused-input"),
        ({"audience": {"tiers": ["nobility"]}}, "refused-input"),
        ({"audience": {"groups": {"planet": ["mars"]}}}, "refused-input"),
        ({"hold_out": 1}, "invalid-request"),
        ({"audience": {"risk_from": 60, "risk_to": 40}}, "invalid-request"),
        ({"audience": {"risk_from": 3}}, "invalid-request"),
        ({"budget": -1}, "invalid-request"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_as_described(running, wrong, problem):
    answer = running.client.post("/v1/plans", json=wrong)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/docs#{problem}")
    described = running.client.get("/openapi.json").json()["paths"]["/v1/plans"]["post"]["responses"]["422"]
    assert problem in described["content"]["application/problem+json"]["examples"]


def test_only_a_planner_may_ask(running):
    weak = create_key(running.store, "weak", ["read"], now=NOW)
    assert running.client.post("/v1/plans", json={}, headers={"Authorization": f"Bearer {weak}"}).status_code == 403
    with reader(running) as client:
        sign_in(client, weak)
        page = client.get("/planner").text
        assert "scope “plan”" in page
        assert "/planner/confirm" not in page
        assert client.post("/planner/confirm", data={"form_token": form_token(page)}).status_code == 403


def test_a_campaign_is_started_only_from_its_own_page(visitor):
    assert visitor.post("/planner/confirm", data={"dry_run": "1"}).status_code == 403


def ended(running, visitor, page, **form):
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page[page.index("/planner/confirm") :]))
    action = re.search(r'action="(/planner/confirm[^"]*)"', page)[1].replace("&amp;", "&")
    answer = visitor.post(action, data={**fields, "form_token": form_token(page), **form})
    assert answer.url.path.startswith("/planner/jobs/"), answer.text
    job_id = answer.url.path.rsplit("/", 1)[1]
    wait_until(lambda: running.client.get(f"/v1/decision-jobs/{job_id}").json()["status"] in {"succeeded", "failed"})
    return running.client.get(f"/v1/decision-jobs/{job_id}").json()


def test_a_confirmed_plan_becomes_the_job_of_its_audience_and_limits(running, visitor):
    page = visitor.get("/planner?from=0&to=80&budget=0.2&most:coupon=15").text
    told = planned(running, audience={"risk_to": 80}, budget=0.2, capacity={"interventions": {"coupon": 15}})
    job = ended(running, visitor, page, dry_run="1")
    assert (job["status"], job["dry_run"]) == ("succeeded", True)
    assert job["plan"]["spend"] == pytest.approx(told["plan"]["spend"], rel=0.01)
    assert job["plan"]["net_value"] == pytest.approx(told["plan"]["net_value"], rel=0.01)
    assert job["counts"]["selected"] == told["members"]
    shown = visitor.get(f"/planner/jobs/{job['job_id']}").text
    assert f"Dry run: {job['counts']['contacted']} members would be contacted" in shown
    back = unescape(re.search(r'href="(/planner\?[^"]+)"', shown)[1])
    assert dict(parse_qsl(back.partition("?")[2])) == {"from": "0", "to": "80", "budget": "0.2", "most:coupon": "15", "hold_out": "0"}
    assert re.search(r'class="headline">(.*?)<', visitor.get(back).text)[1] == re.search(r'class="headline">(.*?)<', page)[1]
    listed = re.findall(r'<th scope="row"><a href="/members/(\w+)"', shown)
    table = visitor.get(f"/planner/jobs/{job['job_id']}/results.csv").content
    assert table.startswith(BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [row["member_id"] for row in rows if row["intervention_id"] != "none"] == listed
    lines = visitor.get(f"/planner/jobs/{job['job_id']}/results.ndjson").text.splitlines()
    assert len(lines) == len(rows) == told["members"]


def test_a_campaign_can_be_stopped_where_it_is(running, visitor):
    """One that another worker holds, so that it is under way for as long as this takes."""
    request = DecisionJobRequest(language="en").model_dump_json()
    row = JobRow("5" * 32, microseconds(NOW), request, "{}", "running", worker="another", lease_us=2**62, members=10)
    running.store.add_job(row, None, "", None, "")
    under_way = visitor.get(f"/planner/jobs/{row.job_id}").text
    assert "What was decided before is kept." in under_way
    assert visitor.post(f"/planner/jobs/{row.job_id}/cancel").status_code == 403
    assert running.store.job(row.job_id).status == "running"
    over = visitor.post(f"/planner/jobs/{row.job_id}/cancel", data={"form_token": form_token(under_way)})
    assert (over.url.path, running.store.job(row.job_id).status) == (f"/planner/jobs/{row.job_id}", "cancelled")
    assert "The campaign was cancelled" in over.text
    assert "/cancel" not in over.text


@pytest.mark.parametrize(
    ("audience", "query"),
    [
        ({"stages": ["new"], "groups": {"town": ["Bad Ischl"]}}, {"stage": "new", "group": "town:Bad Ischl"}),
        ({"stages": ["new", "lost"]}, None),
        ({"member_ids": ["m-1"]}, None),
    ],
)
def test_a_campaign_leads_back_to_its_audience_where_the_planner_can_ask_for_it(audience, query):
    address = address_of(DecisionJobRequest.model_validate({"audience": audience, "hold_out": 0.1}))
    told = None if query is None else {"from": "0", "to": "100", **query, "hold_out": "10"}
    assert (dict(parse_qsl(address.partition("?")[2])) or None) == told


def test_a_share_that_is_held_out_is_left_alone_by_the_job(running, visitor):
    page = visitor.get("/planner?hold_out=50").text
    job = ended(running, visitor, page, dry_run="1")
    assert 0.35 < job["counts"]["selected"] / job["counts"]["considered"] < 0.65


def test_for_members_who_cost_more_than_they_bring_the_page_says_that_nothing_pays(running, visitor):
    page = visitor.get("/planner?risk_band=low&most:coupon=0&most:call=0").text
    assert "Within these limits nobody is contacted" in page
    assert "No member is in this audience" in visitor.get("/planner?cohort=1999-01").text


def ground_of(strata_, rows):
    terms = Terms(NOW, "7", 30, "CNY", 0.0, tuple(Arm(name, "prior") for name in "abcd"), ("wecom", "email"))
    return lay_ground(terms, [strata_.condensed(MOST_STRATA)], rows)


def standings(n, seed=5):
    rng = np.random.default_rng(seed)
    risk = rng.random(n)
    return pl.DataFrame(
        {
            "member_id": [f"m{at:05d}" for at in range(n)],
            "bin": np.minimum((risk * 20).astype(int), 19),
            "probability": np.where(rng.random(n) < 0.1, np.nan, risk),
            "risk_band": np.where(risk > 0.6, "high", "low"),
            "stage": rng.choice(["new", "silent"], n),
            "tier": "base",
            "tags": rng.choice(["", ",high_value,", ",high_value,estrangement,"], n),
            "cohort": rng.choice(["2025-01", "2025-02"], n),
            "groups": rng.choice(['{"city": "Ulm"}', '{"city": "Bern"}', ""], n),
            "value": 40.0,
            "value_at_risk": 40 * risk,
            "chosen": "none",
        }
    ).with_columns(pl.col("probability").fill_nan(None), pl.col("groups").replace("", None))


@pytest.mark.parametrize(
    "audience",
    [
        EVERYONE,
        AudienceFilter(stages=("silent",), low=4, high=15),
        AudienceFilter(tags=("estrangement",), cohorts=("2025-02",)),
        AudienceFilter(groups={"city": ("Ulm",)}, risk_bands=("high",)),
    ],
    ids=str,
)
def test_an_audience_is_planned_for_as_its_members_one_by_one(audience):
    of, rows = strata(crowd(1500, 31)), standings(1500)
    laid = ground_of(of, rows)
    ground = PlanGround.from_bytes(laid.ground.to_bytes())
    whole, named = ground.crowd(audience), ground.crowd_of(laid.rows, audience)
    belongs = ground.belongs(laid.rows, audience)
    assert whole.members == named.members == belongs.sum() > 20
    assert whole.scored.expected.value == pytest.approx(rows.filter(belongs)["probability"].sum())
    assert named.scored.members == whole.scored.members
    asked, declared = Question(Capacity(budget=100.0)), Capacity()
    alone = simulate_plan(ground.terms, whole, asked, declared)
    chosen = Strata.together([of[np.flatnonzero(belongs)]])
    by_hand = simulate_plan(ground.terms, ground_of(chosen, rows.filter(belongs)).ground.crowd(EVERYONE), asked, declared)
    assert alone.outlook.net_value.value == pytest.approx(by_hand.outlook.net_value.value, rel=1e-4)
    assert alone.to_dict()["blocked"] == by_hand.to_dict()["blocked"]


def test_of_an_audience_without_any_risk_nobody_is_said_to_stay():
    """As of members who are silent already: whoever is active comes back."""
    of, rows = strata(crowd(300, 34)), standings(300)
    gone = replace(of, scored=np.zeros(300, dtype=bool)), rows.with_columns(probability=pl.lit(None, pl.Float64))
    for (members, stands), words in (
        (gone, "more members are active in the next 30 days"),
        ((of, rows), "members stay who would go silent"),
    ):
        ground = ground_of(members, stands).ground
        simulated = simulate_plan(ground.terms, ground.crowd(EVERYONE), Question(Capacity(budget=100.0)), Capacity())
        assert simulated.outlook.contacted > 1
        assert words in headline(simulated, DECLARED, "en")


def test_a_frontier_is_that_of_any_budget():
    ground = ground_of(strata(crowd(800, 32)), standings(800)).ground
    terms, crowd_ = ground.terms, ground.crowd(EVERYONE)
    question = Question(points=6)
    for point in frontier_of(terms, crowd_, question, Capacity()):
        alone = simulate_plan(terms, crowd_, Question(Capacity(budget=point.budget)), Capacity(), frontier=())
        assert point.net_value.value == pytest.approx(alone.outlook.net_value.value, rel=1e-3)


def test_a_later_ground_takes_the_place_of_an_earlier_one_and_forgets_whoever_was_erased(store_url):
    laid = ground_of(strata(crowd(60, 33)), standings(60))
    with closing(Store.open(store_url)) as store:
        erased, refusing, other = names = world().log.members["member_id"].head(3).to_list()
        store.add_events([LoggedEvent(name, 1, "post") for name in names])
        rows = laid.rows.head(3).with_columns(member_id=pl.Series([erased, refusing, other]))
        store.lay_ground(10, b"one", [rows])
        first = store.ground_key()
        store.lay_ground(5, b"older", [rows])
        assert (store.ground_key(), store.ground(first)) == (first, b"one")
        store.erase(erased, 1)
        store.prefer(refusing, personalization=False)
        assert store.ground_members(first, "", 10)["member_id"].to_list() == [other]
        store.lay_ground(20, b"two", [rows.head(2), rows[2:]])
        key = store.ground_key()
        assert (store.ground(key), store.ground(first)) == (b"two", None)
        assert store.named_ground_members(key, [erased, refusing, other, "x"])["member_id"].to_list() == [other]
        assert store.ground_members(first, "", 10).height == 0


def test_a_question_is_typed_as_the_address_of_the_page_says_it():
    assert audience_of("from=40&stage=new&stage=silent&group=city:Ulm") == AudienceFilter(
        stages=("new", "silent"), groups={"city": ("Ulm",)}, low=8
    )
    assert question_of(5.0, ["coupon=3", "channel:email=4"], [], hold_out=0.1, points=2).capacity == Capacity(
        interventions={"coupon": 3}, channels={"email": 4}, budget=5.0
    )


def test_a_plan_on_a_ground_of_an_earlier_day_says_of_which(running):
    assert planned(running)["as_of"].startswith((NOW + timedelta()).strftime("%Y-%m-%dT%H:%M"))


def test_plans_for_everyone_are_ready_before_anybody_asks(running):
    """As `_plan_ahead` has them made, once for each run."""
    desk = PlanDesk(lambda: running.store, DECLARED, running.clock)
    desk.make_ready()
    ground = desk.ground()
    whole = Asked(AudienceRequest(), Question())
    found = ground.frontiers.get(f"{whole.name(budget=False)}{{}}", lambda: pytest.fail("planned again"))
    assert found == desk.plan(whole).frontier
    budgeted = desk.plan(Asked(AudienceRequest(), Question(Capacity(budget=0.3))))
    assert budgeted.frontier is found
    desk.make_ready()
    assert desk.ground() is ground

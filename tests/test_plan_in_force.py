"""A plan made from the log, followed by the service: the same money, said in every answer, and left aside when it no longer holds."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.plan_in_force import PlanInForce
from models.simulated_plan import Question
from models.store import PlanRow, Store
from models.supply import Capacity
from pipelines.plan import Planned, plan_campaign, withdraw_plan
from pipelines.workspace import Workspace
from tests.serving_world import NOW, Running, serving, world, write_home, write_logs

BUDGET = 0.6
DAYS = 7


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = write_home(tmp_path_factory.mktemp("planned") / "home")
    write_logs(folder)
    return folder


@pytest.fixture(scope="module")
def running(home):
    with serving(home, world().log) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_plan_is_left(running):
    yield
    running.clock.now = NOW
    running.store.put_in_force(PlanRow("none", 0, None))


@pytest.fixture
def planned(home, monkeypatch) -> Planned:
    """In force for a week from NOW on."""
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    return plan_campaign(
        Workspace.find(home),
        Question(Capacity(budget=BUDGET), points=2),
        as_of=NOW.isoformat(),
        now=NOW,
        progress=lambda _: None,
        valid_days=DAYS,
    )


def answers(running: Running, mode="simulate") -> list[dict]:
    ids = world().log.members["member_id"].to_list()
    rows = [{"member_id": member, "mode": mode, "include": ["candidates"]} for member in ids]
    answer = running.client.post("/v1/score/batch", json={"requests": rows})
    return [row["answer"] for row in answer.json()["results"]]


def spent(told: list[dict]) -> float:
    return sum(answer["actions"][0]["cost"] for answer in told if answer["actions"])


def codes(told: list[dict]) -> set[str]:
    return {warning["code"] for answer in told for warning in answer["warnings"]}


def put(store: Store, plan: PlanInForce, **changed) -> None:
    other = replace(plan, **changed)
    store.put_in_force(PlanRow(f"{plan.plan_id}-{changed}", 1, other.to_json()))


def test_member_by_member_the_service_spends_what_the_plan_would(running, planned):
    told = answers(running)
    assert {answer["plan_id"] for answer in told} == {planned.in_force.plan_id}
    assert planned.outlook.spend == pytest.approx(BUDGET, rel=0.05)
    assert spent(told) == pytest.approx(BUDGET, rel=0.1)
    assert codes(told) == set()


def test_without_a_plan_it_would_spend_more_and_no_price_is_charged(running):
    told = answers(running)
    assert spent(told) > 1.5 * BUDGET
    assert {answer["plan_id"] for answer in told} == {None}
    assert {candidate["shadow_price"] for answer in told for candidate in answer["candidates"]} == {0}


def test_an_answer_says_what_each_candidate_was_charged_and_that_others_bring_more(running, planned):
    told = [answer for answer in answers(running) if answer["no_action_reason"] == "outbid"]
    assert told
    for answer in told:
        coupon = next(candidate for candidate in answer["candidates"] if candidate["intervention_id"] == "coupon")
        assert coupon["shadow_price"] == pytest.approx(planned.simulated.budget_price * coupon["cost"])
        assert 0 < coupon["priority"] < coupon["shadow_price"]
        assert (coupon["removed_at"], coupon["rule"]) == ("arbitration", "budget")
        assert "budget" in answer["no_action_text"]


def test_a_kept_decision_names_the_plan_and_its_charges(running, planned):
    member = next(answer["member_id"] for answer in answers(running) if answer["actions"])
    answer = running.score(member).json()
    trace = running.client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert trace["plan_id"] == answer["plan_id"] == planned.in_force.plan_id
    assert running.store.planned([answer["decision_id"]]) == {answer["decision_id"]}
    assert {candidate["intervention_id"]: candidate["shadow_price"] > 0 for candidate in trace["candidates"]} == {
        "none": False,
        "coupon": True,
        "call": True,
    }


@pytest.mark.parametrize(
    ("changed", "days", "code"),
    [
        ({}, DAYS, "plan_expired"),
        ({"model_version": "99"}, 0, "plan_of_another_model"),
        ({"catalogue_fingerprint": "other"}, 0, "plan_of_another_catalogue"),
    ],
)
def test_a_plan_that_no_longer_holds_is_left_aside_and_every_answer_says_so(running, planned, changed, days, code):
    put(running.store, planned.in_force, **changed)
    running.clock.pass_(days=days)
    told = answers(running)
    assert code in codes(told)
    assert {answer["plan_id"] for answer in told} == {None}
    page = running.client.get(f"/v1/members/{told[0]['member_id']}/explanation", headers={"Accept": "application/json"})
    assert code in codes([page.json()])


def test_a_plan_holds_up_to_its_end_and_not_at_it(planned):
    plan = planned.in_force
    assert plan.valid_until == NOW + timedelta(days=DAYS)
    assert plan.standing(world().engine, plan.valid_until - timedelta(microseconds=1)) == "in_force"
    assert plan.standing(world().engine, plan.valid_until) == "expired"


def test_a_withdrawn_plan_is_not_spoken_of(running, planned, home):
    withdraw_plan(Workspace.find(home), now=NOW)
    told = answers(running)
    assert {answer["plan_id"] for answer in told} == {None}
    assert codes(told) == set()


def test_a_later_plan_takes_the_place_of_an_earlier_one(running, planned):
    put(running.store, planned.in_force, plan_id="later", budget_price=0.0)
    assert {answer["plan_id"] for answer in answers(running)} == {"later"}


def test_what_is_stored_of_a_plan_is_what_is_read(planned):
    plan = planned.in_force
    assert PlanInForce.from_json(plan.to_json()) == plan
    assert plan.terms.exploration == planned.simulated.plan.exploration
    assert np.isclose(plan.terms.prices.budget, planned.simulated.budget_price)


def test_the_frontier_rises_with_the_budget_and_ends_without_one(planned):
    (half, free) = planned.simulated.frontier
    assert (half.budget, free.budget) == (pytest.approx(free.spend / 2), None)
    assert half.spend <= half.budget * (1 + 1e-9)
    assert 0 < half.net_value.value < free.net_value.value
    assert planned.to_dict()["plan"]["spend"] == planned.outlook.spend

"""What decisions of the running period have used up is taken off a plan, on the command line, over HTTP and on the page alike."""

import json

import pytest

from models.quotas import left_of, period_begin_us
from models.simulated_plan import Question
from models.supply import Capacity
from pipelines.decide import decide_all
from pipelines.plan import plan_campaign
from pipelines.workspace import Workspace
from tests.serving_world import DECLARED, NOW, serving, world, write_declaration, write_home, write_logs
from tests.shown_run import reader, sign_in

LIMITED = DECLARED.model_copy(update={"capacity": Capacity(interventions={"coupon": 20}, channels={"email": 100}, budget=1.5)})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        folder = write_home(tmp_path_factory.mktemp("period") / "home", LIMITED)
        write_logs(folder)
        yield Workspace.find(folder)


@pytest.fixture(scope="module")
def running(workspace):
    """Scores have given a coupon to some members already."""
    with serving(workspace.root, world().log) as running:
        table = workspace.root / "all.parquet"
        decide_all(workspace, table, as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        yield running


def given_out(running, most):
    """Members who were given a coupon one by one."""
    given = 0
    for member_id in world().log.members["member_id"]:
        given += bool(running.score(member_id, mode="decide").json()["actions"])
        if given == most:
            return
    raise AssertionError(given)


def test_places_and_money_of_the_period_that_are_used_up_are_not_planned_with(running, workspace):
    before = running.client.post("/v1/plans", json={}).json()
    assert before["used_in_period"] == {}
    assert before["capacities"]["coupon"]["limit"] == 20
    given_out(running, 6)
    told = running.client.post("/v1/plans", json={}).json()
    assert {name: told["used_in_period"][name] for name in ("intervention:coupon", "budget")} == pytest.approx(
        {"intervention:coupon": 6, "budget": 0.06}
    )
    assert told["capacities"]["coupon"]["limit"] == 14
    assert told["plan"]["budget"] == pytest.approx(1.44)
    assert told["plan"]["members_contacted"] < before["plan"]["members_contacted"]
    offline = plan_campaign(workspace, Question(), as_of=NOW.isoformat(), now=NOW, progress=lambda _: None).to_dict()
    assert json.loads(json.dumps(offline["capacities"]))["coupon"] == told["capacities"]["coupon"]
    assert offline["used_in_period"] == told["used_in_period"]
    for language, sentence in (("en", "6 of the 20 places for today used up already"), ("zh", "今天共20个名额，已用6个")):
        with reader(running, language) as visitor:
            sign_in(visitor, running.key)
            assert sentence in visitor.get("/planner").text
    running.clock.pass_(days=1)
    assert running.client.post("/v1/plans", json={}).json()["used_in_period"] == {}


def test_a_limit_that_is_declared_within_a_day_counts_what_was_given_out_before_it(tmp_path):
    """Four coupons without a limit, then a limit of four: the service that begins with it gives none that day, and says why."""
    home = write_home(tmp_path / "home")
    with serving(home, world().log) as running:
        given_out(running, 4)
    write_declaration(home, DECLARED.model_copy(update={"capacity": Capacity(interventions={"coupon": 4})}))
    with serving(home) as running:
        answers = [running.score(member_id, mode="decide").json() for member_id in world().log.members["member_id"][:60]]
        assert not any(action["intervention_id"] == "coupon" for answer in answers for action in answer["actions"])
        assert "capacity_used_up" in {one["rule"] for answer in answers for one in answer["suppressed"]}
        assert running.store.used(period_begin_us(NOW, 1, DECLARED))["intervention:coupon"] == 4
        running.clock.pass_(days=1)
        given_out(running, 1)


def test_more_used_than_there_is_leaves_nothing():
    """As after the declaration was lowered."""
    left = left_of(Capacity(interventions={"call": 3}, channels={"phone": 9}, budget=10), {"intervention:call": 5, "budget": 12.5})
    assert (left.interventions, left.channels, left.budget) == ({"call": 0}, {"phone": 9}, 0)

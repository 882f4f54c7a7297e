"""A challenger in the shadow: what it would have decided on the same history, told beside the champion, and nothing done by it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from models.deciding import decide
from models.errors import InputError
from models.events import event_arrays
from models.interventions import ContactHistory
from models.moments import microseconds
from models.registry import CHALLENGER, MODEL_NAME
from models.second_opinion import Agreement, wilson
from models.snapshots import Snapshots
from models.texts import share
from serving.settings import Settings
from tests.patience import wait_until
from tests.registry_world import RECORD, own_registry
from tests.serving_world import DECLARED, NOW, serving, world, write_home
from tests.shown_run import reader, sign_in


@pytest.fixture(scope="module")
def challenged(tmp_path_factory):
    """A registry with the world's champion, and a challenger that decides by another policy and other band edges."""
    folder = tmp_path_factory.mktemp("registry")
    registry, champion = own_registry(folder), world().engine
    policy = DECLARED.policy.model_copy(update={"control_share": 0.5})
    edges = tuple(0.5 * edge for edge in champion.reference.band_edges)
    other = replace(
        champion,
        community=DECLARED.model_copy(update={"policy": policy}),
        reference=replace(champion.reference, band_edges=edges),
    )
    version = registry.register(other, world().golden, RECORD).version
    return registry, registry.load(version, folder / "cache"), folder


@pytest.fixture
def running(tmp_path, challenged):
    folder = challenged[2]
    own = tmp_path / "mlflow.db"
    shutil.copy(folder / "mlflow.db", own)
    settings = {"mlflow_uri": f"sqlite:///{own}", "shadow": True, "model_seconds": 0.2}
    with serving(write_home(tmp_path / "home"), world().log, **settings) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        yield running


def told(running):
    return running.client.get("/v1/models").json()["shadow"]


def members():
    return world().log.members["member_id"].to_list()


def test_the_challenger_is_asked_about_what_the_champion_decided(running, challenged):
    answers = {one: running.score(one).json() for one in members()[:150]}
    wait_until(lambda: told(running)["decisions"] == len(answers))
    shadow = told(running)
    engine = challenged[1]
    events, log = event_arrays(world().log, DECLARED), world().log
    snapshots = Snapshots.at(events, microseconds(NOW))
    ids, contacts = [answers[one]["decision_id"] if one in answers else one for one in members()], ContactHistory.of_touches
    decisions = decide(engine, events, snapshots, members(), ids, contacts(log.touches, snapshots.member), as_of=NOW, language="en")
    alone = {decision.member_id: decision for decision in decisions}
    bands = [alone[one].churn.risk_band == answer["churn"]["risk_band"] for one, answer in answers.items()]
    first = {one: (answer["actions"] or [{"intervention_id": "none"}])[0]["intervention_id"] for one, answer in answers.items()}
    choices = [alone[one].chosen == choice for one, choice in first.items()]
    assert (shadow["version"], shadow["error"]) == (engine.version, None)
    assert shadow["band"] == pytest.approx(np.mean(bands))
    assert shadow["choice"] == pytest.approx(np.mean(choices))
    assert 0 < shadow["band"] < 1
    assert 0 < shadow["choice"] < 1
    assert shadow["probability_difference"] == pytest.approx(0, abs=1e-9)
    assert shadow["band_interval"][0] < shadow["band"] < shadow["band_interval"][1]
    assert running.client.get("/v1/models/report").json()["shadow"] == shadow
    with reader(running) as client:
        sign_in(client, running.key)
        page = client.get("/model").text
    assert f"On {len(answers)} decisions of the model in use" in page
    assert all(f"<dd>{share(shadow[name])} " in page for name in ("choice", "band"))


def test_nothing_is_done_by_it(running):
    for one in members()[:20]:
        running.score(one)
    wait_until(lambda: told(running)["decisions"] == 20)
    with running.store.engine.begin() as connection:
        numbers = [connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in ("decisions", "deliveries")]  # noqa: S608 - our own
        reserved = connection.exec_driver_sql("SELECT count(*) FROM touches WHERE state = 'reserved'").scalar()
        chosen = connection.exec_driver_sql("SELECT count(*) FROM decisions WHERE chosen <> 'none'").scalar()
    assert numbers == [20, 0]
    assert reserved == chosen
    running.store.erase(members()[0], 1)
    assert told(running)["decisions"] == 19


def test_a_challenger_that_cannot_be_used_is_told_of_and_touches_no_answer(tmp_path, challenged):
    registry, engine, _ = challenged
    with serving(write_home(tmp_path / "home"), world().log, mlflow_uri=registry.uri, shadow=True, model_seconds=0.2) as running:
        registry.client.set_model_version_tag(MODEL_NAME, engine.version, "engine_sha256", "another")
        (tmp_path / "home" / ".keepwell" / "model-cache").rename(tmp_path / "gone")
        wait_until(lambda: "is not what was registered" in (told(running)["error"] or ""))
        assert running.score(members()[3]).status_code == 200
        registry.client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
        wait_until(lambda: "challenger" in (told(running)["error"] or ""))
        assert str(registry.uri) not in told(running)["error"]
        assert told(running)["version"] is None
        assert running.score(members()[4]).status_code == 200


def test_without_the_setting_there_is_no_shadow(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log) as running:
        assert told(running) is None
    assert not Settings.from_environment({}).shadow
    assert Settings.from_environment({"KEEPWELL_SHADOW": "challenger"}).shadow
    with pytest.raises(InputError, match="champion"):
        Settings.from_environment({"KEEPWELL_SHADOW": "champion"})


@pytest.mark.parametrize(("number", "of"), [(0, 1), (3, 7), (50, 50), (81, 263)])
def test_intervals_of_agreement_are_those_of_wilson(number, of):
    bounds = binomtest(number, of).proportion_ci(0.95, method="wilson")
    assert wilson(number, of) == pytest.approx((bounds.low, bounds.high), abs=1e-7)


def test_of_no_decisions_nothing_is_claimed():
    assert Agreement.of(0, 0, 0, None) == Agreement(0, None, None, None, None, None)

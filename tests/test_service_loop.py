"""What the service decided, what was reported of it and what members did then is what the next training learns from."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.assignments import assignments_of
from models.catalogue_identity import catalogue_fingerprint
from models.errors import InputError
from models.interventions import ContactHistory
from models.log_uplift import learn_uplift
from models.moments import microseconds
from models.plan_in_force import PlanInForce
from models.posted import posted_touches
from models.store import PlanRow
from pipelines.archive import archived_events
from pipelines.decide import decide_all
from pipelines.export import export
from pipelines.loading import load_to_learn
from pipelines.workspace import Workspace
from tests.serving_world import DECLARED, NOW, Running, serving, world, write_home, write_logs

ROUNDS, DAYS = 7, 40


def exploring():
    """Half of the choices are drawn, so that there is something to learn from."""
    engine = world().engine
    return PlanInForce(
        plan_id="trial",
        as_of=NOW,
        activated_at=NOW,
        valid_until=NOW + timedelta(days=90),
        model_version=engine.version,
        catalogue_fingerprint=catalogue_fingerprint(engine.community),
        budget=None,
        expected_spend=0.0,
        exploration=0.25,
        budget_price=0.0,
        interventions={"coupon": 0.0, "call": 0.0},
        channels={"wecom": 0.0, "email": 0.0, "phone": 0.0},
    )


def send(running, kind, rows):
    for begin in range(0, len(rows), 1000):
        told = running.client.post(f"/v1/{kind}", json={kind: rows[begin : begin + 1000]}).json()
        assert told["rejected"] == [], told["rejected"][:3]


def decide_for_everyone(running, number):
    """A round of decisions, and what became of them: every fourth is never delivered, and every fifth refused."""
    rows = [{"member_id": member_id, "request_id": f"{number} {member_id}"} for member_id in world().log.members["member_id"]]
    answers = [row["answer"] for row in running.client.post("/v1/score/batch", json={"requests": rows}).json()["results"]]
    touches = [
        {
            "touch_id": f"t {answer['decision_id']}",
            "decision_id": answer["decision_id"],
            "at": (running.clock() + timedelta(minutes=3)).isoformat(),
            "state": "undelivered" if at % 4 == 0 else "delivered",
            "response": "refused" if at % 5 == 1 else None,
        }
        for at, answer in enumerate(answer for answer in answers if answer["actions"])
    ]
    send(running, "touches", touches)
    return answers


def live_on(running, answers, rng):
    """Who had a coupon stays with 90 %, who was left alone with 60 %."""
    had = {answer["member_id"] for answer in answers if answer["actions"]}
    events = []
    for member_id in world().log.members["member_id"]:
        if rng.random() < (0.9 if member_id in had else 0.6):
            days = rng.uniform(0, DAYS, 6)
            events += [
                {"event_id": f"after {member_id} {at}", "member_id": member_id, "type": "post", "timestamp": moment(running, day)}
                for at, day in enumerate(days)
            ]
    running.clock.pass_(days=DAYS)
    send(running, "events", events)


def moment(running, days):
    return (running.clock() + timedelta(days=float(days))).isoformat()


@dataclass(frozen=True)
class Looked:
    """The service, and the place of the verbs that look at the same community."""

    running: Running
    workspace: Workspace

    @property
    def store(self):
        return self.running.store

    @property
    def client(self):
        return self.running.client

    @property
    def clock(self):
        return self.running.clock


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """The answers of all rounds, and what a training reads afterwards."""
    home = write_home(tmp_path_factory.mktemp("loop") / "home")
    write_logs(home)
    with serving(home, world().log) as running:
        running.store.put_in_force(PlanRow("trial", microseconds(NOW), exploring().to_json()))
        answers = []
        for number in range(ROUNDS):
            answers += decide_for_everyone(running, number)
            running.clock.pass_(hours=20)
        live_on(running, answers, np.random.default_rng(7))
        yield answers, load_to_learn(Workspace(home), now=running.clock()), Looked(running, Workspace(home))


def own(loaded):
    return loaded.log.touches.filter(pl.col("decision_id").is_not_null())


def test_every_decision_is_an_assignment_with_the_propensities_that_were_logged(lived):
    answers, loaded, _ = lived
    touches = own(loaded)
    assert touches.height == len(answers)
    shares = touches.select("propensity_none", "propensity_coupon", "propensity_call")
    assert shares.fill_null(0).sum_horizontal().to_numpy() == pytest.approx(1)
    chosen = {answer["decision_id"]: answer["actions"][0]["assignment_probability"] for answer in answers if answer["actions"]}
    told = {row["decision_id"]: row[f"propensity_{row['intervention']}"] for row in touches.to_dicts()}
    assert {decision_id: told[decision_id] for decision_id in chosen} == pytest.approx(chosen)


def test_the_control_and_who_was_left_alone_are_assignments_too(lived):
    answers, loaded, _ = lived
    told = dict(own(loaded).select("decision_id", "intervention").iter_rows())
    reasons = {answer["no_action_reason"] for answer in answers}
    assert {"global_control", "explored_nothing"} <= reasons
    assert all(told[answer["decision_id"]] == "none" for answer in answers if not answer["actions"])


def test_what_was_not_delivered_was_assigned_all_the_same_but_was_no_contact(lived):
    _, loaded, _ = lived
    touches = own(loaded).filter(pl.col("intervention") != "none")
    lost = touches.filter(~pl.col("delivered"))
    assert 0 < lost.height < touches.height
    contacts = ContactHistory.of_touches(lost, lost["member"].to_numpy())
    assert not contacts.reached.any()
    assert set(touches["response"].drop_nulls()) == {"refused"}


def test_a_batch_sees_the_same_contacts_as_the_service(lived):
    _, loaded, running = lived
    ids = loaded.log.members["member_id"].to_list()
    stored = running.store.past(ids, world().engine.community, microseconds(NOW + timedelta(days=6))).contacts
    ours = ContactHistory.of_touches(own(loaded), np.arange(len(ids)))

    def seen(contacts):
        lately = (contacts.at_us >= microseconds(NOW)) & (contacts.at_us < microseconds(NOW + timedelta(days=5)))
        columns = (contacts.member, contacts.at_us, contacts.intervention, contacts.reached, contacts.refused)
        return sorted(zip(*(column[lately].tolist() for column in columns), strict=True))

    assert seen(ours) == seen(stored)


def test_training_counts_the_decisions_of_the_service_as_an_experiment(lived):
    _, loaded, _ = lived
    believing = [one.model_copy(update={"starting_evidence": 10.0}) for one in world().engine.community.interventions]
    engine = replace(world().engine, community=world().engine.community.model_copy(update={"interventions": tuple(believing)}))
    until_us = int(loaded.arrays.timestamp_us.max())
    made = assignments_of(loaded.log.touches, loaded.arrays, engine.community, until_us=until_us)
    assert made.propensities is not None
    assert len(made) > 500
    assert any("assignments without logged propensities" in str(warning) for warning in made.warnings)
    kept = np.arange(12)
    told = learn_uplift(engine, loaded.arrays, loaded.log.touches, kept, until_us=until_us, rng=np.random.default_rng(1))
    evidence = told.uplift.evidence["coupon"]
    assert told.rows == len(made)
    assert evidence.source == "experiment"
    assert evidence.n == int((made.arm == 1).sum())
    assert evidence.n_none == int((made.arm == 0).sum())


def test_what_is_exported_is_everything_that_the_service_logged(lived, tmp_path):
    answers, loaded, running = lived
    told = export(running.workspace, tmp_path / "out", older_than_days=None, now=running.clock())
    tables = {name: pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("events", "touches", "outcomes")}
    decisions = pl.read_parquet(tmp_path / "out" / "decisions" / "*.parquet")
    assert told.rows == {name: table.height for name, table in tables.items()} | {"decisions": len(answers)}
    assert set(tables["events"]["event_id"]) == set(running.store.api_events()["event_id"])
    assert set(tables["touches"]["decision_id"]) == set(decisions["decision_id"]) == {answer["decision_id"] for answer in answers}
    assert tables["touches"].height == own(loaded).height
    assert json.loads(decisions["body"][0])["decision_id"] == decisions["decision_id"][0]


def test_what_left_the_store_is_learned_from_all_the_same_and_does_not_come_back(lived, tmp_path):
    _, loaded, running = lived
    later, ids = NOW + timedelta(days=380), loaded.log.members["member_id"].to_list()
    before = running.store.history(ids, microseconds(later - timedelta(days=365)), DECLARED)
    told = export(running.workspace, tmp_path / "out", older_than_days=365, now=later)
    assert told.pruned > loaded.log.events.height // 2
    again = load_to_learn(running.workspace, now=running.clock())
    assert_frame_equal(again.log.events, loaded.log.events, check_row_order=False)
    assert again.log.touches.equals(loaded.log.touches)
    after = running.store.history(ids, microseconds(later - timedelta(days=365)), DECLARED)
    assert (after.timestamp_us == before.timestamp_us).all()
    assert (after.signal == before.signal).all()
    lasting = running.store.load_log(world().log, "read anew").events
    assert lasting < told.pruned // 20
    assert export(running.workspace, tmp_path / "out", older_than_days=365, now=later).pruned == lasting


def test_where_the_clock_was_stopped_nothing_is_older_than_it_was_then(lived, tmp_path):
    """By the real clock all that was reserved has run out, and all events are old."""
    running = lived[2]
    much_later = NOW + timedelta(days=10_000)
    export(running.workspace, tmp_path / "then", older_than_days=None, now=NOW)
    told = export(running.workspace, tmp_path / "out", older_than_days=1_000, now=much_later, as_of=NOW.isoformat())
    assert told.pruned == 0
    touches = [pl.read_parquet(tmp_path / name / "touches.parquet") for name in ("then", "out")]
    assert touches[0].equals(touches[1])
    assert not touches[0].equals(posted_touches(running.store.assignments(), running.store.other_contacts(), microseconds(much_later)))


def test_events_that_the_features_still_look_at_cannot_leave(lived, tmp_path):
    with pytest.raises(InputError, match="look back 365 days"):
        export(lived[2].workspace, tmp_path, older_than_days=100, now=NOW)


def test_nothing_of_an_erased_member_stays_in_the_archive(lived):
    _, _, running = lived
    archived = archived_events(running.workspace)
    member_id = archived["member_id"][0]
    assert running.client.delete(f"/v1/members/{member_id}").is_success
    assert member_id not in set(load_to_learn(running.workspace, now=running.clock()).log.members["member_id"])
    assert member_id not in set(archived_events(running.workspace)["member_id"])


def test_the_decisions_of_a_run_are_kept_once_and_their_touches_are_taken(lived, tmp_path, monkeypatch):
    _, loaded, running = lived
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
    at = {"as_of": loaded.log.last.isoformat(), "language": None, "now": running.clock(), "progress": lambda _: None, "record": True}
    first, second = (decide_all(running.workspace, tmp_path / "decisions.parquet", **at) for _ in range(2))
    assert (first.recorded.kept, first.recorded.left_out) == (first.table.height, 0)
    assert second.table.equals(first.table)
    row = first.table.filter(pl.col("chosen") == "coupon").row(0, named=True)
    told = running.client.get(f"/v1/decisions/{row['decision_id']}").json()
    assert (told["member_id"], told["chosen"], [one["state"] for one in told["touches"]]) == (row["member_id"], "coupon", ["reserved"])
    send(
        running,
        "touches",
        [{"touch_id": "run", "decision_id": row["decision_id"], "at": running.clock().isoformat(), "state": "delivered"}],
    )
    kept = own(load_to_learn(running.workspace, now=running.clock())).filter(
        pl.col("decision_id").is_in(first.table["decision_id"].implode())
    )
    assert kept.height == first.table.height
    both = kept.join(first.table, on="decision_id")
    assert both["propensity_coupon"].fill_null(0).to_list() == pytest.approx(both["propensity_coupon_right"].to_list())
    assert kept.filter(decision_id=row["decision_id"])["delivered"].item()

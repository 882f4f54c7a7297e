"""With `contact_policy.draw_cooldown_days` chance decides on a member once in so many days, whoever asks and however often."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from models.community import DAY_US
from models.events import EventLog
from models.interventions import NOT_DRAWN
from models.moments import microseconds
from models.store import DecisionRow, LoggedEvent, Store
from models.store_rows import DecisionQuery
from pipelines import parts
from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from tests.patience import wait_until
from tests.resting import DAYS, RESTING, RULE, resting_registry
from tests.serving_world import DECLARED, NOW, serving, world, write_home, write_logs

NOW_US = microseconds(NOW)
IDS, REST = ([f"m{number:07d}" for number in range(begin, 260, 2)] for begin in (0, 1))


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory):
    return resting_registry(tmp_path_factory.mktemp("registry")).uri


@pytest.fixture
def home(tmp_path, store_url, mlflow_uri, monkeypatch):
    home = write_home(tmp_path / "home", RESTING)
    write_logs(home)
    monkeypatch.setenv("KEEPWELL_MLFLOW_URI", mlflow_uri)
    monkeypatch.setenv("KEEPWELL_STORE_URL", store_url)
    return home


@pytest.fixture
def running(home, store_url, mlflow_uri):
    """Of a log that tells no chances."""
    log, chances = world().log, pl.selectors.starts_with("propensity_")
    with serving(home, EventLog(log.events, log.members, log.touches.drop(chances)), store_url=store_url, mlflow_uri=mlflow_uri) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        yield running


def ask(running, ids=IDS, mode="decide"):
    answer = running.client.post("/v1/score/batch", json={"requests": [{"member_id": name, "mode": mode} for name in ids]})
    assert answer.is_success, answer.text
    return {row["answer"]["member_id"]: row["answer"] for row in answer.json()["results"]}


def decide(running, home, *, record=True):
    """By the command, at the service's time."""
    output, now = home / "decisions.parquet", running.clock()
    asked = {"as_of": now.isoformat(), "language": None, "now": now, "progress": lambda _: None, "record": record}
    decide_all(Workspace(home), output, **asked)
    return pl.read_parquet(output)


def drawn(running):
    """Days after NOW on which chance decided, by member, and what was chosen then."""
    found = {}
    for row in running.store.assignments().iter_rows(named=True):
        if any(0 < chance < 1 for chance in json.loads(row["propensities"]).values()):
            found.setdefault(row["member_id"], []).append(((row["timestamp"] - NOW) / timedelta(days=1), row["intervention"]))
    return found


def at_rest(answers):
    return {name for name, one in answers.items() if any(removed["rule"] == RULE for removed in one["suppressed"])}


def scored(answers):
    """Of the others a rule before this one tells that they have no score."""
    return {name for name, one in answers.items() if one["churn"]["status"] == "scored"}


def assert_made_again(running, created_us):
    made = [one for one in running.store.decisions(DecisionQuery(1_000)) if one.created_us == created_us]
    for one in made[:20]:
        told = running.client.post(f"/v1/decisions/{one.decision_id}/replay").json()
        assert (told["equal"], told["differences"]) == (True, [])
    return made


def test_who_was_drawn_is_left_alone_for_so_long_whatever_was_drawn_and_then_drawn_again(running):
    assert at_rest(ask(running)) == set()
    once = drawn(running)
    assert len(once) > 30
    assert {arm for ((_, arm),) in once.values()} >= {"none", "coupon"}
    for days in (1, 4, 8.9):
        running.clock.pass_(days=days)
        seen, kept = ask(running, mode="simulate"), ask(running)
        assert at_rest(seen) == at_rest(kept) == set(once) & scored(kept)
        assert drawn(running) == once
    assert assert_made_again(running, microseconds(NOW + timedelta(days=5)))
    running.clock.now = NOW + timedelta(days=DAYS)
    assert at_rest(ask(running)) == set()
    both = [draws for draws in drawn(running).values() if len(draws) > 1]
    assert len(both) > 20
    assert {tuple(day for day, _ in draws) for draws in both} == {(0.0, float(DAYS))}
    assert assert_made_again(running, NOW_US) != []


def test_commands_jobs_and_requests_keep_to_the_draws_of_each_other(running, home):
    ask(running)
    by_request = drawn(running)
    running.clock.pass_(days=1)
    table = decide(running, home)
    held = set(table.filter(pl.col("removed_coupon") == f"contact_policy:{RULE}")["member_id"])
    assert held == set(by_request) & set(table.filter(pl.col("churn_probability").is_not_null())["member_id"])
    by_command = {name: draws for name, draws in drawn(running).items() if name not in by_request}
    assert len(by_command) > 30
    assert set(by_command) <= set(REST)
    assert {arm for ((_, arm),) in by_command.values()} >= {"none", "coupon"}
    assert decide(running, home).equals(table)
    running.clock.pass_(days=1)
    every = {**by_request, **by_command}
    answers = ask(running, [*IDS, *REST])
    assert at_rest(answers) == set(every) & scored(answers)
    place = running.client.post("/v1/decision-jobs", json={"budget": 0.3, "audience": {"member_ids": [*IDS, *REST]}}).headers["location"]
    wait_until(lambda: running.client.get(place).json()["status"] == "succeeded")
    assert {name: draws for name, draws in drawn(running).items() if name in every} == every
    running.clock.now = NOW + timedelta(days=DAYS)
    assert held.isdisjoint(decide(running, home, record=False).filter(pl.col("removed_coupon") == f"contact_policy:{RULE}")["member_id"])
    assert_made_again(running, microseconds(NOW + timedelta(days=1)))


def test_a_command_leaves_out_who_was_drawn_while_it_was_made(running, home, monkeypatch):
    """A draw of nothing too: what the run decided on such a member would be another one."""
    whole, between = parts.told_table, []

    def told(*given):
        between.append(between or ask(running))
        return whole(*given)

    monkeypatch.setattr(parts, "told_table", told)
    decide(running, home)
    assert between
    assert {len(draws) for draws in drawn(running).values()} == {1}
    assert {arm for ((_, arm),) in drawn(running).values()} >= {"none", "coupon"}


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        store.add_events([LoggedEvent(name, NOW_US - DAY_US, "post", name) for name in ("anna", "bert", "cleo")])
        yield store


def row(member_id, days, *, by_chance=True, chosen="none", seen=0):
    at_us = NOW_US + days * DAY_US
    drawn_us = at_us if by_chance else None
    told = {"drawn_us": drawn_us, "rests": by_chance, "propensities": '{"none":0.5,"coupon":0.5}'}
    return DecisionRow(f"{member_id} {days}", member_id, at_us, "1", chosen, None, seen, "{}", **told)


def last(store, days, member_ids=("anna", "bert"), declared=RESTING):
    return store.past(list(member_ids), declared, NOW_US + days * DAY_US).contacts.drawn_us


def test_the_store_tells_the_last_draw_before_a_moment_within_the_rest(store):
    assert store.record([row("anna", 0), row("bert", 0, by_chance=False)]) == frozenset()
    assert last(store, 5).tolist() == [NOW_US, NOT_DRAWN]
    assert last(store, DAYS).tolist() == [NOT_DRAWN, NOT_DRAWN]
    assert last(store, 0).tolist() == [NOW_US - 1, NOT_DRAWN]
    assert store.contacts_before(["anna"], RESTING, NOW_US).drawn_us.tolist() == [NOT_DRAWN]
    assert store.contacts_before(["anna"], RESTING, NOW_US + 1).drawn_us.tolist() == [NOW_US]
    assert last(store, 5, declared=DECLARED) is None


def test_of_two_draws_that_saw_none_before_one_is_kept(store):
    assert store.record([row("anna", 0)]) == frozenset()
    for late in (replace(row("anna", 0), decision_id="late"), replace(row("anna", 1, chosen="coupon"), channel="email")):
        assert store.record([late, row("bert", 1)]) == {"anna"}
        assert store.keep_run([late], None) == {"anna"}
    assert store.record([row("anna", 1, by_chance=False)]) == frozenset()
    assert store.past(["anna", "bert"], RESTING, NOW_US).contacts_seen == (1, 0)


def test_draws_that_the_declared_log_tells_count_once_and_by_the_decision_where_they_are_one(store):
    log = world().log
    logged, days = log.touches.filter(pl.col("member") < 20), pl.duration(days=1)
    at_us = microseconds(logged["timestamp"].max())
    told = EventLog(log.events, log.members, logged.with_columns(named=pl.lit(None, pl.String)))
    store.load_log(told)
    names = log.members["member_id"].to_list()
    soon = at_us + DAY_US
    asked = store.past(names[:20], RESTING, soon).contacts.drawn_us
    by_chance = logged.filter(pl.max_horizontal(pl.selectors.starts_with("propensity_")) < 1)
    of_each = by_chance.group_by("member").agg(pl.col("timestamp").max()).iter_rows()
    expected = {member: microseconds(at) for member, at in of_each if microseconds(at) > soon - DAYS * DAY_US}
    assert expected
    assert asked.tolist() == [expected.get(member, NOT_DRAWN) for member in range(20)]
    member = next(iter(expected))
    kept = DecisionRow("made", names[member], expected[member] - 1_000, "1", "none", None, 0, "{}", drawn_us=expected[member] - 1_000)
    store.record([kept])
    mine = logged.with_columns(named=pl.when(pl.col("member") == member).then(pl.lit("made")), timestamp=pl.col("timestamp") + days)
    store.load_log(EventLog(log.events, log.members, mine))
    later = store.past([names[member]], RESTING, soon + DAY_US).contacts.drawn_us
    assert later.tolist() == [kept.created_us]

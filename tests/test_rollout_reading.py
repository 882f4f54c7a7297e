"""A roll-out as the store holds it: the figures of both sides, counted by hand, and what they lead to."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.event import listen

from models.moments import microseconds
from models.reports import OutcomeReport
from models.rollout_reading import kept_comparison, read_and_keep, read_comparison, term_of
from models.rollout_wording import Asked, headline, state_sentence, status_dict, todo
from models.rollouts import Stage
from models.store import Store
from models.store_schema import decisions, touches
from models.texts import moment
from tests.databases import sqlite_url
from tests.rolled_out import HALF, plant
from tests.serving_world import DECLARED

BEGAN = datetime(2025, 7, 1, tzinfo=UTC)
NOW = BEGAN + timedelta(days=60)


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A store in SQLite, for what is said of figures that either make tells alike."""
    with closing(Store.open(sqlite_url(tmp_path_factory.mktemp("alone")))) as store:
        yield store


@pytest.fixture(scope="module")
def planted(alone):
    """In it, without a difference between the sides."""
    return plant(alone, BEGAN)


def read(store, planted, now=NOW):
    return read_comparison(store, planted.rollout, DECLARED.policy, DECLARED, now)


def row(comparison, name):
    return {one.name: one for one in comparison.rows}[name]


def test_both_sides_are_counted_as_by_hand(store):
    planted = plant(store, BEGAN)
    found = read(store, planted)
    mine, theirs = planted.challenger, ~planted.challenger
    kept, refused = row(found, "retention"), row(found, "refusals")
    assert (kept.members, kept.champion_members) == (mine.sum(), theirs.sum()) == found.check.observed[::-1]
    assert (kept.mean, kept.champion_mean) == pytest.approx((planted.stayed[mine].mean(), planted.stayed[theirs].mean()))
    assert (refused.mean, refused.champion_mean) == pytest.approx((planted.refused[mine].mean(), planted.refused[theirs].mean()))
    assert (row(found, "retention_14d").days, kept.days) == (14, 30)
    assert found.followed == (1.0, 1.0)
    assert (found.verdict, found.percent) == ("not_yet", HALF)


def test_neither_declared_assignments_nor_those_of_the_service_are_read_for_what_members_did(store):
    planted, asked = plant(store, BEGAN, members=200), []
    listen(store.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert read(store, planted).rows
    assert any("FROM events" in statement for statement in asked)
    assert not any("declared_assignments" in statement or "decisions.propensities" in statement for statement in asked)


def test_who_no_longer_wants_to_be_contacted_or_known_counts_against_the_side(store):
    planted = plant(store, BEGAN, members=800)
    ids = [f"m-{number:05}" for number in range(800)]
    taken = planted.rollout.takes(ids, DECLARED.policy)
    gone = [name for name, one in zip(ids, taken.tolist(), strict=True) if one][:60]
    within = microseconds(NOW)
    for name in gone[:30]:
        store.prefer(name, personalization=False, now_us=within - 1)
    for name in gone[30:]:
        store.prefer(name, contact={"email": False}, now_us=within - 1)
    found = row(read(store, planted), "opt_outs")
    assert found.mean * found.members == pytest.approx(60)
    assert (found.champion_mean, found.verdict) == (0, "worse")


def test_a_wish_from_before_or_after_the_stage_or_of_no_known_time_does_not_count_in_it(store):
    planted, end = plant(store, BEGAN, members=600), microseconds(BEGAN + timedelta(days=20))
    whole = store.raise_rollout(Stage(100, end, "anna"))
    ids = [f"m-{number:05}" for number in range(600)]
    mine = [name for name, one in zip(ids, whole.takes(ids, DECLARED.policy, HALF).tolist(), strict=True) if one]
    for name, now_us in zip(mine, (None, microseconds(BEGAN) - 1, end), strict=False):
        store.prefer(name, personalization=False, now_us=now_us)
    for said, now_us in ({"email": False}, end - 1), ({"wecom": False}, end + 1):
        store.prefer(mine[3], contact=said, now_us=now_us)
    found = row(read_comparison(store, whole, DECLARED.policy, DECLARED, NOW), "opt_outs")
    assert found.mean * found.members == pytest.approx(1)
    assert planted.challenger.sum() == found.members


def test_an_erased_member_is_on_neither_side(store):
    planted = plant(store, BEGAN, members=600)
    before = read(store, planted)
    ids = [f"m-{number:05}" for number in range(600)]
    mine = [name for name, one in zip(ids, planted.rollout.takes(ids, DECLARED.policy).tolist(), strict=True) if one]
    store.erase(mine[0], 1)
    after = read(store, planted)
    assert row(after, "refusals").members == row(before, "refusals").members - 1
    assert row(after, "retention").members == row(before, "retention").members - 1


def test_nobody_counts_before_the_days_have_passed(store):
    planted = plant(store, BEGAN)
    found = read(store, planted, BEGAN + timedelta(days=25))
    assert (row(found, "retention").members, row(found, "retention").verdict) == (0, "waiting")
    assert row(found, "retention_14d").members > 0
    assert "30 days" in headline(planted.rollout, read_and_keep_early(store, planted), DECLARED, "en")


def read_and_keep_early(store, planted):
    return read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, BEGAN + timedelta(days=25))


def test_a_raised_share_begins_a_comparison_of_its_own(store):
    planted = plant(store, BEGAN)
    raised = store.raise_rollout(Stage(80, microseconds(BEGAN + timedelta(days=5)), "anna"))
    term = term_of(raised, microseconds(NOW))
    assert (term.stage.percent, term.until_us) == (80, microseconds(NOW))
    whole = store.raise_rollout(Stage(100, microseconds(BEGAN + timedelta(days=20)), "anna"))
    last = term_of(whole, microseconds(NOW))
    assert (last.stage.percent, last.until_us) == (80, microseconds(BEGAN + timedelta(days=20)))
    found = read_comparison(store, whole, DECLARED.policy, DECLARED, NOW)
    assert row(found, "retention").members == 0
    assert sum(found.check.observed) < len(planted.challenger)


def test_what_members_are_sent_and_refuse_after_the_stage_does_not_count_in_it(store):
    planted, end = plant(store, BEGAN, members=600, refusing=(0.0, 0.0)), microseconds(BEGAN + timedelta(days=20))
    whole = store.raise_rollout(Stage(100, end, "anna"))
    ids = [f"m-{number:05}" for number in range(600)]
    mine = [name for name, one in zip(ids, whole.takes(ids, DECLARED.policy, HALF).tolist(), strict=True) if one]
    with store.engine.begin() as connection:
        for name in mine[:5]:
            connection.execute(update(touches).where(touches.c.member_id == name).values(at_us=end, response="refused"))
    answers = [OutcomeReport(f"o-{name}", name, "refused", end - (number < 2), f"d-{name}") for number, name in enumerate(mine[5:12])]
    store.report_outcomes(answers, [None] * len(answers), 0)
    after = read_comparison(store, whole, DECLARED.policy, DECLARED, NOW)
    told = {name: row(after, name).mean * row(after, name).members for name in ("contacts", "refusals", "cost")}
    sent = int(planted.challenger.sum()) - 5
    assert told == pytest.approx({"contacts": sent, "refusals": 2, "cost": 2.5 * sent})


def test_harm_is_found_and_told_beside_sizes_that_chance_does_not_make(store):
    planted = plant(store, BEGAN, refusing=(0.02, 0.15))
    assert read(store, planted).verdict == "harm"
    ids = [f"m-{number:05}" for number in range(2_400)]
    theirs = [name for name, one in zip(ids, planted.rollout.takes(ids, DECLARED.policy).tolist(), strict=True) if not one]
    with store.engine.begin() as connection:
        connection.execute(touches.delete().where(touches.c.member_id.in_(theirs[:500])))
        connection.execute(decisions.delete().where(decisions.c.member_id.in_(theirs[:500])))
    kept = read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, NOW)
    said = headline(planted.rollout, kept, DECLARED, "en")
    assert "does harm: Members who refused a contact" in said
    assert "Something beside the draw" in said


def test_where_the_challenger_decided_nothing_there_is_nothing_to_wait_for(alone, planted):
    kept = read_and_keep(alone, planted.rollout, DECLARED.policy, DECLARED, NOW)
    none = replace(kept, comparison=replace(kept.comparison, followed=(1.0, 0.0)))
    assert "compare the champion with itself" in headline(planted.rollout, none, DECLARED, "en")
    assert "asked about alone" in todo(planted.rollout, none.comparison, "en")
    assert "compare the champion with itself" not in headline(planted.rollout, kept, DECLARED, "en")


def test_a_roll_out_is_dated_by_the_clock_of_the_community(planted):
    since = moment("en", BEGAN.astimezone(DECLARED.zone))
    assert state_sentence(planted.rollout, Asked(DECLARED, "en")).endswith(f"since {since}, version 1 for the others.")


def test_what_was_read_is_kept_until_something_comes(store):
    planted = plant(store, BEGAN, members=600)
    first = read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, NOW)
    later = read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, NOW + timedelta(minutes=5))
    assert later == first == kept_comparison(store, planted.rollout)
    store.prefer("m-00001", personalization=False)
    anew = read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, NOW + timedelta(minutes=5))
    assert anew.read_at == NOW + timedelta(minutes=5)


def test_it_is_told_in_both_languages(store):
    planted = plant(store, BEGAN, kept=(0.5, 0.7))
    kept = read_and_keep(store, planted.rollout, DECLARED.policy, DECLARED, NOW)
    for language, said in {"en": "More members stay", "zh": "留住了更多成员"}.items():
        told = status_dict(planted.rollout, (), kept, store.agreement("2", "1"), Asked(DECLARED, language))
        assert told["comparison"]["verdict"] == "better"
        assert "keepwell rollout finish" in told["todo"]
        assert said in told["verdict_text"]
        assert told["shadow"] is None

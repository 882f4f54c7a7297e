"""Decisions are watched: against their chances, above the floor, beside the control; each fault planted, and found."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from models.job_rows import JobRow
from models.policy import choose, in_control, propensities
from models.store_rows import content_id
from models.watched_decisions import Drawn, decision_readings
from pipelines.monitor import by_limited_jobs
from tests.planted import community, intervention

COMMUNITY = community(intervention("coupon", cost=0.01), intervention("call", cost=5), policy={"exploration": 0.05, "control_share": 0.1})
ARMS = ("none", "coupon", "call")
N = 4000


def drawn(rng, n=N, exploration=0.05, members=None):
    """Decisions as they should be: members of the control get nothing, the others the best of what is allowed, or what is explored."""
    ids = [f"m{number}" for number in range(n)] if members is None else members
    allowed = rng.random((n, 2)) < 0.7
    allowed[in_control(ids, COMMUNITY.policy)] = False
    best = np.where(allowed.any(axis=1), 1 + np.argmax(allowed, axis=1), 0)
    shares = propensities(best, allowed, exploration)
    return Drawn(ids, ARMS, choose(shares, rng.random(n)), shares)


def read(decisions, limited=False):
    return {reading.name: reading for reading in decision_readings(decisions, COMMUNITY, limited=limited)}


def alarms(decisions, limited=False):
    return {name for name, reading in read(decisions, limited).items() if reading.status == "alarm"}


def test_decisions_that_were_drawn_as_they_should_be_raise_no_alarm(rng):
    assert alarms(drawn(rng)) == set()


def test_a_filter_after_the_draw_is_found(rng):
    """One call in three never happens and is kept as doing nothing."""
    made = drawn(rng)
    lost = (made.chosen == 2) & (rng.random(N) < 0.33)
    assert alarms(Drawn(made.member_ids, ARMS, np.where(lost, 0, made.chosen), made.propensity)) == {"decisions_mix"}
    told = read(Drawn(made.member_ids, ARMS, np.where(lost, 0, made.chosen), made.propensity))["decisions_mix"]
    assert f"call {int((made.chosen == 2).sum() - lost.sum()):,} (" in told.said


def test_false_alarms_of_the_mix_are_as_rare_as_declared(rng):
    assert sum("decisions_mix" in alarms(drawn(rng, n=200)) for _ in range(400)) <= 3


def test_chances_below_the_floor_are_found_unless_a_plan_may_lower_them(rng):
    made = drawn(rng, exploration=0.01)
    assert alarms(made) == {"propensity_floor"}
    assert alarms(made, limited=True) == set()
    assert "as a plan under limits may have it" in read(made, limited=True)["propensity_floor"].said


def test_chances_that_a_campaign_lowered_are_no_fault_and_those_beside_it_are(rng):
    made = drawn(rng, exploration=0.01)
    jobs = [JobRow("a" * 32, 1, "{}", "{}", plan="{}"), JobRow("b" * 32, 2, "{}", "{}")]
    ids = {row.job_id[0]: [content_id(row.job_id, member_id) for member_id in made.member_ids] for row in jobs}
    campaign, other = (replace(made, decision_ids=ids[job]) for job in "ab")
    half = replace(made, decision_ids=[*ids["a"][: N // 2], *ids["b"][N // 2 :]])
    raised = [alarms(each, by_limited_jobs(each, jobs, COMMUNITY)) for each in (campaign, other, half)]
    assert raised == [set(), {"propensity_floor"}, {"propensity_floor"}]
    assert "as a plan under limits may have it" in read(campaign, by_limited_jobs(campaign, jobs, COMMUNITY))["propensity_floor"].said
    below = read(made)["propensity_floor"].told["below"]
    assert 0 < read(half, by_limited_jobs(half, jobs, COMMUNITY))["propensity_floor"].told["below"] < below


def test_a_choice_that_had_no_chance_is_found(rng):
    made = drawn(rng, n=300)
    chosen = made.chosen.copy()
    row = int(np.flatnonzero(made.propensity[:, 2] == 0)[0])
    chosen[row] = 2
    assert "propensity_floor" in alarms(Drawn(made.member_ids, ARMS, chosen, made.propensity))


def test_what_is_certain_lies_above_every_floor():
    certain = Drawn(["a", "b"], ARMS, np.array([1, 0]), np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    assert read(certain)["propensity_floor"].status == "ok"


def test_members_of_the_control_who_are_not_asked_for_are_missed(rng):
    ids = [f"m{number}" for number in range(N)]
    asked = [one for one, held in zip(ids, in_control(ids, COMMUNITY.policy), strict=True) if not held]
    assert "control_size" in alarms(drawn(rng, n=len(asked), members=asked))


def test_a_member_counts_once_however_often_it_was_decided_on(rng):
    often = drawn(rng, n=300, members=["m1"] * 300)
    assert "1 of 1 member decided on" in read(often)["control_size"].said
    assert read(often)["control_size"].status == "ok"


def test_marketing_to_the_control_is_found(rng):
    made = drawn(rng)
    held = int(np.flatnonzero(in_control(made.member_ids, COMMUNITY.policy))[0])
    chosen, shares = made.chosen.copy(), made.propensity.copy()
    chosen[held], shares[held] = 1, [0.0, 1.0, 0.0]
    assert alarms(Drawn(made.member_ids, ARMS, chosen, shares)) == {"control_kept"}


def test_without_decisions_nothing_is_known():
    nothing = Drawn.of(pl.DataFrame(schema={"member_id": pl.String, "chosen": pl.String}), "chosen", COMMUNITY)
    assert {reading.status for reading in decision_readings(nothing, COMMUNITY, limited=False)} == {"unknown"}


@pytest.mark.parametrize("column", ["chosen", "intervention"])
def test_decisions_are_read_from_a_table_and_those_of_arms_that_are_gone_left_out(column):
    rows = pl.DataFrame({"member_id": ["a", "b", "c"], column: ["none", "coupon", "retired"], "propensity_none": [0.9, 0.1, 0.0]})
    read_back = Drawn.of(rows.with_columns(propensity_coupon=pl.Series([0.1, 0.9, None])), column, COMMUNITY)
    assert read_back.member_ids == ["a", "b"]
    assert read_back.chosen.tolist() == [0, 1]
    assert read_back.propensity.tolist() == [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]]

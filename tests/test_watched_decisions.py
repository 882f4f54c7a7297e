"""Decisions are watched: against their chances, above the floor, beside the control; each fault planted, and found."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sqlalchemy import delete, insert

from models.policy import choose, in_control, propensities
from models.store import Store
from models.store_log import AT_ONCE
from models.store_schema import decisions
from models.watched_decisions import Drawn, decision_readings
from pipelines.monitor import by_plans
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


def read(made, limited=False):
    return {reading.name: reading for reading in decision_readings(made, COMMUNITY, limited=limited)}


def alarms(made, limited=False):
    return {name for name, reading in read(made, limited).items() if reading.status == "alarm"}


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


def test_chances_that_a_plan_lowered_are_no_fault_and_those_beside_it_are(rng, tmp_path):
    """More decisions than are looked up at once."""
    made = drawn(rng, n=2 * AT_ONCE, exploration=0.01)
    made = replace(made, decision_ids=[f"d{row}" for row in range(len(made))])
    below = read(made)["propensity_floor"].told["below"]
    assert below > AT_ONCE
    with closing(Store.open(f"sqlite:///{tmp_path}/keepwell.db")) as store:
        for share, alarm in ((0.0, {"propensity_floor"}), (0.5, {"propensity_floor"}), (1.0, set())):
            keep(store, made, round(share * len(made)))
            limited = by_plans(made, store, COMMUNITY)
            assert alarms(made, limited) == alarm
            told = read(made, limited)["propensity_floor"]
            assert told.told["below"] == (below - limited.sum() or below)
            assert ("as a plan under limits may have it" in told.said) == (not alarm)


def keep(store, made, planned):
    """The first of them as made by a plan, the others each alone."""
    rows = zip(made.decision_ids, made.member_ids, made.chosen, strict=True)
    told = [
        {
            "decision_id": decision_id,
            "member_id": member_id,
            "created_us": 1,
            "model_version": "1",
            "chosen": ARMS[chosen],
            "propensities": "{}",
            "body": json.dumps({"plan_id": "p" if row < planned else None}, separators=(",", ":")),
        }
        for row, (decision_id, member_id, chosen) in enumerate(rows)
    ]
    with store.engine.begin() as connection:
        connection.execute(delete(decisions))
        connection.execute(insert(decisions), told)


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

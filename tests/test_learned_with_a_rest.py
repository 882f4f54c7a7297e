"""A service that decides every night learns what a call changes over the horizon where members rest after each draw, and not elsewhere."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.community import DAY_US
from models.contact_policy import contact_ruling
from models.events import EventArrays
from models.interventions import NOT_DRAWN, ContactHistory
from models.member_columns import MemberColumns
from models.uplift_fit import fit_uplift
from tests.planted import AS_OF_US, Member, arrays, community, intervention

MEMBERS, DAYS, HORIZON, WARM_UP = 1_200, 112, 14, 30
FADES, RETURNS, CALLED, CHANCE, OTHERWISE = 0.02, 0.006, 0.5, 0.9, 0.1
VISITS = np.array([0.45, 0.01])
BEGIN_US = AS_OF_US - (DAYS + HORIZON) * DAY_US


def declared(rest):
    """Nobody is called twice within the horizon."""
    return community(
        intervention("call", cooldown_days=HORIZON),
        churn={"horizons_days": [HORIZON], "horizon_days": HORIZON, "active_days": 30},
        contact_policy={"draw_cooldown_days": rest},
    )


def lived(rules, rng):
    """Touches of every night, events of every day, and what one call changes for the members of each touch.

    A member is engaged or quiet; a call brings a quiet one back with the chance CALLED. Who was silent for four days is called with CHANCE,
    others with OTHERWISE, unless the rules refuse it.
    """
    quiet, last = rng.random(MEMBERS) < 0.3, np.zeros(MEMBERS)
    drawn_us, called_us, parts = np.full(MEMBERS, NOT_DRAWN), np.full(MEMBERS, NOT_DRAWN), []
    visits = np.zeros((DAYS + HORIZON, MEMBERS), dtype=bool)
    for day in range(DAYS + HORIZON):
        quiet = np.where(quiet, rng.random(MEMBERS) >= RETURNS, rng.random(MEMBERS) < FADES)
        visits[day] = rng.random(MEMBERS) < VISITS[quiet.astype(int)]
        last = np.where(visits[day], day, last)
        if not WARM_UP <= day < DAYS:
            continue
        at_us, touched = BEGIN_US + day * DAY_US + DAY_US // 2, np.flatnonzero(called_us != NOT_DRAWN)
        of_touched = (touched, called_us[touched], np.full(len(touched), "email"), np.full(len(touched), "call"))
        past = replace(ContactHistory(*of_touched), drawn_us=drawn_us)
        allowed = contact_ruling(past, rules, MemberColumns(pl.DataFrame(), MEMBERS), at_us).refusals.allowed[:, 0]
        chance = np.where(allowed, np.where(day - last >= 4, CHANCE, OTHERWISE), 0.0)
        called = rng.random(MEMBERS) < chance
        parts.append(pl.DataFrame({"member": np.arange(MEMBERS), "at": at_us, "called": called, "chance": chance, "quiet": quiet}))
        drawn_us, called_us = np.where(allowed, at_us, drawn_us), np.where(called, at_us, called_us)
        quiet = quiet & ~(called & (rng.random(MEMBERS) < CALLED))
    rows = pl.concat(parts)
    touches = rows.select(
        pl.col("member").cast(pl.UInt32),
        pl.col("at").cast(pl.Datetime("us", "UTC")).alias("timestamp"),
        pl.when("called").then(pl.lit("call")).otherwise(pl.lit("none")).alias("intervention"),
        (1 - pl.col("chance")).alias("propensity_none"),
        pl.col("chance").alias("propensity_call"),
    )
    return touches.sort("member", "timestamp"), events_of(visits, rules), rows


def events_of(visits, rules) -> EventArrays:
    """A visit of a day is at its begin."""
    ago = [(DAYS + HORIZON - np.flatnonzero(days)).astype(float).tolist() for days in visits.T]
    return arrays([Member(joined=DAYS + HORIZON + 1.0, events={"post": days}) for days in ago], rules)


def brought():
    """What a call changes in the chance that a quiet member visits within the horizon."""
    moves = np.array([[1 - FADES, FADES], [RETURNS, 1 - RETURNS]])
    unseen = np.eye(2)
    for _ in range(HORIZON):
        unseen = (unseen @ moves) * (1 - VISITS)
    visiting = 1 - unseen.sum(axis=1)
    return CALLED * (visiting[0] - visiting[1])


@pytest.mark.parametrize("rest", [HORIZON, 0])
def test_a_call_is_worth_what_it_changes_over_the_horizon_where_who_was_drawn_rests(rest):
    rules = declared(rest)
    touches, events, rows = lived(rules, np.random.default_rng(5))
    made = assignments_of(touches, events, rules, until_us=AS_OF_US)
    share = made.propensities[:, 1]
    key = pl.DataFrame({"member": made.snapshots.member, "at": made.snapshots.as_of_us})
    quiet = key.join(rows, on=["member", "at"], how="left", maintain_order="left")["quiet"].to_numpy()
    drawn = share > 0
    truth = brought() * float(quiet[drawn].mean())
    assert bool(drawn.all()) == bool(rest)
    assert [note.key for note in made.notes] == ([] if rest else ["proof.sent_after_all"])
    features = np.column_stack([share > OTHERWISE, np.random.default_rng(1).normal(size=len(made))])
    fitted = fit_uplift(features, made.names, made.retained, made.propensities, groups=made.unit, rng=np.random.default_rng(2))
    low, high = fitted.evidence["call"].interval
    assert (low < truth < high) == bool(rest)
    assert low > 0 or not rest

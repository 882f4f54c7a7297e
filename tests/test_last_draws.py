"""When chance last decided on members, by the logged chances of a log's touches."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.community import DAY_US
from models.interventions import NOT_DRAWN
from models.last_draws import at_rest, by_chance, contacts_of, last_draws
from models.moments import microseconds
from tests.planted import community, intervention

AT = datetime(2026, 1, 1, tzinfo=UTC)
DRAWN, CERTAIN = (0.1, 0.9), (1.0, 0.0)
RESTING = community(intervention("call"), contact_policy={"draw_cooldown_days": 28})


def touches(*rows):
    """rows: member, days after AT, arm, its chances of `none` and of `call`."""
    member, day, arm, chances = zip(*rows, strict=True)
    told = {
        "member": pl.Series(member, dtype=pl.UInt32),
        "timestamp": pl.Series([AT + timedelta(days=days) for days in day], dtype=pl.Datetime("us", "UTC")),
        "intervention": pl.Series(arm, dtype=pl.Categorical),
        "channel": pl.Series([None] * len(arm), dtype=pl.String),
        "delivered": [name != "none" for name in arm],
        "propensity_none": pl.Series([None if told is None else told[0] for told in chances], dtype=pl.Float64),
        "propensity_call": pl.Series([None if told is None else told[1] for told in chances], dtype=pl.Float64),
    }
    return pl.DataFrame(told).sort("member", "timestamp")


def day(number):
    return microseconds(AT + timedelta(days=number))


def test_chance_decides_where_more_than_one_thing_could_have_been_chosen():
    told = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.02, 0.0, 0.98], [0.0, 0.5, 0.5]])
    assert by_chance(told).tolist() == [False, False, True, True]


def test_the_last_draw_before_a_moment_counts_nothing_drawn_included():
    untold = [(3, 12, "none", CERTAIN), (3, 13, "call", None), (5, 4, "call", (0.0, 1.0))]
    made = touches((3, 0, "none", DRAWN), (3, 10, "call", DRAWN), *untold)
    asked = np.array([3, 3, 3, 5, 9]), np.array([day(20), day(9), day(0) - 1, day(20), day(20)])
    assert last_draws(made, *asked).tolist() == [day(10), day(0), NOT_DRAWN, NOT_DRAWN, NOT_DRAWN]


def test_a_member_for_whom_chance_decides_at_a_moment_was_not_at_rest_then():
    """As where a run is made again, or a policy is asked what it would have drawn at the time of a draw."""
    made = touches((3, 0, "none", DRAWN), (3, 1, "call", DRAWN))
    assert last_draws(made, np.array([3, 3]), np.array([day(1), day(1) + 1])).tolist() == [NOT_DRAWN, day(1)]


def test_without_logged_chances_nothing_was_drawn():
    made = touches((3, 0, "none", DRAWN)).drop("propensity_none", "propensity_call")
    assert last_draws(made, np.array([3]), np.array([day(5)])).tolist() == [NOT_DRAWN]


@pytest.mark.parametrize(("declared", "asked"), [(RESTING, True), (community(intervention("call")), False)])
def test_draws_are_looked_up_where_a_rule_asks_for_them(declared, asked):
    found = contacts_of(touches((3, 0, "call", DRAWN)), np.array([3, 4]), np.array([day(2), day(2)]), declared)
    assert (None if found.drawn_us is None else found.drawn_us.tolist()) == ([day(0), NOT_DRAWN] if asked else None)
    assert contacts_of(None, np.array([3]), np.array([day(2)]), declared).drawn_us is None


def test_rows_at_rest_are_those_that_nothing_but_a_draw_before_made_certain():
    rows = [(3, 0, "none", DRAWN), (3, 1, "none", CERTAIN), (3, 27.9, "none", CERTAIN), (3, 28, "none", CERTAIN), (3, 29, "call", DRAWN)]
    made = touches(*rows, (4, 0, "none", CERTAIN), (4, 1, "none", CERTAIN), (5, 0, "call", DRAWN), (5, 1, "call", (0.0, 1.0)))
    assert at_rest(made, made, RESTING).tolist() == [False, True, True, False, False, False, False, False, False]
    assert not at_rest(made, made, community(intervention("call"))).any()
    assert day(28) - day(0) == 28 * DAY_US

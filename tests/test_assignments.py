"""Which logged assignments are learned from, with which probability they were made, and what followed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.community import DAY_US
from tests.planted import AS_OF_US, Member, arrays, community, intervention

DECLARED = community(intervention("digest"), intervention("call"), churn={"horizons_days": [7, 30], "horizon_days": 30, "active_days": 30})
STAYS = Member(joined=200, events={"post": [65.0, 61.0, 10.0]})
LEAVES = Member(joined=200, events={"post": [65.0, 61.0]})
LONG_GONE = Member(joined=200, events={"post": [150.0]})
LATE = Member(joined=20, events={"post": [19.0, 1.0]})
EVENTS = arrays([STAYS, LEAVES, LONG_GONE, LATE], DECLARED)


def touches(*rows: tuple[int, float, str], **propensities: list[float | None]) -> pl.DataFrame:
    """(member, days before AS_OF, intervention) each, and one column for each arm that was logged."""
    return pl.DataFrame(
        {
            "member": pl.Series([member for member, _, _ in rows], dtype=pl.UInt32),
            "timestamp": pl.Series([AS_OF_US - round(ago * DAY_US) for _, ago, _ in rows]).cast(pl.Datetime("us", "UTC")),
            "intervention": [name for _, _, name in rows],
            **{f"propensity_{name}": pl.Series(shares, dtype=pl.Float64) for name, shares in propensities.items()},
        }
    )


def of(frame: pl.DataFrame):
    return assignments_of(frame, EVENTS, DECLARED, until_us=AS_OF_US)


def test_the_outcome_is_whether_the_member_came_back_within_the_horizon_of_the_assignment():
    made = of(touches((0, 35.0, "digest"), (1, 35.0, "none")))
    assert made.names.tolist() == ["digest", "none"]
    assert made.retained.tolist() == [1.0, 0.0]


def test_an_outcome_that_is_not_over_yet_is_not_counted_as_leaving():
    assert len(of(touches((3, 18.0, "digest"), (1, 35.0, "digest")))) == 1


def test_members_who_had_gone_before_they_were_assigned_are_left_out():
    made = of(touches((2, 35.0, "call"), (0, 35.0, "call")))
    assert made.snapshots.member.tolist() == [0]


def test_an_undelivered_assignment_counts_as_assigned():
    frame = touches((0, 35.0, "call"), (1, 35.0, "call")).with_columns(delivered=pl.Series([True, False]))
    assert of(frame).names.tolist() == ["call", "call"]


def test_propensities_are_conditional_on_the_arms_that_the_catalogue_has():
    frame = touches((0, 35.0, "digest"), (1, 35.0, "gone"), none=[0.4, 0.4], digest=[0.4, 0.4], call=[0.0, 0.0], gone=[0.2, 0.2])
    made = of(frame)
    assert made.names.tolist() == ["digest"]
    np.testing.assert_allclose(made.propensities, [[0.5, 0.5, 0.0]])


def test_a_row_whose_logged_propensities_cannot_be_right_is_left_out_and_counted():
    frame = touches((0, 35.0, "digest"), (1, 35.0, "digest"), (1, 36.0, "none"), none=[0.5, 1.0, 0.2], digest=[0.5, 0.0, 0.2])
    made = of(frame)
    assert made.retained.tolist() == [1.0]
    assert str(made.warnings[0]).startswith("left out: 2 assignments")


@pytest.mark.parametrize("logged", [{}, {"none": [0.5, 0.5]}, {"none": [None, None], "digest": [None, None]}])
def test_without_a_propensity_for_what_was_assigned_there_are_none(logged):
    made = of(touches((0, 35.0, "digest"), (1, 35.0, "none"), **logged))
    assert made.propensities is None
    assert len(made) == 2
    assert bool(made.warnings) == (logged.get("none") == [0.5, 0.5])

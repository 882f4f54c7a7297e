"""Which logged assignments are learned from, with which probability they were made, and what followed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.actions import ContactPolicy
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


def nights(*, every: int, nothing: float = 0.9) -> pl.DataFrame:
    """Two hundred decisions in fifty days on a member who is left alone, but for a call every so many of them."""
    rows = [(0, 80.0 - step / 4, "call" if step % every == every - 1 else "none") for step in range(200)]
    chances = {"none": [nothing] * len(rows), "call": [1 - nothing] * len(rows)}
    return touches(*rows, **chances)


def test_members_left_alone_who_are_given_something_soon_after_are_told():
    (note,) = of(nights(every=4)).notes
    told = "were given it within the 30 days of the horizon after all, half of them within 1 day:"
    assert str(note).startswith("100% of those")
    assert told in str(note)
    assert "请每30天对每位成员只决策一次" in note.text_in("zh")


def test_who_is_left_alone_for_the_horizon_or_could_be_given_nothing_is_no_matter():
    assert of(nights(every=1_000)).notes == ()
    late = touches((0, 80.0 - 49.75 - 28.0, "call"), none=[0.5], call=[0.5])
    assert of(pl.concat([nights(every=1_000), late])).notes == ()
    certain = nights(every=1_000, nothing=1.0)
    soon = touches((0, 30.1, "call"), none=[0.5], call=[0.5])
    assert of(pl.concat([certain, soon])).notes == ()
    assert of(nights(every=4).head(90)).notes == ()


def test_what_was_certain_because_members_rested_from_a_draw_is_left_out_and_nothing_else():
    rows = touches(
        *((0, ago, name) for ago, name in ((64.0, "none"), (63.0, "none"), (50.1, "none"), (50.0, "none"), (49.0, "call"))),
        *((1, ago, "none") for ago in (64.0, 63.0)),
        none=[0.1, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0],
        call=[0.9, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0],
    )
    resting = DECLARED.model_copy(update={"contact_policy": ContactPolicy(draw_cooldown_days=14)})
    assert len(of(rows)) == 7
    made = assignments_of(rows, EVENTS, resting, until_us=AS_OF_US)
    assert ((AS_OF_US - made.snapshots.as_of_us) / DAY_US).tolist() == [64.0, 50.0, 49.0, 64.0, 63.0]


def test_those_count_most_who_were_most_likely_to_be_given_something():
    rows = [(member, 64.0 - step / 8, "none") for member in (0, 1) for step in range(100)]
    called_soon = (0, 45.0, "call")

    def told(first: float, second: float):
        nothing = [first] * 100 + [second] * 100 + [0.5]
        return of(touches(*rows, called_soon, none=nothing, call=[1 - chance for chance in nothing])).notes

    (note,) = told(0.05, 0.95)
    assert note.told["share"] == pytest.approx(19 / (19 + 1 / 19))
    assert told(0.95, 0.05) == ()

"""Which versions were in force: what comes back when the last one has to go."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.champions import InForce, noted, previous_of, to_note

AT = datetime(2026, 11, 20, tzinfo=UTC)


def history(*told):
    """`3` was promoted, `-3` came back by a roll-back."""
    return tuple(InForce(str(abs(one)), "rolled_back" if one < 0 else "promoted") for one in told)


@pytest.mark.parametrize(
    ("told", "previous"),
    [
        ((), None),
        ((1,), None),
        ((1, 2), "1"),
        ((1, 2, 3), "2"),
        ((1, 2, 3, -2), "1"),
        ((1, 2, 3, -2, -1), None),
        ((1, 2, 3, -2, 4), "2"),
        ((1, 2, 2), "1"),
        ((1, 2, 1), "2"),
        ((1, 2, 1, -2), "1"),
        ((2, -1), "2"),
        ((1, 2, 3, 4, -2), "1"),
    ],
)
def test_the_version_before_is_the_last_that_nobody_rolled_back_from(told, previous):
    assert previous_of(history(*told)) == previous


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_one_roll_back_after_another_ends_at_the_first_version(promoted):
    told = history(*promoted)
    for _ in range(len(promoted)):
        before = previous_of(told)
        if before is None:
            break
        told += (InForce(before, "rolled_back"),)
    assert previous_of(told) is None
    assert told[-1].version == told[0].version


def test_what_was_noted_is_read_and_the_champion_is_the_last():
    told = (InForce("1"), InForce("2", "promoted", AT), InForce("1", "rolled_back", AT))
    assert noted(to_note(told), "1") == told
    assert noted(to_note(told), "7") == (*told, InForce("7"))
    assert noted(None, "4") == (InForce("4"),)
    assert noted(None, None) == ()

"""Who is asked about, and who counts as gone, decided by hand on tiny logs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.community import DAY_US
from models.errors import InputError, NotEnoughData
from models.events import NEVER_US, EventArrays
from models.snapshots import Activity, Snapshots, cuts_back_from, label_churn, last_usable_cut, population
from models.training_rows import default_test_as_of
from tests.planted import AS_OF, AS_OF_US, Member, arrays, community
from tests.trained_world import learn

DECLARED = community(churn={"horizons_days": [7], "horizon_days": 7, "active_days": 10, "min_history_days": 3})
CHURN = DECLARED.churn
QUALIFYING = np.array([True, False, False])
MICROSECOND = 1 / DAY_US


def activity(*members: Member) -> Activity:
    return Activity.of(arrays(list(members), DECLARED), QUALIFYING)


def present(member: Member, **given) -> bool:
    """Is the member in the population at AS_OF?"""
    return len(population(activity(member), AS_OF_US, CHURN.model_copy(update=given))) == 1


def gone(member: Member, **given) -> bool:
    snapshot = Snapshots(np.array([0]), np.array([AS_OF_US]), np.array([0]))
    return bool(label_churn(activity(member), snapshot, 7, CHURN.model_copy(update=given))[0])


def posted(*days_before: float, joined: float = 100) -> Member:
    return Member(joined=joined, events={"post": list(days_before)})


@pytest.mark.parametrize(
    ("days_before", "in_population"),
    [(10, True), (10 + MICROSECOND, False), (MICROSECOND, True), (0, False), (-1, False)],
)
def test_a_member_is_in_the_population_from_active_days_before_the_cut_up_to_the_moment_before_it(days_before, in_population):
    assert present(posted(days_before)) == in_population


@pytest.mark.parametrize(("days_before", "churned"), [(0, False), (-7 + MICROSECOND, False), (-7, True), (MICROSECOND, True)])
def test_the_label_begins_with_the_moment_of_the_cut_and_ends_before_that_of_the_horizon(days_before, churned):
    assert gone(posted(days_before)) == churned


def test_reading_neither_keeps_a_member_in_the_population_nor_from_counting_as_gone():
    reader = Member(events={"read": [1.0, -1.0]})
    assert not present(reader)
    assert gone(reader)


@pytest.mark.parametrize(("joined", "in_population"), [(3, True), (3 - MICROSECOND, False), (-2, False)])
def test_a_member_is_asked_about_once_the_least_history_is_reached_and_never_before_joining(joined, in_population):
    assert present(posted(1.0, joined=joined)) == in_population


@pytest.mark.parametrize(
    ("end_days_before", "in_population", "churned"), [(MICROSECOND, False, None), (0, True, True), (-7, True, False), (-6.9, True, True)]
)
def test_a_contract_that_ends_within_the_horizon_is_churn_however_active_the_member(end_days_before, in_population, churned):
    told = replace(activity(posted(1.0, -1.0)), contract_end_us=np.array([AS_OF_US - round(end_days_before * DAY_US)]))
    churn = CHURN.model_copy(update={"contract_event": "cancel"})
    found = population(told, AS_OF_US, churn)
    assert (len(found) == 1) == in_population
    if in_population:
        assert label_churn(told, found, 7, churn).tolist() == [churned]


def test_a_member_without_an_end_of_contract_stays_even_in_silence():
    assert activity(posted(1.0)).contract_end_us.tolist() == [NEVER_US]
    assert not gone(posted(1.0), contract_event="cancel")


def test_the_population_keeps_the_members_of_the_log_in_order():
    found = population(activity(posted(1.0), posted(20.0), posted(2.0)), AS_OF_US, CHURN)
    assert found.member.tolist() == [0, 2]
    assert set(found.as_of_us.tolist()) == {AS_OF_US}


def test_the_last_usable_cut_has_its_whole_horizon_in_the_log():
    assert last_usable_cut(AS_OF_US, 7) + 7 * DAY_US == AS_OF_US


def test_cuts_step_back_from_the_latest_and_stop_at_the_earliest():
    latest, earliest = AS_OF_US, AS_OF_US - 21 * DAY_US
    assert cuts_back_from(latest, earliest, 7, 26) == [latest - days * DAY_US for days in (21, 14, 7, 0)]
    assert cuts_back_from(latest, earliest + 1, 7, 26) == [latest - days * DAY_US for days in (14, 7, 0)]
    assert cuts_back_from(latest, earliest, 7, 2) == [latest - 7 * DAY_US, latest]
    assert cuts_back_from(latest, latest + 1, 7, 26) == []


def test_a_test_date_whose_outcome_is_not_in_the_log_is_refused_and_the_latest_possible_one_told():
    """The log ends on 10 March 2026 at noon; a horizon of 7 days can be tested until 3 March."""
    events = arrays([posted(0, 30, 60)], DECLARED)
    with pytest.raises(InputError, match=r"2026-03-04.*7-day outcome.*ends 2026-03-10.*latest date that can be tested is 2026-03-03"):
        learn(events, DECLARED, AS_OF - timedelta(days=6, hours=12))


def test_a_log_that_begins_too_late_is_refused_with_the_date_by_which_it_must_begin():
    events = arrays([posted(0, 12)], DECLARED)
    with pytest.raises(NotEnoughData, match=r"begins 2026-02-26.*must begin before 2026-02-24"):
        learn(events, DECLARED, AS_OF - timedelta(days=7))


def test_an_empty_log_is_refused():
    with pytest.raises(InputError, match="no event of the log belongs to a declared signal"):
        default_test_as_of(arrays([Member(events={})], DECLARED), DECLARED)


def test_the_default_test_date_is_the_last_midnight_of_the_communitys_clock_whose_outcome_is_known():
    """The log ends on 10 March at 20:00 in Shanghai. Seven days before is 3 March there, which began at 16:00 UTC on the 2nd."""
    declared = community(churn={"horizons_days": [7], "horizon_days": 7}, timezone="Asia/Shanghai")
    found = default_test_as_of(arrays([posted(0.0)], declared), declared)
    assert found.astimezone(UTC) == datetime(2026, 3, 2, 16, tzinfo=UTC)


DAYS = st.integers(-400, 400).map(lambda hours: hours / 10)
MEMBERS = st.lists(
    st.builds(lambda days, joined: posted(*days, joined=joined), st.lists(DAYS, max_size=8), st.integers(-30, 60)),
    min_size=1,
    max_size=5,
)


def kept(events: EventArrays, chosen: np.ndarray) -> EventArrays:
    offsets = np.concatenate([[0], np.cumsum(chosen)])[events.offsets]
    return replace(
        events, offsets=offsets, timestamp_us=events.timestamp_us[chosen], signal=events.signal[chosen], value=events.value[chosen]
    )


@given(members=MEMBERS)
def test_events_from_the_cut_on_change_nothing_in_the_population(members):
    events = arrays(members, DECLARED)
    before = kept(events, events.timestamp_us < AS_OF_US)
    whole, past = (population(Activity.of(part, QUALIFYING), AS_OF_US, CHURN) for part in (events, before))
    assert whole.member.tolist() == past.member.tolist()


@given(members=MEMBERS)
def test_the_label_depends_on_the_horizon_alone(members):
    events = arrays(members, DECLARED)
    inside = kept(events, (events.timestamp_us >= AS_OF_US) & (events.timestamp_us < AS_OF_US + 7 * DAY_US))
    everyone = Snapshots.at(events, AS_OF_US)
    labels = [label_churn(Activity.of(part, QUALIFYING), everyone, 7, CHURN).tolist() for part in (events, inside)]
    assert labels[0] == labels[1] == (np.diff(inside.offsets) == 0).tolist()


@given(members=MEMBERS)
def test_who_is_silent_for_longer_was_silent_for_less(members):
    told, everyone = activity(*members), Snapshots.at(arrays(members, DECLARED), AS_OF_US)
    week, month = (label_churn(told, everyone, days, CHURN) for days in (7, 30))
    assert (week | ~month).all()

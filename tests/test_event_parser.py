"""Whatever is sent as events is read or refused row by row; the parser itself never fails."""

from datetime import timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from models.moments import microseconds
from models.store import LoggedEvent
from serving.cloud_events import CloudEvent
from serving.routes.events import CLOUD_EVENTS
from serving.schemas import MAX_ROWS, EventsRequest, MemberBehaviour, Row

OWN = TypeAdapter(list[Row[MemberBehaviour]])
GOOD = {"event_id": "e", "member_id": "m", "type": "post", "timestamp": "2025-07-20T09:00:00+08:00", "value": 1.5, "channel": "wecom"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "s", "type": "post", "subject": "m", "time": GOOD["timestamp"], "data": {"value": 2}}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=300)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4), max_leaves=12
)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=zones).map(lambda moment: moment.isoformat()) | st.from_regex(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", fullmatch=True
)


def changed(whole):
    """The row with any of its keys set to anything, or gone."""
    keys = st.sampled_from([*whole, "more"])
    changes = st.dictionaries(keys, anything | times, max_size=3)
    return st.tuples(changes, st.sets(keys, max_size=2)).map(
        lambda both: {key: value for key, value in {**whole, **both[0]}.items() if key not in both[1]}
    )


def read_or_refused(rows, read):
    assert len(read) == len(rows)
    for row in read:
        assert (row.content is None) == bool(row.faults)
        if row.content is not None:
            event = row.content.logged()
            assert isinstance(event, LoggedEvent)
            assert 0 < len(event.member_id) <= 256
            assert event.value is None or abs(event.value) <= 1e15
            repr(event).encode()


@given(st.lists(changed(GOOD) | anything, max_size=5))
@example([{**GOOD, "timestamp": "0001-01-01T00:00:00+23:59"}, {**GOOD, "timestamp": "9999-12-31T23:59:59-23:59"}])
@example([{**GOOD, "member_id": "m\ud800"}, {**GOOD, "value": 10**400}, {**GOOD, "value": True}, {**GOOD, "value": "1.5"}])
def test_a_row_of_our_own_form_is_read_or_refused(rows):
    read_or_refused(rows, OWN.validate_python(rows))


@given(st.lists(changed(CLOUD) | anything, max_size=5))
def test_a_cloud_event_is_read_or_refused(rows):
    read_or_refused(rows, CLOUD_EVENTS.validate_python(rows))


@given(st.datetimes(timezones=zones))
def test_a_time_is_the_same_moment_in_every_zone(moment):
    written = moment.isoformat()
    told = MemberBehaviour.model_validate({**GOOD, "timestamp": written}).timestamp
    assert told == moment
    assert timedelta(microseconds=microseconds(told)) == moment - moment.fromisoformat("1970-01-01T00:00:00+00:00")


@pytest.mark.parametrize("at", [1752973200, 1752973200.5, "1752973200", "0.5", True, None, "", "20250720T090000Z", "2025-07-20", "now"])
def test_a_time_is_never_guessed_from_a_number(at):
    for model, whole, key in ((MemberBehaviour, GOOD, "timestamp"), (CloudEvent, CLOUD, "time")):
        with pytest.raises(ValidationError):
            model.model_validate({**whole, key: at})


@pytest.mark.parametrize("value", ["1.5", True, 10**400, 1.1e15, -1.1e15])
def test_a_value_is_a_number_within_reason(value):
    with pytest.raises(ValidationError):
        MemberBehaviour.model_validate({**GOOD, "value": value})


def test_more_rows_than_allowed_are_refused_together():
    with pytest.raises(ValidationError):
        EventsRequest.model_validate({"events": [GOOD] * (MAX_ROWS + 1)})

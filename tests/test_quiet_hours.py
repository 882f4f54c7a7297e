"""When messages go out, by the clock of whoever gets them."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.actions import QuietHours
from models.member_columns import MemberColumns
from models.quiet_hours import delays, send_not_before
from tests.planted import AS_OF, community, intervention

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = QuietHours(start=time(22), end=time(8))
NOON = QuietHours(start=time(12), end=time(14))


def local(day: int, hour: int, minute: int = 0, zone=SHANGHAI) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "quiet", "allowed"),
    [
        (local(9, 21, 59), NIGHT, local(9, 21, 59)),
        (local(9, 22), NIGHT, local(10, 8)),
        (local(9, 23, 30), NIGHT, local(10, 8)),
        (local(10, 0), NIGHT, local(10, 8)),
        (local(10, 7, 59), NIGHT, local(10, 8)),
        (local(10, 8), NIGHT, local(10, 8)),
        (local(10, 12), NOON, local(10, 14)),
        (local(10, 14), NOON, local(10, 14)),
        (local(10, 3), QuietHours(start=time(8), end=time(8)), local(10, 3)),
        (local(10, 3), None, local(10, 3)),
    ],
)
def test_nothing_is_sent_in_quiet_hours_by_the_clock_of_the_community(now, quiet, allowed):
    for as_of in (now, now.astimezone(UTC)):
        assert send_not_before(as_of, quiet, SHANGHAI) == allowed


def test_quiet_hours_end_by_the_clock_in_the_night_that_it_is_put_forward():
    berlin = ZoneInfo("Europe/Berlin")
    before = local(28, 23, zone=berlin)
    assert send_not_before(before, NIGHT, berlin) - before.astimezone(UTC) == timedelta(hours=8)


ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
"""Without summer time; with it in the north, east and west; and with one of half an hour in the south."""
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))
minutes = st.integers(0, 365 * 24 * 60).map(lambda minute: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute))


def is_quiet(quiet: QuietHours, local: time) -> bool:
    """A second telling: minutes of the day, counted on from the start."""
    start, end, now = (clock.hour * 60 + clock.minute for clock in (quiet.start, quiet.end, local))
    return (now - start) % 1440 < (end - start) % 1440


def night_of(zone: str, forward: bool) -> datetime:
    """The moment in 2026 at which the clock of a zone is put forward, or back."""
    place = ZoneInfo(zone)
    for hour in range(365 * 48):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * hour)
        before, after = (moment.astimezone(place).utcoffset() for moment in (at - timedelta(minutes=1), at))
        if after != before and (after > before) == forward:
            return at
    raise AssertionError


@given(minutes, clocks, clocks, st.sampled_from(ZONES))
def test_a_message_waits_for_the_first_minute_that_is_not_quiet(as_of, start, end, zone):
    quiet = QuietHours(start=start, end=end)
    check_first_minute(as_of, quiet, ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES[1:])
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(
    ("start", "end"), [(time(22), time(8)), (time(0, 30), time(4)), (time(23), time(2, 30)), (time(1, 30), time(2, 15))]
)
def test_also_in_the_nights_in_which_the_clock_is_put_forward_or_back(zone, forward, start, end):
    change = night_of(zone, forward)
    for minute in range(-26 * 60, 6 * 60, 5):
        check_first_minute(change + timedelta(minutes=minute), QuietHours(start=start, end=end), ZoneInfo(zone))


def check_first_minute(as_of: datetime, quiet: QuietHours, zone: ZoneInfo) -> None:
    """Nothing goes out while it is quiet, and nothing waits longer, but by what the clock was put forward or back meanwhile."""
    sent = send_not_before(as_of, quiet, zone)
    assert sent >= as_of
    assert not is_quiet(quiet, sent.astimezone(zone).time())
    moments = [as_of + timedelta(minutes=minute) for minute in range((sent - as_of) // timedelta(minutes=1) + 1)]
    offsets = {at.astimezone(zone).utcoffset() for at in moments}
    if len(offsets) == 1:
        assert all(is_quiet(quiet, at.astimezone(zone).time()) for at in moments[:-1])
    else:
        length = (quiet.end.hour * 60 + quiet.end.minute - quiet.start.hour * 60 - quiet.start.minute) % 1440
        assert sent - as_of <= timedelta(minutes=length) + max(offsets) - min(offsets)


def delay_hours(told, **given) -> list[list[float]]:
    source = {"path": "members.csv", "member": "m", "joined": "j", "timezone": "zone"}
    declared = community(
        intervention("offer"),
        intervention("terms", message_class="mandatory"),
        intervention("receipt", message_class="transactional"),
        contact_policy={"quiet_hours": {"start": "20:00", "end": "09:00"}},
        members=source,
        **given,
    )
    if told is None:
        columns = MemberColumns(pl.DataFrame(), 1)
    else:
        columns = MemberColumns(pl.DataFrame({"zone": told}, schema={"zone": pl.String}), len(told))
    found = delays(AS_OF, declared, columns.zones("zone", declared.zone))
    return (found / 3_600_000_000).tolist()


def test_each_member_is_met_by_the_clock_of_its_own_zone_and_what_is_transactional_at_once():
    """AS_OF is noon UTC: 20:00 in Shanghai, 08:00 in New York, 12:00 in London."""
    found = delay_hours(["Asia/Shanghai", "America/New_York", "Europe/London"])
    assert found == [[13, 13, 0], [1, 1, 0], [0, 0, 0]]


def test_an_unknown_zone_is_that_of_the_community():
    assert delay_hours([None, "Middle/Earth", "UTC"], timezone="Asia/Shanghai") == [[13, 13, 0], [13, 13, 0], [0, 0, 0]]
    assert delay_hours(None, timezone="Asia/Shanghai") == [[13, 13, 0]]


def test_of_nobody_nobody_waits():
    """As where a part of many members is empty."""
    assert delay_hours([]) == []

"""Times are read in the forms that logs hold them, by the right clock, or not at all."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.times import read_times

HALF_PAST_SIX = datetime(2024, 1, 31, 10, 30, tzinfo=UTC)


def in_shanghai(*times):
    return read_times(pl.Series("time", times, strict=False), "Asia/Shanghai").timestamp.to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31T18:30:00+08:00",
        "2024-01-31T10:30:00Z",
        "2024-01-31 18:30:00+0800",
        "2024-01-31 10:30:00 UTC",
        "2024-01-31T05:30:00.000-05:00",
        "2024-01-31 18:30",
        "2024-01-31T18:30:00",
        "2024/01/31 18:30:00",
        "2024/1/31 18:30",
        "2024.01.31 18:30",
        "31.01.2024 18:30",
        "31/01/2024 18:30",
        "1/31/2024 6:30 PM",
        "31 Jan 2024 18:30",
        "31-Jan-2024 06:30 PM",
        "2024-01-31 06:30:00 PM",
        "2024/1/31 下午6:30:00",
        "2024年1月31日 下午6:30",
        "Wed, 31 Jan 2024 10:30:00 GMT",
        "Wed, 31 Jan 2024 18:30:00 +0800",
        "Wed Jan 31 10:30:00 +0000 2024",
        "20240131183000.0",
        "2024年1月31日 18:30",
        "20240131183000",
        "1706697000",
        "1706697000.0",
        "1706697000000",
        "1706697000000000",
        "  2024-01-31 18:30  ",
    ],
)
def test_one_moment_is_read_from_every_form(text):
    assert in_shanghai(text) == [HALF_PAST_SIX]


@pytest.mark.parametrize("text", ["2024-01-31", "20240131", "20240131.0", "2024/01/31", "2024年1月31日", date(2024, 1, 31)])
def test_a_date_is_the_midnight_of_the_community(text):
    assert in_shanghai(text) == [datetime(2024, 1, 30, 16, tzinfo=UTC)]


def test_morning_and_afternoon_are_told_apart():
    assert in_shanghai("2024-1-31 上午6:30", "2024-1-31 下午6:30", "2024-1-31 上午12:30") == [
        datetime(2024, 1, 30, 22, 30, tzinfo=UTC),
        HALF_PAST_SIX,
        datetime(2024, 1, 30, 16, 30, tzinfo=UTC),
    ]


def test_whole_columns_of_numbers_count_from_1970():
    assert read_times(pl.Series([1706697000]), "Asia/Shanghai").timestamp.to_list() == [HALF_PAST_SIX]
    assert read_times(pl.Series([1706697000.0]), "Asia/Shanghai").timestamp.to_list() == [HALF_PAST_SIX]
    assert read_times(pl.Series([20240131]), "UTC").timestamp.to_list() == [datetime(2024, 1, 31, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text", ["soon", "2024-13-01", "2024-02-30", "0", "45321", "-1706697000", "12:30", "2024", "0001-01-01", "-2025-03-01"]
)
def test_what_is_no_time_is_left_unread(text):
    assert in_shanghai(text, "2024-01-31 18:30") == [None, HALF_PAST_SIX]


def test_a_day_above_twelve_tells_the_order_of_the_whole_column():
    assert in_shanghai("03.04.2024", "13.04.2024")[0] == datetime(2024, 4, 2, 16, tzinfo=UTC)
    assert in_shanghai("03/04/2024", "04/13/2024")[0] == datetime(2024, 3, 3, 16, tzinfo=UTC)


@pytest.mark.parametrize("times", [["03.04.2024"], ["13/04/2024", "04/13/2024"]])
def test_day_and_month_are_asked_for_and_never_guessed(times):
    with pytest.raises(InputError, match=r'column "time": .* day-month-year or month-day-year; write times as 2024-01-31'):
        in_shanghai(*times)


def test_a_stray_ambiguous_time_does_not_stop_a_column_of_plain_ones():
    assert in_shanghai(*["2024-01-31 18:30"] * 30, "03.04.2024")[-1] is None


def test_an_hour_that_the_clock_skips_or_repeats_is_still_a_moment():
    clocks = read_times(pl.Series(["2024-03-31 02:30", "2024-10-27 02:30"]), "Europe/Berlin").timestamp.to_list()
    assert clocks == [datetime(2024, 3, 31, 1, 30, tzinfo=UTC), datetime(2024, 10, 27, 0, 30, tzinfo=UTC)]


def test_times_without_an_offset_are_told_from_those_with_one():
    read = read_times(pl.Series(["2024-01-31 18:30", "2024-01-31T18:30:00Z", None, "soon"]), "UTC")
    assert read.local.to_list() == [True, False, False, False]


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=20))  # noqa: DTZ001 - a zone is added below
def test_any_moment_survives_being_written_and_read(moments):
    moments = [moment.replace(tzinfo=UTC) for moment in moments]
    assert in_shanghai(*[moment.isoformat() for moment in moments]) == moments

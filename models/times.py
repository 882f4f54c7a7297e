"""Times in the forms that logs hold them, read into microseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import polars as pl

from models.errors import InputError
from models.tables import cell_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

UTC_TIME = pl.Datetime("us", "UTC")
NUMBER = r"^\d+(\.\d+)?$"
EPOCH_UNITS = ((1e8, 1e11, 1e6), (1e11, 1e14, 1e3), (1e14, 1e17, 1.0), (1e17, 1e20, 1e-3))
"""Bounds of a number of seconds, milli-, micro- and nanoseconds since 1970, and microseconds in each; below 1973 it is no time."""


FIRST_TIME = datetime(1900, 1, 1, tzinfo=UTC)
YEARS = range(FIRST_TIME.year, 2101)
STRAY_SHARE = 0.05
"""So few times of an order that must be guessed are left unread; more of them stop the reading."""

Clock = Literal["offset", "utc", "community"]


@dataclass(frozen=True)
class TimeFormat:
    """`clock` tells whose time it is: the text's own offset, UTC, or the community's."""

    pattern: str
    clock: Clock = "community"


_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
_HOURS = ("T%H:%M:%S%.f", " %H:%M:%S%.f", "T%H:%M", " %H:%M")
_TWELVE_HOURS = (" %I:%M:%S %p", " %I:%M %p")
_NAMED_MONTHS = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y")
FORMATS = (
    *(TimeFormat(f"{date}{hour}") for date in _DATES for hour in (*_HOURS, "")),
    *(TimeFormat(f"{date}{hour}%#z", "offset") for date in _DATES[:2] for hour in _HOURS),
    *(TimeFormat(f"{date} %H:%M:%S%.f %#z", "offset") for date in _DATES[:2]),
    *(TimeFormat(f"{date} %H:%M:%S%.f {zone}", "utc") for date in _DATES[:2] for zone in ("UTC", "GMT")),
    TimeFormat("%Y年%m月%d日%H:%M"),
    TimeFormat("%Y%m%dT%H%M%S"),
    TimeFormat("%Y%m%dT%H%M%S%#z", "offset"),
    *(TimeFormat(f"{date}{hour}") for date in _NAMED_MONTHS for hour in ("", " %H:%M:%S", " %H:%M", *_TWELVE_HOURS)),
    *(TimeFormat(f"{date}{hour}") for date in _DATES for hour in _TWELVE_HOURS),
    *(TimeFormat(f"%a, %d %b %Y %H:%M:%S {zone}", "utc") for zone in ("GMT", "UTC")),
    TimeFormat("%a, %d %b %Y %H:%M:%S %z", "offset"),
    TimeFormat("%a %b %d %H:%M:%S %z %Y", "offset"),
)
_TWO_WAYS = tuple((f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y") for mark in "./-")
_HALF_DAYS = ("", " %H:%M:%S%.f", " %H:%M", *_TWELVE_HOURS)
CHINESE_HALF = r"\s*(上午|下午)\s*(\d{1,2}:[\d:]+)$"


@dataclass(frozen=True)
class Times:
    """timestamp: UTC, null where there was no time or none could be read. local: True where the community's clock was used."""

    timestamp: pl.Series
    local: pl.Series


def read_times(column: pl.Series, zone: str, orders: Sequence[str] | None = None) -> Times:
    """A year before 1900 is no time. `orders`: of day and month, as `Unordered.orders` tells of the whole column this is a part of.

    Raises InputError where the day and the month cannot be told apart.
    """
    times = _read_any(column, zone, orders)
    return Times(times.timestamp.set((times.timestamp < FIRST_TIME).fill_null(value=False), None), times.local)


def _read_any(column: pl.Series, zone: str, orders: Sequence[str] | None) -> Times:
    kind = column.dtype
    if kind == pl.Date or (isinstance(kind, pl.Datetime) and kind.time_zone is None):
        return Times(_by_clock(column.cast(pl.Datetime("us")), zone), pl.repeat(value=True, n=len(column), eager=True))
    if isinstance(kind, pl.Datetime):
        return Times(column.dt.convert_time_zone("UTC").cast(UTC_TIME), pl.repeat(value=False, n=len(column), eager=True))
    rows = _texts(column)
    tried = _tried(rows, zone)
    if orders is None:
        orders = Unordered.of_pending(tried.pending, len(rows)).orders(column.name)
    return _joined([*tried.parts, *_in_orders(tried.pending, zone, orders)], len(column))


def _texts(column: pl.Series) -> pl.DataFrame:
    """`row` and `text` of the cells that hold anything; `上午9:05` as `9:05 AM`."""
    text = cell_texts(column).str.strip_chars().rename("text")
    if text.str.contains("午", literal=True).any():
        text = text.str.replace(CHINESE_HALF, " $2 $1").str.replace("上午$", "AM").str.replace("下午$", "PM")
    return pl.DataFrame({"text": text}).with_row_index("row").drop_nulls()


@dataclass(frozen=True)
class _Part:
    """The rows that one form could read: `row`, `timestamp`."""

    rows: pl.DataFrame
    local: bool


class _Tried(NamedTuple):
    """What the forms of which one cell tells all could read, and the rows that none of them could."""

    parts: list[_Part]
    pending: pl.DataFrame


def _tried(pending: pl.DataFrame, zone: str) -> _Tried:
    parts = []
    numbers = pending["text"].str.contains(NUMBER)
    if numbers.any():
        parts += _numbers(pending.filter(numbers), zone)
        pending = pending.filter(~numbers)
    for step in (max(1, len(pending) // 500), 1):
        for form in _likeliest_first(pending["text"].gather_every(step)):
            read = _read(pending["text"], form, zone)
            parts.append(_Part(pending.select("row", timestamp=read).drop_nulls(), form.clock == "community"))
            pending = pending.filter(read.is_null()) if read.null_count() else pending.clear()
    return _Tried(parts, pending)


def _joined(parts: list[_Part], height: int) -> Times:
    read = pl.concat([part.rows.with_columns(local=part.local) for part in parts]) if parts else pl.DataFrame()
    if read.height == height and sum(not part.rows.is_empty() for part in parts) == 1:
        return Times(read["timestamp"], read["local"])
    empty = pl.DataFrame(schema={"row": pl.get_index_type(), "timestamp": UTC_TIME, "local": pl.Boolean})
    index = pl.DataFrame({"row": pl.int_range(height, dtype=pl.get_index_type(), eager=True)})
    found = index.join(read if parts else empty, on="row", how="left", maintain_order="left")
    return Times(found["timestamp"], found["local"].fill_null(value=False))


def _likeliest_first(text: pl.Series) -> list[TimeFormat]:
    """Those that read any of the cells."""
    if text.is_empty():
        return []
    read = (pl.col("text").str.strptime(pl.Datetime("us"), form.pattern, strict=False).count().alias(form.pattern) for form in FORMATS)
    hits = text.to_frame().select(read).row(0, named=True)
    return sorted((form for form in FORMATS if hits[form.pattern]), key=lambda form: -hits[form.pattern])


def _read(text: pl.Series, form: TimeFormat, zone: str) -> pl.Series:
    read = text.str.strptime(pl.Datetime("us"), form.pattern, strict=False)
    if form.clock == "community":
        return _by_clock(read, zone)
    return read.dt.replace_time_zone("UTC") if form.clock == "utc" else read.cast(UTC_TIME)


def _by_clock(local: pl.Series, zone: str) -> pl.Series:
    """An hour that the clock repeats is taken the first time; one that it skips is read as if the clock had not moved."""
    read = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if read.null_count() > local.null_count():
        moved = local.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        read = read.zip_with(read.is_not_null(), moved)
    return read.dt.convert_time_zone("UTC")


def _numbers(rows: pl.DataFrame, zone: str) -> list[_Part]:
    """Eight digits may be a date, fourteen a date with its hour, both also with `.0` behind; all else counts from 1970."""
    rows = rows.with_columns(pl.col("text").str.replace(r"\.0$", ""))
    day = rows["text"].str.strptime(pl.Datetime("us"), "%Y%m%d", strict=False).set(rows["text"].str.len_bytes() != 8, None)
    hour = rows["text"].str.strptime(pl.Datetime("us"), "%Y%m%d%H%M%S", strict=False).set(rows["text"].str.len_bytes() != 14, None)
    written = day.zip_with(day.is_not_null(), hour)
    written = written.set(~written.dt.year().is_between(YEARS[0], YEARS[-1]), None)
    counted = rows.select("row", timestamp=_since_1970(rows["text"].cast(pl.Float64)).set(written.is_not_null(), None)).drop_nulls()
    return [_Part(rows.select("row", timestamp=_by_clock(written, zone)).drop_nulls(), local=True), _Part(counted, local=False)]


def _since_1970(number: pl.Series) -> pl.Series:
    value = pl.lit(number)
    chain = pl.coalesce([pl.when((value >= low) & (value < high)).then(value * unit) for low, high, unit in EPOCH_UNITS])
    return pl.select(chain.round().cast(pl.Int64).cast(UTC_TIME)).to_series()


class Sighting(NamedTuple):
    """Of cells with one mark between day and month: does any make sense with the day first alone, does any with the month first alone?

    `example` is one of them, None where there is none.
    """

    day_first: bool
    month_first: bool
    example: str | None


_NOTHING = Sighting(day_first=False, month_first=False, example=None)


@dataclass(frozen=True)
class Unordered:
    """What tells the order of day and month in a column, or a part of it: sums, so that parts can be added up.

    `texts`: its cells; `unread`: those that no other form reads; `seen`: one for each mark.
    """

    texts: int
    unread: int
    seen: tuple[Sighting, ...]

    @classmethod
    def of(cls, column: pl.Series, zone: str) -> Self:
        if column.dtype.is_temporal():
            return cls.of_pending(pl.DataFrame({"text": pl.Series([], dtype=pl.String)}), 0)
        rows = _texts(column)
        return cls.of_pending(_tried(rows, zone).pending, len(rows))

    @classmethod
    def of_pending(cls, pending: pl.DataFrame, texts: int) -> Self:
        seen = (_NOTHING if pending.is_empty() else _sighting(pending["text"], *ways) for ways in _TWO_WAYS)
        return cls(texts, len(pending), tuple(seen))

    def __add__(self, other: Self) -> Self:
        seen = tuple(
            Sighting(
                mine.day_first or its.day_first,
                mine.month_first or its.month_first,
                its.example if mine.example is None else mine.example,
            )
            for mine, its in zip(self.seen, other.seen, strict=True)
        )
        return type(self)(self.texts + other.texts, self.unread + other.unread, seen)

    def orders(self, name: str) -> tuple[str, ...]:
        """`13.04.2024` tells its order, and that of every other time of the column; `03.04.2024` alone does not: InputError."""
        if self.unread <= STRAY_SHARE * self.texts:
            return ()
        told = []
        for (day_first, month_first), sighting in zip(_TWO_WAYS, self.seen, strict=True):
            if sighting.example is None:
                continue
            if sighting.day_first == sighting.month_first:
                message = f'column "{name}": "{sighting.example}" may be day-month-year or month-day-year'
                raise InputError(f"{message}; write times as 2024-01-31 or 2024-01-31T18:30:00+08:00")
            told.append(day_first if sighting.day_first else month_first)
        return tuple(told)


def _sighting(text: pl.Series, day_first: str, month_first: str) -> Sighting:
    day, month = (_any_hour(text, pattern).is_not_null() for pattern in (day_first, month_first))
    only_day, only_month = bool((day & ~month).any()), bool((month & ~day).any())
    either = text.filter(day if only_day else day & month if not only_month else month)
    return Sighting(only_day, only_month, either[0] if len(either) else None)


def _in_orders(pending: pl.DataFrame, zone: str, orders: Sequence[str]) -> list[_Part]:
    parts = []
    for order in orders:
        read = _by_clock(_any_hour(pending["text"], order), zone)
        parts.append(_Part(pending.select("row", timestamp=read).drop_nulls(), local=True))
        pending = pending.filter(read.is_null())
    return parts


def _any_hour(text: pl.Series, date: str) -> pl.Series:
    read = [pl.col("text").str.strptime(pl.Datetime("us"), f"{date}{hour}", strict=False) for hour in _HALF_DAYS]
    return text.to_frame().select(pl.coalesce(read)).to_series()

"""The arithmetic of the features on flat arrays: one block of snapshots, its events side by side, NumPy and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import numpy as np

from models.community import DAY_US

if TYPE_CHECKING:
    from models.events import EventArrays

KERNEL_VERSION = 1
HOUR_US = DAY_US // 24
WEEK_HOURS = 168
ANSWER_US = 3 * DAY_US
_EPOCH_HOUR_OF_WEEK = 72  # 1970-01-01 was a Thursday; the week begins on Monday
_HOURS = np.arange(WEEK_HOURS)
_HOUR_CLASS = ((_HOURS // 24 >= 5) * 4 + _HOURS % 24 // 6).astype(np.int64)


@dataclass(frozen=True)
class Layout:
    """What the kernel must know of a feature specification; `windows` rise and end with the lookback."""

    windows: tuple[int, ...]
    qualifying: np.ndarray
    valued: np.ndarray
    touch: int | None
    timezone: str

    @cached_property
    def bucket_of_day(self) -> np.ndarray:
        """Whole days of age -> position of the shortest window that holds that day."""
        return np.searchsorted(np.array(self.windows), np.arange(self.windows[-1]), side="right")

    @cached_property
    def trend_days(self) -> tuple[int, ...]:
        """Windows w for which 2w is a window too: the last w days are set against the w days before."""
        return tuple(days for days in self.windows if 2 * days in self.windows)

    @cached_property
    def trend_columns(self) -> tuple[list[int], list[int]]:
        return [self.windows.index(days) for days in self.trend_days], [self.windows.index(2 * days) for days in self.trend_days]

    @cached_property
    def valued_position(self) -> np.ndarray:
        return np.cumsum(self.valued) - 1

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def offset_us(self, as_of_us: int) -> int:
        """The community's clock against UTC as it stands at `as_of`; a snapshot's hours are all told by it."""
        offset = datetime.fromtimestamp(as_of_us // 1_000_000, tz=UTC).astimezone(self.zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) * 1_000_000


@dataclass(frozen=True)
class Block:
    """Events of consecutive snapshots, side by side: `row` is the snapshot of each event, rising; time rises within a row."""

    n: int
    row: np.ndarray
    starts: np.ndarray
    timestamp_us: np.ndarray
    signal: np.ndarray
    value: np.ndarray
    age_us: np.ndarray
    as_of_us: np.ndarray
    joined_us: np.ndarray

    @classmethod
    def of(cls, events: EventArrays, start: np.ndarray, end: np.ndarray, as_of_us: np.ndarray, joined_us: np.ndarray) -> Self:
        lengths = end - start
        row = np.repeat(np.arange(len(start)), lengths)
        starts = np.cumsum(lengths) - lengths
        if np.array_equal(start[1:], end[:-1]):
            flat = slice(int(start[0]), int(end[-1]))
            timestamp_us, signal, value = events.timestamp_us[flat], events.signal[flat], events.value[flat]
        else:
            index = np.arange(len(row)) + np.repeat(start - starts, lengths)
            timestamp_us, signal, value = events.timestamp_us[index], events.signal[index], events.value[index]
        age_us = np.repeat(as_of_us, lengths) - timestamp_us
        return cls(len(start), row, starts, timestamp_us, signal, value, age_us, as_of_us, joined_us)


@dataclass(frozen=True)
class _Cells:
    """Quantities of each (snapshot, signal): shape (n, n_signals) or, by window, (n, n_signals, n_windows)."""

    count: np.ndarray
    active_days: np.ndarray
    days_since: np.ndarray
    first_days: np.ndarray
    value_sum: np.ndarray
    value_last: np.ndarray


def block_features(block: Block, layout: Layout, out: np.ndarray) -> None:
    """Write the features of the block's snapshots to `out` (n, n_features), in the order in which the specification declares them."""
    day = (block.age_us - 1) // DAY_US
    cells = _cells(block, layout, day)
    writer = _Writer(out)
    _write_signals(writer, layout, cells)
    _write_any(writer, layout, block, cells, day)
    _write_timing(writer, layout, block)
    if layout.touch is not None:
        _write_response(writer, layout, block, layout.touch)
    writer.close()


class _Writer:
    """Fills a matrix from left to right and refuses to leave a column unwritten."""

    def __init__(self, out: np.ndarray) -> None:
        self._out = out
        self._next = 0

    def add(self, columns: np.ndarray) -> None:
        flat = columns.reshape(len(self._out), -1)
        width = flat.shape[1]
        self._out[:, self._next : self._next + width] = flat
        self._next += width

    def close(self) -> None:
        assert self._next == self._out.shape[1], f"{self._next} columns written, {self._out.shape[1]} declared"


def _cells(block: Block, layout: Layout, day: np.ndarray) -> _Cells:
    n_signals, n_windows = len(layout.qualifying), len(layout.windows)
    shape = (block.n, n_signals, n_windows)
    group = block.row * n_signals + block.signal
    key = group * n_windows + layout.bucket_of_day[day]
    order = np.argsort(block.signal, kind="stable") if n_signals > 1 else np.arange(len(day))
    group_o, day_o = group[order], day[order]
    new_group = _changes(group_o)
    new_day = new_group | _changes(day_o)
    first = np.flatnonzero(new_group)
    last = np.append(first[1:], len(day))[: len(first)] - 1
    at, first, last = group_o[first], order[first], order[last]
    last_value = _scatter(shape[:2], at, block.value[last]) if layout.valued.any() else np.empty((block.n, 0))
    return _Cells(
        count=_by_window(key, shape),
        active_days=_by_window(key[order[new_day]], shape),
        days_since=_scatter(shape[:2], at, block.age_us[last] / DAY_US),
        first_days=_scatter(shape[:2], at, block.age_us[first] / DAY_US),
        value_sum=_value_sums(block, layout, day),
        value_last=last_value[:, layout.valued] if layout.valued.any() else last_value,
    )


def _value_sums(block: Block, layout: Layout, day: np.ndarray) -> np.ndarray:
    """Sums by valued signal and window, shape (n, n_valued, n_windows); a missing value counts as 0."""
    n_valued, n_windows = int(layout.valued.sum()), len(layout.windows)
    shape = (block.n, n_valued, n_windows)
    if n_valued == 0:
        return np.empty(shape)
    chosen = np.flatnonzero(layout.valued[block.signal])
    position = block.row[chosen] * n_valued + layout.valued_position[block.signal[chosen]]
    key = position * n_windows + layout.bucket_of_day[day[chosen]]
    sums = np.bincount(key, weights=np.nan_to_num(block.value[chosen]), minlength=block.n * n_valued * n_windows)
    return sums.reshape(shape).cumsum(axis=2)


def _write_signals(writer: _Writer, layout: Layout, cells: _Cells) -> None:
    total = cells.count[:, :, -1]
    writer.add(cells.count)
    writer.add(cells.active_days)
    writer.add(cells.days_since)
    writer.add(_ratio(total, total.sum(axis=1, keepdims=True)))
    writer.add(_trend(cells.count, layout))
    writer.add(cells.value_sum)
    writer.add(_ratio(cells.value_sum[:, :, -1], total[:, layout.valued]))
    writer.add(cells.value_last)


def _write_any(writer: _Writer, layout: Layout, block: Block, cells: _Cells, day: np.ndarray) -> None:
    qualifying = layout.qualifying
    count = cells.count[:, qualifying].sum(axis=1)
    active = _active_days(block, layout, day)
    active_days = _by_window(active.row * len(layout.windows) + layout.bucket_of_day[active.day], (block.n, len(layout.windows)))
    days_since = np.fmin.reduce(cells.days_since[:, qualifying], axis=1)
    first_days = np.fmax.reduce(cells.first_days[:, qualifying], axis=1)
    tenure = np.maximum((block.as_of_us - block.joined_us) / DAY_US, 0)
    seen = np.fmax(np.fmin(tenure, layout.windows[-1]), 1)
    writer.add(count)
    writer.add(active_days)
    writer.add(_trend(count, layout))
    writer.add(np.stack([days_since, tenure, count[:, -1] * 7 / seen, days_since / seen, first_days], axis=1))
    writer.add(_gaps(active, block.n, days_since))
    writer.add(_weeks(active, block.n, seen))
    writer.add((cells.count[:, qualifying] > 0).sum(axis=1))
    writer.add(_entropy(cells.count[:, qualifying, -1]))


@dataclass(frozen=True)
class _ActiveDays:
    """Distinct days (of age) with a qualifying event: row and day of each, oldest first within a row."""

    row: np.ndarray
    day: np.ndarray


def _active_days(block: Block, layout: Layout, day: np.ndarray) -> _ActiveDays:
    row = block.row
    if not layout.qualifying.all():
        kept = np.flatnonzero(layout.qualifying[block.signal])
        row, day = row[kept], day[kept]
    fresh = np.flatnonzero(_changes(row) | _changes(day))
    return _ActiveDays(row[fresh], day[fresh])


def _gaps(active: _ActiveDays, n: int, days_since: np.ndarray) -> np.ndarray:
    """Days between consecutive active days: mean, spread, longest; the current gap against the mean, and in spreads; mean / (mean + spread)."""
    follows = np.flatnonzero(active.row[1:] == active.row[:-1])
    gap = (active.day[follows] - active.day[follows + 1]).astype(float)
    row = active.row[follows]
    number = np.bincount(row, minlength=n)
    mean = _ratio(np.bincount(row, weights=gap, minlength=n), number)
    square = _ratio(np.bincount(row, weights=gap * gap, minlength=n), number)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    longest = np.full(n, np.nan)
    if len(row):
        first = np.flatnonzero(_changes(row))
        longest[row[first]] = np.maximum.reduceat(gap, first)
    return np.stack([mean, spread, longest, days_since / mean, (days_since - mean) / (spread + 1), mean / (mean + spread)], axis=1)


def _weeks(active: _ActiveDays, n: int, seen_days: np.ndarray) -> np.ndarray:
    """Distinct weeks (of age) with activity, their share of the weeks seen, and how many of them run without a break up to `as_of`."""
    week = active.day // 7
    fresh = np.flatnonzero(_changes(active.row) | _changes(week))
    row, week = active.row[fresh], week[fresh]
    number = np.bincount(row, minlength=n)
    from_the_end = np.cumsum(number)[row] - 1 - np.arange(len(row))
    streak = np.bincount(row, weights=week == from_the_end, minlength=n)
    return np.stack([number, number / np.ceil(seen_days / 7), streak], axis=1)


def _write_timing(writer: _Writer, layout: Layout, block: Block) -> None:
    """Shares of events by quarter of the day (from midnight) and at weekends, by the community's clock."""
    hour = (block.timestamp_us + _offsets(block, layout)) // HOUR_US
    hour_class = _HOUR_CLASS[(hour + _EPOCH_HOUR_OF_WEEK) % WEEK_HOURS]
    parts = np.bincount(block.row * 8 + hour_class, minlength=block.n * 8).reshape(block.n, 2, 4)
    total = parts.sum(axis=(1, 2))[:, None]
    writer.add(_ratio(parts.sum(axis=1), total))
    writer.add(_ratio(parts[:, 1].sum(axis=1, keepdims=True), total))


def _offsets(block: Block, layout: Layout) -> np.ndarray | int:
    if layout.timezone == "UTC" or block.n == 0:
        return 0
    if (block.as_of_us == block.as_of_us[0]).all():
        return layout.offset_us(int(block.as_of_us[0]))
    distinct, position = np.unique(block.as_of_us, return_inverse=True)
    return np.array([layout.offset_us(int(at)) for at in distinct])[position][block.row]


def _write_response(writer: _Writer, layout: Layout, block: Block, touch: int) -> None:
    """Touches at least 72 h old that a qualifying event followed within 72 h: their number and share."""
    touches = np.flatnonzero((block.signal == touch) & (block.age_us >= ANSWER_US))
    acts = np.append(np.flatnonzero(layout.qualifying[block.signal]), len(block.row))
    following = acts[np.searchsorted(acts, touches)]
    inside = following < len(block.row)
    touches_in, following = touches[inside], following[inside]
    prompt = block.timestamp_us[following] - block.timestamp_us[touches_in] <= ANSWER_US
    answered = touches_in[(block.row[following] == block.row[touches_in]) & prompt]
    number = np.bincount(block.row[touches], minlength=block.n)
    answers = np.bincount(block.row[answered], minlength=block.n)
    writer.add(np.stack([answers, _ratio(answers, number)], axis=1))


def _changes(values: np.ndarray) -> np.ndarray:
    """True at the first position and wherever a value differs from the one before."""
    fresh = np.empty(len(values), dtype=bool)
    fresh[:1] = True
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return fresh


def _by_window(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How many keys fall in each cell, summed over the windows (last axis) that hold it."""
    return np.bincount(key, minlength=int(np.prod(shape))).reshape(shape).cumsum(axis=-1)


def _scatter(shape: tuple[int, ...], at: np.ndarray, values: np.ndarray) -> np.ndarray:
    full = np.full(shape, np.nan)
    full.reshape(-1)[at] = values
    return full


def _trend(count: np.ndarray, layout: Layout) -> np.ndarray:
    """log((1 + last w days) / (1 + the w days before)) for the windows w that have a double."""
    short, double = layout.trend_columns
    recent, both = count[..., short], count[..., double]
    return np.log1p(recent) - np.log1p(both - recent)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return part / np.where(whole == 0, np.nan, whole)


def _entropy(count: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats of the mix of signals; NaN for a member without events."""
    share = _ratio(count, count.sum(axis=1, keepdims=True))
    return -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1)

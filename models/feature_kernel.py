"""The arithmetic of the features on flat arrays: one block of snapshots, its events side by side, NumPy and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from models.community import DAY_US

if TYPE_CHECKING:
    from models.feature_block import Block, Layout

KERNEL_VERSION = 2
QUARTER_US = DAY_US // 4
WEEK_QUARTERS = 28
ANSWER_US = 3 * DAY_US
_EPOCH_QUARTER_OF_WEEK = 12  # 1970-01-01 was a Thursday; the week begins on Monday
_OF_QUARTER = np.array([[*(quarter % 4 == part for part in range(4)), quarter >= 20, True] for quarter in range(WEEK_QUARTERS)], np.float64)
"""(28, 6): whether a quarter of a day of the week is the first to fourth of its day, is at the weekend, and is one at all."""


@dataclass(frozen=True)
class _Cells:
    """Quantities of each (snapshot, signal): shape (n, n_signals) or, by window, (n, n_signals, n_windows)."""

    count: np.ndarray
    active_days: np.ndarray
    days_since: np.ndarray
    first_days: np.ndarray


@dataclass(frozen=True)
class _Values:
    """Quantities of each (snapshot, valued signal) from the events that carry a value: sums by window, their number, the latest."""

    total: np.ndarray
    number: np.ndarray
    last: np.ndarray


@dataclass(frozen=True)
class _Acts:
    """The qualifying events of a block; `at` is their position in it."""

    at: np.ndarray
    row: np.ndarray
    day: np.ndarray
    timestamp_us: np.ndarray

    @classmethod
    def of(cls, block: Block, layout: Layout) -> Self:
        if layout.all_qualify:
            return cls(np.arange(len(block.row)), block.row, block.day, block.timestamp_us)
        at = layout.qualifying[block.signal].nonzero()[0]
        return cls(at, block.row[at], block.day[at], block.timestamp_us[at])


@dataclass(frozen=True)
class _ActiveDays:
    """Distinct days (of age) with a qualifying event: row and day of each, oldest first within a row.

    `first` and `last` are the positions of the oldest and the latest in the rows `filled`, those that have any.
    """

    row: np.ndarray
    day: np.ndarray
    filled: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, acts: _Acts) -> Self:
        fresh = (_changes(acts.row) | _changes(acts.day)).nonzero()[0]
        row = acts.row[fresh]
        first = _changes(row).nonzero()[0]
        last = np.empty_like(first)
        last[:-1], last[-1:] = first[1:] - 1, len(row) - 1
        return cls(row, acts.day[fresh], row[first], first, last)


def block_features(block: Block, layout: Layout, out: np.ndarray) -> None:
    """Write the features of the block's snapshots to `out` (n, n_features), in the order in which the specification declares them."""
    cells = _cells(block, layout)
    acts = _Acts.of(block, layout)
    writer = _Writer(out)
    _write_signals(writer, layout, cells, _values(block, layout))
    _write_any(writer, layout, block, cells, _ActiveDays.of(acts))
    _write_timing(writer, layout, block, acts)
    if layout.touch is not None:
        _write_response(writer, block, acts, layout.touch)
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

    def each(self, *columns: np.ndarray) -> None:
        """One column each, of shape (n,)."""
        for place, column in enumerate(columns, start=self._next):
            self._out[:, place] = column
        self._next += len(columns)

    def close(self) -> None:
        if self._next != self._out.shape[1]:
            raise AssertionError(f"the kernel wrote {self._next} columns, but {self._out.shape[1]} are declared")


def _cells(block: Block, layout: Layout) -> _Cells:
    n_signals, n_windows = len(layout.qualifying), len(layout.windows)
    shape = (block.n, n_signals, n_windows)
    group = block.row * n_signals + block.signal
    count = _by_window(group * n_windows + layout.bucket_of_day[block.day], shape)
    order = block.signal.argsort(kind="stable")
    size = count[:, :, -1].T.ravel()
    filled = size.nonzero()[0]
    last = size.cumsum()[filled] - 1
    first = last - size[filled] + 1
    cell = filled % block.n * n_signals + filled // block.n
    group *= layout.windows[-1]
    group += block.day
    group_day = group[order]
    group_day = group_day[_changes(group_day).nonzero()[0]]
    group = group_day // layout.windows[-1]
    day = group_day - group * layout.windows[-1]
    days = np.full((2, block.n * n_signals), np.nan)
    days[:, cell] = block.age_us[order[np.array([last, first])]] / DAY_US
    days_since, first_days = days.reshape(2, *shape[:2])
    active_days = _by_window(group * n_windows + layout.bucket_of_day[day], shape)
    return _Cells(count, active_days, days_since, first_days)


def _values(block: Block, layout: Layout) -> _Values:
    n_valued, n_windows = layout.n_valued, len(layout.windows)
    shape = (block.n, n_valued, n_windows)
    if n_valued == 0:
        return _Values(np.empty(shape), np.empty(shape[:2]), np.empty(shape[:2]))
    chosen = (~np.isnan(block.value)).nonzero()[0]
    chosen = chosen[layout.valued[block.signal[chosen]]]
    value = block.value[chosen]
    cell = block.row[chosen] * n_valued + layout.valued_position[block.signal[chosen]]
    key = cell * n_windows + layout.bucket_of_day[block.day[chosen]]
    return _Values(
        total=np.bincount(key, weights=value, minlength=prod(shape)).reshape(shape).cumsum(axis=2),
        number=np.bincount(cell, minlength=block.n * n_valued).reshape(shape[:2]),
        last=_scatter(shape[:2], cell, value),
    )


def _write_signals(writer: _Writer, layout: Layout, cells: _Cells, values: _Values) -> None:
    total = cells.count[:, :, -1]
    writer.add(cells.count)
    writer.add(cells.active_days)
    writer.add(cells.days_since)
    writer.add(_ratio(total, total.sum(axis=1, keepdims=True)))
    writer.add(_trend(cells.count, layout))
    writer.add(values.total)
    writer.add(_ratio(values.total[:, :, -1], values.number))
    writer.add(values.last)


def _write_any(writer: _Writer, layout: Layout, block: Block, cells: _Cells, active: _ActiveDays) -> None:
    qualifying = slice(None) if layout.all_qualify else layout.qualifying
    count_of_each = cells.count[:, qualifying]
    count = count_of_each.sum(axis=1)
    active_days = _by_window(active.row * len(layout.windows) + layout.bucket_of_day[active.day], (block.n, len(layout.windows)))
    days_since = np.fmin.reduce(cells.days_since[:, qualifying], axis=1)
    first_days = np.fmax.reduce(cells.first_days[:, qualifying], axis=1)
    tenure = np.maximum((block.as_of_us - block.joined_us) / DAY_US, 0)
    seen = np.minimum(np.maximum(tenure, 1), layout.windows[-1])
    writer.add(count)
    writer.add(active_days)
    writer.add(_trend(count, layout))
    writer.each(days_since, tenure, count[:, -1] * 7 / seen, days_since / seen, first_days)
    writer.each(*_gaps(active, block.n, days_since))
    writer.each(*_weeks(active, block.n, seen))
    writer.add((count_of_each > 0).sum(axis=1))
    writer.add(_entropy(count_of_each[:, :, -1]))


def _gaps(active: _ActiveDays, n: int, days_since: np.ndarray) -> tuple[np.ndarray, ...]:
    """Days between consecutive active days: mean, spread, longest; the current gap against them; mean / (mean + spread)."""
    number, total, squares, longest = np.zeros((4, n))
    if len(active.day):
        gap = np.empty_like(active.day)
        np.subtract(active.day[:-1], active.day[1:], out=gap[:-1])
        gap[active.last] = 0
        number[active.filled] = active.last - active.first
        total[active.filled] = active.day[active.first] - active.day[active.last]
        squares[active.filled] = np.add.reduceat(gap * gap, active.first)
        longest[active.filled] = np.maximum.reduceat(gap, active.first)
    mean = _ratio(total, number)
    spread = np.sqrt(np.maximum(_ratio(squares, number) - mean * mean, 0))
    longest[number == 0] = np.nan
    return mean, spread, longest, days_since / mean, (days_since - mean) / (spread + 1), mean / (mean + spread)


def _weeks(active: _ActiveDays, n: int, seen_days: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distinct weeks (of age) with activity, their share of the weeks seen, and how many of them run without a break up to `as_of`."""
    week = active.day // 7
    fresh = (_changes(active.row) | _changes(week)).nonzero()[0]
    row, week = active.row[fresh], week[fresh]
    number = np.bincount(row, minlength=n)
    from_the_end = number.cumsum()[row] - 1 - np.arange(len(row))
    streak = np.bincount(row, weights=week == from_the_end, minlength=n)
    return number, number / np.ceil(seen_days / 7), streak


def _write_timing(writer: _Writer, layout: Layout, block: Block, acts: _Acts) -> None:
    """Shares of qualifying events by quarter of the day (from midnight) and at weekends, by the community's clock."""
    offset = layout.offsets_us(block.as_of_us)
    shift = offset if len(offset) == 1 else offset[acts.row]
    quarter = (acts.timestamp_us + shift) // QUARTER_US + _EPOCH_QUARTER_OF_WEEK
    quarter -= quarter // WEEK_QUARTERS * WEEK_QUARTERS
    number = np.bincount(acts.row * WEEK_QUARTERS + quarter, minlength=block.n * WEEK_QUARTERS).reshape(block.n, WEEK_QUARTERS)
    told = number @ _OF_QUARTER
    writer.add(_ratio(told[:, :-1], told[:, -1:]))


def _write_response(writer: _Writer, block: Block, acts: _Acts, touch: int) -> None:
    """Touches at least 72 h old that a qualifying event followed within 72 h: their number and share."""
    touches = ((block.signal == touch) & (block.age_us >= ANSWER_US)).nonzero()[0]
    place = acts.at.searchsorted(touches)
    inside = place < len(acts.at)
    touches_in, following = touches[inside], acts.at[place[inside]]
    prompt = block.timestamp_us[following] - block.timestamp_us[touches_in] <= ANSWER_US
    answered = touches_in[(block.row[following] == block.row[touches_in]) & prompt]
    number = np.bincount(block.row[touches], minlength=block.n)
    answers = np.bincount(block.row[answered], minlength=block.n)
    writer.each(answers, _ratio(answers, number))


def _changes(values: np.ndarray) -> np.ndarray:
    """True at the first position and wherever a value differs from the one before."""
    fresh = np.empty(len(values), dtype=bool)
    fresh[:1] = True
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return fresh


def _by_window(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How many keys fall in each cell, summed over the windows (last axis) that hold it."""
    return np.bincount(key, minlength=prod(shape)).reshape(shape).cumsum(axis=-1)


def _scatter(shape: tuple[int, ...], at: np.ndarray, values: np.ndarray) -> np.ndarray:
    full = np.full(shape, np.nan)
    full.reshape(-1)[at] = values
    return full


def _trend(count: np.ndarray, layout: Layout) -> np.ndarray:
    """log((1 + last w days) / (1 + the w days before)) for the windows w that have a double."""
    short, double = layout.trend_columns
    recent, both = count[..., short], count[..., double]
    trend: np.ndarray = np.log1p(recent) - np.log1p(both - recent)
    return trend


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with NaN where whole is 0."""
    return part / np.where(whole == 0, np.nan, whole)


def _entropy(count: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats of the mix of signals; NaN for a member without events. Added from left to right, whatever the layout."""
    share = _ratio(count, count.sum(axis=1, keepdims=True))
    return -(share * np.log(np.where(share > 0, share, 1))).cumsum(axis=1)[:, -1]

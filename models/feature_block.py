"""What the feature kernel works on: the specification as arrays, and one block of snapshots with its events side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import numpy as np

from models.community import DAY_US

if TYPE_CHECKING:
    from models.events import EventArrays


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
    def trend_columns(self) -> tuple[np.ndarray, np.ndarray]:
        short, double = ([self.windows.index(times * days) for days in self.trend_days] for times in (1, 2))
        return np.array(short, dtype=np.int64), np.array(double, dtype=np.int64)

    @cached_property
    def all_qualify(self) -> bool:
        return bool(self.qualifying.all())

    @cached_property
    def n_valued(self) -> int:
        return int(self.valued.sum())

    @cached_property
    def valued_position(self) -> np.ndarray:
        return np.cumsum(self.valued) - 1

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def offsets_us(self, as_of_us: np.ndarray) -> np.ndarray:
        """The community's clock against UTC as it stands at each `as_of`; all hours of a snapshot are told by it.

        Shape (n,), or (1,) where all are of one moment.
        """
        if len(as_of_us) and (as_of_us == as_of_us[0]).all():
            return np.array([self._offset_us(int(as_of_us[0]))])
        distinct, position = np.unique(as_of_us, return_inverse=True)
        return np.array([self._offset_us(int(at)) for at in distinct], dtype=np.int64)[position]

    def _offset_us(self, as_of_us: int) -> int:
        offset = datetime.fromtimestamp(as_of_us // 1_000_000, tz=self.zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) * 1_000_000


@dataclass(frozen=True)
class Block:
    """Events of consecutive snapshots, side by side: `row` is the snapshot of each event, rising; time rises within a row."""

    n: int
    row: np.ndarray
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
        return cls(len(start), row, timestamp_us, signal, value, age_us, as_of_us, joined_us)

    @cached_property
    def day(self) -> np.ndarray:
        """Whole days of age, counted back from `as_of`: day 0 holds ages in (0, 24 h]. Shape (n_events,)."""
        return (self.age_us - 1) // DAY_US

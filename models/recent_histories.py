"""Histories that were read lately, kept in memory: a service is asked about the same members again and again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.events import NEVER_US
from models.signal_columns import SignalColumns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_EVENTS = 2_000_000
"""Of all members together, 40 MB, where each member counts as much as EVENTS_OF_A_MEMBER more."""
EVENTS_OF_A_MEMBER = 50
FORGOTTEN_AFTER_US = 3_600_000_000

Signals = tuple[tuple[str, int], ...]
"""Each type of events with its signal."""


class Mark(NamedTuple):
    """What tells whether a history is still the same: events are added, one by one, or pruned, all at once; none is ever changed."""

    events: int
    pruned: str | None


class Key(NamedTuple):
    signals: Signals
    member_id: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """Of one member, by time: what happened from `since_us` on, first at `first_us`, and the last of each type before that."""

    mark: Mark
    since_us: int
    first_us: int
    at_us: np.ndarray
    signal: np.ndarray
    value: np.ndarray

    @property
    def weight(self) -> int:
        return len(self.at_us) + EVENTS_OF_A_MEMBER

    def tells(self, mark: Mark, since_us: int) -> bool:
        """Whether it is what the store would tell: later on, what has left the window meanwhile may have to be left out."""
        return self.mark == mark and self.since_us <= since_us <= self.first_us


@dataclass
class RecentHistories:
    """Those asked for last, up to MOST_EVENTS, and none an hour after it was asked for."""

    most: int = MOST_EVENTS
    _held: OrderedDict[Key, Remembered] = field(default_factory=OrderedDict)
    _asked_us: dict[Key, int] = field(default_factory=dict)
    _weight: int = 0
    _mutex: Lock = field(default_factory=Lock)

    @property
    def members(self) -> list[str]:
        """Whose histories are held, those asked for last at the end."""
        with self._mutex:
            return [key.member_id for key in self._held]

    def of(self, signals: Signals, marks: Mapping[str, Mark], since_us: int, now_us: int) -> dict[str, Remembered]:
        """By member, those that still hold."""
        found: dict[str, Remembered] = {}
        with self._mutex:
            self._forget_old(now_us)
            for member_id, mark in marks.items():
                key = Key(signals, member_id)
                held = self._held.get(key)
                if held is not None and held.tells(mark, since_us):
                    found[member_id] = held
                    self._held.move_to_end(key)
                    self._asked_us[key] = now_us
        return found

    def keep(self, signals: Signals, histories: Mapping[str, Remembered], now_us: int) -> None:
        with self._mutex:
            for member_id, history in histories.items():
                key = Key(signals, member_id)
                self._forget(key)
                self._held[key] = history
                self._asked_us[key] = now_us
                self._weight += history.weight
            while self._weight > self.most:
                self._forget(next(iter(self._held)))

    def forget(self, member_id: str) -> None:
        with self._mutex:
            for key in [key for key in self._held if key.member_id == member_id]:
                self._forget(key)

    def _forget_old(self, now_us: int) -> None:
        while self._held and self._asked_us[oldest := next(iter(self._held))] < now_us - FORGOTTEN_AFTER_US:
            self._forget(oldest)

    def _forget(self, key: Key) -> None:
        history = self._held.pop(key, None)
        if history is not None:
            del self._asked_us[key]
            self._weight -= history.weight


def remembered(rows: SignalColumns, marks: Mapping[str, Mark], since_us: int) -> dict[str, Remembered]:
    """Of each member the rows at its position, which are together and in order of time."""
    edges = np.searchsorted(rows.row, np.arange(len(marks) + 1))
    parts = zip(marks.items(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return {member_id: _one(mark, since_us, rows, slice(begin, end)) for (member_id, mark), begin, end in parts}


def _one(mark: Mark, since_us: int, rows: SignalColumns, own: slice) -> Remembered:
    """Copies, for a part of an array would hold all of it."""
    at_us = rows.at_us[own].copy()
    first = int(np.searchsorted(at_us, since_us))
    first_us = int(at_us[first]) if first < len(at_us) else NEVER_US
    return Remembered(mark, since_us, first_us, at_us, rows.signal[own].copy(), rows.value[own].copy())


def together(histories: Sequence[Remembered]) -> SignalColumns:
    """Of the member at each position."""
    lengths = [len(history.at_us) for history in histories]
    return SignalColumns(
        row=np.repeat(np.arange(len(histories)), lengths),
        at_us=np.concatenate([history.at_us for history in histories]),
        signal=np.concatenate([history.signal for history in histories]),
        value=np.concatenate([history.value for history in histories]),
    )

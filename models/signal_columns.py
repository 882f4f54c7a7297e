"""Rows of what members did, from anywhere, put together as the flat arrays of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.events import NO_SIGNAL, EventArrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from models.arrays import Integers

PACKED = 512
"""A moment, and below it twice the code of a signal and whether there is a value, are one whole number of 64 bits."""
LATEST_US = 2**53
"""The year 2255: until then moments fit."""


@dataclass(frozen=True)
class SignalColumns:
    """Shape (n,) each. row: position of the member; signal: position in the community's signals; value NaN where there is none."""

    row: np.ndarray
    at_us: np.ndarray
    signal: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]], row_of: Mapping[str, int], signal_of_type: Mapping[str, int]) -> Self:
        """(member_id, timestamp_us, type, value) whose type some signal names; the others are left out."""
        if not rows:
            return cls.of_signal((), (), NO_SIGNAL)
        columns = cls(
            row=np.array([row_of[row[0]] for row in rows], dtype=np.int64),
            at_us=np.array([row[1] for row in rows], dtype=np.int64),
            signal=np.array([signal_of_type.get(row[2], NO_SIGNAL) for row in rows], dtype=np.uint8),
            value=np.array([row[3] for row in rows], dtype=np.float64),
        )
        return columns._of_signals()

    @classmethod
    def packed(cls, rows: Sequence[tuple[str, int, str, str | None]], row_of: Mapping[str, int]) -> Self:
        """Of a member the id, how many there are, moments with signal and flag as of PACKED, and the values of those that have one."""
        packed = _numbers([row[2] for row in rows], np.int64)
        value = np.full(len(packed), np.nan)
        value[packed % 2 == 1] = _numbers([row[3] for row in rows if row[3] is not None], np.float64)
        columns = cls(
            row=np.repeat(np.array([row_of[row[0]] for row in rows], dtype=np.int64), [row[1] for row in rows]),
            at_us=packed // PACKED,
            signal=(packed % PACKED // 2).astype(np.uint8),
            value=value,
        )
        return columns._of_signals()

    @classmethod
    def of_signal(cls, row: Sequence[int], at_us: Sequence[int], signal: int) -> Self:
        """Of one signal, without values."""
        n = len(row)
        return cls(np.array(row, np.int64), np.array(at_us, np.int64), np.full(n, signal, np.uint8), np.full(n, np.nan))

    def then(self, *others: Self) -> Self:
        told = [self, *(other for other in others if len(other.row))]
        if len(told) == 1:
            return self
        return type(self)(
            row=np.concatenate([one.row for one in told]),
            at_us=np.concatenate([one.at_us for one in told]),
            signal=np.concatenate([one.signal for one in told]),
            value=np.concatenate([one.value for one in told]),
        )

    def in_order(self) -> Self:
        """By member and time; those of one member and one time keep their order."""
        return self._at(_by_member_and_time(self))

    def _of_signals(self) -> Self:
        named = self.signal != NO_SIGNAL
        return self if named.all() else self._at(named)

    def _at(self, rows: np.ndarray) -> Self:
        return type(self)(self.row[rows], self.at_us[rows], self.signal[rows], self.value[rows])


def _numbers(texts: Sequence[str], kind: type[np.generic]) -> np.ndarray:
    """Of all texts one after the other; numbers are separated by commas."""
    return np.fromstring(",".join(texts), dtype=kind, sep=",")


def grouped_arrays(
    rows: SignalColumns,
    joined_us: Sequence[int],
    contract_end_us: np.ndarray,
    attributes: pl.DataFrame | None,
    rule_columns: pl.DataFrame | None = None,
) -> EventArrays:
    """Rows in any order of members."""
    ordered = rows.in_order()
    offsets = np.zeros(len(joined_us) + 1, dtype=np.int64)
    np.bincount(rows.row, minlength=len(joined_us)).cumsum(out=offsets[1:])
    return EventArrays(
        offsets=offsets,
        timestamp_us=ordered.at_us,
        signal=ordered.signal,
        value=ordered.value,
        joined_us=np.array(joined_us, dtype=np.int64),
        contract_end_us=contract_end_us,
        attributes=attributes,
        rule_columns=rule_columns,
    )


def _by_member_and_time(rows: SignalColumns) -> Integers:
    """One number for both is sorted in one go, and at once where the rows of a member follow each other; it may not fit."""
    if not len(rows.row):
        return np.zeros(0, dtype=np.int64)
    first, last = int(rows.at_us.min()), int(rows.at_us.max())
    span = last - first + 1
    if span * (int(rows.row.max()) + 1) >= 2**63:
        return np.lexsort((rows.at_us, rows.row))
    return np.argsort(rows.row * span + (rows.at_us - first), kind="stable")

"""A member's history as it would be without some of what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.events import EventArrays
    from models.store_rows import SignalRow

Happening = tuple[int, int, float | None]


def without(events: EventArrays, removed: Iterable[SignalRow]) -> EventArrays:
    """The arrays of one member without an event for each that is `removed`: of the same time, signal and value.

    Of several equal ones as many go as are named; what the arrays do not have is not missed.
    """
    open_removals = Counter(_happening(row.at_us, row.signal, row.value) for row in removed)
    kept = np.ones(len(events.timestamp_us), dtype=np.bool_)
    happenings = zip(events.timestamp_us.tolist(), events.signal.tolist(), events.value.tolist(), strict=True)
    for position, happening in enumerate(happenings):
        key = _happening(*happening)
        if open_removals[key]:
            open_removals[key] -= 1
            kept[position] = False
    return replace(
        events,
        offsets=np.array([0, kept.sum()]),
        timestamp_us=events.timestamp_us[kept],
        signal=events.signal[kept],
        value=events.value[kept],
    )


def _happening(at_us: int, signal: int, value: float) -> Happening:
    """Comparable, which NaN is not."""
    return at_us, signal, None if np.isnan(value) else value

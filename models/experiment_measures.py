"""What members did after a moment, and as long before it: the metrics of experiments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.community import DAY_US
from models.features import ANY
from models.snapshots import Activity, label_churn
from models.two_arms import Measure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.experiment_declaration import Metric
    from models.snapshots import Snapshots


class _Window(NamedTuple):
    """`[begin, end)` of each row in microseconds, shape (n,)."""

    begin: Integers
    end: Integers


@dataclass(frozen=True)
class Behaviour:
    """The events of a community, by what they are counted as."""

    community: Community
    events: EventArrays

    @cached_property
    def qualifying(self) -> Activity:
        return self._of([signal.qualifying for signal in self.community.signals])

    def measure(self, metric: Metric, snapshots: Snapshots, until_us: int) -> Measure:
        """Of each snapshot over the days from its `as_of` on, and before it the same; for retention log(1 + qualifying events)."""
        days = self.days(metric)
        span, at = days * DAY_US, snapshots.as_of_us
        after, before = _Window(at, at + span), _Window(at - span, at)
        due = after.end <= until_us
        if metric.kind == "retention":
            stayed = 1.0 - label_churn(self.qualifying, snapshots, days, self.community.churn)
            earlier = np.log1p(self._count(ANY, snapshots, before))
            return Measure(metric.name, metric.kind, days, metric.smallest_lift, stayed, due, before=earlier)
        if metric.kind == "ratio":
            per, per_before = (self._count(str(metric.per), snapshots, window) for window in (after, before))
            value, earlier = (self._total([str(metric.signal)], snapshots, window) for window in (after, before))
            return Measure(metric.name, metric.kind, days, metric.smallest_lift, value, due, per, earlier, per_before)
        value, earlier = (self._amount(metric, snapshots, window) for window in (after, before))
        return Measure(metric.name, metric.kind, days, metric.smallest_lift, value, due, before=earlier)

    def days(self, metric: Metric) -> int:
        if metric.days is not None:
            return metric.days
        return self.community.value.value_days if metric.kind == "value" else self.community.churn.horizon_days

    def _amount(self, metric: Metric, snapshots: Snapshots, window: _Window) -> Floats:
        if metric.kind == "count":
            return self._count(str(metric.signal), snapshots, window)
        paid = [signal.name for signal in self.community.signals if signal.value == "money"]
        return self.community.value.margin * self._total(paid, snapshots, window)

    def _count(self, signal: str, snapshots: Snapshots, window: _Window) -> Floats:
        found = self.qualifying if signal == ANY else self._of([one.name == signal for one in self.community.signals])
        return found.count_between(snapshots.member, window.begin, window.end).astype(np.float64)

    def _total(self, signals: Iterable[str], snapshots: Snapshots, window: _Window) -> Floats:
        """The sum of their values."""
        chosen = [one.name in set(signals) for one in self.community.signals]
        found = self._of(chosen)
        values = np.nan_to_num(self.events.value[np.append(chosen, False)[self.events.signal]])
        running = np.concatenate([[0.0], np.cumsum(values)])
        first, last = (found.first_from(snapshots.member, edge) for edge in window)
        total: Floats = running[last] - running[first]
        return total

    def _of(self, chosen: Iterable[bool]) -> Activity:
        """Delivered touches, the last of the signals, are none of them."""
        flags: Flags = np.array([*chosen, False])
        return Activity.of(self.events, flags)

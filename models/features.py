"""Declared behavioural features, and the one function that computes them for training, batches, requests and partitions alike."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.community import DAY_US
from models.feature_kernel import KERNEL_VERSION, Block, Layout, block_features

if TYPE_CHECKING:
    from models.community import Community
    from models.events import EventArrays
    from models.snapshots import Snapshots

Family = Literal["volume", "recency", "value", "rhythm", "timing", "tenure", "variety", "response"]

ANY = "any"
TOUCH = "touch"
BLOCK_EVENTS = 1 << 16


@dataclass(frozen=True)
class Feature:
    """One column. `signal` is a declared signal, `any` (all qualifying ones) or `touch`; `window_days` is None where no window applies."""

    name: str
    family: Family
    signal: str
    window_days: int | None = None


@dataclass(frozen=True)
class SignalUse:
    name: str
    qualifying: bool
    valued: bool


@dataclass(frozen=True)
class FeatureSpec:
    """What determines every feature: two specs with one fingerprint give the same matrix from the same events."""

    signals: tuple[SignalUse, ...]
    windows_days: tuple[int, ...]
    lookback_days: int
    timezone: str
    touches: bool

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """Days of each window, the whole lookback last."""
        return tuple(sorted({*self.windows_days, self.lookback_days}))

    @cached_property
    def layout(self) -> Layout:
        uses = self._uses
        return Layout(
            windows=self.windows,
            qualifying=np.array([use.qualifying for use in uses]),
            valued=np.array([use.valued for use in uses]),
            touch=len(self.signals) if self.touches else None,
            timezone=self.timezone,
        )

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns, in the order in which the kernel writes them."""
        return tuple(_declare(self))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fingerprint(self) -> str:
        """Of the definitions and of the kernel's version: it changes with anything that could change a value."""
        content = {"spec": asdict(self), "names": self.names, "kernel": KERNEL_VERSION}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _uses(self) -> tuple[SignalUse, ...]:
        return (*self.signals, SignalUse(TOUCH, qualifying=False, valued=False)) if self.touches else self.signals

    def position(self, name: str) -> int:
        """Column of a feature; raises ValueError for an unknown name."""
        return self.names.index(name)


def feature_spec(community: Community) -> FeatureSpec:
    return FeatureSpec(
        signals=tuple(SignalUse(s.name, s.qualifying, s.value != "none") for s in community.signals),
        windows_days=community.windows_days,
        lookback_days=community.lookback_days,
        timezone=community.timezone,
        touches=community.touches is not None,
    )


def compute_features(events: EventArrays, snapshots: Snapshots, spec: FeatureSpec, *, threads: int = 1) -> np.ndarray:
    """The feature matrix, float32, shape (n_snapshots, n_features), columns as `spec.features`.

    Only events with `as_of - lookback_days <= timestamp < as_of` are read. NaN stands where a quantity does not exist (days since
    a purchase of a member who never bought). One pass over blocks of about 65,000 events; a row depends on nothing but its own
    member's events, so any grouping of members gives the same row bit for bit.
    """
    start, end = _cut(events, snapshots, spec.lookback_days)
    matrix = np.empty((len(snapshots), len(spec.features)), dtype=np.float32)

    def fill(bounds: tuple[int, int]) -> None:
        rows = slice(*bounds)
        block = Block.of(events, start[rows], end[rows], snapshots.as_of_us[rows], snapshots.joined_us[rows])
        block_features(block, spec.layout, matrix[rows])

    blocks = _blocks(end - start)
    if threads == 1 or len(blocks) == 1:
        for bounds in blocks:
            fill(bounds)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, blocks))
    return matrix


def _declare(spec: FeatureSpec) -> list[Feature]:
    windows = spec.windows
    signals = [use.name for use in spec._uses]
    table = [Feature(f"{s}_count_{w}d", "volume", s, w) for s in signals for w in windows]
    table += [Feature(f"{s}_active_days_{w}d", "volume", s, w) for s in signals for w in windows]
    table += [Feature(f"days_since_{s}", "recency", s) for s in signals]
    table += [Feature(f"{s}_share", "variety", s) for s in signals]
    table += [Feature(f"{s}_trend_{w}d", "volume", s, w) for s in signals for w in spec.layout.trend_days]
    valued = [use.name for use in spec._uses if use.valued]
    table += [Feature(f"{s}_sum_{w}d", "value", s, w) for s in valued for w in windows]
    table += [Feature(f"{s}_{what}", "value", s) for what in ("value_mean", "value_last") for s in valued]
    table += [Feature(f"any_count_{w}d", "volume", ANY, w) for w in windows]
    table += [Feature(f"any_active_days_{w}d", "volume", ANY, w) for w in windows]
    table += [Feature(f"any_trend_{w}d", "volume", ANY, w) for w in spec.layout.trend_days]
    table += [Feature("days_since_any", "recency", ANY), Feature("tenure_days", "tenure", ANY), Feature("any_per_week", "volume", ANY)]
    table += [Feature("silent_share_of_tenure", "recency", ANY), Feature("first_seen_days", "tenure", ANY)]
    rhythm = ("gap_mean", "gap_sd", "gap_max", "gap_now_to_usual", "gap_now_z", "regularity")
    table += [Feature(name, "rhythm", ANY) for name in rhythm]
    table += [Feature(name, "rhythm", ANY) for name in ("active_weeks", "active_weeks_share", "week_streak")]
    table += [Feature(f"signals_used_{w}d", "variety", ANY, w) for w in windows]
    table += [Feature("signal_entropy", "variety", ANY)]
    table += [Feature(name, "timing", ANY) for name in ("night_share", "morning_share", "afternoon_share", "evening_share", "weekend_share")]
    if spec.touches:
        table += [Feature("touches_answered", "response", TOUCH), Feature("touches_answered_share", "response", TOUCH)]
    return table


def _cut(events: EventArrays, snapshots: Snapshots, lookback_days: int) -> tuple[np.ndarray, np.ndarray]:
    """First event in the lookback and first event at or after `as_of`, as positions in the flat arrays, for each snapshot."""
    low, high = events.offsets[snapshots.member], events.offsets[snapshots.member + 1]
    start = lower_bound(events.timestamp_us, low, high, snapshots.as_of_us - lookback_days * DAY_US)
    return start, lower_bound(events.timestamp_us, start, high, snapshots.as_of_us)


def lower_bound(values: np.ndarray, low: np.ndarray, high: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For each row the first position in `[low, high)` with `values[position] >= target`, else `high`.

    A binary search for all rows at once; `values` must rise within each `[low, high)`.
    """
    if len(low) == 1:
        return low + np.searchsorted(values[low[0] : high[0]], target)
    low, high = low.copy(), high.copy()
    while (open_rows := np.flatnonzero(low < high)).size:
        middle = (low[open_rows] + high[open_rows]) >> 1
        below = values[middle] < target[open_rows]
        low[open_rows[below]] = middle[below] + 1
        high[open_rows[~below]] = middle[~below]
    return low


def _blocks(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Consecutive snapshots, cut where the running number of events passes a multiple of the block size."""
    n = len(lengths)
    if n == 0:
        return []
    weight = np.cumsum(lengths + 16) // BLOCK_EVENTS
    edges = [0, *(np.flatnonzero(np.diff(weight)) + 1).tolist(), n]
    return list(zip(edges[:-1], edges[1:], strict=True))

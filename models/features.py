"""Declared behavioural features, and the one function that computes them for training, batches, requests and partitions alike."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.community import DAY_US
from models.feature_block import Block, Layout
from models.feature_kernel import KERNEL_VERSION, block_features

if TYPE_CHECKING:
    from models.community import Community
    from models.events import EventArrays
    from models.snapshots import Snapshots

Family = Literal["volume", "recency", "value", "rhythm", "timing", "tenure", "variety", "response", "attribute"]

ANY = "any"
TOUCH = "touch"
BLOCK_EVENTS = 1 << 17
FEW_ROWS = 64


@dataclass(frozen=True)
class Feature:
    """One column. `signal` is a declared signal, `any` (all qualifying ones) or `touch`; `window_days` is None where no window applies."""

    name: str
    family: Family
    signal: str
    window_days: int | None = None


@dataclass(frozen=True)
class Definition:
    """One line of the table of features: a column for each signal in `over` and each window in `windows`.

    `over`: every signal (`touch` among them where touches are declared), those with a value, all qualifying ones together, or touches.
    `windows`: none, all of them, or those whose double is a window too.
    """

    name: str
    family: Family
    over: Literal["each", "valued", "any", "touch"]
    windows: Literal["none", "all", "doubled"]
    meaning: str


# The terms of the table. The window of w days is `as_of - w d <= timestamp < as_of`; the longest is the lookback, and no event
# outside it is read. Days and weeks are counted back from `as_of`, 24 h and 7 x 24 h each, and are not days of the calendar: day 0 is
# `as_of - 24 h <= timestamp < as_of`. A gap is the number of days from one active day to the next. Seen days are the tenure, at least 1
# and at most the lookback. What divides by nothing is NaN.
DEFINITIONS = (
    Definition("{signal}_count_{days}d", "volume", "each", "all", "events in the window"),
    Definition("{signal}_active_days_{days}d", "volume", "each", "all", "days with an event in the window"),
    Definition("days_since_{signal}", "recency", "each", "none", "days from the latest event to as_of; NaN without one"),
    Definition("{signal}_share", "variety", "each", "none", "its events / the events of all signals, touches included"),
    Definition(
        "{signal}_trend_{days}d", "volume", "each", "doubled", "log((1 + events in the window) / (1 + events in the window before it))"
    ),
    Definition("{signal}_sum_{days}d", "value", "valued", "all", "sum of the values in the window; an event without a value adds 0"),
    Definition("{signal}_value_mean", "value", "valued", "none", "mean of the values in the lookback; events without one are passed over"),
    Definition("{signal}_value_last", "value", "valued", "none", "value of the latest event that has one"),
    Definition("any_count_{days}d", "volume", "any", "all", "qualifying events in the window"),
    Definition("any_active_days_{days}d", "volume", "any", "all", "active days in the window: days with a qualifying event"),
    Definition("any_trend_{days}d", "volume", "any", "doubled", "as the trend of a signal, of qualifying events"),
    Definition("days_since_any", "recency", "any", "none", "days from the latest qualifying event to as_of; NaN without one"),
    Definition("tenure_days", "tenure", "any", "none", "days from joining to as_of, at least 0, not cut by the lookback"),
    Definition("any_per_week", "volume", "any", "none", "7 x qualifying events in the lookback / seen days"),
    Definition("silent_share_of_tenure", "recency", "any", "none", "days_since_any / seen days"),
    Definition("first_seen_days", "tenure", "any", "none", "days from the first qualifying event in the lookback to as_of"),
    Definition("gap_mean", "rhythm", "any", "none", "mean gap; NaN with fewer than two active days"),
    Definition("gap_sd", "rhythm", "any", "none", "standard deviation of the gaps, divided by their number; 0 for one gap"),
    Definition("gap_max", "rhythm", "any", "none", "longest gap"),
    Definition("gap_now_to_usual", "rhythm", "any", "none", "days_since_any / gap_mean"),
    Definition("gap_now_z", "rhythm", "any", "none", "(days_since_any - gap_mean) / (gap_sd + 1)"),
    Definition("regularity", "rhythm", "any", "none", "gap_mean / (gap_mean + gap_sd): 1 for even gaps"),
    Definition("active_weeks", "rhythm", "any", "none", "weeks with a qualifying event in the lookback"),
    Definition("active_weeks_share", "rhythm", "any", "none", "active_weeks / seen weeks, the last begun one counted whole"),
    Definition("week_streak", "rhythm", "any", "none", "active weeks without a break, the week up to as_of first; 0 if that one is silent"),
    Definition("signals_used_{days}d", "variety", "any", "all", "qualifying signals with an event in the window"),
    Definition("signal_entropy", "variety", "any", "none", "entropy in nats of the mix of qualifying signals in the lookback"),
    Definition(
        "night_share", "timing", "any", "none", "qualifying events from 0:00 to 6:00 by the community's clock as it stands at as_of"
    ),
    Definition("morning_share", "timing", "any", "none", "the same from 6:00 to 12:00"),
    Definition("afternoon_share", "timing", "any", "none", "the same from 12:00 to 18:00"),
    Definition("evening_share", "timing", "any", "none", "the same from 18:00 to 24:00"),
    Definition("weekend_share", "timing", "any", "none", "the same on Saturday and Sunday"),
    Definition("touches_answered", "response", "touch", "none", "touches at least 72 h old with a qualifying event after them within 72 h"),
    Definition("touches_answered_share", "response", "touch", "none", "touches_answered / touches at least 72 h old"),
)


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
        uses = self.uses
        return Layout(
            windows=self.windows,
            qualifying=np.array([use.qualifying for use in uses]),
            valued=np.array([use.valued for use in uses]),
            touch=len(self.signals) if self.touches else None,
            timezone=self.timezone,
        )

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns, in the order in which the kernel writes them; raises ValueError where two would have one name."""
        features = tuple(_declare(self))
        name, times = Counter(feature.name for feature in features).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{times} features are named {name!r}; rename the signal: {ANY!r} and {TOUCH!r} are taken")
        return features

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fingerprint(self) -> str:
        """Of the definitions and of the kernel's version: it changes with anything that could change a value."""
        content = {"spec": asdict(self), "names": self.names, "kernel": KERNEL_VERSION}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def uses(self) -> tuple[SignalUse, ...]:
        """The signals as `EventArrays.signal` numbers them."""
        return (*self.signals, SignalUse(TOUCH, qualifying=False, valued=False)) if self.touches else self.signals

    def position(self, name: str) -> int:
        """Column of a feature; raises ValueError for an unknown name."""
        try:
            return self._positions[name]
        except KeyError:
            raise ValueError(f"no feature is named {name!r}") from None

    def columns_of(self, name: str, signals: tuple[str, ...]) -> np.ndarray:
        """Of the feature `name`, with {} where the signal stands, one column for each of the signals; raises ValueError as above."""
        if (name, signals) not in self._columns:
            self._columns[name, signals] = np.array([self.position(name.format(signal)) for signal in signals], dtype=np.int64)
        return self._columns[name, signals]

    @cached_property
    def _columns(self) -> dict[tuple[str, tuple[str, ...]], np.ndarray]:
        return {}

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.names)}


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
    a purchase of a member who never bought). One pass over blocks of about 130,000 events; a row depends on nothing but its own
    member's events, so any grouping of members gives the same row bit for bit.
    """
    start, end = _cut(events, snapshots, spec.lookback_days)
    matrix = np.empty((len(snapshots), len(spec.features)), dtype=np.float32)

    def fill(bounds: tuple[int, int]) -> None:
        rows = slice(*bounds)
        block = Block.of(events, start[rows], end[rows], snapshots.as_of_us[rows], snapshots.joined_us[rows])
        block_features(block, spec.layout, matrix[rows])

    blocks = _blocks(end - start)
    if len(blocks) > 1:
        _keep_freed_memory()
    if threads == 1 or len(blocks) <= 1:
        for bounds in blocks:
            fill(bounds)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, blocks))
    return matrix


def _declare(spec: FeatureSpec) -> list[Feature]:
    uses = spec.uses
    signals: dict[str, list[str]] = {
        "each": [use.name for use in uses],
        "valued": [use.name for use in uses if use.valued],
        "any": [ANY],
        "touch": [TOUCH] if spec.touches else [],
    }
    windows: dict[str, tuple[int | None, ...]] = {"none": (None,), "all": spec.windows, "doubled": spec.layout.trend_days}
    return [
        Feature(line.name.format(signal=signal, days=days), line.family, signal, days)
        for line in DEFINITIONS
        for signal in signals[line.over]
        for days in windows[line.windows]
    ]


def _keep_freed_memory() -> None:
    """Make glibc keep what one block frees for the next; without it every block takes its pages from the system anew.

    It keeps up to twice the size of the largest array freed so far (mallopt(3), M_MMAP_THRESHOLD). That saves a fifth of the time
    and changes nothing elsewhere.
    """
    np.empty(3 << 20)


def _cut(events: EventArrays, snapshots: Snapshots, lookback_days: int) -> tuple[np.ndarray, np.ndarray]:
    """First event in the lookback and first event at or after `as_of`, as positions in the flat arrays, for each snapshot."""
    low, high = events.offsets[snapshots.member], events.offsets[snapshots.member + 1]
    start = lower_bound(events.timestamp_us, low, high, snapshots.as_of_us - lookback_days * DAY_US)
    return start, lower_bound(events.timestamp_us, start, high, snapshots.as_of_us)


def lower_bound(values: np.ndarray, low: np.ndarray, high: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For each row the first position in `[low, high)` with `values[position] >= target`, else `high`.

    A binary search for all rows at once, or for few one by one; `values` must rise within each `[low, high)`.
    """
    if len(low) <= FEW_ROWS:
        each = zip(low.tolist(), high.tolist(), target.tolist(), strict=True)
        return np.array([begin + values[begin:end].searchsorted(at) for begin, end, at in each], dtype=low.dtype)
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
    if n <= 1:
        return [(0, n)] * n
    weight = np.cumsum(lengths + 16) // BLOCK_EVENTS
    edges = [0, *(np.flatnonzero(np.diff(weight)) + 1).tolist(), n]
    return list(pairwise(edges))

"""Small logs as flat arrays, and the hypothesis strategies that make them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from models.events import NEVER_US, EventArrays
from models.features import FeatureSpec, SignalUse
from models.snapshots import Snapshots
from tests.feature_reference import DAY, Event

NOON = 20_000 * DAY + DAY // 2
SPEC = FeatureSpec(
    signals=(
        SignalUse("post", qualifying=True, valued=False),
        SignalUse("buy", qualifying=True, valued=True),
        SignalUse("read", qualifying=False, valued=False),
        SignalUse("rate", qualifying=False, valued=True),
    ),
    windows_days=(1, 2, 7, 14),
    lookback_days=28,
    timezone="UTC",
    touches=True,
)


@dataclass(frozen=True)
class World:
    """`members`: the events of each, in the order of the log; one joining time each."""

    spec: FeatureSpec
    members: list[list[Event]]
    joined: list[int]

    def arrays(self) -> EventArrays:
        code = {use.name: position for position, use in enumerate(self.spec.uses)}
        flat = [event for events in self.members for event in events]
        return EventArrays(
            offsets=np.cumsum([0, *map(len, self.members)]),
            timestamp_us=np.array([event.at for event in flat], dtype=np.int64),
            signal=np.array([code[event.signal] for event in flat], dtype=np.uint8),
            value=np.array([event.value for event in flat], dtype=np.float64),
            joined_us=np.array(self.joined, dtype=np.int64),
            contract_end_us=np.full(len(self.members), NEVER_US),
        )

    def snapshots(self, rows: list[tuple[int, int]]) -> Snapshots:
        """One row for each (member, as_of)."""
        member = np.array([row[0] for row in rows], dtype=np.int64)
        return Snapshots(member, np.array([row[1] for row in rows], dtype=np.int64), self.arrays().joined_us[member])

    def before(self, as_of: int) -> World:
        return replace(self, members=[[event for event in events if event.at < as_of] for events in self.members])


def in_log_order(events: list[Event]) -> list[Event]:
    """By time; among equal times touches last, as `event_arrays` puts them."""
    return sorted(events, key=lambda event: (event.at, event.signal == "touch"))


# Times sit on the edges of days, windows and the lookback, a microsecond beside them, or anywhere.
_OFFSETS = st.one_of(
    st.builds(
        lambda days, hours, beside: days * DAY + hours * DAY // 24 + beside,
        st.integers(-2, 30),
        st.sampled_from([0, 6, 12]),
        st.integers(-1, 1),
    ),
    st.integers(-2 * DAY, 30 * DAY),
)
_VALUES = st.one_of(st.just(float("nan")), st.integers(-500, 5000).map(lambda cents: cents / 100))


@st.composite
def worlds(draw: st.DrawFn, *, zones: tuple[str, ...] = ("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu")) -> World:
    spec = replace(SPEC, timezone=draw(st.sampled_from(zones)), touches=draw(st.booleans()))
    event = st.builds(
        lambda ago, signal, value: Event(NOON - ago, signal, value), _OFFSETS, st.sampled_from([use.name for use in spec.uses]), _VALUES
    )
    members = draw(st.lists(st.lists(event, max_size=12).map(in_log_order), min_size=1, max_size=5))
    joined = draw(st.lists(_OFFSETS.map(lambda ago: NOON - ago), min_size=len(members), max_size=len(members)))
    return World(spec, members, joined)


def as_ofs() -> st.SearchStrategy[int]:
    return st.sampled_from([NOON, NOON - DAY, NOON - DAY // 4, NOON - 3 * DAY + 1])

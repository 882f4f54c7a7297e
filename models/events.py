"""The canonical event log: one sorted table, its members, and the flat arrays that the features are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.errors import UnknownMember

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from models.community import Community

NEVER_US = np.iinfo(np.int64).max
EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE = "events.parquet", "members.parquet", "touches.parquet"


@dataclass(frozen=True)
class EventLog:
    """Accepted rows only, after validation.

    events: `member` (UInt32, row of `members`), `timestamp` (Datetime us UTC), `type` (Categorical), `value` (Float64, null where the
    row has none), `channel` (String), `event_id` (String, null where the log names none); sorted by member, then timestamp.
    members: `member_id` (String, unique, sorted), `joined` (Datetime us UTC: the declared date, else the first event), further columns
    are attributes fixed at joining.
    touches: `member`, `timestamp`, `intervention` (`none` included), `channel`, `delivered` (Boolean), one Float64 column
    `propensity_<intervention>` for each logged arm; sorted as events; None where no touches are declared.
    """

    events: pl.DataFrame
    members: pl.DataFrame
    touches: pl.DataFrame | None = None

    @property
    def first(self) -> datetime:
        return self.events["timestamp"].min()  # type: ignore[return-value]  # polars types a minimum as any literal

    @property
    def last(self) -> datetime:
        return self.events["timestamp"].max()  # type: ignore[return-value]  # as above

    def code_of(self, member_id: str) -> int:
        """Row of a member in `members`; raises UnknownMember."""
        code = self.members["member_id"].index_of(member_id)
        if code is None:
            message = f'member "{member_id}" is not in the log, which has {self.members.height:,} members; ids are case-sensitive'
            raise UnknownMember(message)
        return code

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events.write_parquet(folder / EVENTS_FILE, row_group_size=1 << 20)
        self.members.write_parquet(folder / MEMBERS_FILE)
        if self.touches is not None:
            self.touches.write_parquet(folder / TOUCHES_FILE)

    @classmethod
    def read(cls, folder: Path) -> EventLog:
        touches = folder / TOUCHES_FILE
        return cls(
            pl.read_parquet(folder / EVENTS_FILE),
            pl.read_parquet(folder / MEMBERS_FILE),
            pl.read_parquet(touches) if touches.exists() else None,
        )


@dataclass(frozen=True)
class EventArrays:
    """Flat arrays grouped by member, time rising within each.

    offsets (n_members + 1,) int64; timestamp_us (n_events,) int64, microseconds since 1970 UTC; signal (n_events,) uint8, position in the
    community's signals, with delivered touches as one signal more; value (n_events,) float64, NaN where a row has none;
    joined_us (n_members,) int64; contract_end_us (n_members,) int64, NEVER_US for those whose contract has not ended.
    """

    offsets: np.ndarray
    timestamp_us: np.ndarray
    signal: np.ndarray
    value: np.ndarray
    joined_us: np.ndarray
    contract_end_us: np.ndarray

    @property
    def n_members(self) -> int:
        return len(self.joined_us)

    def of_members(self, members: Sequence[int] | np.ndarray) -> EventArrays:
        """The arrays of some members alone, in the given order."""
        chosen = np.asarray(members, dtype=np.int64)
        lengths = self.offsets[chosen + 1] - self.offsets[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return EventArrays(
            offsets, self.timestamp_us[index], self.signal[index], self.value[index], self.joined_us[chosen], self.contract_end_us[chosen]
        )


def event_arrays(log: EventLog, community: Community) -> EventArrays:
    """Types that no signal names are left out; delivered touches join the events where the community declares them."""
    rows = log.events.select(
        "member", pl.col("timestamp").to_physical().alias("at"), signal=_codes(log.events["type"], community.signal_of_type), value="value"
    ).filter(pl.col("signal").is_not_null())
    if community.touches is not None and log.touches is not None:
        rows = pl.concat([rows, _touch_rows(log.touches, len(community.signals))]).sort("member", "at", maintain_order=True)
    lengths = np.bincount(rows["member"].to_numpy(), minlength=log.members.height)
    return EventArrays(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        timestamp_us=rows["at"].to_numpy(),
        signal=rows["signal"].to_numpy(),
        value=rows["value"].fill_null(np.nan).to_numpy(),
        joined_us=log.members["joined"].to_physical().to_numpy(),
        contract_end_us=_contract_ends(log, community.churn.contract_event),
    )


def _codes(types: pl.Series, signal_of_type: dict[str, int]) -> pl.Series:
    return types.cast(pl.String).replace_strict(signal_of_type, default=None, return_dtype=pl.UInt8)


def _touch_rows(touches: pl.DataFrame, code: int) -> pl.DataFrame:
    delivered = touches.filter((pl.col("intervention") != "none") & pl.col("delivered"))
    at = pl.col("timestamp").to_physical().alias("at")
    return delivered.select("member", at, signal=pl.lit(code, dtype=pl.UInt8), value=pl.lit(None, dtype=pl.Float64))


def _contract_ends(log: EventLog, contract_event: str | None) -> np.ndarray:
    ends = np.full(log.members.height, NEVER_US, dtype=np.int64)
    if contract_event is not None:
        rows = log.events.filter(pl.col("type").cast(pl.String) == contract_event).group_by("member").agg(pl.col("timestamp").min())
        ends[rows["member"].to_numpy()] = rows["timestamp"].to_physical().to_numpy()
    return ends


"""The canonical event log: one sorted table, its members, and the flat arrays that the features are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from models.attributes import declared_attributes
from models.counting import counted
from models.errors import UnknownMember
from models.features import lower_bound
from models.member_columns import rule_columns
from models.moments import microseconds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from models.community import Community

NEVER_US = np.iinfo(np.int64).max
NO_SIGNAL = 255
EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE = "events.parquet", "members.parquet", "touches.parquet"
ARRAY_COLUMNS = ("member", "timestamp", "type", "value")


@dataclass(frozen=True)
class EventLog:
    """Accepted rows only, after validation.

    events: `member` (UInt32, row of `members`), `timestamp` (Datetime us UTC), `type` (Categorical), `value` (Float64, null where the
    row has none), `channel` (String), `event_id` (String, null where the log names none); sorted by member, then timestamp.
    members: `member_id` (String, unique, sorted), `joined` (Datetime us UTC: the declared date, else the first event), further columns
    are attributes fixed at joining, and those that rules read.
    touches: `member`, `timestamp` of the assignment, `intervention` (`none` included), `channel`, `delivered` (Boolean), `response` (one of
    `sources.RESPONSES`, null where none is known), one Float64 column
    `propensity_<intervention>` for each logged arm; sorted as events; None where no touches are declared and none came through the service.
    Those that did have `decision_id`, `touched` (when it reached the member or was tried, null for: at once) and `pending` (not reported
    yet, but held). Of a declared log alone `named` is the id under which the service would know a touch, where the declaration tells.
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
            message = f'member "{member_id}" is not in the log, which has {counted(self.members.height, "member")}; ids are case-sensitive'
            raise UnknownMember(message)
        return code

    def of_range(self, begin: int, end: int) -> EventLog:
        """The members in the rows `[begin, end)` alone, as a log of their own."""

        def rest(rows: pl.DataFrame) -> pl.DataFrame:
            low, high = np.searchsorted(rows["member"].to_numpy(), np.array([begin, end], np.uint32)).tolist()
            return rows.slice(low, high - low).with_columns(pl.col("member") - pl.lit(begin, dtype=pl.UInt32))

        return EventLog(rest(self.events), self.members.slice(begin, end - begin), None if self.touches is None else rest(self.touches))

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events.write_parquet(folder / EVENTS_FILE, row_group_size=1 << 20)
        self.members.write_parquet(folder / MEMBERS_FILE)
        if self.touches is not None:
            self.touches.write_parquet(folder / TOUCHES_FILE)

    @classmethod
    def read(cls, folder: Path, *, columns: Sequence[str] | None = None) -> EventLog:
        """`columns` of the events alone where given: `ARRAY_COLUMNS` are all that `event_arrays` reads, at a third of the time."""
        touches = folder / TOUCHES_FILE
        return cls(
            pl.read_parquet(folder / EVENTS_FILE, columns=None if columns is None else list(columns)),
            pl.read_parquet(folder / MEMBERS_FILE),
            pl.read_parquet(touches) if touches.exists() else None,
        )


def profile_of(log: EventLog) -> pl.DataFrame:
    """For each type of event `type`, the number of `events`, and the times of the `first` and the `last`, rising by type."""
    at = pl.col("timestamp")
    told = log.events.group_by(pl.col("type").cast(pl.String)).agg(
        pl.len().alias("events"), at.min().alias("first"), at.max().alias("last")
    )
    return told.sort("type")


def with_events(log: EventLog, posted: pl.DataFrame | None) -> EventLog:
    """The log and events that came another way: event_id, member_id, timestamp, type, value, channel.

    Members who were unknown join with their first event; an event whose id the log has already is left out.
    """
    if posted is None or posted.is_empty():
        return log
    fresh = posted.join(log.events.select("event_id").drop_nulls(), on="event_id", how="anti")
    joined = fresh.group_by("member_id").agg(pl.col("timestamp").min().alias("joined"))
    unknown = joined.join(log.members, on="member_id", how="anti").select("member_id", pl.col("joined").cast(log.members["joined"].dtype))
    members = pl.concat([log.members, unknown], how="diagonal").sort("member_id")
    codes = members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
    moved = codes.join(log.members.with_row_index("old"), on="member_id").select("old", "member")
    events = pl.concat([_recoded(log.events, moved), fresh.join(codes, on="member_id").select(_as_events(log.events))], how="diagonal")
    touches = None if log.touches is None else _recoded(log.touches, moved).sort("member", "timestamp", maintain_order=True)
    return EventLog(events.sort("member", "timestamp", maintain_order=True), members, touches)


def retained(log: EventLog, from_us: int, always: Collection[str] = ()) -> EventLog:
    """Of the events before `from_us` the last one of each member and type alone, and those of the types that are `always` kept."""
    events = log.events.with_columns(name=pl.col("type").cast(pl.String))
    old = events.filter(pl.col("timestamp").to_physical() < from_us)
    last = old.group_by("member", "name").agg(pl.col("timestamp").max()).with_columns(last=pl.lit(value=True))
    told = events.join(last, on=["member", "name", "timestamp"], how="left", maintain_order="left")
    kept = (pl.col("timestamp").to_physical() >= from_us) | pl.col("name").is_in(list(always)) | pl.col("last").fill_null(value=False)
    return replace(log, events=told.filter(kept).drop("name", "last"))


def between(since: datetime, until: datetime) -> pl.Expr:
    """Rows of that time, `until` excluded; by whatever clock the two are told, which polars compares with none but its own."""
    return pl.col("timestamp").to_physical().is_between(microseconds(since), microseconds(until), closed="left")


def touched(touches: pl.DataFrame) -> pl.Series:
    """When each touch reached the member, as far as is known; the time of the assignment elsewhere."""
    at = touches["timestamp"]
    return touches["touched"].fill_null(at) if "touched" in touches.columns else at


def without_members(log: EventLog, member_ids: Collection[str]) -> EventLog:
    """The log as if these members had never been in it."""
    if not member_ids:
        return log
    kept = log.members.with_row_index("old").filter(~pl.col("member_id").is_in(list(member_ids)))
    moved = kept.select("old", member=pl.int_range(pl.len(), dtype=pl.UInt32))

    def rest(rows: pl.DataFrame) -> pl.DataFrame:
        return _recoded(rows.join(moved, left_on="member", right_on="old", how="semi", maintain_order="left"), moved)

    return EventLog(rest(log.events), kept.drop("old"), None if log.touches is None else rest(log.touches))


def _recoded(rows: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """`member` replaced: `moved` tells for each `old` code the new one."""
    joined = rows.join(moved.rename({"member": "new"}), left_on="member", right_on="old", how="left", maintain_order="left")
    return joined.with_columns(member=pl.col("new")).drop("new")


def _as_events(events: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name).cast(events[name].dtype) for name in events.columns]


@dataclass(frozen=True)
class EventArrays:
    """Flat arrays grouped by member, time rising within each.

    offsets (n_members + 1,) int64; timestamp_us (n_events,) int64, microseconds since 1970 UTC; signal (n_events,) uint8, position in the
    community's signals, with delivered touches as one signal more; value (n_events,) float64, NaN where a row has none;
    joined_us (n_members,) int64; contract_end_us (n_members,) int64, NEVER_US for those whose contract has not ended; attributes, of
    height n_members, the text of each declared attribute, numbers too, null where it is missing; None where none is declared;
    rule_columns the same of the columns that rules read, as far as the log has them; no model sees these.
    """

    offsets: np.ndarray
    timestamp_us: np.ndarray
    signal: np.ndarray
    value: np.ndarray
    joined_us: np.ndarray
    contract_end_us: np.ndarray
    attributes: pl.DataFrame | None = None
    rule_columns: pl.DataFrame | None = None

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
            offsets=offsets,
            timestamp_us=self.timestamp_us[index],
            signal=self.signal[index],
            value=self.value[index],
            joined_us=self.joined_us[chosen],
            contract_end_us=self.contract_end_us[chosen],
            attributes=None if self.attributes is None else self.attributes[chosen],
            rule_columns=None if self.rule_columns is None else self.rule_columns[chosen],
        )

    def since(self, from_us: int) -> EventArrays:
        """The same members with their events from a time on."""
        kept = self.timestamp_us >= from_us
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        return replace(self, offsets=offsets, timestamp_us=self.timestamp_us[kept], signal=self.signal[kept], value=self.value[kept])

    @classmethod
    def together(cls, parts: Sequence[EventArrays]) -> EventArrays:
        """The members of all parts, of which there is one at least, one after the other."""
        begins = np.cumsum([0, *(part.offsets[-1] for part in parts)])
        shifted = [part.offsets[1:] + begin for part, begin in zip(parts, begins, strict=False)]

        def of_all(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        attributes = [part.attributes for part in parts if part.attributes is not None]
        columns = [part.rule_columns for part in parts if part.rule_columns is not None]
        return cls(
            offsets=np.concatenate([[0], *shifted]),
            timestamp_us=of_all("timestamp_us"),
            signal=of_all("signal"),
            value=of_all("value"),
            joined_us=of_all("joined_us"),
            contract_end_us=of_all("contract_end_us"),
            attributes=pl.concat(attributes) if attributes else None,
            rule_columns=pl.concat(columns) if columns else None,
        )


def event_arrays(log: EventLog, community: Community) -> EventArrays:
    """Types that no signal names are left out; delivered touches join the events, after those of the same instant, where declared."""
    n = log.members.height
    events = log.events.select("member", "timestamp", "value", signal=_codes(log.events["type"], community.signal_of_type))
    if (events["signal"] == NO_SIGNAL).any():
        events = events.filter(pl.col("signal") != NO_SIGNAL)
    arrays = EventArrays(
        offsets=np.searchsorted(events["member"].to_numpy(), np.arange(n + 1, dtype=np.uint32)),
        timestamp_us=events["timestamp"].to_physical().to_numpy(),
        signal=events["signal"].to_numpy(),
        value=events["value"].fill_null(np.nan).to_numpy(),
        joined_us=log.members["joined"].to_physical().to_numpy(),
        contract_end_us=_contract_ends(log, community.churn.contract_event),
        attributes=_texts(log.members, declared_attributes(community)),
        rule_columns=_texts(log.members, tuple(name for name in rule_columns(community) if name in log.members.columns)),
    )
    if community.touches is None or log.touches is None:
        return arrays
    return _with_touches(arrays, log.touches, len(community.signals))


def _texts(members: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame | None:
    return members.select(pl.col(*names).cast(pl.String)) if names else None


def _codes(types: pl.Series, signal_of_type: dict[str, int]) -> pl.Series:
    """UInt8 position of each row's signal, `NO_SIGNAL` for types that none names: one look-up for each category, none for each row."""
    names = cast("pl.Categorical", types.dtype).categories.to_series()
    lookup = pl.Series([signal_of_type.get(name, NO_SIGNAL) for name in names], dtype=pl.UInt8)
    return lookup.gather(types.to_physical())


def _with_touches(arrays: EventArrays, touches: pl.DataFrame, code: int) -> EventArrays:
    delivered = touches.with_columns(touched(touches).alias("at")).filter((pl.col("intervention") != "none") & pl.col("delivered"))
    delivered = delivered.sort("member", "at", maintain_order=True)
    member, at = delivered["member"].to_numpy(), delivered["at"].to_physical().to_numpy()
    place = lower_bound(arrays.timestamp_us, arrays.offsets[member], arrays.offsets[member + np.uint32(1)], at + 1)
    before = np.searchsorted(member, np.arange(arrays.n_members + 1, dtype=np.uint32))
    return replace(
        arrays,
        offsets=arrays.offsets + before,
        timestamp_us=np.insert(arrays.timestamp_us, place, at),
        signal=np.insert(arrays.signal, place, code),
        value=np.insert(arrays.value, place, np.nan),
    )


def _contract_ends(log: EventLog, contract_event: str | None) -> np.ndarray:
    ends = np.full(log.members.height, NEVER_US, dtype=np.int64)
    if contract_event is not None:
        of_type = _codes(log.events["type"], {contract_event: 0}) == 0
        rows = log.events.filter(of_type).group_by("member").agg(pl.col("timestamp").min())
        ends[rows["member"].to_numpy()] = rows["timestamp"].to_physical().to_numpy()
    return ends

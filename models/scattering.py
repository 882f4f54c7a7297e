"""Events sorted into parts of the members, so that no more than a part of a log has to be in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.census import Span
from models.events import NEVER_US
from models.kept_log import KeptPieces, part_name
from models.moments import microseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Integers
    from models.kept_log import KeptLog
    from models.shelves import Shelf

Advance = Callable[[str, int, int], None]
"""Told of what is done, how many parts of it are over, and how many there are."""

PART_EVENTS, PART_MEMBERS = 2_000_000, 20_000
"""A part is closed when it holds so many of either; one member's events always lie in one part."""


class Ranges(NamedTuple):
    """ids: those who may have events, sorted; ends (n_parts,): part p holds the ids from `ends[p - 1]`, or 0, up to `ends[p]`."""

    ids: pl.Series
    ends: Integers

    @classmethod
    def of(cls, counted: pl.DataFrame) -> Self:
        """counted: `member_id`, each once, and `events`."""
        ordered = counted.sort("member_id")
        return cls(ordered["member_id"], part_ends(ordered["events"].to_numpy()))

    @classmethod
    def of_rows(cls, rows: pl.DataFrame) -> Self:
        """Of all `member_id` in a table of events."""
        return cls.of(rows.group_by("member_id").agg(events=pl.len()))


def part_ends(events: Integers) -> Integers:
    """Where parts end if each is filled until it has so many events or so many members; events (n,): of each member."""
    total, ends, begin = np.cumsum(events), [], 0
    while begin < len(events):
        before = total[begin - 1] if begin else 0
        full = int(np.searchsorted(total, before + PART_EVENTS, side="right"))
        begin = min(max(full, begin + 1), begin + PART_MEMBERS, len(events))
        ends.append(begin)
    return np.array(ends or [0], dtype=np.int64)


@dataclass
class Scattered:
    """What was added so far; rows keep their order within a part. first_us: of each id's first event, NEVER_US where it has none."""

    ranges: Ranges
    shelf: Shelf
    events: int = 0
    last_us: int = -NEVER_US
    first_us: Integers = field(init=False)
    pieces: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.first_us = np.full(len(self.ranges.ids), NEVER_US)
        self.pieces = [[] for _ in self.ranges.ends]
        self._ids = pl.Enum(self.ranges.ids)
        self._part_of = np.repeat(np.arange(len(self.ranges.ends)), np.diff(self.ranges.ends, prepend=0)).astype(np.uint16)

    def add(self, rows: pl.DataFrame) -> None:
        """Events with `member_id`, as `read_events` gives them."""
        code = rows["member_id"].cast(self._ids).to_physical().cast(pl.UInt32).alias("code")
        coded = rows.drop("member_id").insert_column(0, code)
        if coded.is_empty():
            return
        self.last_us = max(self.last_us, int(coded["timestamp"].to_physical().to_numpy().max()))
        first = coded.group_by("code").agg(pl.col("timestamp").min().to_physical())
        at = first["code"].to_numpy()
        self.first_us[at] = np.minimum(self.first_us[at], first["timestamp"].to_numpy())
        self.events += rows.height
        if len(self.pieces) == 1:
            self._put(0, coded)
            return
        part = pl.Series("part", self._part_of[code.to_numpy()])
        for (number,), piece in coded.with_columns(part).partition_by("part", as_dict=True, include_key=False).items():
            self._put(int(number), piece)

    @property
    def span(self) -> Span:
        """One event at least was added."""
        first, last = (pl.Series([at]).cast(pl.Datetime("us", "UTC"))[0] for at in (self.first_us.min(), self.last_us))
        return Span(first, last)

    def first_events(self) -> pl.DataFrame:
        """`member_id` and `first`, of those who have events."""
        there = np.flatnonzero(self.first_us != NEVER_US)
        first = pl.Series(self.first_us[there]).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame({"member_id": self.ranges.ids.gather(there), "first": first})

    def rows(self, part: int) -> pl.DataFrame:
        """`code`, the position in `ids`, and the other columns; raises IndexError for a part that is not there."""
        return pl.concat([self.shelf.get(name) for name in self.pieces[part]]) if self.pieces[part] else NOTHING

    def _put(self, part: int, piece: pl.DataFrame) -> None:
        name = f"piece-{part:05d}-{len(self.pieces[part]):05d}"
        self.shelf.put(name, piece)
        self.pieces[part].append(name)


NOTHING = pl.DataFrame(
    schema={
        "code": pl.UInt32,
        "timestamp": pl.Datetime("us", "UTC"),
        "type": pl.String,
        "value": pl.Float64,
        "channel": pl.String,
        "event_id": pl.String,
    }
)


def sought(ids: pl.Series, texts: pl.Series) -> Integers:
    """Of each text the first position in the sorted `ids` that is not before it."""
    return np.array([ids.search_sorted(text, side="left") for text in texts], dtype=np.int64)


def resumed(kept: KeptLog, added: Sequence[pl.DataFrame], shelf: Shelf) -> Scattered:
    """As if all events of a kept log had been added; parts go on where theirs did, with the members of tables that are to be added."""
    before = kept.members["member_id"]
    ids = pl.concat([before, *(rows["member_id"] for rows in added)]).unique().sort()
    ends = np.append(sought(ids, before.gather(np.array(kept.ends[:-1], np.int64))), len(ids))
    place = before.cast(pl.Enum(ids)).to_physical().cast(pl.UInt32)
    scattered = Scattered(Ranges(ids, ends), KeptPieces(kept, place, shelf))
    first = kept.first_events
    scattered.first_us[first["member_id"].cast(pl.Enum(ids)).to_physical().to_numpy()] = first["first"].to_physical().to_numpy()
    scattered.last_us, scattered.events = microseconds(kept.last), kept.events
    scattered.pieces = [[part_name(part)] for part in range(len(kept.ends))]
    return scattered


CONTENT = ("member_id", "timestamp", "type", "value", "channel")


def new_rows(scattered: Scattered, rows: pl.DataFrame) -> pl.DataFrame:
    """Those of a file that are not there yet: by their id, else as the n-th of those of the same content in their file."""
    known, held = [], []
    ids, members = rows["event_id"].drop_nulls().implode(), rows.filter(pl.col("event_id").is_null())["member_id"].unique()
    codes = members.cast(pl.Enum(scattered.ranges.ids)).to_physical().cast(pl.UInt32)
    for part in range(len(scattered.pieces)):
        there = scattered.rows(part)
        known.append(there["event_id"].filter(there["event_id"].is_in(ids)))
        nameless = there.filter(pl.col("event_id").is_null() & pl.col("code").is_in(codes.implode()))
        held.append(nameless.with_columns(member_id=scattered.ranges.ids.gather(nameless["code"])).select(CONTENT))
    return not_among(pl.concat(held), pl.concat(known), rows)


def not_among(held: pl.DataFrame, known: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    """As `new_rows`; held: the content of events without an id that are there, known: ids that are."""
    rows = rows.filter(pl.col("event_id").is_null() | pl.col("event_id").is_first_distinct())
    named = rows.filter(pl.col("event_id").is_not_null() & ~pl.col("event_id").is_in(known.implode()))
    nth = pl.int_range(pl.len()).over(CONTENT).alias("nth")
    nameless = rows.filter(pl.col("event_id").is_null()).with_columns(nth)
    fresh = nameless.join(held.select(CONTENT).with_columns(nth), on=[*CONTENT, "nth"], how="anti", nulls_equal=True, maintain_order="left")
    return pl.concat([named, fresh.drop("nth")])


def silent(what: str, over: int, of: int) -> None:
    """Nobody is told."""

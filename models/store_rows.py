"""Rows of the store: made from a log, and turned back into the flat arrays of the features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.attributes import attributes_to_json
from models.events import EventArrays, EventLog
from models.interventions import ContactHistory
from models.logged_chances import PREFIX, logged_columns
from models.quotas import NOTHING_USED_UP, UsedUp
from models.reports import OutcomeReport, Touch

ClaimState = Literal["new", "in_flight", "answered", "other_body"]
Fate = Literal["accepted", "duplicate", "reused", "erased"]
"""Of an event that came: `reused` where its id was that of another before, `erased` where its member was erased."""

_SEPARATOR = "\x1f"
NO_TRACE = "{}"
"""The body of a decision whose trace has left the store."""


@dataclass(frozen=True)
class LoggedEvent:
    """One event that came through the service. `event_id` None: the content is its identity, so that a repetition is the same event."""

    member_id: str
    timestamp_us: int
    type: str
    event_id: str | None = None
    value: float | None = None
    channel: str | None = None

    @property
    def identity(self) -> str:
        return self.event_id or content_id(*self.content, 0)

    @property
    def content(self) -> tuple[str, int, str, float | None]:
        """What two events of one id have in common."""
        return self.member_id, self.timestamp_us, self.type, self.value


@dataclass(frozen=True)
class Loaded:
    """Rows that were not there before."""

    events: int
    members: int
    touches: int


@dataclass(frozen=True)
class Past:
    """What the store knows of some members before `as_of`, in the order in which they were asked for.

    contacts_seen (n_members,): how many contacts had been reserved when this was read; attributes (n_members,): JSON, None where none are
    declared; event_key: of the event that had arrived last, whoever's it was.
    """

    events: EventArrays
    contacts: ContactHistory
    contacts_seen: tuple[int, ...]
    attributes: tuple[str | None, ...] = ()
    event_key: int = 0


@dataclass(frozen=True)
class Then:
    """What the store knew of one member at another time: events that had arrived up to `event_key`, and what may have changed since."""

    event_key: int
    joined_us: int
    attributes: str | None
    touched_us: tuple[int, ...]


@dataclass(frozen=True)
class DecisionRow:
    """A decision to be kept, where it contacts the member, or the member `rests` after it, provided that `contacts_seen` is still true.

    It costs `cost` and gives its place back at `expires_us`, if any; `used_up` is what it was decided with; `propensities` are JSON, by
    candidate. `risk_band` is None for a member without a score; `drawn_us` is `created_us` where chance was in play, else None.
    """

    decision_id: str
    member_id: str
    created_us: int
    model_version: str
    chosen: str
    channel: str | None
    contacts_seen: int
    body: str
    cost: float = 0.0
    expires_us: int | None = None
    used_up: UsedUp = NOTHING_USED_UP
    propensities: str | None = None
    basis: str | None = None
    risk_band: str | None = None
    drawn_us: int | None = None
    rests: bool = False

    @property
    def touches(self) -> bool:
        return self.chosen != NO_ACTION


@dataclass(frozen=True)
class Retention:
    """Of events before `from_us` the last one of each member and type is kept, and all of the types that are `always` kept."""

    from_us: int
    always: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A decision as it was kept; `basis` is None where it was not decided by the service.

    Without a trace nothing of it is told but who was assigned what, which training reads.
    """

    decision_id: str
    member_id: str
    created_us: int
    model_version: str
    body: str
    basis: str | None

    @property
    def has_trace(self) -> bool:
        return self.body != NO_TRACE


@dataclass(frozen=True)
class DecisionQuery:
    """Those that have their trace, from `since_us` (inclusive) to `until_us` (exclusive).

    `after` is where the page before ended: its last time and id.
    """

    limit: int
    member_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    after: tuple[int, str] | None = None

    def longer(self) -> DecisionQuery:
        """By one row, which tells whether there are more."""
        return DecisionQuery(self.limit + 1, self.member_id, self.since_us, self.until_us, self.after)


@dataclass(frozen=True)
class Reported:
    """What was reported of decisions."""

    touches: list[Touch]
    outcomes: list[OutcomeReport]


@dataclass(frozen=True)
class Claim:
    """`answer` is the stored text where the state is `answered`."""

    state: ClaimState
    answer: str | None = None


@dataclass(frozen=True)
class Answer:
    """The text that a repeated request gets, by the attempt that claimed it at `claimed_us`, and the member whom it tells of."""

    key_id: str
    request_id: str
    claimed_us: int
    answer: str
    member_id: str | None = None


@dataclass(frozen=True)
class KeyRow:
    """`expires_us`: from then on it is not valid; None for one that holds until it is revoked."""

    key_id: str
    name: str
    scopes: str
    salt: str
    digest: str
    created_us: int
    expires_us: int | None = None


@dataclass(frozen=True)
class PlanRow:
    """A plan that is put in force; `body` is the JSON of a PlanInForce, or None to have none from then on."""

    plan_id: str
    activated_us: int
    body: str | None


class Arrived(NamedTuple):
    """An event as it is kept."""

    event_id: str
    member_id: str
    timestamp_us: int
    type: str
    value: float | None


class SignalRow(NamedTuple):
    """row: position of the member; signal: position in the community's signals; value NaN where there is none."""

    row: int
    at_us: int
    signal: int
    value: float


def content_id(*content: object) -> str:
    """The same 32 hexadecimal digits for the same content on every machine."""
    return hashlib.blake2b(_SEPARATOR.join(map(str, content)).encode(), digest_size=16).hexdigest()


def member_rows(log: EventLog, chunk: int) -> Iterator[list[dict[str, Any]]]:
    """Chunks of member_id, joined_us, attributes (JSON, null where the log has none) and source."""
    texts = log.members.drop("member_id", "joined")
    frame = log.members.select(
        "member_id",
        pl.col("joined").to_physical().alias("joined_us"),
        pl.Series("attributes", attributes_to_json(texts) if texts.width else [None] * log.members.height, dtype=pl.String),
        pl.lit("log").alias("source"),
    )
    for part in frame.iter_slices(chunk):
        yield part.to_dicts()


def event_rows(log: EventLog, chunk: int) -> Iterator[list[tuple[Any, ...]]]:
    """Chunks of (event_id, member_id, timestamp_us, type, value, channel, source), in the order of the log."""
    content = ("member_id", "timestamp_us", "type", "value")
    frame = log.events.select(
        "event_id",
        log.members["member_id"].gather(log.events["member"]),
        pl.col("timestamp").to_physical().alias("timestamp_us"),
        pl.col("type").cast(pl.String),
        "value",
        pl.col("channel").cast(pl.String),
        pl.lit("log").alias("source"),
    )
    for part in _with_identity(frame, "event_id", content).iter_slices(chunk):
        yield part.rows()


def touch_rows(log: EventLog, chunk: int) -> Iterator[list[tuple[Any, ...]]]:
    """Chunks of (touch_id, member_id, at_us, channel, intervention_id, state, response, named); none for a log without touches."""
    if log.touches is None:
        return
    sent = log.touches.filter(pl.col("intervention").cast(pl.String) != NO_ACTION)
    frame = sent.select(
        pl.lit(None, dtype=pl.String).alias("touch_id"),
        log.members["member_id"].gather(sent["member"]),
        pl.col("timestamp").to_physical().alias("at_us"),
        pl.col("channel").cast(pl.String),
        pl.col("intervention").cast(pl.String).alias("intervention_id"),
        pl.when("delivered").then(pl.lit("delivered")).otherwise(pl.lit("undelivered")).alias("state"),
        pl.col("response") if "response" in sent.columns else pl.lit(None, dtype=pl.String).alias("response"),
        _named(sent),
    )
    for part in _with_identity(frame, "touch_id", ("member_id", "at_us", "intervention_id", "channel")).iter_slices(chunk):
        yield part.rows()


def assignment_rows(log: EventLog) -> pl.DataFrame:
    """Of the touches that have any logged chance: assignment_id, member_id, at_us, intervention_id, propensities (JSON, by arm), named."""
    logged = [] if log.touches is None else logged_columns(log.touches)
    if log.touches is None or not logged:
        return pl.DataFrame(schema={"assignment_id": pl.String})
    told = log.touches.filter(pl.any_horizontal(pl.col(logged).is_not_null()))
    chances = pl.struct(pl.col(name).alias(name.removeprefix(PREFIX)) for name in logged)
    frame = told.select(
        pl.lit(None, dtype=pl.String).alias("assignment_id"),
        log.members["member_id"].gather(told["member"]),
        pl.col("timestamp").to_physical().alias("at_us"),
        pl.col("intervention").cast(pl.String).alias("intervention_id"),
        chances.struct.json_encode().alias("propensities"),
        _named(told),
    )
    return _with_identity(frame, "assignment_id", ("member_id", "at_us", "intervention_id", "propensities", "named"))


def _named(touches: pl.DataFrame) -> pl.Expr:
    return pl.col("named") if "named" in touches.columns else pl.lit(None, dtype=pl.String).alias("named")


def _with_identity(frame: pl.DataFrame, name: str, content: Sequence[str]) -> pl.DataFrame:
    """Fills missing ids from the content and the number of equal rows before."""
    missing = frame.filter(pl.col(name).is_null()) if frame[name].null_count() else frame.clear()
    if missing.is_empty():
        return frame
    count = missing.select(*content, pl.int_range(pl.len()).over(content).alias("count"))
    made = pl.Series(name, [content_id(*row) for row in count.iter_rows()], dtype=pl.String)
    position = frame[name].is_null().arg_true()
    return frame.with_columns(frame[name].scatter(position, made))


def signal_rows(rows: Iterable[tuple[Any, ...]], row_of: Mapping[str, int], signal_of_type: Mapping[str, int]) -> list[SignalRow]:
    """(member_id, timestamp_us, type, value) whose type some signal names; the others are left out."""
    return [
        SignalRow(row_of[member_id], at_us, signal_of_type[kind], np.nan if value is None else value)
        for member_id, at_us, kind, value in rows
        if kind in signal_of_type
    ]

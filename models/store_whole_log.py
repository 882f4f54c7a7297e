"""All members at once, their events as one log and what was assigned to them: what figures of the whole community are read from."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Self

import polars as pl
from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, delete, func, select

from models import store_privacy as privacy
from models import store_schema as schema
from models.actions import NO_ACTION
from models.attributes import attributes_from_json
from models.declared_assignments import DECLARED_COLUMNS, NOTHING_DECLARED, DeclaredAssignments
from models.events import EventLog
from models.logged_chances import told_chances
from models.member_columns import kept_columns
from models.store_elements import OneOf
from models.store_prepared import Prepared
from models.store_rows import assignment_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from models.community import Community

AT_ONCE = 100_000
"""Rows that are held as Python objects."""

MOMENT = pl.Datetime("us", "UTC")
EVENT_COLUMNS = {
    "member_id": pl.String,
    "timestamp": pl.Int64,
    "type": pl.String,
    "value": pl.Float64,
    "channel": pl.String,
    "event_id": pl.String,
}

STATE = "declared_assignments"
LOADED_AT_ONCE, DELETED_AT_ONCE = 50_000, 1_000
TOLD_COLUMNS = {**DECLARED_COLUMNS, "timestamp": pl.Int64}
NAMES = ("assignment_id", "member_id", "at_us", "intervention_id", "propensities", "named")

assigned = Table(
    "declared_assignments",
    schema.metadata,
    Column("assignment_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("intervention_id", Text, nullable=False, comment="none included"),
    Column("propensities", Text, nullable=False, comment="of every arm by its id, none included, JSON"),
    Column("named", Text, comment="as of touches"),
    Index("declared_of_member", "member_id"),
)
HELD = Prepared(select(assigned.c.assignment_id).where(OneOf(assigned.c.member_id, "member_ids")))


class DeclaredState(NamedTuple):
    """`mark`: another one as soon as the rows are others; `unlogged`: declared touches without any chance, by intervention."""

    mark: str
    unlogged: Mapping[str, int]

    @classmethod
    def of(cls, connection: Connection) -> Self | None:
        """None before a log was loaded by a release that keeps them."""
        held = privacy.setting(connection, STATE)
        return None if held is None else cls(**json.loads(held))

    def note(self, connection: Connection) -> None:
        privacy.note(connection, STATE, json.dumps(self._asdict()))


class Brought(NamedTuple):
    """What loading a part of a log did: whether any row is new or gone, and its touches without any chance, by intervention."""

    changed: bool
    unlogged: Counter[str]


class WholeLogStore(schema.Transactions):
    """The store's part that tells of all members together."""

    def whole_log(self, community: Community) -> EventLog:
        """As the log that was loaded, with what came through the service since; without touches."""
        with self._reading() as connection:
            members = _members(connection, kept_columns(community))
            return EventLog(_events(connection, members), members)

    def log_mark(self) -> str:
        """Another one as soon as an event, a member, a decision, an erasure, a member's wish or other declared assignments have come."""
        counted = (
            select(func.max(schema.events.c.event_key)),
            select(func.count()).select_from(schema.members),
            select(func.count()).select_from(schema.decisions),
            select(func.count()).select_from(privacy.erasures),
            select(func.count(schema.members.c.preferences)),
        )
        with self._reading() as connection:
            declared = DeclaredState.of(connection)
            counts = [str(connection.scalar(query) or 0) for query in counted]
            return "-".join([*counts, "" if declared is None else declared.mark])

    def declared_assignments(self) -> DeclaredAssignments:
        table = assigned.c
        told = select(table.member_id, table.at_us, table.intervention_id, table.propensities, table.named)
        with self._reading() as connection:
            state = DeclaredState.of(connection)
            read = connection.execute(told.order_by(table.at_us, table.assignment_id).execution_options(yield_per=AT_ONCE)).partitions()
            parts = [pl.DataFrame([tuple(row) for row in rows], schema=TOLD_COLUMNS, orient="row") for rows in read]
        rows = pl.concat([NOTHING_DECLARED.rows, *(part.cast(pl.Schema(DECLARED_COLUMNS)) for part in parts)])
        return DeclaredAssignments(rows, {} if state is None else state.unlogged)


def load_declared(connection: Connection, log: EventLog) -> Brought:
    """The log says it of its members: rows that are no longer in it go."""
    there = _held(connection, log.members["member_id"].to_list())
    rows = assignment_rows(log)
    brought = set(rows["assignment_id"].to_list())
    gone, fresh = there - brought, rows.filter(~pl.col("assignment_id").is_in(list(there))) if there else rows
    _remove(connection, sorted(gone))
    for part in fresh.iter_slices(LOADED_AT_ONCE):
        schema.insert_many(connection, assigned, NAMES, part.rows())
    return Brought(bool(gone or fresh.height), _unlogged(log))


def _held(connection: Connection, member_ids: Sequence[str]) -> set[str]:
    if connection.scalar(select(assigned.c.assignment_id).limit(1)) is None:
        return set()
    chunks = (member_ids[begin : begin + LOADED_AT_ONCE] for begin in range(0, len(member_ids), LOADED_AT_ONCE))
    return {row[0] for chunk in chunks for row in HELD.rows(connection, member_ids=list(chunk))}


def _remove(connection: Connection, ids: Sequence[str]) -> None:
    for begin in range(0, len(ids), DELETED_AT_ONCE):
        connection.execute(delete(assigned).where(assigned.c.assignment_id.in_(ids[begin : begin + DELETED_AT_ONCE])))


def _unlogged(log: EventLog) -> Counter[str]:
    if log.touches is None:
        return Counter()
    silent = log.touches.filter(~pl.Series(told_chances(log.touches)))
    names = silent.select(pl.col("intervention").cast(pl.String)).filter(pl.col("intervention") != NO_ACTION)
    return Counter(dict(names.group_by("intervention").len().iter_rows()))


def keep_state(connection: Connection, brought: Collection[Brought]) -> DeclaredState:
    """Of a whole log; what is the same as before keeps its mark."""
    before, unlogged = DeclaredState.of(connection), dict(sum((part.unlogged for part in brought), Counter[str]()))
    if before is not None and before.unlogged == unlogged and not any(part.changed for part in brought):
        return before
    state = DeclaredState(secrets.token_hex(8), unlogged)
    state.note(connection)
    return state


def _members(connection: Connection, columns: Sequence[str]) -> pl.DataFrame:
    """`columns` of the members table are texts, missing where the store has none."""
    table = schema.members.c
    rows = connection.execute(select(table.member_id, table.joined_us, table.attributes)).all()
    texts = attributes_from_json([row.attributes for row in rows], columns)
    members = pl.DataFrame(
        [(row.member_id, row.joined_us) for row in rows], schema={"member_id": pl.String, "joined": pl.Int64}, orient="row"
    )
    members = members.with_columns(pl.col("joined").cast(MOMENT))
    return (members if texts is None else members.hstack(texts)).sort("member_id")


def _events(connection: Connection, members: pl.DataFrame) -> pl.DataFrame:
    table = schema.events.c
    columns = (table.member_id, table.timestamp_us, table.type, table.value, table.channel, table.event_id)
    told = connection.execute(select(*columns).order_by(table.event_key).execution_options(yield_per=AT_ONCE)).partitions()
    parts = [pl.DataFrame([tuple(row) for row in rows], schema=EVENT_COLUMNS, orient="row") for rows in told]
    codes = members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
    events = pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *parts]).join(codes, on="member_id", maintain_order="left")
    return events.select(
        "member", pl.col("timestamp").cast(MOMENT), pl.col("type").cast(pl.Categorical), "value", "channel", "event_id"
    ).sort("member", "timestamp", maintain_order=True)

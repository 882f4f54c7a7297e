"""What the store says to its database, each function within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection, Select, Table, and_, bindparam, func, or_, select, update

from models import store_privacy
from models import store_schema as schema
from models.attributes import attributes_from_json, declared_attributes
from models.community import Community
from models.errors import UnknownMember
from models.events import NEVER_US, EventArrays, EventLog
from models.member_columns import rule_columns
from models.store_rows import (
    Answer,
    Claim,
    DecisionRow,
    LoggedEvent,
    SignalRow,
    Then,
    event_rows,
    grouped_arrays,
    member_rows,
    signal_rows,
    touch_rows,
)

LEASE_US = 60_000_000
CHUNK = 50_000


def is_new_load(connection: Connection, fingerprint: str) -> bool:
    """Notes it down as loaded."""
    noted = schema.insert_new(connection, schema.loads).on_conflict_do_nothing().values(fingerprint=fingerprint)
    return connection.scalar(noted.returning(schema.loads.c.fingerprint)) is not None


def load_members(connection: Connection, log: EventLog) -> int:
    """The log is the authority on when a member joined and with which attributes; returns the number of members who are new."""
    before = connection.scalar(select(func.count()).select_from(schema.members))
    statement = schema.insert_new(connection, schema.members)
    table, given = schema.members.c, statement.excluded
    known_better = or_(table.joined_us != given.joined_us, table.attributes.is_distinct_from(given.attributes))
    statement = statement.on_conflict_do_update(
        index_elements=["member_id"],
        set_={"joined_us": given.joined_us, "attributes": given.attributes, "source": "log"},
        where=known_better,
    )
    for rows in member_rows(log, CHUNK):
        connection.execute(statement, rows)
    after = connection.scalar(select(func.count()).select_from(schema.members))
    return (after or 0) - (before or 0)


def load_events(connection: Connection, log: EventLog) -> int:
    names = ("event_id", "member_id", "timestamp_us", "type", "value", "channel", "source")
    return sum(schema.insert_many(connection, schema.events, names, rows) for rows in event_rows(log, CHUNK))


def load_touches(connection: Connection, log: EventLog) -> int:
    """Returns the number of new ones; of those that were there the state and the response are brought up to date."""
    names = ("touch_id", "member_id", "at_us", "channel", "intervention_id", "state", "response")
    table = schema.touches.c
    changed = or_(table.response.is_distinct_from(bindparam("said")), table.state != bindparam("now"))
    told = update(schema.touches).where(table.touch_id == bindparam("of"), changed)
    told = told.values(response=bindparam("said"), state=bindparam("now"))
    new = 0
    for rows in touch_rows(log, CHUNK):
        new += schema.insert_many(connection, schema.touches, names, rows)
        answered = [{"of": row[0], "now": row[5], "said": row[6]} for row in rows if row[6] is not None]
        if answered:
            connection.execute(told, answered)
    return new


def add_events(connection: Connection, rows: Sequence[LoggedEvent]) -> list[bool | None]:
    """For each row whether it is new; of two equal ones in `rows` the first is. None where the member was erased: nothing is kept."""
    if not rows:
        return []
    _add_members(connection, rows)
    erased = store_privacy.erased(connection, {row.member_id for row in rows})
    store_privacy.forget(connection, erased)
    fresh = _add_new(connection, [row for row in rows if row.member_id not in erased])
    first = {row.identity: position for position, row in reversed(list(enumerate(rows)))}
    kept = [row.identity in fresh and first[row.identity] == position for position, row in enumerate(rows)]
    return [None if row.member_id in erased else new for row, new in zip(rows, kept, strict=True)]


def _add_new(connection: Connection, rows: Sequence[LoggedEvent]) -> set[str]:
    """The identities of those that were not there."""
    unique = {row.identity: row for row in reversed(rows)}
    if not unique:
        return set()
    statement = schema.insert_new(connection, schema.events).on_conflict_do_nothing().returning(schema.events.c.event_id)
    values = [{**asdict(row), "event_id": identity, "source": "api"} for identity, row in unique.items()]
    return set(connection.scalars(statement, values))


def _add_members(connection: Connection, rows: Sequence[LoggedEvent]) -> None:
    """A member whom no log declared has joined with the earliest of its events; those who were there are held, changed or not."""
    first: dict[str, int] = {}
    for row in rows:
        first[row.member_id] = min(row.timestamp_us, first.get(row.member_id, row.timestamp_us))
    statement = schema.insert_new(connection, schema.members)
    statement = statement.on_conflict_do_update(
        index_elements=["member_id"],
        set_={"joined_us": statement.excluded.joined_us},
        where=and_(schema.members.c.source == "api", schema.members.c.joined_us > statement.excluded.joined_us),
    )
    connection.execute(statement, [{"member_id": member, "joined_us": at, "source": "api"} for member, at in sorted(first.items())])


def api_events(connection: Connection) -> pl.DataFrame:
    table = schema.events.c
    columns = [table.event_id, table.member_id, table.timestamp_us.label("timestamp"), table.type, table.value, table.channel]
    kinds = (pl.String, pl.String, pl.Int64, pl.String, pl.Float64, pl.String)
    rows = _tuples(connection, select(*columns).where(table.source == "api").order_by(table.event_key))
    frame = pl.DataFrame(rows, schema={column.name: kind for column, kind in zip(columns, kinds, strict=True)}, orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def history(
    connection: Connection, member_ids: Sequence[str], since_us: int, community: Community, added: Sequence[LoggedEvent]
) -> EventArrays:
    row_of = {member_id: row for row, member_id in enumerate(member_ids)}
    rows = _event_signals(connection, row_of, since_us, community, added, None)
    rows += _touch_signals(connection, row_of, since_us, community)
    ends = _contract_ends(connection, row_of, community, added, None)
    told = of_members(connection, member_ids, "attributes")
    return _grouped(rows, _joined(connection, member_ids), ends, told, community)


def history_then(
    connection: Connection, member_id: str, since_us: int, community: Community, added: Sequence[LoggedEvent], then: Then
) -> EventArrays:
    """Of one member, as `history` gave it when no more had arrived."""
    rows = _event_signals(connection, {member_id: 0}, since_us, community, added, then.event_key)
    rows += [SignalRow(0, at_us, len(community.signals), np.nan) for at_us in then.touched_us]
    ends = _contract_ends(connection, {member_id: 0}, community, added, then.event_key)
    return _grouped(rows, [then.joined_us], ends, [then.attributes], community)


def _grouped(
    rows: list[SignalRow], joined: Sequence[int], ends: np.ndarray, told: Sequence[str | None], community: Community
) -> EventArrays:
    attributes, for_rules = (attributes_from_json(told, names(community)) for names in (declared_attributes, rule_columns))
    return grouped_arrays(rows, joined, ends, attributes, for_rules)


def last_event_key(connection: Connection) -> int:
    """0 where there is no event yet."""
    return connection.scalar(select(func.max(schema.events.c.event_key))) or 0


def _had_arrived(query: Select[Any], arrived_by: int | None) -> Select[Any]:
    return query if arrived_by is None else query.where(schema.events.c.event_key <= arrived_by)


def _event_signals(
    connection: Connection,
    row_of: dict[str, int],
    since_us: int,
    community: Community,
    added: Sequence[LoggedEvent],
    arrived_by: int | None,
) -> list[SignalRow]:
    table = schema.events.c
    stored = (
        select(table.member_id, table.timestamp_us, table.type, table.value)
        .where(table.member_id.in_(row_of), table.timestamp_us >= since_us)
        .order_by(table.member_id, table.timestamp_us, table.event_key)
    )
    new = _not_stored(connection, added, arrived_by)
    fresh = [(row.member_id, row.timestamp_us, row.type, row.value) for row in new if row.timestamp_us >= since_us]
    rows = signal_rows([*_tuples(connection, _had_arrived(stored, arrived_by)), *fresh], row_of, community.signal_of_type)
    return rows + _last_before(connection, row_of, since_us, community, arrived_by)


def happened(
    connection: Connection, member_id: str, since_us: int, event_ids: Sequence[str], types: Sequence[str]
) -> list[tuple[str, int, str, float | None]]:
    table = schema.events.c
    meant = or_(table.event_id.in_(event_ids), table.type.in_(types))
    rows = select(table.member_id, table.timestamp_us, table.type, table.value)
    return [tuple(row) for row in connection.execute(rows.where(table.member_id == member_id, table.timestamp_us >= since_us, meant))]


def _not_stored(connection: Connection, added: Sequence[LoggedEvent], arrived_by: int | None) -> list[LoggedEvent]:
    """One of each identity, without those that the store has already."""
    unique = {row.identity: row for row in added}
    if not unique:
        return []
    column = schema.events.c.event_id
    known = set(connection.scalars(_had_arrived(select(column).where(column.in_(unique)), arrived_by)))
    return [row for identity, row in unique.items() if identity not in known]


def _last_before(
    connection: Connection, row_of: dict[str, int], since_us: int, community: Community, arrived_by: int | None
) -> list[SignalRow]:
    """The last event of each type before `since_us`: who was there long ago is gone, and not unknown."""
    table = schema.events.c
    last = select(table.member_id, func.max(table.timestamp_us), table.type).where(
        table.member_id.in_(row_of), table.timestamp_us < since_us
    )
    rows = _tuples(connection, _had_arrived(last, arrived_by).group_by(table.member_id, table.type))
    return signal_rows([(*row, None) for row in rows], row_of, community.signal_of_type)


def _touch_signals(connection: Connection, row_of: dict[str, int], since_us: int, community: Community) -> list[SignalRow]:
    """Delivered touches are one signal more, where the community declares touches."""
    if community.touches is None:
        return []
    table = schema.touches.c
    delivered = select(table.member_id, table.at_us).where(table.member_id.in_(row_of), table.at_us >= since_us, table.state == "delivered")
    code = len(community.signals)
    return [SignalRow(row_of[member_id], at_us, code, np.nan) for member_id, at_us in _tuples(connection, delivered)]


def _joined(connection: Connection, member_ids: Sequence[str]) -> list[int]:
    return of_members(connection, member_ids, "joined_us")


def of_members(connection: Connection, member_ids: Sequence[str], column: str) -> list[Any]:
    """One column of the members, in their order; raises UnknownMember for an id that the store does not have."""
    table = schema.members.c
    found = dict(_tuples(connection, select(table.member_id, table[column]).where(table.member_id.in_(member_ids))))
    missing = next((member_id for member_id in member_ids if member_id not in found), None)
    if missing is not None:
        raise UnknownMember(f'member "{missing}" is not in the store; ids are case-sensitive, and a member joins with its first event')
    return [found[member_id] for member_id in member_ids]


def _contract_ends(
    connection: Connection, row_of: dict[str, int], community: Community, added: Sequence[LoggedEvent], arrived_by: int | None
) -> np.ndarray:
    ends = np.full(len(row_of), NEVER_US, dtype=np.int64)
    ending = community.churn.contract_event
    if ending is None:
        return ends
    table = schema.events.c
    first = select(table.member_id, func.min(table.timestamp_us)).where(table.member_id.in_(row_of), table.type == ending)
    rows = [
        *_tuples(connection, _had_arrived(first, arrived_by).group_by(table.member_id)),
        *((row.member_id, row.timestamp_us) for row in added if row.type == ending),
    ]
    for member_id, at_us in rows:
        ends[row_of[member_id]] = min(ends[row_of[member_id]], at_us)
    return ends


def stale(connection: Connection, rows: Sequence[DecisionRow]) -> frozenset[str]:
    """Members of these rows who were erased since, or are to be contacted and for whom a contact was reserved or a preference changed.

    Holds their rows until the transaction ends.
    """
    if not rows:
        return frozenset()
    table = schema.members.c
    wanted = select(table.member_id, table.contacts).where(table.member_id.in_([row.member_id for row in rows]))
    now = dict(_tuples(connection, wanted.order_by(table.member_id).with_for_update()))
    changed = {row.member_id for row in rows if row.touches and now.get(row.member_id) != row.contacts_seen}
    return frozenset(changed | {row.member_id for row in rows if row.member_id not in now})


def insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Keys of a row that are no column of the table are left out."""
    if rows:
        names = table.c.keys()
        connection.execute(table.insert(), [{name: row[name] for name in names if name in row} for row in rows])


def answer(connection: Connection, answers: Sequence[Answer]) -> None:
    table = schema.requests
    given = (
        update(table)
        .where(table.c.key_id == bindparam("by"), table.c.request_id == bindparam("to"))
        .values(answer=bindparam("text"), member_id=bindparam("of"))
    )
    if answers:
        connection.execute(given, [{"by": row.key_id, "to": row.request_id, "text": row.answer, "of": row.member_id} for row in answers])


def claim(connection: Connection, key_id: str, request_id: str, fingerprint: str, now_us: int) -> Claim:
    table = schema.requests
    fresh = {"key_id": key_id, "request_id": request_id, "fingerprint": fingerprint, "claimed_us": now_us}
    inserted = schema.insert_new(connection, table).on_conflict_do_nothing().values(fresh).returning(table.c.request_id)
    if connection.scalar(inserted) is not None:
        return Claim("new")
    this = and_(table.c.key_id == key_id, table.c.request_id == request_id)
    row = connection.execute(select(table).where(this).with_for_update()).one()
    if row.fingerprint != fingerprint:
        return Claim("other_body")
    if row.answer is not None:
        return Claim("answered", row.answer)
    if now_us - row.claimed_us < LEASE_US:
        return Claim("in_flight")
    connection.execute(update(table).where(this).values(claimed_us=now_us))
    return Claim("new")


def _tuples(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]

"""What the store says to its database, each function within the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from models import store_privacy
from models import store_schema as schema
from models.events import EventLog, retained, without_members
from models.store_elements import OneOf
from models.store_prepared import Many, Prepared
from models.store_rows import (
    Answer,
    Claim,
    DecisionRow,
    Fate,
    Loaded,
    LoggedEvent,
    Retention,
    event_rows,
    member_rows,
    touch_rows,
)
from models.store_whole_log import Brought, DeclaredState, keep_state, load_declared

CHUNK = 50_000
LEASE_US = 60_000_000
RETENTION = "retention"
PRUNED = "pruned"
"""The setting that is another each time that events were pruned."""

_events, _members, _requests = schema.events.c, schema.members.c, schema.requests.c
PLAN_IN_FORCE = Prepared(select(schema.plans.c.body).order_by(schema.plans.c.plan_key.desc()).limit(literal_column("1")))
HELD = Prepared(
    select(_members.member_id, _members.contacts, _members.risk_band)
    .where(OneOf(_members.member_id, "member_ids"))
    .order_by(_members.member_id)
    .with_for_update()
)
HELD_EVENTS = Prepared(
    select(_events.event_id, _events.member_id, _events.timestamp_us, _events.type, _events.value).where(
        OneOf(_events.event_id, "event_ids")
    )
)
DECIDED = Many(schema.decisions.insert())
_THIS_REQUEST = (_requests.key_id == bindparam("by"), _requests.request_id == bindparam("to"))
CLAIMED = Prepared(
    postgresql.insert(schema.requests)
    .values({"key_id": bindparam("by"), "request_id": bindparam("to"), "fingerprint": bindparam("of"), "claimed_us": bindparam("at")})
    .on_conflict_do_nothing()
    .returning(_requests.request_id)
)
"""A row where it is the first; both databases spell it alike."""
CLAIM_BEFORE = Prepared(select(_requests.fingerprint, _requests.answer, _requests.claimed_us).where(*_THIS_REQUEST).with_for_update())
ANSWERED = Many(
    update(schema.requests)
    .where(*_THIS_REQUEST, _requests.claimed_us == bindparam("at"))
    .values(answer=bindparam("text"), member_id=bindparam("about"))
)


loads = Table(
    "loads",
    schema.metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("assigned", Text, comment="mark of the declared assignments that it left; null from before these were kept"),
)


class Held(NamedTuple):
    """Of a member, while nobody else can change it: how many contacts were reserved, and the risk band of the last decision."""

    contacts: int
    risk_band: str | None


def is_loaded(connection: Connection, fingerprint: str) -> bool:
    """Whether the log was loaded and the declared assignments are still those of it; else notes it down as loaded.

    Of two who load it at once one waits here for the other.
    """
    noted = schema.insert_new(connection, loads).on_conflict_do_nothing().values(fingerprint=fingerprint)
    if connection.scalar(noted.returning(loads.c.fingerprint)) is not None:
        return False
    state = DeclaredState.of(connection)
    return state is not None and connection.scalar(select(loads.c.assigned).where(loads.c.fingerprint == fingerprint)) == state.mark


class Taken(NamedTuple):
    """Of a log, or a part of it."""

    loaded: Loaded
    brought: Brought


def load(connection: Connection, log: EventLog) -> Taken:
    members = load_members(connection, log)
    erased = store_privacy.erased(connection, log.members["member_id"].to_list())
    store_privacy.forget(connection, erased)
    rest = without_members(log, erased)
    events, touches = load_events(connection, rest), load_touches(connection, rest)
    return Taken(Loaded(members=members - len(erased), events=events, touches=touches), load_declared(connection, rest))


def note_load(connection: Connection, fingerprint: str | None, brought: Sequence[Brought]) -> None:
    """Which declared assignments a whole log left; of one without a fingerprint nobody asks again."""
    state = keep_state(connection, brought)
    if fingerprint is not None:
        connection.execute(update(loads).where(loads.c.fingerprint == fingerprint).values(assigned=state.mark))


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
    """Nothing that was pruned comes back."""
    bound = retention(connection)
    log = log if bound is None else retained(log, bound.from_us, bound.always)
    names = ("event_id", "member_id", "timestamp_us", "type", "value", "channel", "source")
    return sum(schema.insert_many(connection, schema.events, names, rows) for rows in event_rows(log, CHUNK))


def retention(connection: Connection) -> Retention | None:
    """As it was pruned last; None where it never was."""
    held = store_privacy.setting(connection, RETENTION)
    return None if held is None else Retention(**json.loads(held))


def load_touches(connection: Connection, log: EventLog) -> int:
    """Returns the number of new ones; of those that were there the state, the response and the name are brought up to date."""
    names = ("touch_id", "member_id", "at_us", "channel", "intervention_id", "state", "response", "named")
    table = schema.touches.c
    fresh: dict[str, BindParameter[Any]] = {"response": bindparam("said"), "state": bindparam("now"), "named": bindparam("as")}
    changed = or_(*(table[name].is_distinct_from(value) for name, value in fresh.items()))
    told = update(schema.touches).where(table.touch_id == bindparam("of"), changed).values(fresh)
    new = 0
    for rows in touch_rows(log, CHUNK):
        new += schema.insert_many(connection, schema.touches, names, rows)
        answered = [{"of": row[0], "now": row[5], "said": row[6], "as": row[7]} for row in rows if row[6] or row[7]]
        if answered:
            connection.execute(told, answered)
    return new


def add_events(connection: Connection, rows: Sequence[LoggedEvent]) -> list[Fate]:
    """What became of each row. Of several of one id the first stands, and nothing is kept of one that says otherwise."""
    if not rows:
        return []
    identities, contents = [row.identity for row in rows], [row.content for row in rows]
    first = {identity: position for position, identity in reversed(list(enumerate(identities)))}
    held = held_events(connection, list(first))
    said = {identity: contents[position] for identity, position in first.items()} | held
    _add_members(connection, [row for row, identity, content in zip(rows, identities, contents, strict=True) if said[identity] == content])
    erased = store_privacy.erased(connection, {row.member_id for row in rows})
    store_privacy.forget(connection, erased)
    new = {identity: rows[position] for identity, position in first.items() if identity not in held}
    new = {identity: row for identity, row in new.items() if row.member_id not in erased}
    fresh = _add_new(connection, new)
    _leave_out_idle(connection, {row.member_id for identity, row in new.items() if identity not in fresh})
    said |= held_events(connection, sorted(new.keys() - fresh))

    def fate(position: int, row: LoggedEvent) -> Fate:
        identity = identities[position]
        if row.member_id in erased:
            return "erased"
        if said[identity] != contents[position]:
            return "reused"
        return "accepted" if identity in fresh and first[identity] == position else "duplicate"

    return [fate(position, row) for position, row in enumerate(rows)]


def held_events(connection: Connection, identities: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The content of those that the store has, by id."""
    return {row[0]: row[1:] for row in HELD_EVENTS.rows(connection, event_ids=list(identities))} if identities else {}


def _add_new(connection: Connection, rows: Mapping[str, LoggedEvent]) -> set[str]:
    """By identity; returns those that were not there."""
    if not rows:
        return set()
    statement = schema.insert_new(connection, schema.events).on_conflict_do_nothing().returning(schema.events.c.event_id)
    values = [{**vars(row), "event_id": identity, "source": "api"} for identity, row in rows.items()]
    return set(connection.scalars(statement, values))


def _add_members(connection: Connection, rows: Sequence[LoggedEvent]) -> None:
    """A member whom no log declared has joined with the earliest of its events; those who were there are held, changed or not."""
    if not rows:
        return
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


def _leave_out_idle(connection: Connection, member_ids: Collection[str]) -> None:
    """Of these, whose event another transaction had brought under its id a moment before, those of whom nothing is known are no members.

    One who was there before may have no event either, where old ones have left the store.
    """
    table, event = schema.members, schema.events.c
    some = select(event.event_key).where(event.member_id == table.c.member_id).exists()
    known = or_(some, table.c.contacts > 0, *(table.c[name].is_not(None) for name in ("attributes", "preferences", "risk_band")))
    if member_ids:
        connection.execute(delete(table).where(table.c.member_id.in_(member_ids), table.c.source == "api", ~known))


def api_events(connection: Connection, keys: Sequence[int] | None = None) -> pl.DataFrame:
    """Those with the given `event_key` alone where any are given."""
    table = schema.events.c
    chosen = [] if keys is None else [table.event_key.in_(keys)]
    columns = [table.event_id, table.member_id, table.timestamp_us.label("timestamp"), table.type, table.value, table.channel]
    kinds = (pl.String, pl.String, pl.Int64, pl.String, pl.Float64, pl.String)
    rows = _tuples(connection, select(*columns).where(table.source == "api", *chosen).order_by(table.event_key))
    frame = pl.DataFrame(rows, schema={column.name: kind for column, kind in zip(columns, kinds, strict=True)}, orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def hold(connection: Connection, rows: Sequence[DecisionRow]) -> dict[str, Held]:
    """Those members of the rows who were not erased, by id; they are held until the transaction ends."""
    return {row[0]: Held(*row[1:]) for row in HELD.rows(connection, member_ids=[row.member_id for row in rows])} if rows else {}


def stale(held: Mapping[str, Held], rows: Sequence[DecisionRow]) -> frozenset[str]:
    """Members of these rows who were erased since, or are to be contacted, or to rest, on what is seen anew since."""
    gone = {row.member_id for row in rows if row.member_id not in held}
    return frozenset(gone | {row.member_id for row in rows if row.member_id not in gone and _outdated(held, row)})


def _outdated(held: Mapping[str, Held], row: DecisionRow) -> bool:
    return (row.touches or row.rests) and held[row.member_id].contacts != row.contacts_seen


class ClaimLost(Exception):  # noqa: N818 - what happened to whoever held it
    """Another attempt has taken the request over; nothing was written."""


def claim_all(connection: Connection, key_id: str, fingerprints: Sequence[tuple[str, str]], now_us: int) -> list[Claim]:
    """In the order of their ids, as answers are given: attempts at the same requests would else wait for each other."""
    order = sorted(range(len(fingerprints)), key=lambda place: fingerprints[place][0])
    claims = {place: claim(connection, key_id, *fingerprints[place], now_us) for place in order}
    return [claims[place] for place in range(len(fingerprints))]


def claim(connection: Connection, key_id: str, request_id: str, fingerprint: str, now_us: int) -> Claim:
    """What was claimed before may be gone when it is looked at: its days were over."""
    this = {"by": key_id, "to": request_id}
    if CLAIMED.rows(connection, **this, of=fingerprint, at=now_us):
        return Claim("new")
    before = CLAIM_BEFORE.rows(connection, **this)
    if not before:
        return claim(connection, key_id, request_id, fingerprint, now_us)
    ((claimed_for, answer, claimed_us),) = before
    if claimed_for != fingerprint:
        return Claim("other_body")
    if answer is not None:
        return Claim("answered", answer)
    if now_us - claimed_us < LEASE_US:
        return Claim("in_flight")
    table = schema.requests
    connection.execute(update(table).where(table.c.key_id == key_id, table.c.request_id == request_id).values(claimed_us=now_us))
    return Claim("new")


def give_answers(connection: Connection, answers: Sequence[Answer]) -> None:
    """A claim is known by the time at which it was made. Raises ClaimLost, upon which nothing may be written."""
    rows = [
        {"by": one.key_id, "to": one.request_id, "at": one.claimed_us, "text": one.answer, "about": one.member_id}
        for one in sorted(answers, key=lambda one: one.request_id)
    ]
    if ANSWERED.each(connection, rows) != len(rows):
        raise ClaimLost


def _tuples(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]

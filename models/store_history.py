"""What the store knows of members up to a moment: one query for each kind of thing, however many members are asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Integer, bindparam, case, cast, func, literal_column, null, or_, select

from models import store_contacts, store_privacy
from models import store_schema as schema
from models.attributes import attributes_from_json, declared_attributes
from models.community import DAY_US, Community
from models.errors import UnknownMember
from models.events import NEVER_US, NO_SIGNAL, EventArrays
from models.interventions import ContactHistory
from models.member_columns import rule_columns
from models.preferences import Preferences, respected
from models.recent_histories import Mark, RecentHistories, remembered, together
from models.signal_columns import LATEST_US, PACKED, SignalColumns, grouped_arrays
from models.store_elements import Exact, OneOf, Strung
from models.store_prepared import Prepared
from models.store_rows import LoggedEvent, Past, Then
from models.store_statements import PRUNED

EVER = (1 << 63) - 1
"""Later than any `event_key`."""

_members, _events, _touches = schema.members.c, schema.events.c, schema.touches.c
_OF_MEMBERS = OneOf(_events.member_id, "member_ids")
_ARRIVED = _events.event_key + literal_column("0") <= bindparam("arrived_by")
"""The sum keeps SQLite from walking through all events by their key."""
KNOWN = Prepared(select(_members.member_id).where(OneOf(_members.member_id, "member_ids")))
_NUMBER_OF_EVENTS = select(func.count()).where(_events.member_id == _members.member_id).scalar_subquery()
_KNOWN_OF_MEMBER = (_members.joined_us, _members.attributes, _members.contacts, _members.preferences, _NUMBER_OF_EVENTS)
MEMBERS = Prepared(select(_members.member_id, *_KNOWN_OF_MEMBER).where(OneOf(_members.member_id, "member_ids")))
LAST_BEFORE = Prepared(
    select(_events.member_id, func.max(_events.timestamp_us), _events.type, null())
    .where(_OF_MEMBERS, _events.timestamp_us < bindparam("since_us"), _ARRIVED)
    .group_by(_events.member_id, _events.type)
)
TOUCHES = Prepared(
    select(_touches.member_id, _touches.at_us).where(
        OneOf(_touches.member_id, "member_ids"), _touches.at_us >= bindparam("since_us"), _touches.state == bindparam("state")
    )
)
STORED = Prepared(select(_events.event_id).where(OneOf(_events.event_id, "event_ids"), _ARRIVED))
CONTRACT_ENDS = Prepared(
    select(_events.member_id, func.min(_events.timestamp_us))
    .where(_OF_MEMBERS, _events.type == bindparam("type"), _ARRIVED)
    .group_by(_events.member_id)
)
_SETTINGS = store_privacy.settings.c
MARKS = Prepared(select(func.max(_events.event_key), select(_SETTINGS.value).where(_SETTINGS.name == PRUNED).scalar_subquery()))


@lru_cache(maxsize=16)
def _events_of(codes: tuple[tuple[str, int], ...]) -> Prepared:
    """What SignalColumns.packed reads, by the code of each type."""
    code = case({kind: _whole(signal) for kind, signal in codes}, value=_events.type, else_=_whole(NO_SIGNAL))
    packed = _events.timestamp_us * _whole(PACKED) + code * _whole(2) + cast(_events.value.is_not(None), Integer)
    in_order = (_events.timestamp_us, _events.event_key)
    since = _events.timestamp_us >= bindparam("since_us")
    until = _events.timestamp_us < _whole(LATEST_US)
    return Prepared(
        select(_events.member_id, func.count(), Strung(packed, *in_order), Strung(Exact(_events.value), *in_order))
        .where(_OF_MEMBERS, since, until, _ARRIVED)
        .group_by(_events.member_id)
    )


def _whole(number: int) -> ColumnElement[int]:
    return literal_column(str(number), Integer)


class MemberRow(NamedTuple):
    """`attributes` and `preferences` are JSON, None where nothing is known."""

    joined_us: int
    attributes: str | None
    contacts: int
    preferences: str | None
    events: int


def past(
    connection: Connection,
    member_ids: Sequence[str],
    community: Community,
    as_of_us: int,
    added: Sequence[LoggedEvent],
    recent: RecentHistories,
    *,
    with_contacts: bool,
) -> Past:
    """History over the lookback, and the contacts over the longest cap and cooldown where they are asked for; raises UnknownMember."""
    rows = member_rows(connection, member_ids)
    told = {name: Preferences.from_json(row.preferences) for name, row in zip(member_ids, rows, strict=True) if row.preferences is not None}
    event_key, pruned = MARKS.rows(connection)[0]
    since_us = as_of_us - community.lookback_days * DAY_US
    marks = {member_id: Mark(row.events, pruned) for member_id, row in zip(member_ids, rows, strict=True)}
    stored = _lately_read(connection, marks, since_us, community, recent, as_of_us)
    contacts = store_contacts.contacts(connection, member_ids, community, as_of_us) if with_contacts else ContactHistory.empty()
    return Past(
        contacts_seen=tuple(row.contacts for row in rows),
        contacts=respected(contacts, member_ids, told),
        events=_with_others(connection, stored, member_ids, rows, since_us, community, added),
        attributes=tuple(row.attributes for row in rows),
        event_key=event_key or 0,
    )


def contacts_before(connection: Connection, member_ids: Sequence[str], community: Community, as_of_us: int) -> ContactHistory:
    """As `Past.contacts`, without those that were made at `as_of` or later; raises UnknownMember."""
    rows = member_rows(connection, member_ids)
    told = {name: Preferences.from_json(row.preferences) for name, row in zip(member_ids, rows, strict=True) if row.preferences is not None}
    return respected(store_contacts.contacts(connection, member_ids, community, as_of_us, until_us=as_of_us), member_ids, told)


def history(
    connection: Connection, member_ids: Sequence[str], since_us: int, community: Community, added: Sequence[LoggedEvent]
) -> EventArrays:
    """Raises UnknownMember."""
    members = member_rows(connection, member_ids)
    stored = _stored_signals(connection, _positions(member_ids), since_us, community, EVER)
    return _with_others(connection, stored, member_ids, members, since_us, community, added)


def _lately_read(
    connection: Connection, marks: Mapping[str, Mark], since_us: int, community: Community, recent: RecentHistories, now_us: int
) -> SignalColumns:
    """What was read lately is not read again, as long as it is the same."""
    signals = tuple(community.signal_of_type.items())
    found = recent.of(signals, marks, since_us, now_us)
    missing = {member_id: mark for member_id, mark in marks.items() if member_id not in found}
    if missing:
        rows = _stored_signals(connection, _positions(missing), since_us, community, EVER)
        read = remembered(rows.in_order(), missing, since_us)
        recent.keep(signals, read, now_us)
        found |= read
    return together([found[member_id] for member_id in marks])


def _with_others(
    connection: Connection,
    stored: SignalColumns,
    member_ids: Sequence[str],
    members: Sequence[MemberRow],
    since_us: int,
    community: Community,
    added: Sequence[LoggedEvent],
) -> EventArrays:
    row_of = _positions(member_ids)
    fresh = _added_signals(connection, row_of, since_us, community, added, EVER)
    touched = _touch_signals(connection, row_of, since_us, community)
    ends = _contract_ends(connection, row_of, community, added, EVER)
    joined, attributes = [member.joined_us for member in members], [member.attributes for member in members]
    return _grouped(stored.then(fresh, touched), joined, ends, attributes, community)


def _positions(member_ids: Iterable[str]) -> dict[str, int]:
    return {member_id: row for row, member_id in enumerate(member_ids)}


def history_then(
    connection: Connection, member_id: str, since_us: int, community: Community, added: Sequence[LoggedEvent], then: Then
) -> EventArrays:
    """Of one member, as `history` gave it when no more had arrived."""
    row_of = {member_id: 0}
    stored = _stored_signals(connection, row_of, since_us, community, then.event_key)
    fresh = _added_signals(connection, row_of, since_us, community, added, then.event_key)
    touched = SignalColumns.of_signal([0] * len(then.touched_us), then.touched_us, len(community.signals))
    ends = _contract_ends(connection, row_of, community, added, then.event_key)
    return _grouped(stored.then(fresh, touched), [then.joined_us], ends, [then.attributes], community)


def _grouped(rows: SignalColumns, joined: Sequence[int], ends: np.ndarray, told: Sequence[str | None], community: Community) -> EventArrays:
    attributes, for_rules = (attributes_from_json(told, names(community)) for names in (declared_attributes, rule_columns))
    return grouped_arrays(rows, joined, ends, attributes, for_rules)


def member_rows(connection: Connection, member_ids: Sequence[str]) -> list[MemberRow]:
    """In the order of the ids; raises UnknownMember for one that the store does not have."""
    found = {row[0]: MemberRow(*row[1:]) for row in MEMBERS.rows(connection, member_ids=list(member_ids))}
    missing = next((member_id for member_id in member_ids if member_id not in found), None)
    if missing is not None:
        raise UnknownMember(f'member "{missing}" is not in the store; ids are case-sensitive, and a member joins with its first event')
    return [found[member_id] for member_id in member_ids]


def _stored_signals(
    connection: Connection, row_of: Mapping[str, int], since_us: int, community: Community, arrived_by: int
) -> SignalColumns:
    """Events from `since_us` on, and before that the last one of each type: who was there long ago is gone, and not unknown."""
    asked: dict[str, Any] = {"member_ids": list(row_of), "since_us": since_us, "arrived_by": arrived_by}
    packed = _events_of(tuple(community.signal_of_type.items())).rows(connection, **asked)
    before = SignalColumns.of(LAST_BEFORE.rows(connection, **asked), row_of, community.signal_of_type)
    return SignalColumns.packed(packed, row_of).then(before)


def _added_signals(
    connection: Connection,
    row_of: Mapping[str, int],
    since_us: int,
    community: Community,
    added: Sequence[LoggedEvent],
    arrived_by: int,
) -> SignalColumns:
    new = _not_stored(connection, added, arrived_by)
    fresh = [(row.member_id, row.timestamp_us, row.type, row.value) for row in new if row.timestamp_us >= since_us]
    return SignalColumns.of(fresh, row_of, community.signal_of_type)


def happened(
    connection: Connection, member_id: str, since_us: int, event_ids: Sequence[str], types: Sequence[str]
) -> list[tuple[str, int, str, float | None]]:
    meant = or_(_events.event_id.in_(event_ids), _events.type.in_(types))
    rows = select(_events.member_id, _events.timestamp_us, _events.type, _events.value)
    return [tuple(row) for row in connection.execute(rows.where(_events.member_id == member_id, _events.timestamp_us >= since_us, meant))]


def _not_stored(connection: Connection, added: Sequence[LoggedEvent], arrived_by: int) -> list[LoggedEvent]:
    """One of each identity, without those that the store has already."""
    unique = {row.identity: row for row in added}
    if not unique:
        return []
    known = {row[0] for row in STORED.rows(connection, event_ids=list(unique), arrived_by=arrived_by)}
    return [row for identity, row in unique.items() if identity not in known]


def _touch_signals(connection: Connection, row_of: Mapping[str, int], since_us: int, community: Community) -> SignalColumns:
    """Delivered touches are one signal more, where the community declares touches."""
    asked: dict[str, Any] = {"member_ids": list(row_of), "since_us": since_us, "state": "delivered"}
    rows = [] if community.touches is None else TOUCHES.rows(connection, **asked)
    return SignalColumns.of_signal([row_of[row[0]] for row in rows], [row[1] for row in rows], len(community.signals))


def _contract_ends(
    connection: Connection, row_of: Mapping[str, int], community: Community, added: Sequence[LoggedEvent], arrived_by: int
) -> np.ndarray:
    ends = np.full(len(row_of), NEVER_US, dtype=np.int64)
    ending = community.churn.contract_event
    if ending is None:
        return ends
    rows = CONTRACT_ENDS.rows(connection, member_ids=list(row_of), type=ending, arrived_by=arrived_by)
    for member_id, at_us in (*rows, *((row.member_id, row.timestamp_us) for row in added if row.type == ending)):
        ends[row_of[member_id]] = min(ends[row_of[member_id]], at_us)
    return ends

"""What the store knows of members up to a moment: one query for however many, and one more for histories that are not in memory."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Integer, and_, bindparam, case, cast, func, literal_column, null, or_, select

from models import store_privacy
from models import store_schema as schema
from models.attributes import attributes_from_json, declared_attributes
from models.community import DAY_US, Community
from models.contact_policy import history_days
from models.errors import UnknownMember
from models.events import NEVER_US, NO_SIGNAL, EventArrays
from models.interventions import ContactHistory
from models.member_columns import decided_on
from models.preferences import Preferences, respected
from models.recent_histories import Mark, RecentHistories, remembered, together
from models.sent_touches import BEFORE_US, Touched
from models.signal_columns import LATEST_US, PACKED, SignalColumns, grouped_arrays
from models.store_contacts import LAST_DRAW, TOUCHED, DrawsAsked, with_draws
from models.store_elements import Exact, Listed, OneOf, Strung
from models.store_prepared import Prepared
from models.store_rows import LoggedEvent, Past, Then
from models.store_statements import PRUNED

EVER = (1 << 63) - 1
"""Later than any `event_key`."""

_members, _events, _touches = schema.members.c, schema.events.c, schema.touches.c
_ARRIVED = _events.event_key + literal_column("0") <= bindparam("arrived_by")
"""The sum keeps SQLite from walking through all events by their key."""
_ASKED = OneOf(_members.member_id, "member_ids")
_OF_MEMBER = _events.member_id == _members.member_id
KNOWN = Prepared(select(_members.member_id).where(_ASKED))
STORED = Prepared(select(_events.event_id).where(OneOf(_events.event_id, "event_ids"), _ARRIVED))
CONTRACT_END = Prepared(
    select(func.min(_events.timestamp_us)).where(_events.member_id == bindparam("member_id"), _events.type == bindparam("ending"), _ARRIVED)
)
_SETTINGS = store_privacy.settings.c
_PRUNED = select(_SETTINGS.value).where(_SETTINGS.name == PRUNED).scalar_subquery()


def _members_with(*last: ColumnElement[Any]) -> Prepared:
    """What MemberRow reads, at last when the contract ended, and when chance decided where a rule asks."""
    number = select(func.count()).where(_OF_MEMBER).scalar_subquery()
    lately = (_touches.member_id == _members.member_id, _touches.at_us >= bindparam("touched_since_us"))
    touched = select(TOUCHED).where(*lately).scalar_subquery()
    last_key = select(func.max(_events.event_key)).scalar_subquery()
    known = (_members.joined_us, _members.attributes, _members.contacts, _members.preferences)
    return Prepared(select(_members.member_id, *known, number, _PRUNED, last_key, touched, *last).where(_ASKED))


_END = select(func.min(_events.timestamp_us)).where(_OF_MEMBER, _events.type == bindparam("ending")).scalar_subquery()
MEMBERS, MEMBERS_WITH_ENDS = ((_members_with(end), _members_with(end, LAST_DRAW)) for end in (null(), _END))


@lru_cache(maxsize=16)
def _events_of(codes: tuple[tuple[str, int], ...]) -> Prepared:
    """What StoredRow reads, by the code of each type."""
    code = case({kind: _whole(signal) for kind, signal in codes}, value=_events.type, else_=_whole(NO_SIGNAL))
    packed = _events.timestamp_us * _whole(PACKED) + code * _whole(2) + cast(_events.value.is_not(None), Integer)
    in_order = (_events.timestamp_us, _events.event_key)
    lately = and_(_OF_MEMBER, _events.timestamp_us >= bindparam("since_us"), _events.timestamp_us < _whole(LATEST_US), _ARRIVED)
    before = select(func.max(_events.timestamp_us).label("at_us"), _events.type).group_by(_events.type)
    last = before.where(_OF_MEMBER, _events.timestamp_us < bindparam("since_us"), _ARRIVED).correlate(schema.members).subquery()
    return Prepared(
        select(
            *(_members.member_id, func.count(_events.event_key), Strung(packed, *in_order), Strung(Exact(_events.value), *in_order)),
            select(Listed((last.c.at_us, last.c.type), last.c.type)).select_from(last).scalar_subquery(),
        )
        .select_from(schema.members.outerjoin(schema.events, lately))
        .where(_ASKED)
        .group_by(_members.member_id)
    )


def _whole(number: int) -> ColumnElement[int]:
    return literal_column(str(number), Integer)


class MemberRow(NamedTuple):
    """`attributes` and `preferences` are JSON, None where nothing is known; `events`: how many of the member there are.

    `pruned` and `last_key`, of the event that arrived last, are those of the store; `touches` are read by Touched.
    """

    joined_us: int
    attributes: str | None
    contacts: int
    preferences: str | None
    events: int
    pruned: str | None
    last_key: int | None
    touches: str | None
    contract_end_us: int | None
    drawn_us: int | None = None


class StoredRow(NamedTuple):
    """Of a member how many events there are since a moment, as SignalColumns reads them packed.

    `before`: of each type the last one before that, as [at_us, type] each, JSON.
    """

    member_id: str
    lately: int
    moments: str | None
    values: str | None
    before: str | None


class Window(NamedTuple):
    """Of the events of `community`: what happened from `since_us` on and had arrived by `arrived_by`."""

    community: Community
    since_us: int
    arrived_by: int = EVER


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
    """History over the lookback, and the contacts over the longest cap and cooldown where they are asked for; raises UnknownMember.

    It needs no transaction: the later queries leave out what arrives after the first, and by its marks what was pruned is read again.
    """
    since_us, contacts_since_us = as_of_us - community.lookback_days * DAY_US, _contacts_since(community, as_of_us)
    touched_since_us = since_us if community.touches is not None else NEVER_US
    draws = DrawsAsked.of(community, as_of_us) if with_contacts else None
    asked_since_us = min(touched_since_us, contacts_since_us) if with_contacts else touched_since_us
    rows = member_rows(connection, member_ids, community, asked_since_us, draws)
    window = Window(community, since_us, max((row.last_key or 0 for row in rows), default=0))
    touched = Touched([row.touches for row in rows], community.same_touch_us)
    marks = {member_id: Mark(row.events, row.pruned) for member_id, row in zip(member_ids, rows, strict=True)}
    stored = _lately_read(connection, marks, window, recent, as_of_us)
    contacts = touched.contacts(contacts_since_us, as_of_us) if with_contacts else ContactHistory.empty()
    return Past(
        contacts_seen=tuple([row.contacts for row in rows]),
        contacts=with_draws(respected(contacts, member_ids, _told(member_ids, rows)), draws, [row.drawn_us for row in rows]),
        events=_with_others(connection, stored, touched, member_ids, rows, window, added),
        attributes=tuple([row.attributes for row in rows]),
        event_key=window.arrived_by,
    )


def contacts_before(connection: Connection, member_ids: Sequence[str], community: Community, as_of_us: int) -> ContactHistory:
    """As `Past.contacts`, without those that were made at `as_of` or later; raises UnknownMember."""
    since_us, draws = _contacts_since(community, as_of_us), DrawsAsked.of(community, as_of_us, as_of_us)
    rows = member_rows(connection, member_ids, community, since_us, draws)
    contacts = Touched([row.touches for row in rows], community.same_touch_us).contacts(since_us, as_of_us, until_us=as_of_us)
    return with_draws(respected(contacts, member_ids, _told(member_ids, rows)), draws, [row.drawn_us for row in rows])


def _contacts_since(community: Community, as_of_us: int) -> int:
    return as_of_us - history_days(community) * DAY_US


def _told(member_ids: Sequence[str], rows: Sequence[MemberRow]) -> dict[str, Preferences]:
    return {name: Preferences.from_json(row.preferences) for name, row in zip(member_ids, rows, strict=True) if row.preferences is not None}


def history(
    connection: Connection, member_ids: Sequence[str], since_us: int, community: Community, added: Sequence[LoggedEvent]
) -> EventArrays:
    """Raises UnknownMember."""
    window = Window(community, since_us)
    rows = member_rows(connection, member_ids, community, since_us)
    stored = _signals(_stored_rows(connection, member_ids, window), member_ids, community)
    touched = Touched([row.touches for row in rows], community.same_touch_us)
    return _with_others(connection, stored, touched, member_ids, rows, window, added)


def _lately_read(connection: Connection, marks: Mapping[str, Mark], window: Window, recent: RecentHistories, now_us: int) -> SignalColumns:
    """What was read lately is not read again, as long as it is the same. Raises UnknownMember for whoever was erased meanwhile."""
    signals = tuple(window.community.signal_of_type.items())
    found = recent.of(signals, marks, window.since_us, now_us)
    missing = {member_id: mark for member_id, mark in marks.items() if member_id not in found}
    if missing:
        rows = _stored_rows(connection, tuple(missing), window)
        _check_known(tuple(missing), {row.member_id for row in rows})
        read = remembered(_signals(rows, tuple(missing), window.community).in_order(), missing, window.since_us)
        recent.keep(signals, read, now_us)
        found |= read
    return together([found[member_id] for member_id in marks])


def _with_others(
    connection: Connection,
    stored: SignalColumns,
    touched: Touched,
    member_ids: Sequence[str],
    members: Sequence[MemberRow],
    window: Window,
    added: Sequence[LoggedEvent],
) -> EventArrays:
    """Delivered touches are one signal more, where the community declares touches."""
    community, others = window.community, []
    if added:
        others.append(_added_signals(connection, member_ids, window, added))
    if community.touches is not None:
        others.append(touched.delivered(window.since_us, len(community.signals)))
    ends = [NEVER_US if member.contract_end_us is None else member.contract_end_us for member in members]
    joined, attributes = [member.joined_us for member in members], [member.attributes for member in members]
    return _grouped(stored.then(*others), joined, _ended(ends, member_ids, community, added), attributes, community)


def _positions(member_ids: Iterable[str]) -> dict[str, int]:
    return {member_id: row for row, member_id in enumerate(member_ids)}


def history_then(
    connection: Connection, member_id: str, since_us: int, community: Community, added: Sequence[LoggedEvent], then: Then
) -> EventArrays:
    """Of one member, as `history` gave it when no more had arrived."""
    window, alone = Window(community, since_us, then.event_key), [member_id]
    stored = _signals(_stored_rows(connection, alone, window), alone, community)
    fresh = _added_signals(connection, alone, window, added)
    touched = SignalColumns.of_signal([0] * len(then.touched_us), then.touched_us, len(community.signals))
    ends = _ended([_contract_end(connection, member_id, window)], alone, community, added)
    return _grouped(stored.then(fresh, touched), [then.joined_us], ends, [then.attributes], community)


def _grouped(rows: SignalColumns, joined: Sequence[int], ends: np.ndarray, told: Sequence[str | None], community: Community) -> EventArrays:
    attributes, for_rules = (attributes_from_json(told, names(community)) for names in (declared_attributes, decided_on))
    return grouped_arrays(rows, joined, ends, attributes, for_rules)


def member_rows(
    connection: Connection, member_ids: Sequence[str], community: Community, touched_since_us: int, draws: DrawsAsked | None = None
) -> list[MemberRow]:
    """In the order of the ids; raises UnknownMember for one that the store does not have."""
    ending = community.churn.contract_event
    asked: dict[str, Any] = {"member_ids": list(member_ids), "touched_since_us": touched_since_us - BEFORE_US}
    asked |= ({} if ending is None else {"ending": ending}) | ({} if draws is None else draws.bounds)
    rows = (MEMBERS if ending is None else MEMBERS_WITH_ENDS)[draws is not None].rows(connection, **asked)
    found = {row[0]: MemberRow(*row[1:]) for row in rows}
    _check_known(member_ids, found)
    return [found[member_id] for member_id in member_ids]


def _check_known(member_ids: Sequence[str], found: Container[str]) -> None:
    missing = next((member_id for member_id in member_ids if member_id not in found), None)
    if missing is not None:
        raise UnknownMember(f'member "{missing}" is not in the store; ids are case-sensitive, and a member joins with its first event')


def _stored_rows(connection: Connection, member_ids: Sequence[str], window: Window) -> list[StoredRow]:
    """Of those of them that the store has."""
    events = _events_of(tuple(window.community.signal_of_type.items()))
    asked: dict[str, Any] = {"member_ids": list(member_ids), "since_us": window.since_us, "arrived_by": window.arrived_by}
    return [StoredRow(*row) for row in events.rows(connection, **asked)]


def _signals(rows: Sequence[StoredRow], member_ids: Sequence[str], community: Community) -> SignalColumns:
    """With the last one of each type before: who was there long ago is gone, and not unknown."""
    row_of = _positions(member_ids)
    columns = SignalColumns.packed(
        [(row.member_id, row.lately, row.moments, row.values) for row in rows if row.moments is not None], row_of
    )
    before = [(row.member_id, at_us, kind, None) for row in rows for at_us, kind in json.loads(row.before or "[]")]
    return columns.then(SignalColumns.of(before, row_of, community.signal_of_type)) if before else columns


def _added_signals(connection: Connection, member_ids: Sequence[str], window: Window, added: Sequence[LoggedEvent]) -> SignalColumns:
    new = _not_stored(connection, added, window.arrived_by)
    fresh = [(row.member_id, row.timestamp_us, row.type, row.value) for row in new if row.timestamp_us >= window.since_us]
    return SignalColumns.of(fresh, _positions(member_ids), window.community.signal_of_type)


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


def _contract_end(connection: Connection, member_id: str, window: Window) -> int:
    ending = window.community.churn.contract_event
    if ending is None:
        return NEVER_US
    ((end_us,),) = CONTRACT_END.rows(connection, member_id=member_id, ending=ending, arrived_by=window.arrived_by)
    return NEVER_US if end_us is None else int(end_us)


def _ended(stored_us: Sequence[int], member_ids: Sequence[str], community: Community, added: Sequence[LoggedEvent]) -> np.ndarray:
    """When each contract ended, by what is stored or was added."""
    ends, row_of = np.array(stored_us, dtype=np.int64), _positions(member_ids) if added else {}
    for event in added:
        if event.type == community.churn.contract_event:
            row = row_of[event.member_id]
            ends[row] = min(ends[row], event.timestamp_us)
    return ends

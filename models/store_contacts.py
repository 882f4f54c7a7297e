"""Contacts in the store: what is reserved and released, how many places and how much money that takes, and when chance decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import numpy as np
from sqlalchemy import BindParameter, Connection, RowMapping, Table, bindparam, func, literal_column, not_, or_, select, union_all, update
from sqlalchemy.dialects import postgresql

from models import store_schema as schema
from models.community import DAY_US
from models.events import NEVER_US
from models.interventions import NOT_DRAWN
from models.quotas import resources_of
from models.reports import OCCUPYING, Change, DecisionMade, OutcomeReport, Touch
from models.store_elements import Listed
from models.store_prepared import Many, Prepared
from models.store_whole_log import assigned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from models.community import Community
    from models.interventions import ContactHistory
    from models.quotas import Quotas
    from models.store_rows import DecisionRow

COUNTED = ("decision", "report")
"""Sources of touches that take places; those of a log were made elsewhere."""
SKEW_US = 86_400_000_000
"""A touch may be dated this much before its decision, by another clock."""
Row = TypeVar("Row", DecisionMade, OutcomeReport, Touch)


_touches = schema.touches.c
_decisions = schema.decisions.c
_DECIDED = select(_decisions.created_us).where(_decisions.decision_id == _touches.decision_id).correlate(schema.touches).scalar_subquery()
TOUCHED = Listed(
    (
        *(_touches.at_us, _touches.channel, _touches.intervention_id, _touches.response, _touches.state, _touches.expires_us),
        *(_touches.source, _touches.named, _touches.touch_id, _touches.decision_id, _DECIDED),
    ),
    *(_touches.at_us, _touches.touch_id),
)
"""What Sent has of each but the row."""
ENDED = Prepared(
    select(_touches.intervention_id, _touches.channel, _touches.cost).where(
        _touches.expires_us <= bindparam("at_us"), _touches.period_us == bindparam("period_us")
    )
)
_members = schema.members.c
SEEN_ANEW = Many(
    update(schema.members).where(_members.member_id == bindparam("of")).values(contacts=_members.contacts + literal_column("1"))
)
RESERVED = Many(schema.touches.insert().values({field.name: bindparam(field.name) for field in fields(Touch)}))
_uses = schema.uses.c
_USED = select(_uses.resource, _uses.used).where(_uses.period_us == bindparam("period_us"))
USED, HELD_USES = Prepared(_USED), Prepared(_USED.order_by(_uses.resource).with_for_update())
_NEW_USE = postgresql.insert(schema.uses)
"""Both databases spell it alike."""
BEGUN = Many(_NEW_USE.on_conflict_do_nothing())
TAKEN = Many(_NEW_USE.on_conflict_do_update(index_elements=["period_us", "resource"], set_={"used": _uses.used + _NEW_USE.excluded.used}))
DUE = Prepared(
    select(*(_touches[field.name] for field in fields(Touch)))
    .where(_touches.expires_us <= bindparam("at_us"))
    .order_by(_touches.touch_id)
    .with_for_update(skip_locked=True)
)

_told = assigned.c
_SINCE: BindParameter[int] = bindparam("drawn_since_us")
_UNTIL: BindParameter[int] = bindparam("drawn_until_us")
_NAMED = schema.decisions.alias("named")
_IS_KEPT = select(_NAMED.c.decision_id).where(_NAMED.c.decision_id == _told.named).correlate(assigned).exists()
_CERTAIN = or_(*(_told.propensities.like(f"%:1.0{end}%") for end in ",}"))
_BY_DECISION = select(_decisions.drawn_us.label("at_us")).where(
    _decisions.member_id == _members.member_id,
    _decisions.created_us > _SINCE,
    _decisions.created_us < _UNTIL,
    _decisions.drawn_us.is_not(None),
)
_BY_LOG = select(_told.at_us).where(
    _told.member_id == _members.member_id, _told.at_us > _SINCE, _told.at_us < _UNTIL, not_(_CERTAIN), not_(_IS_KEPT)
)
_DRAWN = union_all(*(each.correlate(schema.members) for each in (_BY_DECISION, _BY_LOG))).subquery()
LAST_DRAW = select(func.max(_DRAWN.c.at_us)).select_from(_DRAWN).scalar_subquery()
"""Of a member, of decisions and of declared assignments that are no decision which is kept; null where there is none."""


class DrawsAsked(NamedTuple):
    """Those after `since_us` and before `until_us`."""

    as_of_us: int
    since_us: int
    until_us: int

    @classmethod
    def of(cls, community: Community, as_of_us: int, until_us: int = NEVER_US) -> Self | None:
        """None where no rule asks."""
        days = community.contact_policy.draw_cooldown_days
        return cls(as_of_us, as_of_us - days * DAY_US, until_us) if days else None

    @property
    def bounds(self) -> dict[str, int]:
        return {"drawn_since_us": self.since_us, "drawn_until_us": self.until_us}


def with_draws(contacts: ContactHistory, asked: DrawsAsked | None, found: Sequence[int | None]) -> ContactHistory:
    """`found`: LAST_DRAW of each member. What was drawn a moment after `as_of` was drawn earlier all the same, and is put before it."""
    if asked is None:
        return contacts
    last_us = np.array([NOT_DRAWN if at_us is None else at_us for at_us in found], dtype=np.int64)
    return replace(contacts, drawn_us=np.minimum(last_us, asked.as_of_us - 1))


class Recount(NamedTuple):
    """What is used up of a limit, as it was counted before and now."""

    before: float
    now: float


class ContactStore(schema.Transactions):
    """The store's part that counts places and money."""

    def used(self, begins_us: int, at_us: int = 0) -> dict[str, float]:
        """What is used up at `at_us` of each resource in the period that begins then."""
        with self._asking() as connection:
            return used(connection, begins_us, at_us)

    def count_anew(self, quotas: Quotas) -> dict[str, Recount]:
        """Of each limit, what was counted in its period, and what decisions and reports took in it, also before the limit was declared.

        The larger of the two is what counts from now on; what erased members took is in the first alone. The touches give back there what
        they took.
        """
        if not quotas.limits:
            return {}
        with self._writing() as connection:
            counted, found = _held(connection, quotas), _taken_since(connection, quotas)
            told = {resource: Recount(counted[resource], max(counted[resource], found[resource])) for resource in sorted(quotas.limits)}
            take(connection, {(quotas.begins_us, resource): one.now - one.before for resource, one in told.items()})
        return told


def rows_of(connection: Connection, table: Table, column: str, values: Iterable[str], kind: type[Row]) -> list[Row]:
    """Those whose column holds one of the values, as the dataclass whose fields are columns of the table."""
    names = [field.name for field in fields(kind)]
    found = connection.execute(select(*(table.c[name] for name in names)).where(table.c[column].in_(set(values)))).mappings()
    return [_made(kind, row) for row in found]


def _made(kind: type[Row], row: RowMapping) -> Row:
    return kind(**row)


def uses_of(changes: Iterable[Change], quotas_at: Callable[[int], Quotas]) -> Counter[tuple[int, str]]:
    """By period and resource, what the changes take more than before."""
    more: Counter[tuple[int, str]] = Counter()
    for change in changes:
        for touch, sign in ((change.before, -1), (change.after, 1)):
            if touch is None or not touch.occupies or touch.period_us is None:
                continue
            uses = quotas_at(touch.period_us).use(touch.intervention_id, touch.channel, touch.cost or 0.0)
            for resource, amount in uses.items():
                more[touch.period_us, resource] += sign * amount
    return more


def seen_anew(connection: Connection, member_ids: Iterable[str]) -> None:
    """Decisions that were made on what was known of these members' contacts are to be made again."""
    SEEN_ANEW.each(connection, [{"of": member_id} for member_id in sorted(member_ids)])


def take(connection: Connection, more: Mapping[tuple[int, str], float]) -> None:
    """Adds to what is used, in one order for all, so that two never wait for each other."""
    rows = [{"period_us": key[0], "resource": key[1], "used": amount} for key, amount in sorted(more.items()) if amount]
    TAKEN.each(connection, rows)


def used(connection: Connection, begins_us: int, at_us: int) -> dict[str, float]:
    """Of the period, by resource; less what reservations hold that have ended by `at_us`, which the next decision releases."""
    taken: dict[str, float] = dict(USED.rows(connection, period_us=begins_us))
    for intervention, channel, cost in ENDED.rows(connection, period_us=begins_us, at_us=at_us) if taken else ():
        for resource, amount in resources_of(intervention, channel, cost or 0.0).items():
            if resource in taken:
                taken[resource] -= amount
    return taken


def outrun(connection: Connection, rows: Sequence[DecisionRow], quotas: Quotas | None) -> frozenset[str]:
    """Members of the first row that was decided with other places or money than there are when its turn comes, and of all after it.

    Holds the period until the transaction ends.
    """
    if quotas is None or not quotas.limits or not rows:
        return frozenset()
    release_expired(connection, rows[0].created_us, quotas)
    taken = Counter(_held(connection, quotas))
    for position, row in enumerate(rows):
        if quotas.used_up(taken) != row.used_up:
            return frozenset(later.member_id for later in rows[position:])
        if row.touches:
            taken.update(quotas.use(row.chosen, row.channel, row.cost))
    return frozenset()


def _held(connection: Connection, quotas: Quotas) -> dict[str, float]:
    BEGUN.each(connection, [{"period_us": quotas.begins_us, "resource": resource, "used": 0.0} for resource in sorted(quotas.limits)])
    return dict(HELD_USES.rows(connection, period_us=quotas.begins_us))


def _taken_since(connection: Connection, quotas: Quotas) -> Counter[str]:
    """By resource, of touches that were decided on since the period began, or reported without a decision; they are in it from now on."""
    touches, decisions, since_us = schema.touches, schema.decisions, quotas.begins_us
    made_us = func.coalesce(decisions.c.created_us, touches.c.at_us)
    within = (
        touches.c.at_us >= since_us - SKEW_US,
        made_us >= since_us,
        touches.c.state.in_(OCCUPYING),
        touches.c.source.in_(COUNTED),
    )
    joined = touches.outerjoin(decisions, decisions.c.decision_id == touches.c.decision_id)
    of_each = (touches.c.intervention_id, touches.c.channel)
    sums = (
        select(*of_each, func.count(), func.coalesce(func.sum(touches.c.cost), 0.0)).select_from(joined).where(*within).group_by(*of_each)
    )
    taken: Counter[str] = Counter()
    for intervention, channel, times, cost in connection.execute(sums):
        taken.update({resource: times * amount for resource, amount in quotas.use(intervention, channel, cost / times).items()})
    ids = select(touches.c.touch_id).select_from(joined).where(*within, func.coalesce(touches.c.period_us, -1) != since_us)
    connection.execute(update(touches).where(touches.c.touch_id.in_(ids)).values(period_us=since_us))
    return taken


def reserve(connection: Connection, rows: Sequence[DecisionRow], quotas: Quotas | None) -> None:
    """A contact for each row that chose something; who rests is seen anew too."""
    seen_anew(connection, [row.member_id for row in rows if row.touches or row.rests])
    reserving = [row for row in rows if row.touches]
    if not reserving:
        return
    limited = quotas is not None and bool(quotas.limits)
    touches = [_reservation(row, quotas.begins_us if quotas is not None and limited else None) for row in reserving]
    RESERVED.each(connection, [vars(touch) for touch in touches])
    if quotas is not None:
        take(connection, uses_of([Change(None, touch) for touch in touches], quotas.at))


def _reservation(row: DecisionRow, period_us: int | None) -> Touch:
    return Touch(
        touch_id=row.decision_id,
        member_id=row.member_id,
        at_us=row.created_us,
        channel=row.channel,
        intervention_id=row.chosen,
        state="reserved",
        decision_id=row.decision_id,
        cost=row.cost,
        expires_us=row.expires_us,
        period_us=period_us,
        source="decision",
    )


def release_expired(connection: Connection, now_us: int, quotas: Quotas) -> None:
    """Reservations that nobody confirmed in time give their places back; those that another transaction is at are left to it."""
    table = schema.touches
    held = [Touch(*row) for row in DUE.rows(connection, at_us=now_us)]
    if not held:
        return
    changes = [Change(touch, replace(touch, state="expired", expires_us=None)) for touch in held]
    ended = update(table).where(table.c.touch_id == bindparam("of")).values(state="expired", expires_us=None)
    connection.execute(ended, [{"of": touch.touch_id} for touch in held])
    take(connection, uses_of(changes, quotas.at))

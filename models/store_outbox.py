"""SQL of the outbox: endpoints, and the messages that are still to reach them, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
)
from sqlalchemy import update as sql_update

from models import store_schema as schema
from models.store_prepared import Many, Prepared
from models.store_rows import DecisionRow
from models.webhooks import Endpoint, Message

KEPT_US = 30 * 86_400_000_000
SWEPT_AT_ONCE = 500

webhooks = Table(
    "webhooks",
    schema.metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False, comment="separated by blanks"),
    Column("secret", Text, nullable=False, comment="sealed"),
    Column("old_secret", Text, comment="sealed; signs too until `old_secret_until_us`"),
    Column("old_secret_until_us", BigInteger, nullable=False, server_default="0"),
    Column("created_us", BigInteger, nullable=False),
    Column("delivered", Integer, nullable=False, server_default="0"),
    Column("delivered_us", BigInteger, comment="when the last one was"),
)

deliveries = Table(
    "deliveries",
    schema.metadata,
    Column("delivery_key", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("message_id", Text, nullable=False),
    Column("endpoint_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("member_id", Text, comment="whom it is about, null where it is about nobody"),
    Column("created_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False, comment="pending | dead; what was delivered is deleted"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_us", BigInteger, nullable=False, comment="0: at once; while an attempt is under way, when it counts as lost"),
    Column("error", Text, comment="of the last attempt"),
    UniqueConstraint("message_id", "endpoint_id"),
    Index("deliveries_due", "state", "endpoint_id", "due_us"),
    Index("deliveries_of_member", "member_id"),
)

_members = schema.members.c
BANDS = Many(sql_update(schema.members).where(_members.member_id == bindparam("of")).values(risk_band=bindparam("now")))

ASKED_FOR = Prepared(select(webhooks.c.endpoint_id, webhooks.c.events))

announced = Table("announced", schema.metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))


class Delivery(NamedTuple):
    """A message on its way to one endpoint; `attempts` counts the one under way."""

    delivery_key: int
    message_id: str
    body: str
    attempts: int


class DeadLetter(NamedTuple):
    delivery_key: int
    message_id: str
    endpoint_id: str
    type: str
    created_us: int
    attempts: int
    error: str | None


class Standing(NamedTuple):
    """Of one endpoint: what was, is still to be, and could not be delivered."""

    endpoint: Endpoint
    delivered: int
    delivered_us: int | None
    pending: int
    dead: int


def post(connection: Connection, messages: Sequence[Message]) -> None:
    """To every endpoint that asked for such; what an endpoint was sent before, or is being sent, is not sent again."""
    if not messages:
        return
    asked = [(endpoint_id, types.split()) for endpoint_id, types in ASKED_FOR.rows(connection)]
    rows = [
        {"message_id": message.message_id, "endpoint_id": endpoint_id, "type": message.type, "member_id": message.member_id}
        | {"created_us": message.at_us, "body": message.body, "state": "pending", "due_us": 0}
        for message in messages
        for endpoint_id, types in asked
        if message.type in types
    ]
    if rows:
        connection.execute(schema.insert_new(connection, deliveries).on_conflict_do_nothing(), rows)


def note_bands(connection: Connection, rows: Sequence[DecisionRow], before: Mapping[str, str | None]) -> None:
    """Keeps each decided member's risk band, and posts where it is another than `before`; who has none keeps the last.

    The members are held by the caller.
    """
    moved = [row for row in rows if row.risk_band is not None and before[row.member_id] != row.risk_band]
    BANDS.each(connection, [{"of": row.member_id, "now": row.risk_band} for row in moved])
    post(connection, [_band_changed(row) for row in moved if before[row.member_id] is not None])


def _band_changed(row: DecisionRow) -> Message:
    data = {"member_id": row.member_id, "decision_id": row.decision_id}
    return Message("member.risk_band_changed", row.decision_id, row.created_us, data, row.member_id)


def announce(connection: Connection, name: str, value: str) -> bool:
    """Whether `value` is news: another was announced under this name before, and no other process was faster."""
    fresh = schema.insert_new(connection, announced).on_conflict_do_nothing().values(name=name, value=value)
    if connection.scalar(fresh.returning(announced.c.name)) is not None:
        return False
    table = announced.c
    return connection.execute(sql_update(announced).where(table.name == name, table.value != value).values(value=value)).rowcount == 1


def add(connection: Connection, endpoint: Endpoint) -> None:
    row = {name: getattr(endpoint, name) for name in ("endpoint_id", "url", "secret", "created_us")}
    connection.execute(webhooks.insert().values(row | {"events": " ".join(endpoint.events)}))


def endpoint(connection: Connection, endpoint_id: str) -> Endpoint | None:
    row = connection.execute(select(webhooks).where(webhooks.c.endpoint_id == endpoint_id)).one_or_none()
    return None if row is None else _endpoint(row)


def _endpoint(row: Any) -> Endpoint:  # noqa: ANN401 - SQLAlchemy names no type for a row of a table
    secrets = {"old_secret": row.old_secret, "old_secret_until_us": row.old_secret_until_us}
    return Endpoint(row.endpoint_id, row.url, tuple(row.events.split()), row.secret, row.created_us, **secrets)


def standings(connection: Connection) -> list[Standing]:
    """Endpoints by age."""
    table = deliveries.c
    counted = select(table.endpoint_id, table.state, func.count()).group_by(table.endpoint_id, table.state)
    number = {(row[0], row[1]): row[2] for row in connection.execute(counted)}
    rows = connection.execute(select(webhooks).order_by(webhooks.c.created_us, webhooks.c.endpoint_id))
    return [
        Standing(
            _endpoint(row),
            row.delivered,
            row.delivered_us,
            *(number.get((row.endpoint_id, state), 0) for state in ("pending", "dead")),
        )
        for row in rows
    ]


def remove(connection: Connection, endpoint_id: str) -> bool:
    """With all that was still to be sent to it."""
    connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
    return connection.execute(delete(webhooks).where(webhooks.c.endpoint_id == endpoint_id)).rowcount == 1


def rotate(connection: Connection, endpoint_id: str, secret: str, old_until_us: int) -> bool:
    table = webhooks.c
    changed = {"old_secret": table.secret, "old_secret_until_us": old_until_us, "secret": secret}
    return connection.execute(sql_update(webhooks).where(table.endpoint_id == endpoint_id).values(changed)).rowcount == 1


def secrets(connection: Connection) -> list[str]:
    """As they are kept, the old ones too."""
    rows = connection.execute(select(webhooks.c.secret, webhooks.c.old_secret))
    return [secret for row in rows for secret in row if secret is not None]


def change_secrets(connection: Connection, change: Callable[[str], str]) -> int:
    """Each as it is kept to what is kept from now on; returns how many are another."""
    table = webhooks.c
    rows = connection.execute(select(table.endpoint_id, table.secret, table.old_secret).with_for_update()).all()
    changed = 0
    for row in rows:
        secret, old = change(row.secret), None if row.old_secret is None else change(row.old_secret)
        changed += (secret != row.secret) + (old != row.old_secret)
        connection.execute(sql_update(webhooks).where(table.endpoint_id == row.endpoint_id).values(secret=secret, old_secret=old))
    return changed


def endpoints_due(connection: Connection, now_us: int) -> list[str]:
    table = deliveries.c
    return list(connection.scalars(select(table.endpoint_id).where(table.state == "pending", table.due_us <= now_us).distinct()))


def lease(connection: Connection, endpoint_id: str, now_us: int, until_us: int, limit: int) -> list[Delivery]:
    """Those that are due, oldest first, for this caller alone until `until_us`; then they are due again."""
    table = deliveries.c
    due = select(table.delivery_key, table.message_id, table.body, table.attempts)
    due = due.where(table.state == "pending", table.endpoint_id == endpoint_id, table.due_us <= now_us)
    rows = connection.execute(due.order_by(table.due_us, table.delivery_key).limit(limit).with_for_update(skip_locked=True)).all()
    taken = sql_update(deliveries).where(table.delivery_key.in_([row.delivery_key for row in rows]))
    connection.execute(taken.values(due_us=until_us, attempts=table.attempts + 1))
    return [Delivery(row.delivery_key, row.message_id, row.body, row.attempts + 1) for row in rows]


def delivered(connection: Connection, endpoint_id: str, keys: Sequence[int], now_us: int) -> None:
    gone = connection.execute(delete(deliveries).where(deliveries.c.delivery_key.in_(keys))).rowcount
    counted = {"delivered": webhooks.c.delivered + gone, "delivered_us": now_us}
    connection.execute(sql_update(webhooks).where(webhooks.c.endpoint_id == endpoint_id).values(counted))


def failed(connection: Connection, delivery_key: int, error: str, due_us: int | None) -> None:
    """Due again at `due_us`; with None it is a dead letter."""
    again = {"error": error} | ({"state": "dead"} if due_us is None else {"due_us": due_us})
    connection.execute(sql_update(deliveries).where(deliveries.c.delivery_key == delivery_key).values(again))


def dead_letters(connection: Connection, after: int, limit: int) -> list[DeadLetter]:
    """Oldest first, those whose key is above `after`."""
    columns = [deliveries.c[name] for name in DeadLetter._fields]
    rows = select(*columns).where(deliveries.c.state == "dead", deliveries.c.delivery_key > after)
    return [DeadLetter(*row) for row in connection.execute(rows.order_by(deliveries.c.delivery_key).limit(limit))]


def redeliver(connection: Connection, now_us: int, endpoint_id: str | None, message_id: str | None) -> int:
    """Dead letters become due again, of one endpoint or message where given; returns their number."""
    table = deliveries.c
    meant = [column == given for column, given in ((table.endpoint_id, endpoint_id), (table.message_id, message_id)) if given is not None]
    again = sql_update(deliveries).where(and_(table.state == "dead", *meant))
    return connection.execute(again.values(state="pending", attempts=0, due_us=now_us)).rowcount


def sweep(connection: Connection, now_us: int) -> bool:
    """Some dead letters of thirty days ago are of no use to anybody, nor is what was posted then and never left, for want of a key, say.

    Whether there may be more of them.
    """
    table, before_us = deliveries.c, now_us - KEPT_US
    waited = and_(table.created_us < before_us, table.due_us < before_us)
    old = select(table.delivery_key).where(or_(and_(table.state == "dead", table.due_us < before_us), waited)).limit(SWEPT_AT_ONCE)
    return connection.execute(delete(deliveries).where(table.delivery_key.in_(old))).rowcount > 0

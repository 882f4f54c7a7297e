"""The outbox: endpoints outside, messages on their way to them, and the risk band that a change is told against."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

revision = "0004"
down_revision = "0003"

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

_tables = MetaData()

Table(
    "webhooks",
    _tables,
    Column("endpoint_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False, comment="separated by blanks"),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text, comment="signs too until `old_secret_until_us`"),
    Column("old_secret_until_us", BigInteger, nullable=False, server_default="0"),
    Column("created_us", BigInteger, nullable=False),
    Column("delivered", Integer, nullable=False, server_default="0"),
    Column("delivered_us", BigInteger, comment="when the last one was"),
)
Table(
    "deliveries",
    _tables,
    Column("delivery_key", _NUMBER, primary_key=True, autoincrement=True),
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
Table("announced", _tables, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))


def upgrade() -> None:
    _tables.create_all(op.get_bind())
    op.add_column("members", Column("risk_band", Text, comment="of the last decision that had one"))

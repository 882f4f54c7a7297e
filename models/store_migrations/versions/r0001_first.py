"""The store when revisions began; a store from before them gets what it lacks of this."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, inspect

revision = "0001"
down_revision = None

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_LATER_COLUMNS = (("members", "attributes"), ("touches", "response"))

_tables = MetaData()

Table(
    "members",
    _tables,
    Column("member_id", Text, primary_key=True),
    Column("joined_us", BigInteger, nullable=False),
    Column("source", Text, nullable=False, comment="log | api"),
    Column("attributes", Text, comment="JSON; null for members that no log declared"),
    Column("contacts", Integer, nullable=False, server_default="0", comment="how often one was reserved; rises with each"),
)
Table(
    "events",
    _tables,
    Column("event_key", _NUMBER, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("member_id", Text, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", Float),
    Column("channel", Text),
    Column("source", Text, nullable=False, comment="log | api"),
    Index("events_of_member", "member_id", "timestamp_us"),
    Index("events_of_source", "source", "event_key"),
)
Table(
    "touches",
    _tables,
    Column("touch_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("channel", Text),
    Column("intervention_id", Text, nullable=False),
    Column("state", Text, nullable=False, comment="reserved | delivered | undelivered"),
    Column("response", Text, comment="accepted | refused | redeemed; null where none is known"),
    Index("touches_of_member", "member_id", "at_us"),
)
Table(
    "decisions",
    _tables,
    Column("decision_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("chosen", Text, nullable=False),
    Column("body", Text, nullable=False, comment="the whole trace, JSON"),
    Index("decisions_of_member", "member_id", "created_us"),
)
Table(
    "requests",
    _tables,
    Column("key_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("claimed_us", BigInteger, nullable=False),
    Column("answer", Text, comment="null while the first attempt is under way"),
)
Table(
    "plans",
    _tables,
    Column("plan_key", _NUMBER, primary_key=True, autoincrement=True, comment="the highest is in force"),
    Column("plan_id", Text, nullable=False),
    Column("activated_us", BigInteger, nullable=False),
    Column("body", Text, comment="prices and what they hold for, JSON; null where a plan was withdrawn"),
)
Table("loads", _tables, Column("fingerprint", Text, primary_key=True))
Table(
    "api_keys",
    _tables,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False, comment="separated by blanks"),
    Column("salt", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)


def upgrade() -> None:
    connection = op.get_bind()
    _tables.create_all(connection)
    held = inspect(connection)
    for table, name in _LATER_COLUMNS:
        if name not in {column["name"] for column in held.get_columns(table)}:
            op.add_column(table, Column(name, Text, comment=_tables.tables[table].c[name].comment))

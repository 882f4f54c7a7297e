"""A challenger that decides for a share of the members."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text

revision = "0012"
down_revision = "0011"

_tables = MetaData()

Table(
    "rollouts",
    _tables,
    Column("rollout_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("running", Integer, unique=True, comment="1 while it runs, so that there is one at most; then null"),
    Column("champion", Text, nullable=False, comment="version that decided for the others when it began"),
    Column("challenger", Text, nullable=False, comment="version"),
    Column("folder", Text, nullable=False, comment="of the challenger's files, in the cache of models"),
    Column("seal", Text, nullable=False, comment="of these files"),
    Column("salt", Text, nullable=False),
    Column("state", Text, nullable=False, comment="running | finished | rolled_back"),
    Column("ended_us", BigInteger, comment="null while it runs"),
    Column("ended_by", Text),
    Column("ended_because", Text),
)
Table(
    "rollout_stages",
    _tables,
    Column("rollout_id", BigInteger, primary_key=True),
    Column("stage", Integer, primary_key=True, comment="from 1 on"),
    Column("percent", Float, nullable=False, comment="of the members"),
    Column("since_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),
)
Table(
    "rollout_processes",
    _tables,
    Column("process", Text, primary_key=True),
    Column("rollout_id", BigInteger, nullable=False),
    Column("percent", Float, nullable=False, comment="that it goes by; 0 where the roll-out has ended or was refused"),
    Column("error", Text, comment="why it was refused"),
    Column("seen_us", BigInteger, nullable=False),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

"""What plans are made on."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

revision = "0010"
down_revision = "0009"

_tables = MetaData()

Table(
    "grounds",
    _tables,
    Column("ground_key", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("as_of_us", BigInteger, nullable=False),
    Column("body", LargeBinary, comment="arrays of numpy, without ids of members; null while the members' rows are being written"),
)
Table(
    "ground_members",
    _tables,
    Column("ground_key", BigInteger, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("probability", Float, comment="null for members without a score"),
    Column("value_at_risk", Float),
    Index("ground_members_of_member", "member_id"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

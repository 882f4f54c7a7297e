"""What commands found out for the pages."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, MetaData, Table, Text

revision = "0008"
down_revision = "0007"

_tables = MetaData()

Table(
    "figures",
    _tables,
    Column("name", Text, primary_key=True),
    Column("as_of_us", BigInteger, nullable=False, comment="what they are of"),
    Column("body", Text, nullable=False, comment="JSON, without ids of members"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

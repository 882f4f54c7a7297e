"""Declared touches with their logged chances, and for each log that was loaded which of them it left."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

revision = "0014"
down_revision = "0013"

_tables = MetaData()

Table(
    "declared_assignments",
    _tables,
    Column("assignment_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("intervention_id", Text, nullable=False, comment="none included"),
    Column("propensities", Text, nullable=False, comment="of every arm by its id, none included, JSON"),
    Index("declared_of_member", "member_id"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())
    op.add_column(
        "loads", Column("assigned", Text, comment="mark of the declared assignments that it left; null from before these were kept")
    )

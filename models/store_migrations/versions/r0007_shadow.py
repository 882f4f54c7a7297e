"""What a challenger would have decided."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, UniqueConstraint

revision = "0007"
down_revision = "0006"

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_tables = MetaData()

Table(
    "shadow_decisions",
    _tables,
    Column("shadow_key", _NUMBER, primary_key=True, autoincrement=True),
    Column("decision_id", Text, nullable=False),
    Column("version", Text, nullable=False, comment="of the challenger"),
    Column("member_id", Text, nullable=False),
    Column("champion_version", Text, nullable=False),
    Column("champion_band", Text),
    Column("champion_choice", Text),
    Column("champion_probability", Float),
    Column("band", Text),
    Column("choice", Text, comment="null while it is being found out"),
    Column("probability", Float),
    UniqueConstraint("decision_id", "version"),
    Index("shadow_decisions_of_member", "member_id"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

"""Sessions of the pages, and what the last run over all members found."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

revision = "0005"
down_revision = "0004"

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_tables = MetaData()

Table(
    "sessions",
    _tables,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the cookie"),
    Column("key_id", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
Table(
    "overviews",
    _tables,
    Column("overview_key", _NUMBER, primary_key=True, autoincrement=True),
    Column("as_of_us", BigInteger, nullable=False),
    Column("body", Text, comment="figures of the whole community, JSON; null while the members' rows are being written"),
    Column("cells", Text, comment="members by bin of risk and group, JSON; null where a newer run has them"),
)
Table(
    "standings",
    _tables,
    Column("overview_key", BigInteger, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("bin", Integer, comment="of risk; null for members without a score"),
    Column("probability", Float),
    Column("risk_band", Text),
    Column("stage", Text),
    Column("tier", Text),
    Column("tags", Text, comment="each between commas"),
    Column("cohort", Text, comment="year and month of joining"),
    Column("value", Float),
    Column("value_at_risk", Float),
    Column("chosen", Text, nullable=False),
    Index("standings_of_member", "member_id"),
    Index("standings_by_value", "overview_key", "value_at_risk", "member_id"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

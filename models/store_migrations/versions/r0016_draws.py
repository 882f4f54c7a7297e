"""When chance decided on a member is found with its decisions, without reading any of them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    told = "created_us where chance was in play; null where it was not, and from before it was told"
    op.add_column("decisions", Column("drawn_us", BigInteger, comment=told))
    op.drop_index("decisions_of_member", "decisions")
    op.create_index("decisions_of_member", "decisions", ["member_id", "created_us", "drawn_us"])

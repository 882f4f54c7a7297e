"""Preferences, erasures, keys that expire, and the member of a stored answer."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0003"
down_revision = "0002"

_MEMBER = {"sqlite": "json_extract(answer, '$.member_id')", "postgresql": "answer::json ->> 'member_id'"}


def upgrade() -> None:
    op.add_column("members", Column("preferences", Text, comment="JSON; null for members who refused nothing"))
    op.add_column("api_keys", Column("expires_us", BigInteger, comment="null for a key that holds until it is revoked"))
    op.add_column("requests", Column("member_id", Text, comment="of the answer"))
    op.execute(f"UPDATE requests SET member_id = {_MEMBER[op.get_bind().dialect.name]} WHERE answer IS NOT NULL")  # noqa: S608 - one of the two expressions above
    op.create_index("requests_of_member", "requests", ["member_id"])
    op.create_table("settings", Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
    op.create_table(
        "erasures",
        Column("token", Text, primary_key=True, comment="keyed hash of the member's id"),
        Column("receipt_id", Text, nullable=False),
        Column("erased_us", BigInteger, nullable=False),
        Column("counts", Text, nullable=False, comment="rows that were erased, by table, JSON"),
    )

"""Groups of members in a run, and where each member is counted."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, Integer

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Runs that were kept so far are gone from the pages until the next one: their counts were written in another way."""
    op.execute("UPDATE overviews SET cells = NULL")
    op.add_column(
        "standings", Column("groups", JSON(none_as_null=True), comment="of the members table, by column; null for members who are in none")
    )
    op.add_column("standings", Column("cell", Integer, comment="in which the member is counted"))
    op.create_index("standings_of_cell", "standings", ["overview_key", "cell"])

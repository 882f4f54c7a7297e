"""What the declared log says of its touches: which decision of the service, or which touch that was reported to it, each of them is."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    told = "of one of a log, the id of a decision or of a reported touch that the log says it is"
    op.add_column("touches", Column("named", Text, comment=told))
    op.add_column("declared_assignments", Column("named", Text, comment="as of touches"))

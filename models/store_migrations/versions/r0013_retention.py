"""What is old is found by its time: answers of requests, and decisions that have their trace."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_index("requests_by_time", "requests", ["claimed_us"])
    with_trace = text("body != '{}'")
    op.create_index("decisions_with_trace", "decisions", ["created_us"], sqlite_where=with_trace, postgresql_where=with_trace)

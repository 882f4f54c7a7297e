"""All that a history is made of stands in the index by which it is found: the events of a member came one by one, and lie far apart."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.drop_index("events_of_member", "events")
    op.create_index("events_of_member", "events", ["member_id", "timestamp_us", "event_key", "type", "value"])

"""Contacts of decisions, with their costs, ends and places; what followed; what a decision was based on."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Text

revision = "0002"
down_revision = "0001"

_TOUCHES = (("decision_id", Text()), ("cost", Float()), ("expires_us", BigInteger()), ("period_us", BigInteger()), ("source", Text()))
_DECISIONS = (("channel", Text()), ("propensities", Text()), ("basis", Text()))


def upgrade() -> None:
    for table, columns in (("touches", _TOUCHES), ("decisions", _DECISIONS)):
        for name, kind in columns:
            op.add_column(table, Column(name, kind))
    op.create_index("touches_of_decision", "touches", ["decision_id"])
    op.create_index("touches_by_expiry", "touches", ["expires_us"])
    op.create_index("decisions_by_time", "decisions", ["created_us", "decision_id"])
    op.create_table(
        "outcomes",
        Column("outcome_id", Text, primary_key=True),
        Column("member_id", Text, nullable=False),
        Column("decision_id", Text),
        Column("type", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Column("value", Float),
    )
    op.create_index("outcomes_of_member", "outcomes", ["member_id", "at_us"])
    op.create_index("outcomes_of_decision", "outcomes", ["decision_id"])
    op.create_table(
        "uses",
        Column("period_us", BigInteger, primary_key=True),
        Column("resource", Text, primary_key=True),
        Column("used", Float, nullable=False),
    )

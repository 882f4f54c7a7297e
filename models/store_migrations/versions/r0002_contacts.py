"""Contacts of decisions, with their costs, ends and places; what followed; what a decision was based on."""

from __future__ import annotations

import json
from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Float, MetaData, Table, Text, bindparam, select, update

revision = "0002"
down_revision = "0001"

CHUNK = 1_000
_TOUCHES = (("decision_id", Text()), ("cost", Float()), ("expires_us", BigInteger()), ("period_us", BigInteger()), ("source", Text()))
_DECISIONS = (("channel", Text()), ("propensities", Text()), ("basis", Text()))

_held = MetaData()
_touches = Table("touches", _held, Column("touch_id", Text), Column("decision_id", Text), Column("source", Text))
_decisions = Table("decisions", _held, *(Column(name, Text) for name in ("decision_id", "body", "channel", "propensities")))


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
    _tell_decisions()


def _tell_decisions() -> None:
    """What the traces of earlier decisions hold is told in columns, so that they are assignments too."""
    connection, own = op.get_bind(), select(_decisions.c.decision_id)
    reserved = update(_touches).where(_touches.c.touch_id.in_(own))
    connection.execute(reserved.values(decision_id=_touches.c.touch_id, source="decision"))
    told = update(_decisions).where(_decisions.c.decision_id == bindparam("of"))
    told = told.values(channel=bindparam("reached_on"), propensities=bindparam("shares"))
    ids = list(connection.scalars(own))
    for begin in range(0, len(ids), CHUNK):
        chosen = _decisions.c.decision_id.in_(ids[begin : begin + CHUNK])
        rows = list(connection.execute(select(_decisions.c.decision_id, _decisions.c.body).where(chosen)))
        connection.execute(told, [{"of": decision_id, **_told(json.loads(body))} for decision_id, body in rows])


def _told(trace: dict[str, Any]) -> dict[str, str | None]:
    candidates = trace.get("candidates", [])
    channel = next((candidate["channel"] for candidate in candidates if candidate["intervention_id"] == trace["chosen"]), None)
    shares = {candidate["intervention_id"]: candidate["probability"] for candidate in candidates}
    return {"reached_on": channel, "shares": json.dumps(shares) if shares else None}

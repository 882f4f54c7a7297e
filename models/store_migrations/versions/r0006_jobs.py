"""Decision jobs, and the members whom they are for."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

revision = "0006"
down_revision = "0005"

_tables = MetaData()

Table(
    "jobs",
    _tables,
    Column("job_id", Text, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("request", Text, nullable=False, comment="what was asked for, JSON, without ids of members"),
    Column("answer", Text, nullable=False, comment="what was answered then, JSON"),
    Column("status", Text, nullable=False, comment="queued | running | succeeded | failed | cancelled"),
    Column("stage", Text, nullable=False, comment="selecting | deciding"),
    Column("worker", Text, comment="who is at it"),
    Column("lease_us", BigInteger, nullable=False, server_default="0", comment="from then on another may take it over"),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("as_of_us", BigInteger),
    Column("model_version", Text),
    Column("members", Integer, nullable=False, server_default="0", comment="to be looked at"),
    Column("considered", Integer, nullable=False, server_default="0"),
    Column("selected", Integer, nullable=False, server_default="0"),
    Column("decided", Integer, nullable=False, server_default="0"),
    Column("contacted", Integer, nullable=False, server_default="0"),
    Column("unknown", Integer, nullable=False, server_default="0", comment="ids that were asked for and are of no member"),
    Column("cost", Float, nullable=False, server_default="0"),
    Column("plan", Text, comment="prices and what they are expected to bring, JSON; null without one"),
    Column("error", Text),
    Index("jobs_by_time", "created_us", "job_id"),
    Index("jobs_open", "status", "lease_us"),
)
Table(
    "job_members",
    _tables,
    Column("job_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("planned", Text, comment="what the plan means for the member, JSON"),
    Column("answer", Text, comment="what was decided, JSON"),
    Index("job_members_of_member", "member_id"),
)


def upgrade() -> None:
    _tables.create_all(op.get_bind())

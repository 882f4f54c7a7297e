"""SQL of decision jobs: the job, whom it is for, and how far it has come, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from models import store_schema as schema
from models.job_rows import OPEN, JobEnd, JobMember, JobProgress, JobRow, JobStep, Line, Selected, Told
from models.store_outbox import post
from models.store_privacy import still_there
from models.webhooks import Message

COUNTED = ("considered", "selected", "decided", "contacted", "cost")
TOLD = ("stage", "as_of_us", "model_version", "members", "plan")
KEPT_US = 30 * 86_400_000_000
SWEPT_AT_ONCE = 500

jobs = Table(
    "jobs",
    schema.metadata,
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

job_members = Table(
    "job_members",
    schema.metadata,
    Column("job_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("planned", Text, comment="what the plan means for the member, JSON"),
    Column("answer", Text, comment="what was decided, JSON"),
    Index("job_members_of_member", "member_id"),
)


class JobLost(Exception):  # noqa: N818 - what happened to whoever held it
    """The job was cancelled, or another worker has taken it over; nothing was written."""


def add(connection: Connection, row: JobRow, member_ids: Sequence[str] | None) -> None:
    """`member_ids` are those that the job is for where it names them, known ones only."""
    connection.execute(jobs.insert(), asdict(row))
    if member_ids is not None:
        select_members(connection, row.job_id, [Selected(position, name) for position, name in enumerate(member_ids)])


def find(connection: Connection, job_id: str) -> JobRow | None:
    row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().one_or_none()
    return None if row is None else JobRow(**row)


def page(connection: Connection, before: tuple[int, str] | None, limit: int) -> list[JobRow]:
    """Newest first, those before (created_us, job_id)."""
    table = jobs.c
    rows = select(jobs).order_by(table.created_us.desc(), table.job_id.desc()).limit(limit)
    if before is not None:
        rows = rows.where(or_(table.created_us < before[0], and_(table.created_us == before[0], table.job_id < before[1])))
    return [JobRow(**row) for row in connection.execute(rows).mappings()]


def any_free(connection: Connection, now_us: int) -> bool:
    table = jobs.c
    return connection.scalar(select(table.job_id).where(table.status.in_(OPEN), table.lease_us <= now_us).limit(1)) is not None


def lease(connection: Connection, worker: str, now_us: int, until_us: int) -> JobRow | None:
    """The oldest job that nobody is at, for this worker."""
    table = jobs.c
    free = select(table.job_id).where(table.status.in_(OPEN), table.lease_us <= now_us).order_by(table.created_us, table.job_id)
    job_id = connection.scalar(free.limit(1).with_for_update(skip_locked=True))
    if job_id is None:
        return None
    taken = {"worker": worker, "lease_us": until_us, "status": "running", "started_us": func.coalesce(table.started_us, now_us)}
    connection.execute(update(jobs).where(table.job_id == job_id).values(taken))
    return find(connection, job_id)


def step(connection: Connection, taken: JobStep) -> None:
    """Holds the job until the transaction ends. Raises JobLost, upon which nothing may be written."""
    table = jobs.c
    counted = {name: table[name] + getattr(taken, name) for name in COUNTED}
    told = {name: getattr(taken, name) for name in TOLD}
    known = {name: value for name, value in told.items() if value is not None}
    mine = and_(table.job_id == taken.job_id, table.worker == taken.worker, table.status == "running")
    if connection.execute(update(jobs).where(mine).values(counted | known | {"lease_us": taken.lease_us})).rowcount != 1:
        raise JobLost(taken.job_id)


def progress(connection: Connection, made: JobProgress) -> None:
    """Raises JobLost."""
    step(connection, made.step)
    answer_members(connection, made.step.job_id, made.lines)


def restart(connection: Connection, job_id: str, *, named: bool) -> None:
    """Begin with the selection again; members whom the job names stay, without what was planned for them."""
    rows = job_members.c.job_id == job_id
    if named:
        connection.execute(update(job_members).where(rows).values(planned=None))
    else:
        connection.execute(delete(job_members).where(rows))
    connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(considered=0, selected=0))


def select_members(connection: Connection, job_id: str, members: Iterable[Selected]) -> None:
    """Whoever was erased meanwhile is left out."""
    chosen = list(members)
    there = still_there(connection, [member.member_id for member in chosen])
    rows = [{"job_id": job_id, **member._asdict()} for member in chosen if member.member_id in there]
    if rows:
        connection.execute(job_members.insert(), rows)


def keep_members(connection: Connection, job_id: str, kept: Sequence[Selected], among: range) -> None:
    """Of those at the positions `among`, whom the job names, these stay."""
    rows, positions = job_members.c.job_id == job_id, job_members.c.position
    held = set(connection.scalars(select(positions).where(rows, positions >= among.start, positions < among.stop)))
    gone = sorted(held - {member.position for member in kept})
    connection.execute(delete(job_members).where(rows, positions.in_(gone)))


def plan_members(connection: Connection, job_id: str, planned: Sequence[Selected]) -> None:
    meant = update(job_members).where(job_members.c.job_id == job_id, job_members.c.position == bindparam("at"))
    if planned:
        connection.execute(meant.values(planned=bindparam("now")), [{"at": member.position, "now": member.planned} for member in planned])


def everyone(connection: Connection, after: str, joined_before_us: int, limit: int) -> list[str]:
    """Ids of members who had joined, in their order, those after `after`."""
    table = schema.members.c
    rows = select(table.member_id).where(table.member_id > after, table.joined_us <= joined_before_us)
    return list(connection.scalars(rows.order_by(table.member_id).limit(limit)))


def number_of_members(connection: Connection, joined_before_us: int) -> int:
    table = schema.members.c
    return connection.scalar(select(func.count()).where(table.joined_us <= joined_before_us)) or 0


def members(connection: Connection, job_id: str, after: int, limit: int, *, undecided: bool = False) -> list[JobMember]:
    """By position, those after `after`."""
    table = job_members.c
    rows = select(table.position, table.member_id, table.planned).where(table.job_id == job_id, table.position > after)
    asked = rows.where(table.answer.is_(None)) if undecided else rows
    return [JobMember(*row) for row in connection.execute(asked.order_by(table.position).limit(limit))]


def answer_members(connection: Connection, job_id: str, lines: Sequence[Line]) -> None:
    told = update(job_members).where(job_members.c.job_id == job_id, job_members.c.position == bindparam("at"))
    if lines:
        rows = [{"at": line.position, "now": line.text} for line in lines]
        connection.execute(told.values(answer=bindparam("now"), planned=None), rows)


def lines(connection: Connection, job_id: str, first: int, limit: int) -> list[Line]:
    table = job_members.c
    rows = select(table.position, table.answer).where(table.job_id == job_id, table.position >= first, table.answer.is_not(None))
    return [Line(*row) for row in connection.execute(rows.order_by(table.position).limit(limit))]


def told(connection: Connection, job_id: str, after: int, limit: int) -> list[Told]:
    """By position, those after `after`, of members who are still there."""
    table, members = job_members.c, schema.members.c
    rows = select(table.position, table.answer, members.joined_us, members.attributes)
    there = rows.join(schema.members, members.member_id == table.member_id)
    asked = there.where(table.job_id == job_id, table.position > after, table.answer.is_not(None))
    return [Told(*row) for row in connection.execute(asked.order_by(table.position).limit(limit))]


def succeeded_since(connection: Connection, as_of_us: int) -> list[JobRow]:
    """Those that decided as of that time or later."""
    rows = select(jobs).where(jobs.c.status == "succeeded", jobs.c.as_of_us >= as_of_us)
    return [JobRow(**row) for row in connection.execute(rows.order_by(jobs.c.created_us)).mappings()]


def end(connection: Connection, ended: JobEnd) -> JobRow | None:
    """None where it has ended before, or another worker than the one that is named is at it; then nothing is written."""
    table = jobs.c
    this = [table.job_id == ended.job_id, table.status.in_(OPEN)]
    mine = this if ended.worker is None else [*this, table.worker == ended.worker]
    changed = {"status": ended.status, "ended_us": ended.at_us, "error": ended.error}
    if connection.execute(update(jobs).where(*mine).values(changed)).rowcount != 1:
        return None
    data = {"job_id": ended.job_id, "status": ended.status}
    post(connection, [Message("decision_job.ended", ended.job_id, ended.at_us, data)])
    return find(connection, ended.job_id)


def sweep(connection: Connection, now_us: int) -> bool:
    """Of a job that ended a month ago some results, and the job itself where it has none left; decisions stay.

    Whether there may be more of such.
    """
    table, lines = jobs.c, job_members.c
    old = connection.scalar(select(table.job_id).where(table.ended_us < now_us - KEPT_US).order_by(table.created_us).limit(1))
    if old is None:
        return False
    some = select(lines.position).where(lines.job_id == old).limit(SWEPT_AT_ONCE)
    if not connection.execute(delete(job_members).where(lines.job_id == old, lines.position.in_(some))).rowcount:
        connection.execute(delete(jobs).where(table.job_id == old))
    return True

"""The store's part that holds roll-outs, their stages, and what the processes of the service go by; no row of it is of a member."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import polars as pl
from sqlalchemy import BigInteger, Column, Connection, Float, Integer, Table, Text, and_, case, delete, func, select, update

from models import store_schema as schema
from models.errors import InputError
from models.rollouts import ProcessSeen, Rollout, Stage

if TYPE_CHECKING:
    from models.rollouts import Planned, State

rollouts = Table(
    "rollouts",
    schema.metadata,
    Column("rollout_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("running", Integer, unique=True, comment="1 while it runs, so that there is one at most; then null"),
    Column("champion", Text, nullable=False, comment="version that decided for the others when it began"),
    Column("challenger", Text, nullable=False, comment="version"),
    Column("folder", Text, nullable=False, comment="of the challenger's files, in the cache of models"),
    Column("seal", Text, nullable=False, comment="of these files"),
    Column("salt", Text, nullable=False),
    Column("state", Text, nullable=False, comment="running | finished | rolled_back"),
    Column("ended_us", BigInteger, comment="null while it runs"),
    Column("ended_by", Text),
    Column("ended_because", Text),
)

stages = Table(
    "rollout_stages",
    schema.metadata,
    Column("rollout_id", BigInteger, primary_key=True),
    Column("stage", Integer, primary_key=True, comment="from 1 on"),
    Column("percent", Float, nullable=False, comment="of the members"),
    Column("since_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),
)

processes = Table(
    "rollout_processes",
    schema.metadata,
    Column("process", Text, primary_key=True),
    Column("rollout_id", BigInteger, nullable=False),
    Column("percent", Float, nullable=False, comment="that it goes by; 0 where the roll-out has ended or was refused"),
    Column("error", Text, comment="why it was refused"),
    Column("seen_us", BigInteger, nullable=False),
)


class RolloutStore(schema.Transactions):
    """At most one roll-out runs."""

    def start_rollout(self, planned: Planned) -> Rollout:
        """Raises InputError where one runs."""
        with self._writing() as connection:
            row = {name: value for name, value in asdict(planned).items() if name != "stage"} | {"running": 1, "state": "running"}
            new = schema.insert_new(connection, rollouts).values(**row)
            made = connection.scalar(new.on_conflict_do_nothing(index_elements=["running"]).returning(rollouts.c.rollout_id))
            if made is None:
                raise InputError("a roll-out runs already; `keepwell rollout raise`, `keepwell rollout finish` or `keepwell rollback`")
            _add_stage(connection, made, 1, planned.stage)
            return _read(connection, made)

    def raise_rollout(self, stage: Stage) -> Rollout:
        """The one that runs. Raises InputError where none does, or the share would not grow."""
        with self._writing() as connection:
            held = _running(connection, for_update=True)
            if held is None:
                raise InputError("no roll-out runs; `keepwell rollout start --share PERCENT` begins one")
            if stage.percent <= held.percent:
                told = (
                    f"roll-out {held.rollout_id} stands at {held.percent:g} %; a share grows, so {stage.percent:g} % is none to raise it to"
                )
                raise InputError(f"{told}. `keepwell rollback` ends it")
            _add_stage(connection, held.rollout_id, len(held.stages) + 1, stage)
            return _read(connection, held.rollout_id)

    def end_rollout(self, state: State, at_us: int, by: str, because: str | None) -> Rollout | None:
        """The one that ran, as it ended; None where none did."""
        told = {"running": None, "state": state, "ended_us": at_us, "ended_by": by, "ended_because": because}
        with self._writing() as connection:
            ended = update(rollouts).where(rollouts.c.running == 1).values(**told).returning(rollouts.c.rollout_id)
            found = connection.scalar(ended)
            return None if found is None else _read(connection, found)

    def running_rollout(self) -> Rollout | None:
        with self._reading() as connection:
            return _running(connection)

    def rollouts(self, limit: int) -> list[Rollout]:
        """The newest first."""
        with self._reading() as connection:
            found = connection.scalars(select(rollouts.c.rollout_id).order_by(rollouts.c.rollout_id.desc()).limit(limit)).all()
            return [_read(connection, rollout_id) for rollout_id in found]

    def tell_rollout_seen(self, seen: ProcessSeen) -> None:
        with self._writing() as connection:
            new = schema.insert_new(connection, processes).values(**asdict(seen))
            told = {name: new.excluded[name] for name in ("rollout_id", "percent", "error", "seen_us")}
            connection.execute(new.on_conflict_do_update(index_elements=["process"], set_=told))

    def forget_rollout_process(self, process: str) -> None:
        """One that has ended."""
        with self._writing() as connection:
            connection.execute(delete(processes).where(processes.c.process == process))

    def members_of_rollout(self, challenger: str, since_us: int, until_us: int) -> pl.DataFrame:
        """A row for each member who was decided on in this time, by id: the columns of MADE_COLUMNS and SENT_COLUMNS.

        `contacts` and `cost` are those of touches that arrived or are still reserved; they and refusals are those before `until_us`.
        """
        with self._reading() as connection:
            made, sent = _made(connection, challenger, since_us, until_us), _sent(connection, since_us, until_us)
        return made.join(sent, on="member_id", how="left", maintain_order="left").with_columns(
            pl.col("contacts", "refusals", "cost").fill_null(0)
        )

    def rollout_processes(self, rollout_id: int, since_us: int) -> list[ProcessSeen]:
        """Those that were heard of since then."""
        table = processes.c
        asked = select(*(table[name] for name in ProcessSeen.__dataclass_fields__))
        with self._reading() as connection:
            wanted = asked.where(table.rollout_id == rollout_id, table.seen_us >= since_us).order_by(table.process)
            return [ProcessSeen(*row) for row in connection.execute(wanted)]


MADE_COLUMNS = {"member_id": pl.String, "first_us": pl.Int64, "decisions": pl.Int64, "by_challenger": pl.Int64}
SENT_COLUMNS = {"member_id": pl.String, "contacts": pl.Int64, "refusals": pl.Int64, "cost": pl.Float64}


def _made(connection: Connection, challenger: str, since_us: int, until_us: int) -> pl.DataFrame:
    made = schema.decisions.c
    by_challenger = func.sum(case((made.model_version == challenger, 1), else_=0))
    asked = select(made.member_id, func.min(made.created_us), func.count(), by_challenger)
    query = asked.where(made.created_us >= since_us, made.created_us < until_us).group_by(made.member_id).order_by(made.member_id)
    return pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=MADE_COLUMNS, orient="row")


def _sent(connection: Connection, since_us: int, until_us: int) -> pl.DataFrame:
    made, sent, told = schema.decisions.c, schema.touches.c, schema.outcomes.c
    answered = select(func.min(told.at_us)).where(told.decision_id == made.decision_id, told.type == "refused").scalar_subquery()
    refused = and_(sent.response == "refused", func.coalesce(answered, sent.at_us) < until_us)
    reached = case((and_(sent.state.in_(("delivered", "reserved")), sent.at_us < until_us), 1), else_=0)
    asked = select(
        made.member_id,
        func.sum(reached),
        func.sum(case((refused, 1), else_=0)),
        func.sum(reached * func.coalesce(sent.cost, 0.0)),
    ).select_from(schema.touches.join(schema.decisions, sent.decision_id == made.decision_id))
    query = asked.where(made.created_us >= since_us, made.created_us < until_us).group_by(made.member_id)
    return pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=SENT_COLUMNS, orient="row")


def _add_stage(connection: Connection, rollout_id: int, number: int, stage: Stage) -> None:
    connection.execute(stages.insert().values(rollout_id=rollout_id, stage=number, **asdict(stage)))


def _running(connection: Connection, *, for_update: bool = False) -> Rollout | None:
    asked = select(rollouts.c.rollout_id).where(rollouts.c.running == 1)
    found = connection.scalar(asked.with_for_update() if for_update else asked)
    return None if found is None else _read(connection, found)


def _read(connection: Connection, rollout_id: int) -> Rollout:
    row: dict[str, Any] = dict(connection.execute(select(rollouts).where(rollouts.c.rollout_id == rollout_id)).mappings().one())
    del row["running"]
    columns = [stages.c[name] for name in Stage.__dataclass_fields__]
    told = connection.execute(select(*columns).where(stages.c.rollout_id == rollout_id).order_by(stages.c.stage))
    return Rollout(**row, stages=tuple(Stage(*one) for one in told))

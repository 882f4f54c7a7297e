"""The service's own log in the store: decisions with their propensities, and what became of them."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import Connection, and_, case, delete, func, or_, select

from models import store_schema as schema
from models.actions import NO_ACTION
from models.declared_and_kept import counted_once
from models.posted import IDS_APART, posted_touches
from models.reports import OutcomeReport, Touch
from models.store_contacts import reserve, rows_of
from models.store_privacy import note
from models.store_rows import Arrived, Kept, Reported
from models.store_statements import DECIDED, PRUNED, RETENTION, api_events, hold, retention, stale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

    from models.quotas import Quotas
    from models.store_rows import DecisionQuery, DecisionRow, Retention

ASSIGNMENT_COLUMNS = {
    "decision_id": pl.String,
    "member_id": pl.String,
    "timestamp": pl.Int64,
    "intervention": pl.String,
    "channel": pl.String,
    "propensities": pl.String,
    "model_version": pl.String,
    "delivered": pl.Int64,
    "touched": pl.Int64,
    "response": pl.String,
    "held_until": pl.Int64,
}
IDS = {"decision_id": pl.String, "touch_ids": pl.String}
CONTACT_COLUMNS = {
    "member_id": pl.String,
    "timestamp": pl.Int64,
    "intervention": pl.String,
    "channel": pl.String,
    "delivered": pl.Int64,
    "response": pl.String,
    "touch_ids": pl.String,
    "named": pl.String,
}
OUTCOME_COLUMNS = {
    "outcome_id": pl.String,
    "member_id": pl.String,
    "decision_id": pl.String,
    "type": pl.String,
    "timestamp": pl.Int64,
    "value": pl.Float64,
}
PRUNED_AT_ONCE, DELETED_AT_ONCE = 10_000, 1_000
FOR_GOOD = (1 << 62) - 1
AT_ONCE = 5_000
"""Ids that one statement names."""


_MADE = schema.decisions.c
FROM_REPORT = schema.touches.c.source == "report"
_REACHED = case((schema.touches.c.state == "delivered", 1), else_=0)


class LogStore(schema.Transactions):
    """The store's part that tells what was decided and what became of it."""

    def kept(self, decision_id: str) -> Kept | None:
        with self._reading() as connection:
            found = connection.execute(_KEPT.where(_MADE.decision_id == decision_id)).mappings().one_or_none()
        return None if found is None else Kept(**found)

    def has_members(self) -> bool:
        with self._reading() as connection:
            return connection.scalar(select(schema.members.c.member_id).limit(1)) is not None

    def has_decisions(self) -> bool:
        with self._reading() as connection:
            return connection.scalar(select(_MADE.decision_id).limit(1)) is not None

    def choices(self, member_id: str, since_us: int, limit: int) -> list[tuple[int, str]]:
        """When a member was decided on, in microseconds, and what was chosen; the newest first, with a trace or without."""
        made = select(_MADE.created_us, _MADE.chosen).where(_MADE.member_id == member_id, _MADE.created_us >= since_us)
        with self._reading() as connection:
            rows = connection.execute(made.order_by(_MADE.created_us.desc(), _MADE.decision_id.desc()).limit(limit))
            return [(row.created_us, row.chosen) for row in rows]

    def decisions(self, query: DecisionQuery) -> list[Kept]:
        """Those with a trace, the newest first; at most `query.limit`."""
        with self._reading() as connection:
            return [Kept(**row) for row in connection.execute(_asked(query)).mappings()]

    def reported(self, decision_ids: Sequence[str]) -> Reported:
        """The touches of these decisions and what followed them."""
        with self._reading() as connection:
            return Reported(
                rows_of(connection, schema.touches, "decision_id", decision_ids, Touch),
                rows_of(connection, schema.outcomes, "decision_id", decision_ids, OutcomeReport),
            )

    def plan(self, plan_id: str) -> str | None:
        """The body of a plan that was put in force once."""
        table = schema.plans.c
        with self._reading() as connection:
            return connection.scalar(select(table.body).where(table.plan_id == plan_id))

    def planned(self, decision_ids: Sequence[str]) -> frozenset[str]:
        """Which of them went by a plan, be it one for many under limits or the one in force; what has no trace any more tells of none."""
        by_plan = or_(_MADE.basis.contains('"followed":{', autoescape=True), _MADE.body.contains('"plan_id":"', autoescape=True))
        parts = (decision_ids[begin : begin + AT_ONCE] for begin in range(0, len(decision_ids), AT_ONCE))
        with self._reading() as connection:
            asked = (select(_MADE.decision_id).where(_MADE.decision_id.in_(part), by_plan) for part in parts)
            return frozenset(one for query in asked for one in connection.scalars(query))

    def contact_counts(self) -> dict[str, int]:
        """How often a contact was reserved, by member, of those for whom any was; a decision holds while that of its member is the same."""
        table = schema.members.c
        with self._reading() as connection:
            told = select(table.member_id, table.contacts).where(table.contacts > 0)
            return {row.member_id: row.contacts for row in connection.execute(told)}

    def keep_run(self, rows: Sequence[DecisionRow], quotas: Quotas) -> frozenset[str]:
        """Keep decisions of a run that saw to its own limits; those that were kept before stay as they are.

        Returns the members whose contacts are no longer those that were seen, or who are not in the store; theirs are not kept.
        """
        with self._writing() as connection:
            table = schema.decisions.c.decision_id
            known = set(connection.scalars(select(table).where(table.in_([row.decision_id for row in rows]))))
            fresh = [row for row in rows if row.decision_id not in known]
            lost = stale(hold(connection, fresh), fresh)
            kept = [row for row in fresh if row.member_id not in lost]
            reserve(connection, kept, quotas)
            DECIDED.each(connection, [vars(row) for row in kept])
        return lost

    def assignments(self) -> pl.DataFrame:
        """One row for each decision, oldest first, and what became of it; the columns of ASSIGNMENT_COLUMNS, and `touch_ids`.

        `propensities` are JSON, by candidate; `touched` is when it reached the member, or was tried, null while nobody reported it;
        `held_until` is when the contact that is reserved for it ends by itself, null where none is; `touch_ids` are those under which
        touches were reported for it, with IDS_APART.
        """
        with self._reading() as connection:
            return assignments(connection)

    def other_contacts(self) -> pl.DataFrame:
        """Touches that were reported without a decision, oldest first; the columns of CONTACT_COLUMNS."""
        with self._reading() as connection:
            return _other_contacts(connection, FROM_REPORT).drop("named")

    def contacts_since(self, member_ids: Sequence[str], since_us: int, now_us: int, within_us: int) -> pl.DataFrame:
        """All that was assigned to these members since then but `none`, decided here or not, as touches of a log that has it all.

        `within_us`: as of `counted_once`.
        """
        sent = schema.touches.c
        theirs, lately = (_MADE.member_id.in_(member_ids), sent.member_id.in_(member_ids)), sent.at_us >= since_us
        with self._reading() as connection:
            made = assignments(connection, theirs[0], _MADE.created_us >= since_us, _MADE.chosen != NO_ACTION)
            reported = _other_contacts(connection, theirs[1], lately, FROM_REPORT).drop("named")
            declared = _other_contacts(connection, theirs[1], lately, sent.source.is_distinct_from("report")).drop("touch_ids")
        return counted_once(declared, posted_touches(made, reported, now_us), within_us, "member_id")

    def bodies(self, decision_ids: Sequence[str]) -> dict[str, str]:
        """What is kept of these decisions, JSON, by their ids."""
        with self._reading() as connection:
            return dict(connection.execute(select(_MADE.decision_id, _MADE.body).where(_MADE.decision_id.in_(decision_ids))).all())

    def outcomes(self) -> pl.DataFrame:
        """Every outcome that was reported, oldest first; the columns of OUTCOME_COLUMNS."""
        told = schema.outcomes.c
        columns = (told.outcome_id, told.member_id, told.decision_id, told.type, told.at_us, told.value)
        with self._reading() as connection:
            rows = [tuple(row) for row in connection.execute(select(*columns).order_by(told.at_us, told.outcome_id))]
        frame = pl.DataFrame(rows, schema=OUTCOME_COLUMNS, orient="row")
        return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))

    def last_event_key(self) -> int:
        """Of the event that arrived last, whoever's it is; 0 before the first."""
        with self._reading() as connection:
            return connection.scalar(select(func.max(schema.events.c.event_key))) or 0

    def arrived_since(self, event_key: int) -> bool:
        """Has an event come through the service after this one?"""
        table = schema.events.c
        later = select(table.event_key).where(table.event_key > event_key, table.source == "api")
        with self._reading() as connection:
            return connection.scalar(later.limit(1)) is not None

    def arrived_last(self, member_id: str, event_key: int, limit: int) -> list[Arrived]:
        """Of one member's events up to `event_key` the last ones, the latest first."""
        table = schema.events.c
        columns = (table.event_id, table.member_id, table.timestamp_us, table.type, table.value)
        wanted = select(*columns).where(table.member_id == member_id, table.event_key <= event_key)
        with self._reading() as connection:
            return [Arrived(*row) for row in connection.execute(wanted.order_by(table.event_key.desc()).limit(limit))]

    def known_from(self) -> int:
        """Events from this time on are all still here, in microseconds; 0 where none was ever removed."""
        with self._reading() as connection:
            held = retention(connection)
        return 0 if held is None else held.from_us

    def prune(self, retention: Retention, archive: Callable[[pl.DataFrame], None]) -> int:
        """Removes older events than the retention keeps and returns their number.

        `archive` gets those that came through the service, chunk by chunk, before they are removed; the others stand in the declared log.
        """
        with self._writing() as connection:
            note(connection, RETENTION, json.dumps(asdict(retention)))
        with self._reading() as connection:
            keys = _prunable(connection, retention)
        for begin in range(0, len(keys), PRUNED_AT_ONCE):
            chunk = keys[begin : begin + PRUNED_AT_ONCE]
            with self._reading() as connection:
                archive(api_events(connection, chunk))
            for first in range(0, len(chunk), DELETED_AT_ONCE):
                self._remove(chunk[first : first + DELETED_AT_ONCE])
        return len(keys)

    def _remove(self, keys: Sequence[int]) -> None:
        with self._writing() as connection:
            connection.execute(delete(schema.events).where(schema.events.c.event_key.in_(keys)))
            note(connection, PRUNED, secrets.token_hex(8))


def _prunable(connection: Connection, retention: Retention) -> list[int]:
    events = schema.events.c
    latest_first = (events.timestamp_us.desc(), events.event_key.desc())
    place = func.row_number().over(partition_by=(events.member_id, events.type), order_by=latest_first)
    before = (events.timestamp_us < retention.from_us, events.type.not_in(retention.always))
    old = select(events.event_key, place.label("place")).where(*before).subquery()
    return list(connection.scalars(select(old.c.event_key).where(old.c.place > 1).order_by(old.c.event_key)))


_KEPT = select(_MADE.decision_id, _MADE.member_id, _MADE.created_us, _MADE.model_version, _MADE.body, _MADE.basis)


def _asked(query: DecisionQuery) -> Select[tuple[object, ...]]:
    chosen = [schema.WITH_TRACE, *([] if query.member_id is None else [_MADE.member_id == query.member_id])]
    chosen += [] if query.since_us is None else [_MADE.created_us >= query.since_us]
    chosen += [] if query.until_us is None else [_MADE.created_us < query.until_us]
    if query.after is not None:
        at_us, decision_id = query.after
        chosen.append(or_(_MADE.created_us < at_us, and_(_MADE.created_us == at_us, _MADE.decision_id < decision_id)))
    return _KEPT.where(*chosen).order_by(_MADE.created_us.desc(), _MADE.decision_id.desc()).limit(query.limit)


def assignments(connection: Connection, *chosen: ColumnElement[bool]) -> pl.DataFrame:
    """Of decisions that are `chosen`."""
    made, sent = schema.decisions.c, schema.touches.c
    query = (
        select(
            made.decision_id,
            made.member_id,
            made.created_us,
            made.chosen,
            func.coalesce(func.max(sent.channel), made.channel),
            made.propensities,
            made.model_version,
            func.coalesce(func.max(_REACHED), 0),
            func.coalesce(func.min(case((sent.state == "delivered", sent.at_us))), func.min(case((sent.source == "report", sent.at_us)))),
            func.max(sent.response),
            func.max(case((sent.state == "reserved", func.coalesce(sent.expires_us, FOR_GOOD)))),
        )
        .select_from(schema.decisions.outerjoin(schema.touches, sent.decision_id == made.decision_id))
        .where(*chosen)
        .group_by(made.decision_id)
        .order_by(made.created_us, made.decision_id)
    )
    frame, ids = _frame(connection, query, ASSIGNMENT_COLUMNS), _ids(connection, *chosen)
    told = frame.join(ids, on="decision_id", how="left", maintain_order="left")
    return told.with_columns(pl.col("touched").cast(pl.Datetime("us", "UTC")))


def _ids(connection: Connection, *chosen: ColumnElement[bool]) -> pl.DataFrame:
    """`touch_ids` by `decision_id`."""
    sent = schema.touches.c
    reported = schema.touches.join(schema.decisions, sent.decision_id == _MADE.decision_id)
    query = select(sent.decision_id, sent.touch_id).select_from(reported).where(FROM_REPORT, *chosen).order_by(sent.touch_id)
    rows = pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=IDS, orient="row")
    return rows.group_by("decision_id").agg(pl.col("touch_ids").str.join(IDS_APART))


def _other_contacts(connection: Connection, *chosen: ColumnElement[bool]) -> pl.DataFrame:
    sent = schema.touches.c
    reached = case((sent.state == "delivered", 1), else_=0)
    columns = (sent.member_id, sent.at_us, sent.intervention_id, sent.channel, reached, sent.response, sent.touch_id, sent.named)
    query = select(*columns)
    return _frame(connection, query.where(sent.decision_id.is_(None), *chosen).order_by(sent.at_us, sent.touch_id), CONTACT_COLUMNS)


def _frame(connection: Connection, query: Select[tuple[object, ...]], columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    rows = [tuple(row) for row in connection.execute(query)]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")), pl.col("delivered").cast(pl.Boolean))

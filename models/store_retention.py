"""What leaves the store when its days are over, so few rows at once that nobody who writes waits long for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, Table, Text, and_, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects import sqlite

from models import store_schema as schema
from models.store_rows import NO_TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS_AT_ONCE = 200
TRACES_IN_FILE = 10_000
TRACE_COLUMNS = {
    "decision_id": pl.String,
    "member_id": pl.String,
    "created_us": pl.Int64,
    "model_version": pl.String,
    "body": pl.String,
    "basis": pl.String,
}

_made, _plans, _runs = schema.decisions.c, schema.plans.c, schema.overviews.c


class RetentionStore(schema.Transactions):
    """Moments are in microseconds; what is from that moment on stays. Whatever is stopped half-way goes on with the next call."""

    def drop_answers(self, before_us: int) -> int:
        """Of requests claimed before then; returns their number. Whoever repeats one of them makes a new request."""
        return self._drop(schema.requests, schema.requests.c.claimed_us < before_us)

    def drop_plans(self, before_us: int) -> int:
        """Those that another had replaced by then; the prices of decisions made since are still known."""
        in_force_then = select(func.max(_plans.plan_key)).where(_plans.activated_us < before_us).scalar_subquery()
        return self._drop(schema.plans, _plans.plan_key < in_force_then)

    def drop_overviews(self, before_us: int) -> int:
        """Of runs as of a date before then, but for the run that pages show and the one that it is compared with."""
        shown = select(func.max(_runs.overview_key)).where(_runs.cells.is_not(None)).scalar_subquery()
        as_of = select(_runs.as_of_us).where(_runs.overview_key == shown).scalar_subquery()
        earlier = and_(_runs.overview_key < shown, _runs.as_of_us < as_of, _runs.body.is_not(None))
        compared = select(func.max(_runs.overview_key)).where(earlier).scalar_subquery()
        return self._drop(
            schema.overviews, _runs.as_of_us < before_us, _runs.overview_key < shown, _runs.overview_key != func.coalesce(compared, 0)
        )

    def move_traces(self, before_us: int, archive: Callable[[pl.DataFrame], None]) -> int:
        """Of decisions made before then; returns their number. Who was assigned what, with which probabilities, stays in the store.

        `archive` gets them, with TRACE_COLUMNS, chunk by chunk before they are removed.
        """
        columns = [_made[name] for name in TRACE_COLUMNS]
        oldest = select(*columns).where(schema.WITH_TRACE, _made.created_us < before_us).order_by(_made.created_us).limit(TRACES_IN_FILE)
        moved = 0
        while (traces := self._frame(oldest)).height:
            archive(traces)
            for part in traces["decision_id"].to_frame().iter_slices(ROWS_AT_ONCE):
                self._forget_traces(part["decision_id"].to_list())
            moved += traces.height
        return moved

    def _frame(self, query: Select[tuple[object, ...]]) -> pl.DataFrame:
        with self._reading() as connection:
            return pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=TRACE_COLUMNS, orient="row")

    def _forget_traces(self, decision_ids: list[str]) -> None:
        with self._writing() as connection:
            forget_traces(connection, decision_ids)

    def _drop(self, table: Table, *old: ColumnElement[bool]) -> int:
        """In PostgreSQL rows that another transaction is at are left to it."""
        keys = tuple(table.primary_key)
        some = select(*keys).where(*old).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True)
        dropped, last = 0, 1
        while last:
            with self._writing() as connection:
                last = connection.execute(delete(table).where(tuple_(*keys).in_(some))).rowcount
            dropped += last
        return dropped


def forget_traces(connection: Connection, decision_ids: Sequence[str]) -> None:
    """In SQLite a row that shrinks where it is keeps its page to itself; written anew it lies close to others."""
    these, empty = _made.decision_id.in_(decision_ids), {"body": NO_TRACE, "basis": None}
    if connection.dialect.name != "sqlite":
        connection.execute(update(schema.decisions).where(these).values(empty))
        return
    columns = [literal(empty[column.name], Text) if column.name in empty else column for column in _made]
    anew = sqlite.insert(schema.decisions).prefix_with("OR REPLACE")
    connection.execute(anew.from_select([column.name for column in _made], select(*columns).where(these)))

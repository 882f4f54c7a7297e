"""The service's own log in the store: decisions with their propensities, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import Connection, case, func, select

from models import store_schema as schema

if TYPE_CHECKING:
    from sqlalchemy import Select

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
}


class LogStore(schema.Transactions):
    """The store's part that pipelines read."""

    def assignments(self) -> pl.DataFrame:
        """One row for each decision, oldest first, and what became of it; the columns of ASSIGNMENT_COLUMNS.

        `propensities` are JSON, by candidate; `touched` is when it reached the member, null where it is not `delivered`.
        """
        with self._reading() as connection:
            return assignments(connection)


def assignments(connection: Connection) -> pl.DataFrame:
    made, sent = schema.decisions.c, schema.touches.c
    reached = case((sent.state == "delivered", 1), else_=0)
    query = (
        select(
            made.decision_id,
            made.member_id,
            made.created_us,
            made.chosen,
            func.coalesce(func.max(sent.channel), made.channel),
            made.propensities,
            made.model_version,
            func.coalesce(func.max(reached), 0),
            func.min(case((sent.state == "delivered", sent.at_us))),
            func.max(sent.response),
        )
        .select_from(schema.decisions.outerjoin(schema.touches, sent.decision_id == made.decision_id))
        .group_by(made.decision_id)
        .order_by(made.created_us, made.decision_id)
    )
    frame = _frame(connection, query)
    moments = pl.col("timestamp", "touched").cast(pl.Datetime("us", "UTC"))
    return frame.with_columns(moments, pl.col("delivered").cast(pl.Boolean))


def _frame(connection: Connection, query: Select[tuple[object, ...]]) -> pl.DataFrame:
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=ASSIGNMENT_COLUMNS, orient="row")

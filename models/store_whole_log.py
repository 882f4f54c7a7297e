"""All members and all their events at once, as one log: what figures of the whole community are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import Connection, func, select

from models import store_privacy as privacy
from models import store_schema as schema
from models.attributes import attributes_from_json
from models.events import EventLog
from models.member_columns import kept_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.community import Community

AT_ONCE = 100_000
"""Rows that are held as Python objects."""

MOMENT = pl.Datetime("us", "UTC")
EVENT_COLUMNS = {
    "member_id": pl.String,
    "timestamp": pl.Int64,
    "type": pl.String,
    "value": pl.Float64,
    "channel": pl.String,
    "event_id": pl.String,
}


class WholeLogStore(schema.Transactions):
    """The store's part that tells of all members together."""

    def whole_log(self, community: Community) -> EventLog:
        """As the log that was loaded, with what came through the service since; without touches."""
        with self._reading() as connection:
            members = _members(connection, kept_columns(community))
            return EventLog(_events(connection, members), members)

    def log_mark(self) -> str:
        """Another one as soon as an event, a member, a decision, an erasure or a member's wish has come."""
        counted = (
            select(func.max(schema.events.c.event_key)),
            select(func.count()).select_from(schema.members),
            select(func.count()).select_from(schema.decisions),
            select(func.count()).select_from(privacy.erasures),
            select(func.count(schema.members.c.preferences)),
        )
        with self._reading() as connection:
            return "-".join(str(connection.scalar(query) or 0) for query in counted)


def _members(connection: Connection, columns: Sequence[str]) -> pl.DataFrame:
    """`columns` of the members table are texts, missing where the store has none."""
    table = schema.members.c
    rows = connection.execute(select(table.member_id, table.joined_us, table.attributes)).all()
    texts = attributes_from_json([row.attributes for row in rows], columns)
    members = pl.DataFrame(
        [(row.member_id, row.joined_us) for row in rows], schema={"member_id": pl.String, "joined": pl.Int64}, orient="row"
    )
    members = members.with_columns(pl.col("joined").cast(MOMENT))
    return (members if texts is None else members.hstack(texts)).sort("member_id")


def _events(connection: Connection, members: pl.DataFrame) -> pl.DataFrame:
    table = schema.events.c
    columns = (table.member_id, table.timestamp_us, table.type, table.value, table.channel, table.event_id)
    told = connection.execute(select(*columns).order_by(table.event_key).execution_options(yield_per=AT_ONCE)).partitions()
    parts = [pl.DataFrame([tuple(row) for row in rows], schema=EVENT_COLUMNS, orient="row") for rows in told]
    codes = members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
    events = pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *parts]).join(codes, on="member_id", maintain_order="left")
    return events.select(
        "member", pl.col("timestamp").cast(MOMENT), pl.col("type").cast(pl.Categorical), "value", "channel", "event_id"
    ).sort("member", "timestamp", maintain_order=True)

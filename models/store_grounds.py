"""The store's part that holds what plans are made on, as the latest run over all members laid it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from sqlalchemy import BigInteger, Column, Connection, Float, Index, Integer, LargeBinary, Select, Table, Text, delete, func, select, update

from models import store_privacy as privacy
from models import store_schema as schema

if TYPE_CHECKING:
    from sqlalchemy import Row

CHUNK = 5_000
NAMED_AT_ONCE = 500
COLUMNS = {"member_id": pl.String, "place": pl.Int64, "stratum": pl.Int64, "probability": pl.Float64, "value_at_risk": pl.Float64}

grounds = Table(
    "grounds",
    schema.metadata,
    Column("ground_key", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("as_of_us", BigInteger, nullable=False),
    Column("body", LargeBinary, comment="arrays of numpy, without ids of members; null while the members' rows are being written"),
)
ground_members = Table(
    "ground_members",
    schema.metadata,
    Column("ground_key", BigInteger, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("probability", Float, comment="null for members without a score"),
    Column("value_at_risk", Float),
    Index("ground_members_of_member", "member_id"),
)


class GroundStore(schema.Transactions):
    """Plans are made on the ground before until all of a new one is written."""

    def lay_ground(self, as_of_us: int, body: bytes, rows: Iterable[pl.DataFrame]) -> None:
        """`rows` have COLUMNS, part after part; one at an earlier date changes nothing.

        Members who were erased or refuse scores are left out.
        """
        with self._writing() as connection:
            latest = connection.scalar(select(func.max(grounds.c.as_of_us)).where(grounds.c.body.is_not(None)))
            if latest is not None and latest > as_of_us:
                return
            (key,) = connection.execute(grounds.insert().values(as_of_us=as_of_us)).inserted_primary_key or (0,)
        for chunk in (chunk for part in rows for chunk in part.iter_slices(CHUNK)):
            with self._writing() as connection:
                _keep(connection, key, chunk)
        with self._writing() as connection:
            connection.execute(update(grounds).where(grounds.c.ground_key == key).values(body=body))
        self._forget_ground_before(key)

    def _forget_ground_before(self, key: int) -> None:
        table = ground_members.c
        old = select(table.member_id).where(table.ground_key < key).limit(CHUNK)
        removed = 1
        while removed:
            with self._writing() as connection:
                removed = connection.execute(delete(ground_members).where(table.ground_key < key, table.member_id.in_(old))).rowcount
                connection.execute(delete(grounds).where(grounds.c.ground_key < key))

    def ground_key(self) -> int | None:
        """Of the latest that is whole; None before the first."""
        with self._reading() as connection:
            found: int | None = connection.scalar(select(func.max(grounds.c.ground_key)).where(grounds.c.body.is_not(None)))
        return found

    def ground(self, ground_key: int) -> bytes | None:
        """None where a newer one has replaced it."""
        with self._reading() as connection:
            found: bytes | None = connection.scalar(select(grounds.c.body).where(grounds.c.ground_key == ground_key))
        return found

    def ground_members(self, ground_key: int, after: str, limit: int) -> pl.DataFrame:
        """By member's id, those after `after`; with COLUMNS."""
        table = ground_members.c
        chosen = _chosen(ground_key).where(table.member_id > after).order_by(table.member_id).limit(limit)
        with self._reading() as connection:
            return _frame(connection.execute(chosen).all())

    def named_ground_members(self, ground_key: int, member_ids: Sequence[str]) -> pl.DataFrame:
        """Those of the named who are known there, with COLUMNS."""
        found: list[Row[Any]] = []
        with self._reading() as connection:
            for begin in range(0, len(member_ids), NAMED_AT_ONCE):
                names = member_ids[begin : begin + NAMED_AT_ONCE]
                found += connection.execute(_chosen(ground_key).where(ground_members.c.member_id.in_(names))).all()
        return _frame(found)


def _chosen(ground_key: int) -> Select[Any]:
    return select(*(ground_members.c[name] for name in COLUMNS)).where(ground_members.c.ground_key == ground_key)


def _frame(rows: Iterable[Row[Any]]) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in rows], schema=COLUMNS, orient="row")


def _keep(connection: Connection, key: int, rows: pl.DataFrame) -> None:
    left_out = privacy.unseen(connection, rows["member_id"].to_list())
    kept = [(key, *row) for row in rows.select(*COLUMNS).iter_rows() if row[0] not in left_out]
    schema.insert_many(connection, ground_members, ("ground_key", *COLUMNS), kept)

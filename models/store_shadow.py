"""The store's part that holds what a challenger would have decided; nothing is ever done by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from models import store_schema as schema
from models.second_opinion import Agreement, Made, Opinion
from models.store_privacy import still_there

MOST_ROWS = 100_000
FOLLOWED = '"followed":{'
"""In the basis of a decision that follows from a plan for many, which nobody decides a second time."""

NEWEST = 1_000

shadows = Table(
    "shadow_decisions",
    schema.metadata,
    Column("shadow_key", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("decision_id", Text, nullable=False),
    Column("version", Text, nullable=False, comment="of the challenger"),
    Column("member_id", Text, nullable=False),
    Column("champion_version", Text, nullable=False),
    Column("champion_band", Text),
    Column("champion_choice", Text),
    Column("champion_probability", Float),
    Column("band", Text),
    Column("choice", Text, comment="null while it is being found out"),
    Column("probability", Float),
    UniqueConstraint("decision_id", "version"),
    Index("shadow_decisions_of_member", "member_id"),
)


class ShadowStore(schema.Transactions):
    """Nobody reads these when deciding."""

    def claim_for_shadow(self, version: str, limit: int) -> list[Made]:
        """Of the newest decisions some that this challenger was not asked about, for this caller alone; those of itself are left out."""
        with self._reading() as connection:
            found = unseen(connection, version, limit)
        if not found:
            return []
        with self._writing() as connection:
            return claim(connection, version, found)

    def keep_shadows(self, version: str, opinions: Mapping[str, tuple[Opinion, Opinion]]) -> None:
        """By decision what the champion decided and what the challenger would have; of all, the last hundred thousand are kept."""
        with self._writing() as connection:
            keep(connection, version, opinions)

    def agreement(self, version: str, champion: str) -> Agreement:
        with self._reading() as connection:
            return agreement(connection, version, champion)


def unseen(connection: Connection, version: str, limit: int) -> list[Made]:
    """Newest first, among the newest thousand."""
    table = schema.decisions.c
    newest = select(table.decision_id).order_by(table.created_us.desc(), table.decision_id.desc()).limit(NEWEST)
    seen = select(shadows.c.decision_id).where(shadows.c.version == version, shadows.c.decision_id == table.decision_id)
    columns = [table[name] for name in Made.__dataclass_fields__]
    wanted = select(*columns).where(
        table.decision_id.in_(newest),
        table.basis.is_not(None),
        ~table.basis.contains(FOLLOWED),
        table.model_version != version,
        ~seen.exists(),
    )
    return [Made(*row) for row in connection.execute(wanted.order_by(table.created_us.desc()).limit(limit))]


def claim(connection: Connection, version: str, made: Sequence[Made]) -> list[Made]:
    """Without those of members who were erased meanwhile."""
    there = still_there(connection, {one.member_id for one in made})
    rows = [
        {"decision_id": one.decision_id, "version": version, "member_id": one.member_id, "champion_version": one.model_version}
        for one in made
        if one.member_id in there
    ]
    if not rows:
        return []
    inserted = schema.insert_new(connection, shadows).on_conflict_do_nothing().returning(shadows.c.decision_id)
    mine = set(connection.scalars(inserted, [row | {"version": version} for row in rows]))
    return [one for one in made if one.decision_id in mine]


def keep(connection: Connection, version: str, opinions: Mapping[str, tuple[Opinion, Opinion]]) -> None:
    table = shadows.c
    found = update(shadows).where(table.decision_id == bindparam("of"), table.version == version)
    rows: list[dict[str, Any]] = [
        {"of": decision_id, "band": other.band, "choice": other.choice, "probability": other.probability}
        | {"champion_band": own.band, "champion_choice": own.choice, "champion_probability": own.probability}
        for decision_id, (own, other) in opinions.items()
    ]
    if rows:
        connection.execute(found, rows)
    last = connection.scalar(select(func.max(table.shadow_key))) or 0
    connection.execute(delete(shadows).where(table.shadow_key <= last - MOST_ROWS))


def agreement(connection: Connection, version: str, champion: str) -> Agreement:
    table = shadows.c
    same_band = _number(table.band.is_not_distinct_from(table.champion_band))
    same_choice = _number(table.choice == table.champion_choice)
    difference = func.avg(func.abs(table.probability - table.champion_probability))
    found = select(func.count(), same_band, same_choice, difference)
    this = table.version == version, table.champion_version == champion, table.choice.is_not(None)
    return Agreement.of(*connection.execute(found.where(*this)).one())


def _number(holds: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((holds, 1), else_=0)), 0)

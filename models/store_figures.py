"""The store's part that holds what commands found out for the pages: one text of JSON by name, of no single member."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Table, Text, select

from models import store_schema as schema

figures = Table(
    "figures",
    schema.metadata,
    Column("name", Text, primary_key=True),
    Column("as_of_us", BigInteger, nullable=False, comment="what they are of"),
    Column("body", Text, nullable=False, comment="JSON, without ids of members"),
)


@dataclass(frozen=True)
class KeptFigures:
    as_of_us: int
    body: str


class FigureStore(schema.Transactions):
    """Each name has the figures that were kept last."""

    def keep_figures(self, name: str, as_of_us: int, body: str) -> None:
        """Those of an earlier time change nothing."""
        with self._writing() as connection:
            new = schema.insert_new(connection, figures).values(name=name, as_of_us=as_of_us, body=body)
            later = figures.c.as_of_us <= new.excluded.as_of_us
            replaced = {"as_of_us": new.excluded.as_of_us, "body": new.excluded.body}
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=replaced, where=later))

    def figures(self, name: str) -> KeptFigures | None:
        """None where no command told any."""
        with self._reading() as connection:
            found = connection.execute(select(figures.c.as_of_us, figures.c.body).where(figures.c.name == name)).one_or_none()
        return None if found is None else KeptFigures(*found)

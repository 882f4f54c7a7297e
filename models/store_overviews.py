"""What the last run over all members found: figures for the pages, and where each member stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Float, delete, func, literal_column, select, update

from models import store_privacy as privacy
from models import store_schema as schema
from models.audience import GROUPS
from models.sent_touches import BEFORE_US, Touched
from models.store_contacts import TOUCHED
from models.store_schema import overviews, standings

if TYPE_CHECKING:
    import polars as pl

    from models.audience import Selection
    from models.sent_touches import Sent

CHUNK = 5_000
NOTHING: ColumnElement[float] = literal_column("0.0", Float)
"""Added to what few members are put in order by, it keeps a database from walking through all members in that order for them."""

COLUMNS = tuple(column.name for column in standings.c if column.name != "overview_key")


@dataclass(frozen=True)
class Published:
    """`body` is JSON, `cells` as Cells writes them; `before` is the body of the run before at an earlier date, None where there is none."""

    overview_key: int
    body: str
    cells: str
    before: str | None


@dataclass(frozen=True)
class StandingQuery:
    """Members of one run who are selected; `cells` are those in which they are counted, None for many members.

    A selection of few members is found by its cells: by value at risk, all members would be walked through for them.
    """

    overview_key: int
    selection: Selection
    cells: tuple[int, ...] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        table, asked = standings.c, self.selection
        if self.cells is not None:
            return [table.overview_key == self.overview_key, table.cell.in_(self.cells)]
        named = [table[name] == getattr(asked, name) for name in GROUPS if getattr(asked, name) is not None]
        grouped = [table.groups[name].as_string() == value for name, value in asked.groups]
        tagged = [] if asked.tag is None else [table.tags.contains(f",{asked.tag},", autoescape=True)]
        return [table.overview_key == self.overview_key, table.bin >= asked.low, table.bin < asked.high, *named, *grouped, *tagged]


class OverviewStore(schema.Transactions):
    """The store's part that the pages read."""

    def publish(self, as_of_us: int, body: str, cells: str, rows: Iterable[pl.DataFrame]) -> None:
        """`rows` have COLUMNS, part after part. Pages show the run before until all is written.

        Members who were erased or refuse scores are left out.
        """
        with self._writing() as connection:
            (key,) = connection.execute(overviews.insert().values(as_of_us=as_of_us)).inserted_primary_key or (0,)
        for chunk in (chunk for part in rows for chunk in part.iter_slices(CHUNK)):
            with self._writing() as connection:
                _keep(connection, key, chunk)
        with self._writing() as connection:
            connection.execute(update(overviews).where(overviews.c.overview_key == key).values(body=body, cells=cells))
            connection.execute(update(overviews).where(overviews.c.overview_key < key).values(cells=None))
        self._forget_before(key)

    def _forget_before(self, key: int) -> None:
        table = standings.c
        old = select(table.member_id).where(table.overview_key < key).limit(CHUNK)
        while True:
            with self._writing() as connection:
                if not connection.execute(delete(standings).where(table.overview_key < key, table.member_id.in_(old))).rowcount:
                    return

    def overview_key(self) -> int | None:
        """Of the run that pages show; None before the first."""
        with self._reading() as connection:
            found: int | None = connection.scalar(select(func.max(overviews.c.overview_key)).where(overviews.c.cells.is_not(None)))
        return found

    def shown_as_of(self) -> int | None:
        """The date of the run that pages show, in microseconds."""
        with self._reading() as connection:
            found: int | None = connection.scalar(select(func.max(overviews.c.as_of_us)).where(overviews.c.cells.is_not(None)))
        return found

    def overview(self, overview_key: int) -> Published | None:
        """None where a newer run has replaced it."""
        table = overviews.c
        with self._reading() as connection:
            found = connection.execute(
                select(table.as_of_us, table.body, table.cells).where(table.overview_key == overview_key)
            ).one_or_none()
            if found is None or found.body is None or found.cells is None:
                return None
            earlier = (table.overview_key < overview_key, table.as_of_us < found.as_of_us, table.body.is_not(None))
            before = connection.scalar(select(table.body).where(*earlier).order_by(table.overview_key.desc()).limit(1))
        return Published(overview_key, found.body, found.cells, before)

    def touches_of(self, member_id: str, since_us: int, within_us: int) -> list[Sent]:
        """Of one member, the latest first, each once: `within_us` as of `same_touches`."""
        sent = schema.touches.c
        with self._reading() as connection:
            told = connection.scalar(select(TOUCHED).where(sent.member_id == member_id, sent.at_us >= since_us - BEFORE_US))
        return sorted((one for one in Touched([told], within_us).rows if one.at_us >= since_us), key=lambda one: -one.at_us)

    def standings(self, query: StandingQuery, limit: int) -> list[dict[str, Any]]:
        """Those with most value at risk first."""
        if query.cells == ():
            return []
        worth = standings.c.value_at_risk if query.cells is None else standings.c.value_at_risk + NOTHING
        order = (worth.desc(), standings.c.member_id)
        with self._reading() as connection:
            return _rows(connection, query.conditions(), order, limit)

    def all_standings(self, query: StandingQuery) -> Iterator[list[dict[str, Any]]]:
        """By member's id, in parts."""
        column, after = standings.c.member_id, ""
        while query.cells != ():
            with self._reading() as connection:
                part = _rows(connection, [*query.conditions(), column > after], (column,), CHUNK)
            if not part:
                return
            yield part
            after = part[-1]["member_id"]


def _rows(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], order: Sequence[ColumnElement[Any]], limit: int
) -> list[dict[str, Any]]:
    chosen = select(*(standings.c[name] for name in COLUMNS)).where(*conditions).order_by(*order).limit(limit)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def _keep(connection: Connection, key: int, rows: pl.DataFrame) -> None:
    left_out = privacy.unseen(connection, rows["member_id"].to_list())
    kept = [(key, *row) for row in rows.select(COLUMNS).iter_rows() if row[0] not in left_out]
    schema.insert_many(connection, standings, ("overview_key", *COLUMNS), kept)

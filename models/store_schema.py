"""Tables of the store and how a database is opened; SQL that only one database understands stands here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    PoolProxiedConnection,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from models.errors import InputError
from models.store_elements import EXACTLY
from models.store_prepared import run

if TYPE_CHECKING:
    from models.store_prepared import Prepared

WRITES = "keepwell_writes"
"""An option of connections whose transactions GroupCommit begins: they take the lock for writing at once.

Taken later, it could be found that another had written in between.
"""
CHECKPOINT_MS = 100

_RUNNING_NUMBER = BigInteger().with_variant(Integer, "sqlite")
BACKENDS = ("sqlite", "postgresql")
_POSTGRES_MORE = 8
"""Connections under load beyond eight of each process; a server has a hundred for all."""
_SQLITE_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -32000", "secure_delete = ON", "wal_autocheckpoint = 16000")
"""Checkpoints are made beside the writers, and by these only where that does not come to it."""

metadata = MetaData()

members = Table(
    "members",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("joined_us", BigInteger, nullable=False),
    Column("source", Text, nullable=False, comment="log | api"),
    Column("attributes", Text, comment="JSON; null for members that no log declared"),
    Column("contacts", Integer, nullable=False, server_default="0", comment="how often one was reserved, or a rest began; rises with each"),
    Column("preferences", Text, comment="JSON; null for members who refused nothing"),
    Column("risk_band", Text, comment="of the last decision that had one"),
)

events = Table(
    "events",
    metadata,
    Column("event_key", _RUNNING_NUMBER, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("member_id", Text, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", Float),
    Column("channel", Text),
    Column("source", Text, nullable=False, comment="log | api"),
    Index("events_of_member", "member_id", "timestamp_us", "event_key", "type", "value"),
    Index("events_of_source", "source", "event_key"),
)

touches = Table(
    "touches",
    metadata,
    Column("touch_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("channel", Text),
    Column("intervention_id", Text, nullable=False),
    Column("state", Text, nullable=False, comment="reserved | delivered | undelivered | expired"),
    Column("response", Text, comment="accepted | refused | redeemed; null where none is known"),
    Column("decision_id", Text, comment="null for contacts of other systems"),
    Column("cost", Float, comment="expected, until one is reported"),
    Column("expires_us", BigInteger, comment="when a reservation ends by itself; null for none, and for what is none"),
    Column("period_us", BigInteger, comment="begin of the period in which its place is counted; null where none is"),
    Column("source", Text, comment="log | decision | report; null from before it was told, then log"),
    Column("named", Text, comment="of one of a log, the id of a decision or of a reported touch that the log says it is"),
    Index("touches_of_member", "member_id", "at_us"),
    Index("touches_of_decision", "decision_id"),
    Index("touches_by_expiry", "expires_us"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("outcome_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("decision_id", Text),
    Column("type", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("value", Float),
    Index("outcomes_of_member", "member_id", "at_us"),
    Index("outcomes_of_decision", "decision_id"),
)

uses = Table(
    "uses",
    metadata,
    Column("period_us", BigInteger, primary_key=True, comment="begin of the period"),
    Column("resource", Text, primary_key=True, comment="intervention:<id> | channel:<name> | budget"),
    Column("used", Float, nullable=False, comment="members, or money"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("chosen", Text, nullable=False),
    Column("body", Text, nullable=False, comment="the whole trace, JSON; {} where it has left the store"),
    Column("channel", Text),
    Column("propensities", Text, comment="of every candidate by its id, none included, JSON"),
    Column("basis", Text, comment="what was seen when it was decided, JSON; null where it cannot be replayed"),
    Column("drawn_us", BigInteger, comment="created_us where chance was in play; null where it was not, and from before it was told"),
    Index("decisions_of_member", "member_id", "created_us", "drawn_us"),
    Index("decisions_by_time", "created_us", "decision_id"),
)
WITH_TRACE = decisions.c.body != literal_column("'{}'")
"""As the index says it, so that both databases find it there."""
Index("decisions_with_trace", decisions.c.created_us, sqlite_where=WITH_TRACE, postgresql_where=WITH_TRACE)

requests = Table(
    "requests",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("claimed_us", BigInteger, nullable=False),
    Column("answer", Text, comment="null while the first attempt is under way"),
    Column("member_id", Text, comment="of the answer"),
    Index("requests_of_member", "member_id"),
    Index("requests_by_time", "claimed_us"),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_key", _RUNNING_NUMBER, primary_key=True, autoincrement=True, comment="the highest is in force"),
    Column("plan_id", Text, nullable=False),
    Column("activated_us", BigInteger, nullable=False),
    Column("body", Text, comment="prices and what they hold for, JSON; null where a plan was withdrawn"),
)

overviews = Table(
    "overviews",
    metadata,
    Column("overview_key", _RUNNING_NUMBER, primary_key=True, autoincrement=True),
    Column("as_of_us", BigInteger, nullable=False),
    Column("body", Text, comment="figures of the whole community, JSON; null while the members' rows are being written"),
    Column("cells", Text, comment="members by bin of risk and group, as Cells writes them; null where a newer run has them"),
)

standings = Table(
    "standings",
    metadata,
    Column("overview_key", BigInteger, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("bin", Integer, comment="of risk; null for members without a score"),
    Column("probability", Float),
    Column("risk_band", Text),
    Column("stage", Text),
    Column("tier", Text),
    Column("tags", Text, comment="each between commas"),
    Column("cohort", Text, comment="year and month of joining"),
    Column("groups", JSON(none_as_null=True), comment="of the members table, by column; null for members who are in none"),
    Column("cell", Integer, comment="in which the member is counted"),
    Column("value", Float),
    Column("value_at_risk", Float),
    Column("chosen", Text, nullable=False),
    Index("standings_of_member", "member_id"),
    Index("standings_by_value", "overview_key", "value_at_risk", "member_id"),
    Index("standings_of_cell", "overview_key", "cell"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False, comment="separated by blanks"),
    Column("salt", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, comment="null for a key that holds until it is revoked"),
)


class Transactions(ABC):
    """What the parts of the store share: a transaction that reads and one that writes; both raise StoreUnavailable."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _asking(self) -> AbstractContextManager[Connection]:
        """For Prepared queries, each by itself."""

    @abstractmethod
    def _asked(self, query: Prepared, **values: str | list[str]) -> list[tuple[Any, ...]]:
        """The rows of one query by itself."""

    @abstractmethod
    def _overwrite_journal(self) -> None:
        """In SQLite the journal still holds pages as they were before a commit; does nothing where somebody reads just then."""


def open_database(url: str | URL, wait_seconds: float) -> Engine:
    """`wait_seconds` bounds the wait for a lock or for a free connection. Raises InputError for a database of another make.

    The connection that was used last is used next: what it read and prepared is at hand.
    """
    try:
        read = make_url(url)
    except ArgumentError:
        raise InputError("the URL of the store cannot be read; give one such as sqlite:////folder/keepwell.db") from None
    backend = read.get_backend_name()
    if backend not in BACKENDS:
        raise InputError(f'the store cannot be kept in "{backend}"; give a URL that begins with {" or ".join(BACKENDS)}')
    on_sqlite = backend == "sqlite"
    arguments = {"timeout": wait_seconds} if on_sqlite else _postgres_arguments(read, wait_seconds)
    more = 32 if on_sqlite else _POSTGRES_MORE
    try:
        engine = create_engine(url, pool_size=8, max_overflow=more, pool_timeout=wait_seconds, pool_use_lifo=True, connect_args=arguments)
    except ModuleNotFoundError as missing:
        raise InputError(f"the store in {backend} needs the Python package {missing.name}, which is not installed") from None
    if on_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres_arguments(url: URL, wait_seconds: float) -> dict[str, str | int]:
    """As libpq knows them; `options` of the URL stay."""
    given = url.normalized_query.get("options", ())
    return {
        "application_name": "keepwell",
        "connect_timeout": max(2, round(wait_seconds)),
        "tcp_user_timeout": 20_000,
        "options": " ".join([*given, f"-c lock_timeout={max(1, round(wait_seconds * 1000))}"]),
    }


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    """Leaves BEGIN to `_begin_sqlite`, and has every commit on the disk before it returns."""
    connection.isolation_level = None
    connection.create_function(EXACTLY, 1, repr, deterministic=True)
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def empty_journal(connection: PoolProxiedConnection) -> None:
    """Of SQLite, outside of transactions; whoever reads is waited for a moment, and writers with it."""
    cursor = connection.cursor()
    (usual,) = cursor.execute("PRAGMA busy_timeout").fetchone()
    for pragma in (f"busy_timeout = {CHECKPOINT_MS}", "wal_checkpoint(TRUNCATE)", f"busy_timeout = {usual}"):
        cursor.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get(WRITES, False):
        run(connection, "BEGIN")


def insert_new(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """INSERT into the table; the caller adds what to do on a conflict, which both databases spell alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_many(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert those rows whose unique keys are new, and return their number."""
    return insert_rows(connection, insert_new(connection, table).on_conflict_do_nothing(), names, rows) if rows else 0


def insert_rows(
    connection: Connection, statement: sqlite.Insert | postgresql.Insert, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Returns the number of rows that are new. Values go to the driver as they are, JSON as text.

    SQLite gets one prepared statement with all rows, three times as fast as binding each row by name. PostgreSQL would answer each row
    of such a one by itself; it gets an array for each column.
    """
    if isinstance(statement, sqlite.Insert):
        return connection.exec_driver_sql(str(statement.compile(dialect=connection.dialect, column_keys=list(names))), list(rows)).rowcount
    table = statement.table.c
    given = func.unnest(*(bindparam(name, type_=postgresql.ARRAY(table[name].type)) for name in names)).table_valued(*names)
    whole = statement.from_select(list(names), select(*given.render_derived().c))
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return connection.exec_driver_sql(str(whole.compile(dialect=connection.dialect)), columns).rowcount

"""Transactions of a store: one for each reader, or none, and for writers what suits their database.

SQLite lets one writer in at a time, syncs the disk at each commit, and has the others poll. So the writers of a process stand in line
and share transactions: who finds one open joins it, each in a savepoint of its own, and whoever has nobody behind commits it for all.
Each goes on once that commit is on the disk. PostgreSQL does as much by itself, for writers that hold transactions of their own.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from time import sleep
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.cores import begun
from models.errors import KeepwellError, StoreUnavailable
from models.store_checkpoints import Checkpoints
from models.store_line import Line
from models.store_prepared import driver_of, failure_of, run

if TYPE_CHECKING:
    from types import TracebackType

GROUP_LIMIT = 64
POLL_SECONDS = 0.001
MOST_IDLE = 4
BUSY = "the store is busy with other writers; nothing was written, try again"
UNANSWERED = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)


class TellingOfFailures:
    """Within it StoreUnavailable is raised where the database does not answer, or cannot do what it is asked."""

    __slots__ = ()

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UNANSWERED):
            cause = getattr(error, "orig", None) or error
            raise StoreUnavailable(f"the store does not answer ({cause}); nothing was written, try again") from error


telling_of_failures = TellingOfFailures()


class Readers:
    """Connections of those who read, kept for the next one: to take one from the pool costs more than a short query does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = engine.pool
        self._idle: deque[Connection] = deque()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One state of the database, whatever is committed meanwhile. After an error all connections are made anew."""
        with _Lent(self, begins=True) as connection, connection.begin():
            yield connection

    def asking(self) -> _Lent:
        """For Prepared queries, each by itself: a transaction would take longer than a query does."""
        return _Lent(self, begins=False)

    def close(self) -> None:
        while self._idle:
            with suppress(IndexError):
                _end(self._idle.popleft())

    def taken(self) -> Connection:
        if self._pool is not self._engine.pool:
            self.close()
            self._pool = self._engine.pool
        if self._idle:
            with suppress(IndexError):
                return self._idle.pop()
        connection = self._engine.connect()
        if self._engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        return connection

    def put_back(self, connection: Connection) -> None:
        """Where the store was closed meanwhile nobody would close what is kept."""
        if self._pool is not self._engine.pool:
            _end(connection)
            return
        self._idle.append(connection)
        if len(self._idle) > MOST_IDLE:
            self._close_one()

    def _close_one(self) -> None:
        """With its isolation level SQLAlchemy resets that its driver begins no transactions."""
        with suppress(IndexError):
            self._idle.popleft().close()


class _Lent:
    """A connection of `readers`; `begins`: whether its driver is to begin transactions.

    What it was asked for may be refused: that is no fault of the connection.
    """

    __slots__ = ("_begins", "_connection", "_readers")

    def __init__(self, readers: Readers, *, begins: bool) -> None:
        self._readers = readers
        self._begins = begins

    def __enter__(self) -> Connection:
        self._connection = self._readers.taken()
        try:
            _have_begin(self._connection, begins=self._begins)
        except BaseException:
            self._give_up()
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, KeepwellError):
            self._readers.put_back(self._connection)
        else:
            self._give_up()

    def _give_up(self) -> None:
        _end(self._connection)
        self._readers.close()


def _end(connection: Connection) -> None:
    """For good: its pool may be one that nobody asks any more."""
    connection.invalidate()
    connection.close()


@dataclass(eq=False)
class _Group:
    """Writers of one transaction; `error` is why nothing of it was kept."""

    connection: Connection
    size: int = 0
    error: BaseException | None = None
    ended: Event = field(default_factory=Event)

    @contextmanager
    def part(self) -> Iterator[Connection]:
        """What one of them writes: undone if it fails, and the others with it only where SQLite gave the whole transaction up."""
        savepoint = self.connection.begin_nested() if self.size else None
        try:
            yield self.connection
            if savepoint is not None:
                savepoint.commit()
        except BaseException as error:
            if savepoint is not None and _in_transaction(self.connection):
                savepoint.rollback()
            else:
                self.error = error
            raise
        finally:
            self.size += 1

    def end(self) -> Connection | None:
        """Commits, unless it failed, and returns the connection where all went well. Does not raise: those who wait are told by `error`."""
        kept = None
        try:
            if self.error is None:
                _commit(self.connection)
                kept = self.connection
        except DBAPIError as error:
            self.error = error
        finally:
            if kept is None:
                self.connection.close()
            self.ended.set()
        return kept


class GroupCommit:
    """The writers of one process to one SQLite database. `engine` does not wait for locks; this waits, up to `wait_seconds`."""

    def __init__(self, engine: Engine, wait_seconds: float) -> None:
        self._engine = engine
        self._attempts = max(1, round(wait_seconds / POLL_SECONDS))
        self._line = Line(wait_seconds)
        self._open: _Group | None = None
        self._spare: Connection | None = None
        self.checkpoints = Checkpoints(engine, self._nobody_writing)

    @contextmanager
    def writing(self, meanwhile: Callable[[], object] | None = None) -> Iterator[Connection]:
        """Returns when what was written is durable; raises StoreUnavailable where it is not, and then nothing was kept.

        `meanwhile` is done while the disk works, by this thread; what it raises is raised once that is over, and all is kept.
        """
        group = self._joined()
        leave: Callable[[], None] = partial(self._leave, group)
        try:
            with group.part() as connection:
                yield connection
            if meanwhile is not None:
                leave = begun(leave)
                meanwhile()
        finally:
            leave()
        group.ended.wait()
        if group.error is not None:
            cause = getattr(group.error, "orig", None) or group.error
            raise StoreUnavailable(f"the store could not commit ({cause}); nothing was written, try again") from group.error

    def close(self) -> None:
        self.checkpoints.close()
        if self._spare is not None:
            self._spare.close()
        self._engine.dispose()

    @contextmanager
    def _nobody_writing(self) -> Iterator[None]:
        """Those who write in this process wait in line, and those of others for the lock; whoever comes next begins anew."""
        if not self._line.wait():
            raise StoreUnavailable(BUSY)
        try:
            if self._open is not None:
                self._end(self._open)
                self._open = None
            group = self._begun()
            try:
                yield
            finally:
                self._spare = group.end()
        finally:
            self._line.go_on()

    def _joined(self) -> _Group:
        if not self._line.wait():
            raise StoreUnavailable(BUSY)
        try:
            self._open = self._open or self._begun()
        except BaseException:
            self._line.go_on()
            raise
        return self._open

    def _leave(self, group: _Group) -> None:
        """Of two things one: the next in line joins the open transaction, or it is ended."""
        successor = self._line.called()
        if successor is None or group.error is not None or group.size >= GROUP_LIMIT:
            self._open = None
            self._end(group)
        if successor is None:
            self._line.go_on()
        else:
            successor.set()

    def _end(self, group: _Group) -> None:
        self._spare = group.end()
        self.checkpoints.committed()

    def _begun(self) -> _Group:
        """Tries again every millisecond while another process writes; SQLite's own waiting grows to a tenth of a second and is unfair."""
        for _ in range(self._attempts - 1):
            try:
                return self._begin()
            except OperationalError as error:
                if not _is_locked(error):
                    raise
            sleep(POLL_SECONDS)
        return self._begin()

    def _begin(self) -> _Group:
        connection, self._spare = self._spare or self._engine.connect(), None
        try:
            run(connection, "BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        return _Group(connection)


def _have_begin(connection: Connection, *, begins: bool) -> None:
    """The driver of PostgreSQL begins a transaction unless it is told not to. Raises DBAPIError where the connection has been lost."""
    if connection.dialect.name == "postgresql" and driver_of(connection).autocommit is begins:
        try:
            driver_of(connection).autocommit = not begins
        except connection.dialect.loaded_dbapi.Error as error:
            raise failure_of(connection, error) from error


def _commit(connection: Connection) -> None:
    """What it was begun for may have been done without SQLAlchemy, which then knows of no transaction."""
    if connection.in_transaction():
        connection.commit()
    else:
        run(connection, "COMMIT")


def _in_transaction(connection: Connection) -> bool:
    """SQLite gives a whole transaction up by itself when the disk is full or fails."""
    return bool(getattr(connection.connection.dbapi_connection, "in_transaction", False))


def _is_locked(error: OperationalError) -> bool:
    return isinstance(error.orig, sqlite3.OperationalError) and error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY

"""Checkpoints of SQLite, beside the writers: what was committed moves from the journal into the database, and no request waits for that.

By itself SQLite lets every so many pages one commit do the work for all before it, and whoever asked just then waits for two syncs more.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from models.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

COMMITS = 128
"""Between two checkpoints."""
CLOSING_SECONDS = 5.0
MOST_PAGES = 8_000
"""Of the journal, 32 MB. It begins anew only where all of it was moved, and under load there is always something new."""


class Checkpoints:
    """Of one process. `engine` does not wait for locks; within `nobody_writing` no process writes."""

    def __init__(self, engine: Engine, nobody_writing: Callable[[], AbstractContextManager[None]], most_pages: int = MOST_PAGES) -> None:
        self._engine = engine
        self._nobody_writing = nobody_writing
        self.most_pages = most_pages
        self._commits = 0
        self._due = Event()
        self._ended = False
        self._thread: Thread | None = None
        self.alone = Lock()
        """Held while one is made: two at once disturb each other."""

    def committed(self) -> None:
        """To be told of each commit, by one thread at a time."""
        self._commits += 1
        if self._commits % COMMITS:
            return
        if self._thread is None:
            self._thread = Thread(target=self._work, name="checkpoints", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        self._ended = True
        self._due.set()
        if self._thread is not None:
            self._thread.join(CLOSING_SECONDS)

    def _work(self) -> None:
        """Where the disk fails writers say so, and the next commits try again."""
        while self._due.wait() and not self._ended:
            self._due.clear()
            try:
                if self._pages() > self.most_pages:
                    with self._nobody_writing():
                        self._pages()
            except (sqlite3.Error, SQLAlchemyError, StoreUnavailable):
                continue

    def _pages(self) -> int:
        """Moves what can be moved without anybody waiting, and returns the length of the journal."""
        with self.alone, closing(self._engine.raw_connection()) as connection:
            _, pages, _ = connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return int(pages)

"""Writers of one process share transactions of SQLite: in order, each durable when it returns, none harmed by another's failure."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from models.errors import StoreUnavailable
from models.store_schema import WRITES, open_database
from models.store_transactions import GroupCommit
from tests.databases import sqlite_url
from tests.patience import PATIENCE_SECONDS, wait_until


class Notes:
    """A table of one column, its writers, and how often they committed."""

    def __init__(self, folder, wait_seconds=PATIENCE_SECONDS):
        self.path = folder / "keepwell.db"
        self.engine = open_database(sqlite_url(folder), 0).execution_options(**{WRITES: True})
        self.writers = GroupCommit(self.engine, wait_seconds)
        self.commits = 0
        event.listen(self.engine, "commit", self._count)
        with self.writers.writing() as connection:
            connection.execute(text("CREATE TABLE notes (note INTEGER PRIMARY KEY, content TEXT)"))

    def _count(self, _connection):
        self.commits += 1

    def write(self, number, content="", until=None):
        with self.writers.writing() as connection:
            connection.execute(text("INSERT INTO notes VALUES (:number, :content)"), {"number": number, "content": content})
            if until is not None:
                until.wait()

    def kept(self):
        with closing(sqlite3.connect(self.path)) as other:
            return [row[0] for row in other.execute("SELECT note FROM notes ORDER BY rowid")]

    @contextmanager
    def waiting(self, *numbers, first=0) -> Iterator[list[Future]]:
        """One writer holds its turn until the others stand in line behind it, in this order; then all go on."""
        go, futures = Event(), []
        with ThreadPoolExecutor(len(numbers) + 1) as pool:
            try:
                futures.append(pool.submit(self.write, first, until=go))
                wait_until(lambda: self.writers._line._taken)  # noqa: SLF001 - nothing else tells that a writer has its turn
                for place, number in enumerate(numbers, 1):
                    futures.append(pool.submit(self.write, *number) if isinstance(number, tuple) else pool.submit(self.write, number))
                    wait_until(lambda place=place: len(self.writers._line._waiting) == place)  # noqa: SLF001 - the same
                yield futures
            finally:
                go.set()


@pytest.fixture
def notes(tmp_path):
    notes = Notes(tmp_path)
    yield notes
    notes.writers.close()


def test_those_who_wait_share_one_commit(notes):
    before = notes.commits
    with notes.waiting(1, 2, 3):
        assert notes.kept() == []
    assert notes.kept() == [0, 1, 2, 3]
    assert notes.commits == before + 1


def test_one_that_fails_keeps_nothing_and_the_others_keep_theirs(notes):
    with notes.waiting(1, 0, 2) as futures:
        pass
    assert [future.exception() is None for future in futures] == [True, True, False, True]
    assert notes.kept() == [0, 1, 2]


def test_one_that_fails_alone_keeps_nothing_and_stands_in_nobodys_way(notes):
    notes.write(0)
    with pytest.raises(IntegrityError):
        notes.write(0)
    notes.write(1)
    assert notes.kept() == [0, 1]


def test_where_the_disk_is_full_everyone_of_the_transaction_is_told_and_nothing_is_kept(notes):
    notes.write(-1)
    with notes.writers.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with notes.waiting(1, (2, "x" * 50_000), 3) as futures:
        pass
    told = [type(future.exception()).__name__ for future in futures]
    assert told[2] == "OperationalError"
    assert {told[0], told[1]} == {"StoreUnavailable"}
    assert notes.kept() == [-1, *([3] if futures[3].exception() is None else [])]
    notes.write(4)
    assert notes.kept()[-1] == 4


def test_a_writer_of_another_process_is_waited_for(tmp_path):
    notes = Notes(tmp_path)
    with closing(sqlite3.connect(notes.path, isolation_level=None, check_same_thread=False)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        written = pool.submit(notes.write, 1)
        assert not written.done()
        other.execute("COMMIT")
        written.result()
    assert notes.kept() == [1]
    notes.writers.close()


def test_who_waits_too_long_is_told_and_leaves_the_line(tmp_path):
    notes, go = Notes(tmp_path, wait_seconds=0.2), Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(notes.write, 1, until=go)
        wait_until(lambda: notes.writers._line._taken)  # noqa: SLF001 - as above
        with pytest.raises(StoreUnavailable, match="busy with other writers"):
            notes.write(2)
        go.set()
        first.result()
    notes.write(3)
    assert notes.kept() == [1, 3]
    notes.writers.close()


def test_many_writers_lose_nothing(notes):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(notes.write, range(400)))
    assert sorted(notes.kept()) == list(range(400))


def test_what_is_done_meanwhile_is_over_when_the_writer_returns_and_its_error_harms_nothing(notes):
    done = []
    with notes.writers.writing(lambda: done.append(1)) as connection:
        connection.execute(text("INSERT INTO notes VALUES (1, '')"))
        assert done == []
    assert done == [1]
    with pytest.raises(ZeroDivisionError), notes.writers.writing(lambda: 1 // 0) as connection:
        connection.execute(text("INSERT INTO notes VALUES (2, '')"))
    notes.write(3)
    assert notes.kept() == [1, 2, 3]


def test_nothing_is_done_meanwhile_where_nothing_could_be_written(notes):
    notes.write(1)
    done = []
    with pytest.raises(IntegrityError), notes.writers.writing(lambda: done.append(1)) as connection:
        connection.execute(text("INSERT INTO notes VALUES (1, '')"))
    assert done == []
    notes.write(2)

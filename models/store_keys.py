"""API keys in the store, each function within the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import Connection, exists, select, update

from models import store_schema as schema
from models.store_elements import OneOf
from models.store_prepared import Prepared
from models.store_rows import KeyRow

TABLE = schema.api_keys
KEYS = Prepared(select(TABLE).where(OneOf(TABLE.c.key_id, "key_ids")))


class KeyStore(schema.Transactions):
    """The store's part that knows who may ask."""

    def add_key(self, key: KeyRow) -> None:
        with self._writing() as connection:
            add(connection, key)

    def key(self, key_id: str) -> KeyRow | None:
        return self.keys([key_id]).get(key_id)

    def keys(self, key_ids: Collection[str]) -> dict[str, KeyRow]:
        """Those that the store has, by their ids."""
        return {row[0]: KeyRow(*row) for row in self._asked(KEYS, key_ids=list(key_ids))}

    def all_keys(self) -> list[KeyRow]:
        """In the order in which they were made."""
        with self._reading() as connection:
            return every(connection)

    def end_key(self, key_id: str, at_us: int) -> None:
        """It is valid until then; one that ends earlier already stays so."""
        with self._writing() as connection:
            end(connection, key_id, at_us)

    def has_keys(self) -> bool:
        with self._reading() as connection:
            return bool(connection.scalar(select(exists().select_from(TABLE))))


def add(connection: Connection, key: KeyRow) -> None:
    connection.execute(TABLE.insert(), asdict(key))


def every(connection: Connection) -> list[KeyRow]:
    """In the order in which they were made."""
    return [KeyRow(*row) for row in connection.execute(select(TABLE).order_by(TABLE.c.created_us, TABLE.c.key_id))]


def end(connection: Connection, key_id: str, at_us: int) -> None:
    """It is valid until then; one that ends earlier already stays so."""
    ends = TABLE.c.expires_us
    connection.execute(update(TABLE).where(TABLE.c.key_id == key_id, ends.is_(None) | (ends > at_us)).values(expires_us=at_us))

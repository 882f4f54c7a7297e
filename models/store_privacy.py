"""The rights of one member over what the store holds: preferences, access and erasure, each within the caller's transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, RowMapping, Table, Text, delete, select, update

from models import store_schema as schema
from models.errors import UnknownMember
from models.moments import EPOCH
from models.preferences import UNASKED, Preferences
from models.tombstones import Tombstones, token_of

TOMBSTONE_KEY = "tombstone_key"
FEW = 1_000
FOUND_BY_RUNS = ("standings", "ground_members")
"""Tables in which a run over all members tells where each stands."""

JSON_COLUMNS = ("answer", "attributes", "basis", "body", "preferences", "propensities")

settings = Table(
    "settings",
    schema.metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

erasures = Table(
    "erasures",
    schema.metadata,
    Column("token", Text, primary_key=True, comment="keyed hash of the member's id"),
    Column("receipt_id", Text, nullable=False),
    Column("erased_us", BigInteger, nullable=False),
    Column("counts", Text, nullable=False, comment="rows that were erased, by table, JSON"),
)

NOTHING_SAID: Mapping[str, bool] = MappingProxyType({})
Traces = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Receipt:
    """Of an erasure. `token` is a keyed hash of the member's id; `counts` are the rows that were erased, by table."""

    receipt_id: str
    erased_us: int
    token: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Graves:
    """Who was erased in a store: the key of its tombstones, and these as rows."""

    key: str
    tombstones: tuple[Mapping[str, Any], ...]


class PrivacyStore(schema.Transactions):
    """The store's part that members have a right to."""

    def preferences(self, member_id: str) -> Preferences:
        """Raises UnknownMember."""
        with self._reading() as connection:
            return preferences_of(connection, member_id)

    def everyones_preferences(self) -> dict[str, Preferences]:
        """Of those members who refused or allowed anything."""
        with self._reading() as connection:
            return preferences(connection)

    def prefer(
        self, member_id: str, *, personalization: bool | None = None, contact: Mapping[str, bool] = NOTHING_SAID, now_us: int | None = None
    ) -> Preferences:
        """What is not said stays as it was; returns what holds now. No decision that is kept later contradicts it. Raises UnknownMember.

        `now_us`: when it is said, None where that is not known.
        """
        with self._writing() as connection:
            return prefer(connection, member_id, personalization, contact, now_us)

    def traces(self, member_id: str) -> Traces:
        """All rows of the member, by table; raises UnknownMember."""
        with self._reading() as connection:
            return traces(connection, member_id)

    def erase(self, member_id: str, now_us: int) -> Receipt:
        """Every row of the member; events, touches and logs that come later do not bring it back. Raises UnknownMember."""
        with self._writing() as connection:
            receipt = erase(connection, member_id, now_us)
        self._overwrite_journal()
        return receipt

    def erased(self, member_ids: Collection[str]) -> frozenset[str]:
        """Those of the members who were erased."""
        with self._reading() as connection:
            return erased(connection, member_ids)

    def tombstones(self) -> Tombstones:
        """Of all who were erased, for those who look members up where the store is not."""
        with self._reading() as connection:
            return Tombstones(_tombstone_key(connection), frozenset(connection.scalars(select(erasures.c.token))))


def holders() -> list[Table]:
    """Tables with rows of a member, those first that refer to others."""
    return [table for table in reversed(schema.metadata.sorted_tables) if "member_id" in table.c]


def preferences(connection: Connection, member_ids: Collection[str] | None = None) -> dict[str, Preferences]:
    """Of those members who said anything; of all where none are named."""
    table = schema.members.c
    told = select(table.member_id, table.preferences).where(table.preferences.is_not(None))
    asked = told if member_ids is None else told.where(table.member_id.in_(member_ids))
    return {member_id: Preferences.from_json(text) for member_id, text in connection.execute(asked)}


def unseen(connection: Connection, member_ids: Collection[str]) -> set[str]:
    """Those of them who were erased or refuse scores. Holds the members' rows, so that an erasure comes wholly before or wholly after."""
    members = schema.members.c.member_id
    connection.execute(select(members).where(members.in_(member_ids)).with_for_update(read=True)).all()
    refusing = {member_id for member_id, wish in preferences(connection, member_ids).items() if not wish.personalization}
    return refusing | erased(connection, member_ids)


def preferences_of(connection: Connection, member_id: str) -> Preferences:
    """Raises UnknownMember."""
    _check_known(connection, member_id)
    return preferences(connection, [member_id]).get(member_id, UNASKED)


def prefer(
    connection: Connection,
    member_id: str,
    personalization: bool | None,  # noqa: FBT001 - what the member says
    contact: Mapping[str, bool],
    now_us: int | None,
) -> Preferences:
    """What is not said stays as it was. A decision under way that looked at the member before is taken again. Raises UnknownMember."""
    _hold(connection, member_id)
    held = preferences_of(connection, member_id)
    personal = held.personalization if personalization is None else personalization
    wanted = Preferences(personal, {**held.contact, **contact}).said_after(held, now_us)
    table = schema.members
    told = update(table).where(table.c.member_id == member_id)
    connection.execute(told.values(preferences=wanted.to_json(), contacts=table.c.contacts + 1))
    if not wanted.personalization:
        connection.execute(told.values(risk_band=None))
        for table in (schema.metadata.tables[name] for name in FOUND_BY_RUNS):
            connection.execute(delete(table).where(table.c.member_id == member_id))
    return wanted


def traces(connection: Connection, member_id: str) -> Traces:
    """By table the rows of the member; raises UnknownMember. Columns of JSON are read, and microseconds become times."""
    _check_known(connection, member_id)
    every = {table.name: table.select().where(table.c.member_id == member_id).order_by(*table.primary_key) for table in holders()}
    return {name: [_told(row) for row in connection.execute(query).mappings()] for name, query in every.items()}


def _told(row: RowMapping) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_us"):
            told[name.removesuffix("_us")] = None if value is None else _moment(value)
        else:
            told[name] = json.loads(value) if name in JSON_COLUMNS and value is not None else value
    return told


def _moment(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def erase(connection: Connection, member_id: str, now_us: int) -> Receipt:
    """Every row of the member in every table; raises UnknownMember."""
    _hold(connection, member_id)
    key = _made_tombstone_key(connection)
    counts = _removed(connection, member_id)
    receipt = Receipt(secrets.token_hex(16), now_us, token_of(key, member_id), counts)
    row = {"token": receipt.token, "receipt_id": receipt.receipt_id, "erased_us": now_us, "counts": json.dumps(counts)}
    connection.execute(erasures.insert(), row)
    return receipt


def _removed(connection: Connection, member_id: str) -> dict[str, int]:
    """Rows by table."""
    return {table.name: connection.execute(delete(table).where(table.c.member_id == member_id)).rowcount for table in holders()}


def erased(connection: Connection, member_ids: Collection[str]) -> frozenset[str]:
    """Those of the members who were erased.

    Whoever is about to write rows of members holds the members' own rows first: then an erasure comes wholly before, and is seen here, or
    wholly after.
    """
    key = _tombstone_key(connection)
    if key is None:
        return frozenset()
    of_token = {token_of(key, member_id): member_id for member_id in member_ids}
    tokens = select(erasures.c.token)
    few = tokens.where(erasures.c.token.in_(of_token)) if len(of_token) <= FEW else tokens
    return frozenset(of_token[token] for token in connection.scalars(few) if token in of_token)


def still_there(connection: Connection, member_ids: Collection[str]) -> frozenset[str]:
    """Those whom the store has. Until the transaction ends none of them can be erased, so that their rows may be written."""
    column = schema.members.c.member_id
    return frozenset(connection.scalars(select(column).where(column.in_(member_ids)).order_by(column).with_for_update(read=True)))


def forget(connection: Connection, member_ids: Collection[str]) -> None:
    """Members who were erased and have just been added again."""
    connection.execute(delete(schema.members).where(schema.members.c.member_id.in_(member_ids)))


def graves(connection: Connection) -> Graves | None:
    """None where nobody was erased."""
    key = _tombstone_key(connection)
    rows = tuple(dict(row) for row in connection.execute(select(erasures)).mappings())
    return None if key is None or not rows else Graves(key, rows)


def bury_again(connection: Connection, held: Graves) -> tuple[int, int]:
    """Erases whoever has a tombstone of another store, and takes over those tombstones that are under the same key.

    Returns the number of members who were erased, and of tombstones that could not be taken over.
    """
    at_us = {row["token"]: row["erased_us"] for row in held.tombstones}
    tokens = {member_id: token_of(held.key, member_id) for member_id in connection.scalars(select(schema.members.c.member_id))}
    back = {member_id: at_us[token] for member_id, token in tokens.items() if token in at_us}
    if _tombstone_key(connection) is None:
        connection.execute(settings.insert().values(name=TOMBSTONE_KEY, value=held.key))
    if _tombstone_key(connection) == held.key:
        connection.execute(schema.insert_new(connection, erasures).on_conflict_do_nothing(), [dict(row) for row in held.tombstones])
        for member_id in back:
            _removed(connection, member_id)
        return len(back), 0
    for member_id, erased_us in back.items():
        erase(connection, member_id, erased_us)
    return len(back), len(at_us) - len(back)


def note(connection: Connection, name: str, value: str) -> None:
    """Keeps a setting."""
    noted = schema.insert_new(connection, settings).values(name=name, value=value)
    connection.execute(noted.on_conflict_do_update(index_elements=["name"], set_={"value": noted.excluded.value}))


def setting(connection: Connection, name: str) -> str | None:
    """None where it was never kept."""
    return connection.scalar(select(settings.c.value).where(settings.c.name == name))


def _hold(connection: Connection, member_id: str) -> None:
    """Until the transaction ends; raises UnknownMember."""
    column = schema.members.c.member_id
    connection.execute(select(column).where(column == member_id).with_for_update())
    _check_known(connection, member_id)


def _check_known(connection: Connection, member_id: str) -> None:
    column = schema.members.c.member_id
    if connection.scalar(select(column).where(column == member_id)) is None:
        raise UnknownMember(f'member "{member_id}" is not in the store; ids are case-sensitive, and a member joins with its first event')


def _tombstone_key(connection: Connection) -> str | None:
    """None as long as nobody was erased."""
    return setting(connection, TOMBSTONE_KEY)


def _made_tombstone_key(connection: Connection) -> str:
    """Of two made at once the first one stays."""
    made = schema.insert_new(connection, settings).on_conflict_do_nothing().values(name=TOMBSTONE_KEY, value=secrets.token_hex(32))
    connection.execute(made)
    return str(connection.execute(select(settings.c.value).where(settings.c.name == TOMBSTONE_KEY)).scalar_one())

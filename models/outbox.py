"""The store's part that holds what is to reach endpoints outside, at least once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models import store_outbox as statements
from models import store_schema as schema
from models.errors import InputError
from models.sealing import Seal, is_sealed
from models.store_outbox import DeadLetter, Delivery, Standing
from models.webhooks import OLD_SECRET_HOURS, Endpoint, Message, new_secret

HOUR_US = 3_600_000_000
LEASE_US = 60_000_000
"""Longer than any attempt takes, so that none is under way twice unless a process died."""

__all__ = ["DeadLetter", "Delivery", "Leased", "OutboxStore", "Standing"]


@dataclass(frozen=True)
class Leased:
    endpoint: Endpoint
    deliveries: list[Delivery]


class OutboxStore(schema.Transactions):
    """Times are those of the real clock, also where the service decides as of another."""

    def add_endpoint(self, endpoint: Endpoint, seal: Seal) -> None:
        """Its secret is sealed. Raises SecretLocked, InputError where that cannot be."""
        with self._writing() as connection:
            seal.make_key(statements.secrets(connection))
            statements.add(connection, replace(endpoint, secret=seal.sealed(endpoint.secret)))

    def endpoints(self) -> list[Standing]:
        with self._reading() as connection:
            return statements.standings(connection)

    def remove_endpoint(self, endpoint_id: str) -> None:
        """What was still to be sent to it goes too. Raises InputError for an endpoint that there is not."""
        with self._writing() as connection:
            _known(statements.remove(connection, endpoint_id), endpoint_id)

    def rotate_secret(self, endpoint_id: str, now_us: int, seal: Seal) -> str:
        """The new secret; for a day messages are signed with the old one as well. Raises SecretLocked, InputError."""
        secret = new_secret()
        with self._writing() as connection:
            seal.make_key(statements.secrets(connection))
            _known(statements.rotate(connection, endpoint_id, seal.sealed(secret), now_us + OLD_SECRET_HOURS * HOUR_US), endpoint_id)
        return secret

    def seal_secrets(self, seal: Seal) -> int:
        """Those that were kept before secrets were sealed; returns how many. Raises SecretLocked, InputError where that cannot be."""
        with self._reading() as connection:
            if all(is_sealed(secret) for secret in statements.secrets(connection)):
                return 0
        with self._writing() as connection:
            seal.make_key(statements.secrets(connection))
            changed = statements.change_secrets(connection, lambda stored: stored if is_sealed(stored) else seal.sealed(stored))
        self._overwrite_journal()
        return changed

    def reseal_secrets(self, seal: Seal) -> int:
        """All by the first of the keys, in one transaction; returns how many. Raises SecretLocked where one cannot be opened."""
        with self._writing() as connection:
            seal.make_key(statements.secrets(connection))
            changed = statements.change_secrets(connection, seal.resealed)
        self._overwrite_journal()
        return changed

    def post_messages(self, messages: Sequence[Message]) -> None:
        with self._writing() as connection:
            statements.post(connection, messages)

    def announce_model(self, version: str, now_us: int) -> None:
        """Posts `model.changed` where another version was announced before, once however many processes say so."""
        with self._writing() as connection:
            if statements.announce(connection, "model", version):
                subject = f"{version}@{now_us}"
                statements.post(connection, [Message("model.changed", subject, now_us, {"version": version})])

    def endpoints_due(self, now_us: int) -> list[str]:
        with self._reading() as connection:
            return statements.endpoints_due(connection, now_us)

    def lease_deliveries(self, endpoint_id: str, now_us: int, limit: int, seal: Seal) -> Leased | None:
        """What is due, for this caller alone for a minute; None where nothing is. Raises SecretLocked, and then it stays due."""
        with self._writing() as connection:
            kept = statements.endpoint(connection, endpoint_id)
            endpoint = None if kept is None else kept.opened(seal)
            rows = statements.lease(connection, endpoint_id, now_us, now_us + LEASE_US, limit)
        return Leased(endpoint, rows) if endpoint is not None and rows else None

    def settle_deliveries(
        self, endpoint_id: str, delivered: Sequence[int], failed: Mapping[int, tuple[str, int | None]], now_us: int
    ) -> None:
        """By delivery key; of what failed the reason, and when it is due again: None for never, which makes it a dead letter."""
        with self._writing() as connection:
            if delivered:
                statements.delivered(connection, endpoint_id, delivered, now_us)
            for key, (error, due_us) in failed.items():
                statements.failed(connection, key, error, due_us)

    def dead_letters(self, after: int = 0, limit: int = 1_000) -> list[DeadLetter]:
        with self._reading() as connection:
            return statements.dead_letters(connection, after, limit)

    def redeliver(self, now_us: int, endpoint_id: str | None = None, message_id: str | None = None) -> int:
        with self._writing() as connection:
            return statements.redeliver(connection, now_us, endpoint_id, message_id)

    def sweep_outbox(self, now_us: int) -> None:
        """So few rows at once that nobody who writes waits long."""
        more = True
        while more:
            with self._writing() as connection:
                more = statements.sweep(connection, now_us)


def _known(found: bool, endpoint_id: str) -> None:  # noqa: FBT001 - the number of rows that were meant, as yes or no
    if not found:
        raise InputError(f'there is no endpoint "{endpoint_id}"; `keepwell webhooks list` names those that there are')

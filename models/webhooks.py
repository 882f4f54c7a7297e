"""Standard Webhooks (standardwebhooks.com): who is told of what, signed how, and when it is tried again."""

from __future__ import annotations

import base64
import ipaddress
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from standardwebhooks import Webhook

from models.errors import InputError, SecretLocked
from models.moments import EPOCH, microseconds
from models.store_rows import content_id

if TYPE_CHECKING:
    import numpy as np

    from models.sealing import Seal

EventType = Literal["member.risk_band_changed", "decision_job.ended", "model.changed"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
SECRET_BYTES = 32
OLD_SECRET_HOURS = 24
"""How long after a rotation messages are signed with the secret before it as well."""
FIRST_DELAY_SECONDS, DELAY_FACTOR, ATTEMPTS = 5.0, 4.0, 9
"""Tried again after about 5 s, 20 s, 80 s, ... 23 h: nine attempts within some 30 hours."""
JITTER = 0.5


@dataclass(frozen=True)
class Message:
    """`subject`: decision, job or version; the same subject is the same message, however often it is told. No data beyond these ids."""

    type: EventType
    subject: str
    at_us: int
    data: dict[str, str]
    member_id: str | None = None

    @property
    def message_id(self) -> str:
        return f"msg_{content_id(self.type, self.subject)}"

    @property
    def body(self) -> str:
        at = (EPOCH + timedelta(microseconds=self.at_us)).isoformat()
        return json.dumps({"type": self.type, "timestamp": at, "data": self.data}, ensure_ascii=False)


@dataclass(frozen=True)
class Endpoint:
    """Where messages of some types go. `old_secret` signs beside `secret` until `old_secret_until_us`.

    In the store both are sealed; `opened` they sign.
    """

    endpoint_id: str
    url: str
    events: tuple[str, ...]
    secret: str
    created_us: int
    old_secret: str | None = None
    old_secret_until_us: int = 0

    def opened(self, seal: Seal) -> Endpoint:
        """Without an old secret that no key opens any more: what holds is the other. Raises SecretLocked where that is so sealed."""
        try:
            secret = seal.opened(self.secret)
        except SecretLocked as error:
            raise SecretLocked(f"the secret of {self.endpoint_id} cannot be opened: {error}") from None
        return replace(self, secret=secret, old_secret=self._old(seal))

    def _old(self, seal: Seal) -> str | None:
        if self.old_secret is None:
            return None
        try:
            return seal.opened(self.old_secret)
        except SecretLocked:
            return None

    def headers(self, message_id: str, body: str, at: datetime) -> dict[str, str]:
        """Of one attempt at `at`, UTC: id, time and a signature for each secret that holds."""
        holding = self.old_secret is not None and microseconds(at) < self.old_secret_until_us
        secrets_ = (self.secret, self.old_secret) if holding else (self.secret,)
        signatures = [Webhook(secret).sign(message_id, at, body) for secret in secrets_ if secret is not None]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
            "content-type": "application/json",
        }


def new_endpoint(url: str, events: Sequence[str], created_us: int) -> Endpoint:
    """Raises InputError for a URL or an event type that cannot be used."""
    unknown = next((name for name in events if name not in EVENT_TYPES), None)
    if unknown is not None or not events:
        raise InputError(f'event type "{unknown or ""}" is not known; give some of {", ".join(EVENT_TYPES)}')
    return Endpoint(f"ep_{secrets.token_hex(6)}", checked_url(url), tuple(dict.fromkeys(events)), new_secret(), created_us)


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def checked_url(url: str) -> str:
    """Any host over https, this machine alone over http; raises InputError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError(f'"{url}" is no URL; give one such as https://crm.example/hooks/keepwell') from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError(f'"{url}": a URL that begins with https:// is needed')
    if parts.username is not None:
        raise InputError("a URL with a user name or password is refused, for it would stand in logs; the signature tells who sends")
    if parts.scheme == "http" and not _is_loopback(parts):
        raise InputError(f'"{url}": over http:// everybody on the way can read; give https://, or an address of this machine')
    return url


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def retry_seconds(attempts: int, rng: np.random.Generator) -> float | None:
    """Until the next attempt: 5 x 4^(attempts - 1) seconds, times 1 to 1.5 at random; None after the last."""
    if attempts >= ATTEMPTS:
        return None
    return float(FIRST_DELAY_SECONDS * DELAY_FACTOR ** (attempts - 1) * rng.uniform(1.0, 1.0 + JITTER))

"""Who may go on reading the figures while the store, which knows the keys, does not answer."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from models.api_keys import Principal

REMEMBERED = timedelta(hours=1)
MOST = 100


class _Seen(NamedTuple):
    holder: Principal
    at: datetime


class Measurers:
    """Keys that this process has lately seen to be valid and of the scope `metrics`: their hashes, in memory alone."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._lock = Lock()

    def remember(self, secret: str, holder: Principal, now: datetime) -> None:
        with self._lock:
            self._seen[_digest(secret)] = _Seen(holder, now)
            self._seen.move_to_end(_digest(secret))
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)

    def forget(self, secret: str) -> None:
        with self._lock:
            self._seen.pop(_digest(secret), None)

    def holder(self, secret: str, now: datetime) -> Principal | None:
        """None for a key that was not seen within the last hour."""
        with self._lock:
            seen = self._seen.get(_digest(secret))
        return seen.holder if seen is not None and now - seen.at <= REMEMBERED else None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()

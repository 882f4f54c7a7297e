"""How often a key may ask. Each process grants its share and counts on its own, so that a request waits for nobody."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import Self

from models.errors import InputError

_FORM = re.compile(r"([1-9]\d{0,14})/(second|minute|hour|day|year)", flags=re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "year": 31_536_000}


@dataclass(frozen=True)
class Rate:
    """So many requests in a period, which is told by its name."""

    amount: int
    period: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Such as `600/minute`; raises InputError for any other form."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise InputError(
                f'KEEPWELL_RATE_LIMIT: "{text}" is no rate; give one such as 600/minute, per second, minute, hour, day or year'
            )
        return cls(int(form[1]), form[2])

    @property
    def seconds(self) -> int:
        return _SECONDS[self.period]

    def __str__(self) -> str:
        return f"{self.amount:,} times a {self.period}"


@dataclass(frozen=True)
class Standing:
    """Of one key after a request; `again_in` whole seconds there is room anew."""

    allowed: bool
    remaining: int
    again_in: int
    rate: Rate

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them: the policy, and what is left of it."""
        policy = f'"key";q={self.rate.amount};w={self.rate.seconds}'
        return {"RateLimit-Policy": policy, "RateLimit": f'"key";r={self.remaining};t={self.again_in}'}


@dataclass
class _Counted:
    """Requests of one key in the window `number`, and in the one before it."""

    number: int = 0
    before: int = 0
    now: int = 0

    def move_to(self, number: int) -> None:
        if number != self.number:
            self.before = self.now if number == self.number + 1 else 0
            self.number, self.now = number, 0


class Rates:
    """`limit`: such as `600/minute`; of the last minute, and not of the one on the clock. Raises InputError for any other text.

    The last minute holds what was counted in this one on the clock, and of the one before the share that still belongs to it.

    Of `processes` that serve together each grants its share, so that they never grant more, whichever a key asks. Raises InputError where
    that would be nothing.
    """

    def __init__(self, limit: str, processes: int = 1) -> None:
        whole = Rate.of(limit)
        if whole.amount < processes:
            raise InputError(f"KEEPWELL_RATE_LIMIT: of {limit} none of {processes} processes has a share; give at least {processes}")
        self._rate = replace(whole, amount=whole.amount // processes)
        self._seconds = whole.seconds
        self._counted: dict[str, _Counted] = {}
        self._mutex = Lock()

    def hit(self, key_id: str) -> Standing:
        with self._mutex:
            return self._hit(key_id)

    def _hit(self, key_id: str) -> Standing:
        number, passed = divmod(time.time(), self._seconds)
        left = self._seconds - passed
        counted = self._counted.setdefault(key_id, _Counted())
        counted.move_to(int(number))
        before = counted.before * left / self._seconds
        allowed = math.floor(before) + counted.now < self._rate.amount
        counted.now += allowed
        remaining = max(0, self._rate.amount - math.floor(before + counted.now))
        room_in = min(left, left % (self._seconds / counted.before)) if counted.before else left
        return Standing(allowed, remaining, max(1, math.ceil(room_in)), self._rate)

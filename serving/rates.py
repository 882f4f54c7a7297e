"""How often a key may ask. Each process counts on its own, so that a request waits for nobody."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from models.errors import InputError


@dataclass(frozen=True)
class Standing:
    """Of one key after a request; `again_in` whole seconds there is room anew."""

    allowed: bool
    remaining: int
    again_in: int
    item: RateLimitItem

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them: the policy, and what is left of it."""
        policy = f'"key";q={self.item.amount};w={self.item.get_expiry()}'
        return {"RateLimit-Policy": policy, "RateLimit": f'"key";r={self.remaining};t={self.again_in}'}


class Rates:
    """`limit`: such as `600/minute`; of the last minute, and not of the one on the clock. Raises InputError for any other text."""

    def __init__(self, limit: str) -> None:
        try:
            self._item = parse(limit)
        except ValueError:
            raise InputError(f'KEEPWELL_RATE_LIMIT: "{limit}" is no rate; give one such as 600/minute') from None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, key_id: str) -> Standing:
        allowed = self._limiter.hit(self._item, key_id)
        window = self._limiter.get_window_stats(self._item, key_id)
        return Standing(allowed, window.remaining, max(1, math.ceil(window.reset_time - time.time())), self._item)

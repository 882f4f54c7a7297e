"""Who was erased, told by keyed hashes alone: without their ids, and without asking the store again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class Tombstones:
    """`key` is hexadecimal, None as long as nobody was erased."""

    key: str | None = None
    tokens: frozenset[str] = frozenset()

    def erased(self, member_ids: Collection[str]) -> frozenset[str]:
        """Those of the members who were erased."""
        if self.key is None:
            return frozenset()
        return frozenset(member_id for member_id in member_ids if token_of(self.key, member_id) in self.tokens)


def token_of(key: str, member_id: str) -> str:
    return hashlib.blake2b(member_id.encode(), key=bytes.fromhex(key), digest_size=32).hexdigest()

"""Which versions were in force, one after the other, so that the one before is known when the last has to go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

How = Literal["promoted", "rolled_back"]
KEPT = 50


@dataclass(frozen=True)
class InForce:
    """A version that became the champion; `at` is None where nobody noted when."""

    version: str
    how: How = "promoted"
    at: datetime | None = None


def noted(text: str | None, champion: str | None) -> tuple[InForce, ...]:
    """The oldest first, the champion last: it is there even where it was put in force by other hands and not noted."""
    told = [] if text is None else json.loads(text)
    history = tuple(InForce(one["version"], one["how"], None if one["at"] is None else datetime.fromisoformat(one["at"])) for one in told)
    if champion is None or (history and history[-1].version == champion):
        return history
    return (*history, InForce(champion))


def to_note(history: Sequence[InForce]) -> str:
    """As JSON, the last KEPT of them."""
    return json.dumps([{"version": one.version, "how": one.how, "at": one.at and one.at.isoformat()} for one in history[-KEPT:]])


def previous_of(history: Sequence[InForce]) -> str | None:
    """What was in force before the last; a version that was rolled back from does not count. None where nothing was.

    So the second of two roll-backs goes one further back, and not forward again.
    """
    stood: list[str] = []
    for one in history:
        if one.version in stood and one.how == "rolled_back":
            del stood[len(stood) - stood[::-1].index(one.version) :]
        elif not stood or stood[-1] != one.version:
            stood.append(one.version)
    return stood[-2] if len(stood) > 1 else None

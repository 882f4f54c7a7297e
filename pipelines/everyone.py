"""Everyone who had joined by one moment, weighed part after part: what decisions and plans for all members begin with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.errors import InputError
from models.moments import microseconds
from pipelines.parts import PART_MEMBERS, Batch, Part, weigh_part

if TYPE_CHECKING:
    from datetime import datetime

    from models.engine import Engine
    from pipelines.loading import Loaded


def weigh_everyone(engine: Engine, loaded: Loaded, at: datetime) -> Iterator[Batch]:
    """Raises InputError where nobody had joined."""
    if not (loaded.arrays.joined_us <= microseconds(at)).any():
        message = f"no member had joined by {at.isoformat()}; the log begins {loaded.log.first.date()}"
        raise InputError(message)
    return (weigh_part(engine, part, at) for part in parts_of(loaded))


def parts_of(loaded: Loaded) -> Iterator[Part]:
    """By the members' order in the log."""
    for begin in range(0, loaded.log.members.height, PART_MEMBERS):
        end = min(begin + PART_MEMBERS, loaded.log.members.height)
        yield Part.of(loaded.community, loaded.log.of_range(begin, end), loaded.preferences, loaded.event_key)

"""Requests that are to be decided, and the events that come with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.declared import Language
from models.store import LoggedEvent
from models.store_rows import Fate
from serving.metrics import count_events
from serving.problems import Fault
from serving.schemas import ScoreRequest
from serving.telling import Told


@dataclass(frozen=True)
class Asked:
    """A request that is to be decided, with its events that were accepted and what was wrong with the others."""

    index: int
    request: ScoreRequest
    decision_id: str
    language: Language
    events: tuple[LoggedEvent, ...]
    warnings: tuple[Fault, ...]

    @property
    def told(self) -> Told:
        return Told(self.request, self.warnings)

    @property
    def plain(self) -> bool:
        """Nothing is asked but where the member stands."""
        return self.request.mode == "score_only" and "candidates" not in self.request.include

    @property
    def brings_events(self) -> bool:
        """To be kept."""
        return self.request.persist_events and bool(self.request.events)


def events_of(group: Sequence[Asked]) -> list[LoggedEvent]:
    return [event for asked in group for event in asked.events]


def count_brought(group: Sequence[Asked], fates: Sequence[Fate]) -> None:
    """`fates`: what became of the `events_of` those who brought them to be kept."""
    count_events(fates, refused=sum(len(asked.request.events) - len(asked.events) for asked in group))

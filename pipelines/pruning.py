"""What is older than is declared goes out of the store: events and traces into the archive, the rest for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from models.counting import counted
from models.errors import InputError
from models.moments import microseconds
from models.store_rows import Retention
from pipelines.archive import archive_events, archive_traces

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.store import Store
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Pruned:
    """Rows that left the store; `events` is None where none are to."""

    answers: int
    traces: int
    events: int | None

    @property
    def said(self) -> str:
        told = f"{counted(self.answers, 'answer is', 'answers are')} gone and {counted(self.traces, 'trace')} in the archive"
        return told if self.events is None else f"{told}, {counted(self.events, 'event')} too"


def prune(workspace: Workspace, store: Store, community: Community, *, at: datetime, now: datetime) -> Pruned:
    """Answers by the real clock, which their requests go by; all else by what is `at` of the community's log."""
    kept = community.store
    traced = microseconds(at - timedelta(days=kept.traces_days))
    answers = store.drop_answers(microseconds(now - timedelta(days=kept.answers_days)))
    traces = store.move_traces(traced, partial(archive_traces, workspace))
    store.drop_plans(traced)
    store.drop_overviews(microseconds(at - timedelta(days=community.schedule.keep_days)))
    events = None if kept.events_days is None else prune_events(workspace, store, community, kept.events_days, at)
    return Pruned(answers, traces, events)


def prune_events(workspace: Workspace, store: Store, community: Community, days: int, at: datetime) -> int:
    """Returns the number of events that left the store."""
    ending = community.churn.contract_event
    retention = Retention(microseconds(at - timedelta(days=days)), () if ending is None else (ending,))
    return store.prune(retention, partial(archive_events, workspace))


def check_reach(community: Community, days: int) -> None:
    """Raises InputError where the features look back further."""
    if days < community.lookback_days:
        message = f"--older-than {days}: the features look back {community.lookback_days} days (lookback_days); keep at least these"
        raise InputError(message)

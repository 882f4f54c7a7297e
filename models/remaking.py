"""A kept decision made again from what was known when it was made."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import combinations
from typing import Any

from models.basis import Basis, sum_of_times
from models.deciding import About, Decisions, tell
from models.decision_rows import traces
from models.engine import Engine, explain
from models.errors import NotReplayable
from models.events import EventArrays
from models.moments import EPOCH
from models.plan_in_force import PlanInForce
from models.planned_rows import follow
from models.shadow_prices import FREE, Terms
from models.snapshots import Snapshots
from models.standings import last_event_us
from models.store import LoggedEvent, Store, Then
from models.store_rows import Arrived, Kept, signal_rows
from models.weighing import weigh
from models.what_if import without

CLOSE = 1e-9
MOST_LATE, LOOKED_AT = 3, 40
NO_BASIS = (
    "what the decision was made on is not kept: `keepwell decide --record` made it while events arrived that it may or may not have seen, "
    "or an earlier release did"
)
Trace = dict[str, Any]
"""Of a decision, as JSON tells it."""


@dataclass(frozen=True)
class Changed:
    """A field that comes out otherwise; `pointer` is its place in the trace."""

    pointer: str
    stored: Any
    recomputed: Any


@dataclass(frozen=True)
class Remade:
    """Where the two differ; and the ids of events that were being written while it was made, which it did not see."""

    changed: tuple[Changed, ...]
    late_events: tuple[str, ...]


def remade(store: Store, kept: Kept, engine: Callable[[], Engine], read: Callable[[Mapping[str, Any]], Trace] = dict) -> Remade:
    """`engine` gives the version that decided; `read` puts a trace into the form in which two are compared.

    Raises NotReplayable where the basis or the plan of the decision was not kept.
    """
    if kept.basis is None:
        raise NotReplayable(NO_BASIS)
    again = _Again(store, kept, engine(), Basis.from_json(kept.basis), read)
    late = again.late()
    return Remade(tuple(again.changed(late)), tuple(event.event_id for event in late))


@dataclass(frozen=True)
class _Again:
    store: Store
    kept: Kept
    engine: Engine
    basis: Basis
    read: Callable[[Mapping[str, Any]], Trace]

    @cached_property
    def stored(self) -> Trace:
        return self.read(json.loads(self.kept.body))

    @property
    def plan_id(self) -> str | None:
        return self.stored.get("plan_id")

    @cached_property
    def events(self) -> EventArrays:
        """What has been written by now of what had been accepted then."""
        basis = self.basis
        added = [LoggedEvent(**event) for event in basis.added]
        then = Then(basis.event_key, basis.joined_us, basis.attributes, basis.touched_us)
        return self.store.history_then(self.kept.member_id, self.kept.created_us, self.engine.community, added, then)

    def late(self) -> Sequence[Arrived]:
        """Events that were written after the decision had read, in transactions that had begun before: PostgreSQL has such."""
        if self.basis.events is None or self.basis.times is None:
            return ()
        more = len(self.events.timestamp_us) - self.basis.events
        later = (sum_of_times(self.events.timestamp_us) - self.basis.times) % (1 << 64)
        if not 0 < more <= MOST_LATE:
            return ()
        arrived = self.store.arrived_last(self.kept.member_id, self.basis.event_key, LOOKED_AT)
        known = [event for event in arrived if event.type in self.engine.community.signal_of_type]
        sets = combinations(known, more)
        return next((events for events in sets if sum(event.timestamp_us for event in events) % (1 << 64) == later), ())

    def changed(self, late: Sequence[Arrived]) -> list[Changed]:
        community = self.engine.community
        events = without(self.events, signal_rows([event[1:] for event in late], {self.kept.member_id: 0}, community.signal_of_type))
        again = self.read(json.loads(traces(self._decisions(events))[0]))
        found = list(differences(self.stored, again))
        if self.basis.events not in {None, len(events.timestamp_us)}:
            found.insert(0, Changed("/events", self.basis.events, len(events.timestamp_us)))
        return found

    def _as_of(self) -> datetime:
        """By the clock that the decision was dated by: that of the community, where the service's is stopped."""
        return (EPOCH + timedelta(microseconds=self.kept.created_us)).astimezone(datetime.fromisoformat(self.stored["as_of"]).tzinfo)

    def _decisions(self, events: EventArrays) -> Decisions:
        """The one."""
        kept, basis, as_of = self.kept, self.basis, self._as_of()
        snapshots, ids = Snapshots.at(events, kept.created_us), ([kept.member_id], [kept.decision_id])
        terms = FREE if basis.followed is not None else _terms(self.store, self.plan_id)
        weighed = weigh(self.engine, events, snapshots, *ids, basis.history, as_of=as_of, context=basis.context, terms=terms)
        if basis.followed is not None:
            weighed = follow(weighed, basis.followed)
        last = last_event_us(events, snapshots, len(self.engine.community.signals))
        about = About(*ids, as_of, self.plan_id)
        return tell(self.engine, weighed, about, last, language=basis.language, explain=explain)


def differences(stored: object, again: object, pointer: str = "") -> Iterator[Changed]:
    """Field by field; numbers are equal within a relative 1e-9, for a sum may be taken in another order in a batch."""
    match stored, again:
        case dict(), dict():
            for name in stored | again:
                yield from differences(stored.get(name), again.get(name), f"{pointer}/{name}")
        case list(), list() if len(stored) == len(again):
            for position, (one, other) in enumerate(zip(stored, again, strict=True)):
                yield from differences(one, other, f"{pointer}/{position}")
        case float() | int(), float() | int():
            if not math.isclose(stored, again, rel_tol=CLOSE, abs_tol=CLOSE):
                yield Changed(pointer, stored, again)
        case _:
            if stored != again:
                yield Changed(pointer, stored, again)


def _terms(store: Store, plan_id: str | None) -> Terms:
    if plan_id is None:
        return FREE
    body = store.plan(plan_id)
    if body is None:
        raise NotReplayable(f"plan {plan_id}, whose prices were charged, is no longer kept")
    return PlanInForce.from_json(body).terms

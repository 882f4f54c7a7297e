"""A kept decision made again from what was known when it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import combinations

from pydantic import JsonValue

from models.basis import Basis, sum_of_times
from models.deciding import About, tell
from models.decision import Decision
from models.decision_rows import trace
from models.engine import Engine, explain
from models.errors import ModelRefused, NoChampion, RegistryUnavailable
from models.events import EventArrays
from models.moments import EPOCH
from models.plan_in_force import PlanInForce
from models.planned_rows import follow
from models.shadow_prices import FREE, Terms
from models.snapshots import Snapshots
from models.standings import last_event_us
from models.store import LoggedEvent, Then
from models.store_rows import Arrived, Kept, signal_rows
from models.weighing import weigh
from models.what_if import without
from serving.decision_answers import DecisionTrace, Difference, ReplayAnswer
from serving.kept_decisions import kept_decision
from serving.problems import MODEL_GONE, NOT_REPLAYABLE, Refusal
from serving.service import Service

CLOSE = 1e-9
MOST_LATE, LOOKED_AT = 3, 40
NO_BASIS = (
    "what the decision was made on is not kept: `keepwell decide --record` made it while events arrived that it may or may not have seen, "
    "or an earlier release did"
)


def replayed(service: Service, decision_id: str) -> ReplayAnswer:
    """Raises Refusal where the decision is unknown, its basis was not kept, or its model or plan is no longer there."""
    kept = kept_decision(service, decision_id)
    if kept.basis is None:
        raise Refusal(NOT_REPLAYABLE, NO_BASIS)
    again = _Again(service, kept, Basis.from_json(kept.basis), DecisionTrace.model_validate_json(kept.body))
    late = again.late()
    found = again.differences(late)
    return ReplayAnswer(
        decision_id=decision_id,
        equal=not found,
        model_version=kept.model_version,
        differences=found,
        late_events=[event.event_id for event in late],
    )


@dataclass(frozen=True)
class _Again:
    service: Service
    kept: Kept
    basis: Basis
    stored: DecisionTrace

    @cached_property
    def engine(self) -> Engine:
        """Raises Refusal."""
        try:
            return self.service.models.version_of(self.kept.model_version)
        except (ModelRefused, NoChampion, RegistryUnavailable):
            detail = f"model version {self.kept.model_version}, which decided, can no longer be loaded here"
            raise Refusal(MODEL_GONE, detail) from None

    @cached_property
    def events(self) -> EventArrays:
        """What has been written by now of what had been accepted then."""
        basis = self.basis
        added = [LoggedEvent(**event) for event in basis.added]
        then = Then(basis.event_key, basis.joined_us, basis.attributes, basis.touched_us)
        return self.service.store.history_then(self.kept.member_id, self.kept.created_us, self.engine.community, added, then)

    def late(self) -> Sequence[Arrived]:
        """Events that were written after the decision had read, in transactions that had begun before: PostgreSQL has such."""
        if self.basis.events is None or self.basis.times is None:
            return ()
        more = len(self.events.timestamp_us) - self.basis.events
        later = (sum_of_times(self.events.timestamp_us) - self.basis.times) % (1 << 64)
        if not 0 < more <= MOST_LATE:
            return ()
        arrived = self.service.store.arrived_last(self.kept.member_id, self.basis.event_key, LOOKED_AT)
        known = [event for event in arrived if event.type in self.engine.community.signal_of_type]
        sets = combinations(known, more)
        return next((events for events in sets if sum(event.timestamp_us for event in events) % (1 << 64) == later), ())

    def differences(self, late: Sequence[Arrived]) -> list[Difference]:
        community = self.engine.community
        events = without(self.events, signal_rows([event[1:] for event in late], {self.kept.member_id: 0}, community.signal_of_type))
        again = DecisionTrace.model_validate(trace(self._decision(events), community, self.basis.language))
        found = list(differences(self.stored.model_dump(mode="json"), again.model_dump(mode="json")))
        if self.basis.events not in {None, len(events.timestamp_us)}:
            found.insert(0, Difference(pointer="/events", stored=self.basis.events, recomputed=len(events.timestamp_us)))
        return found

    def _decision(self, events: EventArrays) -> Decision:
        kept, basis, as_of = self.kept, self.basis, EPOCH + timedelta(microseconds=self.kept.created_us)
        snapshots, ids = Snapshots.at(events, kept.created_us), ([kept.member_id], [kept.decision_id])
        terms = FREE if basis.followed is not None else _terms(self.service, self.stored.plan_id)
        weighed = weigh(self.engine, events, snapshots, *ids, basis.history, as_of=as_of, context=basis.context, terms=terms)
        if basis.followed is not None:
            weighed = follow(weighed, basis.followed)
        last = last_event_us(events, snapshots, len(self.engine.community.signals))
        about = About(*ids, as_of, self.stored.plan_id)
        return tell(self.engine, weighed, about, last, language=basis.language, explain=explain)[0]


def differences(stored: JsonValue, again: JsonValue, pointer: str = "") -> Iterator[Difference]:
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
                yield Difference(pointer=pointer, stored=stored, recomputed=again)
        case _:
            if stored != again:
                yield Difference(pointer=pointer, stored=stored, recomputed=again)


def _terms(service: Service, plan_id: str | None) -> Terms:
    if plan_id is None:
        return FREE
    body = service.store.plan(plan_id)
    if body is None:
        raise Refusal(NOT_REPLAYABLE, f"plan {plan_id}, whose prices were charged, is no longer kept")
    return PlanInForce.from_json(body).terms

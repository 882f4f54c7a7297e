"""A kept decision made again from what was known when it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from pydantic import JsonValue

from models.basis import Basis
from models.deciding import decide
from models.decision import Decision
from models.decision_rows import trace
from models.engine import Engine, explain
from models.errors import ModelRefused, NoChampion, RegistryUnavailable
from models.events import EventArrays
from models.moments import EPOCH
from models.plan_in_force import PlanInForce
from models.shadow_prices import FREE, Terms
from models.snapshots import Snapshots
from models.store import LoggedEvent, Then
from models.store_rows import Kept
from serving.decision_answers import DecisionTrace, Difference, ReplayAnswer
from serving.kept_decisions import kept_decision
from serving.problems import MODEL_GONE, NOT_REPLAYABLE, Refusal
from serving.service import Service

CLOSE = 1e-9


def replayed(service: Service, decision_id: str) -> ReplayAnswer:
    """Raises Refusal where the decision is unknown, was not made by the service, or its model or plan is no longer there."""
    kept = kept_decision(service, decision_id)
    if kept.basis is None:
        raise Refusal(
            NOT_REPLAYABLE, "what the decision was made on is not kept here: it was made elsewhere, or by one plan for many members"
        )
    basis, stored = Basis.from_json(kept.basis), DecisionTrace.model_validate_json(kept.body)
    engine = _engine(service, kept.model_version)
    events = _events(service, kept, basis, engine)
    decision = _decision(engine, kept, basis, events, _terms(service, stored.plan_id))
    again = DecisionTrace.model_validate(trace(decision, engine.community, basis.language))
    found = list(differences(stored.model_dump(mode="json"), again.model_dump(mode="json")))
    if len(events.timestamp_us) != basis.events:
        found.insert(0, Difference(pointer="/events", stored=basis.events, recomputed=len(events.timestamp_us)))
    return ReplayAnswer(decision_id=decision_id, equal=not found, model_version=kept.model_version, differences=found)


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


def _engine(service: Service, version: str) -> Engine:
    try:
        return service.models.version_of(version)
    except (ModelRefused, NoChampion, RegistryUnavailable):
        raise Refusal(MODEL_GONE, f"model version {version}, which decided, can no longer be loaded here") from None


def _terms(service: Service, plan_id: str | None) -> Terms:
    if plan_id is None:
        return FREE
    body = service.store.plan(plan_id)
    if body is None:
        raise Refusal(NOT_REPLAYABLE, f"plan {plan_id}, whose prices were charged, is no longer kept")
    return PlanInForce.from_json(body).terms


def _events(service: Service, kept: Kept, basis: Basis, engine: Engine) -> EventArrays:
    added = [LoggedEvent(**event) for event in basis.added]
    then = Then(basis.event_key, basis.joined_us, basis.attributes, basis.touched_us)
    return service.store.history_then(kept.member_id, kept.created_us, engine.community, added, then)


def _decision(engine: Engine, kept: Kept, basis: Basis, events: EventArrays, terms: Terms) -> Decision:
    (decision,) = decide(
        engine,
        events,
        Snapshots.at(events, kept.created_us),
        [kept.member_id],
        [kept.decision_id],
        basis.history,
        as_of=EPOCH + timedelta(microseconds=kept.created_us),
        language=basis.language,
        context=basis.context,
        explain=explain,
        terms=terms,
    )
    return decision

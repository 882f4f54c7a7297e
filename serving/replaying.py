"""A kept decision made again, as the answer to whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.engine import Engine
from models.errors import ModelRefused, NoChampion, NotReplayable, RegistryUnavailable
from models.remaking import remade
from serving.decision_answers import DecisionTrace, Difference, ReplayAnswer
from serving.kept_decisions import kept_decision
from serving.problems import MODEL_GONE, NOT_REPLAYABLE, Refusal
from serving.service import Service


def replayed(service: Service, decision_id: str) -> ReplayAnswer:
    """Raises Refusal where the decision is unknown, its basis was not kept, or its model or plan is no longer there."""
    kept = kept_decision(service, decision_id)
    try:
        again = remade(service.store, kept, lambda: _engine(service, kept.model_version), _read)
    except NotReplayable as error:
        raise Refusal(NOT_REPLAYABLE, str(error)) from None
    return ReplayAnswer(
        decision_id=decision_id,
        equal=not again.changed,
        model_version=kept.model_version,
        differences=[Difference(**vars(one)) for one in again.changed],
        late_events=list(again.late_events),
    )


def _engine(service: Service, version: str) -> Engine:
    try:
        return service.models.version_of(version)
    except (ModelRefused, NoChampion, RegistryUnavailable):
        detail = f"model version {version}, which decided, can no longer be loaded here"
        raise Refusal(MODEL_GONE, detail) from None


def _read(told: Mapping[str, Any]) -> dict[str, Any]:
    return DecisionTrace.model_validate(told).model_dump(mode="json")

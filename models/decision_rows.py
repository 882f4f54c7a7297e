"""Decisions as the store keeps them: the row, and in it the whole trace as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from models.moments import microseconds
from models.store_rows import DecisionRow
from models.wording import status_sentence

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.decision import Candidate, Decision
    from models.declared import Language
    from models.weighing import Context

SENDING = ("send_not_before", "valid_until", "caution")
"""Of a candidate, what follows from the time and the policy."""


@dataclass(frozen=True)
class Circumstances:
    """What a decision was made in: the contacts that had been seen, what was used up, and its basis where it can be replayed.

    `released`: whether the place of a contact that nobody reports is given back once it is no longer valid.
    """

    contacts_seen: int
    context: Context
    basis: str | None
    released: bool


def decision_row(decision: Decision, community: Community, language: Language, made_in: Circumstances) -> DecisionRow:
    chosen = chosen_candidate(decision)
    expires = chosen.valid_until if made_in.released else None
    return DecisionRow(
        decision_id=decision.decision_id,
        member_id=decision.member_id,
        created_us=microseconds(decision.as_of),
        model_version=decision.model_version,
        chosen=decision.chosen,
        channel=chosen.channel,
        contacts_seen=made_in.contacts_seen,
        body=to_json(trace(decision, community, language)).decode(),
        cost=chosen.cost,
        expires_us=None if expires is None else microseconds(expires),
        used_up=made_in.context.used_up,
        propensities=to_json({candidate.intervention_id: candidate.probability for candidate in decision.candidates}).decode(),
        basis=made_in.basis,
        risk_band=decision.churn.risk_band,
    )


def chosen_candidate(decision: Decision) -> Candidate:
    """That of doing nothing where nothing was chosen."""
    return next(candidate for candidate in decision.candidates if candidate.intervention_id == decision.chosen)


def trace(decision: Decision, community: Community, language: Language) -> dict[str, Any]:
    """All that was known and weighed, ready for JSON; why an effect is what it is stands in the answer alone."""
    churn = decision.churn
    text = None if churn.status == "scored" else status_sentence(language, churn, community)
    horizons = [{"days": days, "probability": probability} for days, probability in churn.horizons]
    told = {name: value for name, value in vars(decision).items() if name != "effect_reasons"}
    moments = {name: _moment(told[name]) for name in ("as_of", "features_as_of", "last_event_at")}
    return (
        told
        | moments
        | {
            "churn": vars(churn) | {"horizons": horizons, "text": text},
            "member": None if decision.impersonal else vars(decision.member),
            "reasons": [vars(reason) for reason in decision.reasons],
            "candidates": [_candidate(candidate) for candidate in decision.candidates],
        }
    )


def _candidate(candidate: Candidate) -> dict[str, Any]:
    told = dict(vars(candidate))
    for name in SENDING:
        del told[name]
    told["weighed_uplift"] = candidate.weighed_uplift
    return told


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

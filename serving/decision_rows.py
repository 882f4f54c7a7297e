"""Decisions as the store keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from models.community import Community
from models.decision import Candidate, Decision
from models.declared import Language
from models.moments import microseconds
from models.store import DecisionRow
from models.weighing import Context
from serving.telling import trace_of


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
        body=trace_of(decision, community, language).model_dump_json(),
        cost=chosen.cost,
        expires_us=None if expires is None else microseconds(expires),
        used_up=made_in.context.used_up,
        propensities=json.dumps({candidate.intervention_id: candidate.probability for candidate in decision.candidates}),
        basis=made_in.basis,
        risk_band=decision.churn.risk_band,
    )


def chosen_candidate(decision: Decision) -> Candidate:
    """That of doing nothing where nothing was chosen."""
    return next(candidate for candidate in decision.candidates if candidate.intervention_id == decision.chosen)

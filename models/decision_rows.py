"""Decisions as the store keeps them: the row, and in it the whole trace as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.json_texts import NULL, named, numbers, objects, strings, word, written
from models.last_draws import by_chance
from models.moments import microseconds
from models.store_rows import DecisionRow

if TYPE_CHECKING:
    from datetime import datetime

    from models.deciding import Decisions
    from models.decision import Candidate, Decision
    from models.json_texts import Texts
    from models.weighing import Context


@dataclass(frozen=True)
class Circumstances:
    """What a decision was made in: the contacts that had been seen, what was used up, and its basis where it can be replayed.

    `released`: whether the place of a contact that nobody reports is given back once it is no longer valid.
    """

    contacts_seen: int
    context: Context
    basis: str | None
    released: bool


def decision_rows(decisions: Decisions, made_in: Mapping[int, Circumstances]) -> dict[int, DecisionRow]:
    """By position, of the decisions that are kept."""
    if not made_in:
        return {}
    bodies, propensities = traces(decisions), decisions.candidate_texts.propensities
    drawn = by_chance(decisions.weighed.propensity).tolist()
    return {
        row: _row(decisions, row, bodies[row], propensities[row], circumstances, drawn=drawn[row]) for row, circumstances in made_in.items()
    }


def _row(decisions: Decisions, row: int, body: str, propensities: str, made_in: Circumstances, *, drawn: bool) -> DecisionRow:
    arm, about, created_us = decisions.chosen[row], decisions.about, microseconds(decisions.about.as_of)
    expires = decisions.sending(row, arm).valid_until if arm and made_in.released else None
    return DecisionRow(
        decision_id=about.decision_ids[row],
        member_id=about.member_ids[row],
        created_us=created_us,
        model_version=decisions.engine.version,
        chosen=decisions.arms[arm],
        channel=decisions.chosen_channel(row),
        contacts_seen=made_in.contacts_seen,
        body=body,
        cost=decisions.chosen_cost(row),
        expires_us=None if expires is None else microseconds(expires),
        used_up=made_in.context.used_up,
        propensities=propensities,
        basis=made_in.basis,
        risk_band=decisions.standings.risk_band(row),
        drawn_us=created_us if drawn else None,
        rests=drawn and decisions.engine.community.contact_policy.draw_cooldown_days > 0,
    )


def chosen_candidate(decision: Decision) -> Candidate:
    """That of doing nothing where nothing was chosen."""
    return next(candidate for candidate in decision.candidates if candidate.intervention_id == decision.chosen)


def traces(decisions: Decisions) -> Texts:
    """All that was known and weighed, JSON; why an effect is what it is stands in the answer alone."""
    engine, about, standings, told = decisions.engine, decisions.about, decisions.standings, decisions.standing_texts
    moment = written(about.as_of.isoformat())
    same = (
        *(("model_version", engine.version), ("grade", engine.grade)),
        *(("catalogue_fingerprint", engine.catalogue_fingerprint), ("plan_id", about.plan_id)),
    )
    return objects(
        {
            "decision_id": strings(about.decision_ids),
            "member_id": strings(about.member_ids),
            "as_of": moment,
            "features_as_of": moment,
            "last_event_at": [_moment(at) for at in standings.last_events],
            "churn": told.churn,
            "member": told.member,
            "reasons": told.reasons,
            "candidates": decisions.candidate_texts.lists,
            "chosen": named([decisions.arms[arm] for arm in decisions.chosen]),
            "draw": numbers(decisions.weighed.draw.tolist()),
            "exploration": numbers(decisions.exploration),
            "arm": [f'"{standings.arm(row)}"' for row in range(len(decisions))],
            "no_action_reason": named(decisions.no_action_reasons),
            **{name: word(value) for name, value in same},
        }
    )


def _moment(at: datetime | None) -> str:
    return NULL if at is None else f'"{at.isoformat()}"'

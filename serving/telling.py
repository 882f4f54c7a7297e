"""Answers made from a decision, in the language of whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.actions import NO_ACTION
from models.community import Community
from models.decision import Candidate, ChurnScore, Decision, Reason, Score
from models.declared import Language
from models.refusal_wording import Standing, removal_sentence
from models.texts import named
from models.wording import status_sentence, uplift_sentence
from serving.answers import Answered, CandidateAnswer, ScoreAnswer
from serving.problems import Fault
from serving.schemas import ScoreRequest


def score_answer(decision: Decision, request: ScoreRequest, community: Community, language: Language, warnings: list[Fault]) -> ScoreAnswer:
    return ScoreAnswer.model_validate(told_decision(decision, request, community, language, warnings))


def told_decision(
    decision: Decision, request: ScoreRequest, community: Community, language: Language, warnings: Sequence[Fault]
) -> dict[str, Any]:
    """The fields of a ScoreAnswer, ready for JSON: to check what was just made, field by field, costs as much as to make it."""
    told = told_score(decision.score, request, decision.plan_id, community, language, warnings)
    if request.mode == "decide":
        told["decision_id"] = decision.decision_id
    if request.mode != "score_only":
        reason = decision.no_action_reason
        told["actions"] = _actions(decision, community, language, request.max_actions)
        told["no_action_reason"] = reason
        told["no_action_text"] = None if reason is None else named(language, "no_action", reason)
        told["suppressed"] = _suppressed(decision, community, language)
    if "candidates" in request.include:
        told["candidates"] = [_fields(CandidateAnswer, candidate) for candidate in decision.candidates]
    return told


def told_score(
    score: Score, request: ScoreRequest, plan_id: str | None, community: Community, language: Language, warnings: Sequence[Fault]
) -> dict[str, Any]:
    """Of where a member stands alone, as `told_decision`: nothing is told of what could be done."""
    return {
        "decision_id": None,
        "request_id": request.request_id,
        "member_id": score.member_id,
        "created_at": score.features_as_of,
        "churn": _churn(score.churn, community, language),
        "member": None if score.churn.withheld else vars(score.member),
        "reasons": [_reason(reason) for reason in score.reasons] if "reasons" in request.include else [],
        "actions": [],
        "no_action_reason": None,
        "no_action_text": None,
        "suppressed": [],
        "candidates": None,
        "experiment": {"id": community.policy.control_salt, "arm": score.arm},
        "plan_id": plan_id,
        "model": {"version": score.model_version, "grade": score.grade},
        "data": {"features_as_of": score.features_as_of, "last_event_at": score.last_event_at},
        "warnings": warnings,
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "direction": reason.direction,
        "contribution_pp": reason.contribution_pp,
        "value": reason.value,
        "typical": reason.typical,
        "feature": reason.feature,
        "window_days": reason.window_days,
        "text": reason.text,
    }


def _fields(answer: type[Answered], of: object) -> dict[str, Any]:
    return {name: getattr(of, name) for name in answer.model_fields}


def _churn(churn: ChurnScore, community: Community, language: Language) -> dict[str, Any]:
    return {
        "status": churn.status,
        "horizon_days": churn.horizon_days,
        "probability": churn.probability,
        "typical_probability": churn.typical_probability,
        "percentile": churn.percentile,
        "risk_band": churn.risk_band,
        "horizons": [{"days": days, "probability": probability} for days, probability in churn.horizons],
        "text": None if churn.status == "scored" else status_sentence(language, churn, community),
    }


def _actions(decision: Decision, community: Community, language: Language, most: int) -> list[dict[str, Any]]:
    """What was chosen, then what else could have been; nothing where doing nothing was chosen."""
    if decision.chosen == NO_ACTION:
        return []
    possible = [candidate for candidate in decision.candidates if candidate.intervention_id != NO_ACTION and candidate.probability > 0]
    ranked = sorted(
        possible, key=lambda candidate: (candidate.intervention_id != decision.chosen, candidate.shadow_price - candidate.priority)
    )
    return [_action(rank, candidate, decision, community, language) for rank, candidate in enumerate(ranked[:most], start=1)]


def _action(rank: int, candidate: Candidate, decision: Decision, community: Community, language: Language) -> dict[str, Any]:
    told = decision.effect_reasons if candidate.intervention_id == decision.chosen else ()
    return {
        "rank": rank,
        "intervention_id": candidate.intervention_id,
        "label": community.intervention(candidate.intervention_id).label.of(language),
        "channel": candidate.channel,
        "uplift": candidate.uplift,
        "uplift_interval": candidate.uplift_interval,
        "uplift_source": candidate.uplift_source,
        "expected_net_value": candidate.expected_net_value,
        "cost": candidate.cost,
        "priority": candidate.priority,
        "shadow_price": candidate.shadow_price,
        "assignment_probability": candidate.probability,
        "exploration": rank == 1 and decision.exploration,
        "reasons": [
            {"code": "uplift", "text": uplift_sentence(language, candidate.uplift, candidate.uplift_interval), "contribution_pp": None},
            {"code": "uplift_source", "text": named(language, "uplift_source", candidate.uplift_source), "contribution_pp": None},
            *({"code": reason.code, "text": reason.text, "contribution_pp": reason.contribution_pp} for reason in told),
        ],
        "send_not_before": candidate.send_not_before,
        "valid_until": candidate.valid_until,
    }


def _suppressed(decision: Decision, community: Community, language: Language) -> list[dict[str, Any]]:
    standing = Standing(decision.member, decision.churn.probability)
    return [
        {
            "intervention_id": candidate.intervention_id,
            "stage": candidate.removed_at,
            "rule": candidate.rule or candidate.removed_at,
            "text": removal_sentence(language, candidate, standing, community),
        }
        for candidate in decision.candidates
        if candidate.removed_at is not None and candidate.intervention_id != NO_ACTION
    ]

"""The figures of the models as they are told: every number, with labels and sentences in one language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy.special import bdtrc

from models.features import ANY, TOUCH
from models.texts import Count, calendar_day, decimal, number, plural, share, share_in_words, span, text, window
from models.wording import of_leaving, opening

if TYPE_CHECKING:
    from datetime import datetime

    from models.calibration_curve import CalibrationPoint
    from models.community import Community
    from models.declared import Language
    from models.drift_figures import DriftFigures, Moved
    from models.input_figures import InputFigures
    from models.intervals import Estimate
    from models.model_figures import Measured, ModelFigures, TriedPolicies, TriedPolicy

POLICY_LEADS = {
    "better": "model_page.policies_lead.better",
    "worse": "model_page.policies_lead.worse",
    "same": "model_page.policies_lead.same",
    "alone": "model_page.policies_lead.alone",
}
OUTCOMES = {
    "passed": "model_page.outcome.passed",
    "refused": "model_page.outcome.refused",
    "forced": "model_page.outcome.forced",
    None: "model_page.outcome.measured",
}
POLICY_NAMES = {
    "champion": "model_page.policy_name.champion",
    "challenger": "model_page.policy_name.challenger",
    "best_constant": "model_page.policy_name.best_constant",
    "random": "model_page.policy_name.random",
    "nobody": "model_page.policy_name.nobody",
}
FAMILIES = {
    "recency": "model_page.drift_of.recency",
    "volume": "model_page.drift_of.volume",
    "value": "model_page.drift_of.value",
    "variety": "model_page.drift_of.variety",
    "response": "model_page.drift_of.response",
    "rhythm": "model_page.drift_of.rhythm",
    "timing": "model_page.drift_of.timing",
    "tenure": "model_page.drift_of.tenure",
    "attribute": "model_page.drift_of.attribute",
}
RULES = {"recency": "model_page.rule_name.recency", "rfm_logistic": "model_page.rule_name.rfm_logistic"}
LEVELS = {"error": "model_page.level.error", "warning": "model_page.level.warning", "advice": "model_page.level.advice"}
INPUT_LEADS = {
    "error": "model_page.input_lead.error",
    "warning": "model_page.input_lead.warning",
    "advice": "model_page.input_lead.advice",
    "nothing": "model_page.input_lead.nothing",
}
STEPS = {
    "events": "model_page.step.events",
    "members": "model_page.step.members",
    "touches": "model_page.step.touches",
    "leakage": "model_page.step.leakage",
    "log": "model_page.step.log",
    "files": "model_page.step.files",
}
PER = 1000
NOTED_WEIGHT = 0.05
"""Columns on which less of the model rests are no reason to look again."""


def told_measured(one: Measured) -> dict[str, Any]:
    return {
        "version": one.version,
        "as_of": one.as_of,
        "trained": one.trained,
        "out_of_time": one.out_of_time,
        "horizon_days": one.horizon_days,
        "members": one.members,
        "churn_rate": one.churn_rate,
        "grade": one.grade,
        "in_use": one.in_use,
        **_bounded("auc", one.auc),
        **_bounded("recency_auc", one.recency_auc),
        **_bounded("auc_gain", one.gain),
        "best_rule": one.best_rule,
        "best_rule_auc": one.best_rule_auc,
        **_bounded("calibration_error", one.calibration_error),
        "calibration": [point.to_dict() | {"fits": fits(point)} for point in one.calibration],
    }


def told_champion(figures: ModelFigures | None, community: Community, language: Language) -> dict[str, Any]:
    """The last test of the model in use, in sentences; `test` is None where it was never measured."""
    test = None if figures is None else figures.of_champion
    if test is None:
        return {"text": text(language, "model_page.lead_none"), "details": [], "gain_text": None, "calibration_text": None, "test": None}
    details = [_pairs(test, language), _tested(test, community, language)]
    flatters = [] if test.out_of_time else [text(language, "model_page.flatters")]
    return {
        "text": text(language, f"{of_leaving('model_page.lead', community)}.{test.grade}"),
        "details": [*details, *flatters],
        "gain_text": _gain(test, language),
        "calibration_text": _calibration(test, language),
        "test": told_measured(test),
    }


def fits(point: CalibrationPoint) -> bool:
    """Whether chance allows for the share that went."""
    return point.lower <= point.said <= point.upper


def of_pairs(auc: float) -> str:
    return decimal(100 * auc, 0)


def _gain(test: Measured, language: Language) -> str:
    """What the gain is over, which stands beside it, and its interval."""
    bounds = span(language, *(decimal(100 * end, 1, signed=True) for end in test.gain.interval))
    if test.best_rule is None or test.best_rule_auc is None:
        return text(language, "model_page.gain_how", bounds=bounds)
    rule = text(language, RULES[test.best_rule])
    return text(language, "model_page.gain_over", rule=rule, n=decimal(100 * test.best_rule_auc, 1), bounds=bounds)


def _pairs(test: Measured, language: Language) -> str:
    bounds = span(language, of_pairs(test.auc.lower), of_pairs(test.auc.upper))
    return text(language, "model_page.pairs", n=of_pairs(test.auc.value), rule=of_pairs(test.recency_auc.value), bounds=bounds)


def _tested(test: Measured, community: Community, language: Language) -> str:
    given = {"members": number(language, test.members), "rate": share(test.churn_rate), "window": window(language, test.horizon_days)}
    return text(language, "model_page.tested", at=_day(test.as_of, community, language), **given)


def _calibration(test: Measured, language: Language) -> str:
    """Of many intervals at 95 % some leave the truth out; more than chance does in one of twenty tests counts against the risks."""
    outside, groups = sum(not fits(point) for point in test.calibration), len(test.calibration)
    if not outside:
        return text(language, "model_page.calibration_good")
    by_chance = float(bdtrc(outside - 1, groups, 0.05)) >= 0.05
    key = "model_page.calibration_chance" if by_chance else "model_page.calibration_some"
    return plural(language, key, outside, of=number(language, groups))


def told_policies(tried: TriedPolicies | None, community: Community, language: Language) -> dict[str, Any] | None:
    if tried is None:
        return None
    day = _day(tried.at, community, language)
    judged = {"decisions": number(language, tried.decisions), "members": number(language, tried.members), "level": share(tried.level)}
    return {
        "at": tried.at,
        "decisions": tried.decisions,
        "members": tried.members,
        "level": tried.level,
        "outcome": tried.outcome,
        "outcome_text": text(language, OUTCOMES[tried.outcome], at=day),
        "missing": [one.text_in(language) for one in tried.missing],
        "text": _policies_lead(tried, language),
        "reliable": not any(one.warnings for one in tried.policies if one.version is not None),
        "note": text(language, "model_page.policies_note", **judged),
        "per": PER,
        "currency": community.currency,
        "policies": [_policy(one, language) for one in tried.policies],
    }


def _policies_lead(tried: TriedPolicies, language: Language) -> str:
    challenger = next((one for one in tried.policies if one.name == "challenger" and one.gain is not None), None)
    if challenger is None or challenger.gain is None:
        return text(language, POLICY_LEADS["alone"])
    verdict = "better" if challenger.gain.lower > 0 else "worse" if challenger.gain.upper < 0 else "same"
    return text(language, POLICY_LEADS[verdict], version=challenger.version)


def _policy(one: TriedPolicy, language: Language) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "label": text(language, POLICY_NAMES[one.name], version=one.version),
        **_bounded("value", _times(one.value)),
        **_bounded("gain", None if one.gain is None else _times(one.gain)),
        "warnings": [warning.text_in(language) for warning in one.warnings],
    }


def _times(value: Estimate) -> Estimate:
    """For PER decisions."""
    return type(value)(PER * value.value, PER * value.lower, PER * value.upper)


def told_drift(drift: DriftFigures | None, community: Community, language: Language) -> dict[str, Any] | None:
    if drift is None:
        return None
    days = {"since": _day(drift.since, community, language), "at": _day(drift.as_of, community, language)}
    counts = {"before": number(language, drift.members_before), "now": number(language, drift.members)}
    return {
        "as_of": drift.as_of,
        "since": drift.since,
        "model_version": drift.model_version,
        "members_before": drift.members_before,
        "members": drift.members,
        "threshold": drift.threshold,
        "moved_weight": drift.moved_weight,
        "text": _drift_lead(drift, days["at"], language),
        "note": text(language, "model_page.drift_note", threshold=decimal(drift.threshold, 2), **days, **counts),
        "risk": vars(drift.risk) | {"text": text(language, "model_page.drift_score")},
        "groups": _groups(drift, community, language),
        "columns": [vars(one) for one in drift.columns],
    }


def _drift_lead(drift: DriftFigures, at: str, language: Language) -> str:
    if drift.risk.notable:
        return text(language, "model_page.drift_risk")
    if drift.moved_weight >= NOTED_WEIGHT:
        return text(language, "model_page.drift_some", share=share(drift.moved_weight))
    if drift.moved_weight > 0:
        return text(language, "model_page.drift_little", share=share_in_words(language, drift.moved_weight))
    return text(language, "model_page.drift_calm", at=at)


def _groups(drift: DriftFigures, community: Community, language: Language) -> list[dict[str, Any]]:
    """Columns of one signal and family speak as one: the most moved for all. Those that moved notably first, then by weight."""
    groups: dict[tuple[str, str], list[Moved]] = {}
    for one in drift.columns:
        groups.setdefault((one.signal, one.family), []).append(one)
    told = [
        {
            "signal": signal,
            "family": family,
            "text": _group_name(signal, family, community, language),
            "columns": len(columns),
            "moved": sum(one.notable for one in columns),
            "psi": max(one.psi for one in columns),
            "weight": sum(one.weight for one in columns),
            "moved_weight": sum(one.weight for one in columns if one.notable),
            "notable": any(one.notable for one in columns),
        }
        for (signal, family), columns in groups.items()
    ]
    return sorted(told, key=lambda group: (not group["notable"], -group["weight"]))


def _group_name(signal: str, family: str, community: Community, language: Language) -> str:
    labels = {one.name: one.label.of(language) for one in community.signals}
    labels |= {ANY: text(language, "model_page.drift_of.any")} | (
        {} if TOUCH in labels else {TOUCH: text(language, "model_page.drift_of.touch")}
    )
    name = labels.get(signal, signal.replace("_", " "))
    return text(language, FAMILIES[family], signal=opening(name))


def told_input(found: InputFigures | None, community: Community, language: Language) -> dict[str, Any] | None:
    if found is None:
        return None
    counts = {name: Count(language, getattr(found, name)) for name in ("events", "members", "rejected")}
    days = {name: _day(getattr(found, name), community, language) for name in ("at", "first", "last")}
    gravest = found.findings[0].level if found.findings else "nothing"
    return {
        **{name: getattr(found, name) for name in ("at", "first", "last", "events", "members", "rejected")},
        "text": text(language, INPUT_LEADS[gravest]),
        "note": text(language, "model_page.input_note", **days, **counts),
        "findings": [
            one.to_dict(language) | {"level_text": text(language, LEVELS[one.level]), "step_text": text(language, STEPS[one.step])}
            for one in found.findings
        ],
    }


def _day(at: datetime, community: Community, language: Language) -> str:
    return calendar_day(language, at.astimezone(community.zone))


def _bounded(name: str, estimate: Estimate | None) -> dict[str, Any]:
    return {name: estimate and estimate.value, f"{name}_interval": estimate and estimate.interval}

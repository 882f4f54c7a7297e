"""The figures of interventions as they are told: every number, with labels and sentences in one language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.blocking_wording import blocking_sentence
from models.texts import Count, decimal, moneys, number, span, text

if TYPE_CHECKING:
    from models.declared import Language
    from models.intervention_figures import CostPerSaved, InterventionFigures, InterventionReport, Step

VERDICTS = {
    "act": "interventions.verdict.act",
    "avoid": "interventions.verdict.avoid",
    "explore": "interventions.verdict.explore",
    "not_enough": "interventions.verdict.not_enough",
    "not_measured": "interventions.verdict.not_measured",
}
STEPS = {
    "catalogue": "interventions.step.catalogue",
    "eligible": "interventions.step.eligible",
    "within_policy": "interventions.step.within_policy",
    "ranked": "interventions.step.ranked",
    "assigned": "interventions.step.assigned",
    "sent": "interventions.step.sent",
    "converted": "interventions.step.converted",
}
CONTACTS = {
    "waiting": "interventions.unsent.waiting",
    "undelivered": "interventions.unsent.undelivered",
    "refused": "interventions.unmoved.refused",
    "no_response": "interventions.unmoved.no_response",
}


def told(report: InterventionReport, language: Language) -> dict[str, Any]:
    """`label` and `text` are in the language, times with the community's offset."""
    zone = report.community.zone
    return {
        "as_of": report.as_of.astimezone(zone),
        "model_version": report.model_version,
        "members": report.members,
        "contacts_since": report.contacts_since.astimezone(zone),
        "level": report.level,
        "currency": report.community.currency,
        "interventions": [_told(one, report, language) for one in report.interventions],
    }


def _told(one: InterventionFigures, report: InterventionReport, language: Language) -> dict[str, Any]:
    evidence = one.evidence
    return {
        "id": one.id,
        "label": report.community.intervention(one.id).label.of(language),
        "run": [_step(step, one.id, report, language) for step in one.run],
        "contacts": [_step(step, one.id, report, language) for step in one.contacts],
        "answered": one.answered,
        "answerable": one.answerable,
        "effect": one.effect.value,
        "effect_interval": one.effect.interval,
        "effect_text": effect_sentence(one, language),
        "source": one.source,
        "source_text": text(language, f"uplift_source.{one.source}"),
        "verdict": verdict_of(one),
        "verdict_text": verdict_sentence(one, language),
        "more_members": None if evidence is None else evidence.more_members,
        "cost": one.cost,
        "cost_per_saved": {
            **vars(one.cost_per_saved),
            "text": cost_sentence(one.cost_per_saved, one.cost, report.community.currency, language),
        },
        "evidence": None if evidence is None else evidence.to_dict(),
    }


def _step(step: Step, name: str, report: InterventionReport, language: Language) -> dict[str, Any]:
    return {
        "name": step.name,
        "label": text(language, STEPS[step.name]),
        "members": step.members,
        "blocked": [{"rule": rule, "members": n, "text": _blocked(rule, name, report, language)} for rule, n in step.blocked],
    }


def _blocked(rule: str, name: str, report: InterventionReport, language: Language) -> str:
    if rule in CONTACTS:
        return text(language, CONTACTS[rule])
    return blocking_sentence(language, name, rule, report.community)


def effect_sentence(one: InterventionFigures, language: Language) -> str:
    """Members of a hundred; a loss is told as one."""
    effect = one.effect
    bounds = span(language, of_hundred(effect.lower), of_hundred(effect.upper))
    key = "interventions.effect_gain" if effect.value >= 0 else "interventions.effect_loss"
    return text(language, key, n=decimal(abs(100 * effect.value), 1), bounds=bounds)


def of_hundred(share: float) -> str:
    return decimal(100 * share, 1, signed=True)


def verdict_of(one: InterventionFigures) -> str:
    """`not_measured` where nothing was learned of it; an intervention that was never assigned was not measured either."""
    if one.evidence is None or one.evidence.average_effect is None:
        return "not_measured"
    return one.evidence.verdict


def verdict_sentence(one: InterventionFigures, language: Language) -> str:
    verdict, evidence = verdict_of(one), one.evidence
    if evidence is None or verdict == "not_measured":
        return text(language, VERDICTS[verdict])
    if verdict == "not_enough" and evidence.more_members is None:
        return text(language, "interventions.verdict.nothing_seen", n=Count(language, evidence.n))
    more = number(language, _about(evidence.more_members or 0))
    return text(language, VERDICTS[verdict], n=Count(language, evidence.n), more=more)


def _about(members: int) -> int:
    """Two figures of it, for it is an estimate."""
    return round(members, 2 - len(str(members)))


def cost_sentence(cost_per_saved: CostPerSaved, cost: float, currency: str, language: Language) -> str:
    if cost_per_saved.kind == "cannot_be_said":
        return text(language, "interventions.cost_nobody")
    if cost == 0:
        return text(language, "interventions.cost_free")
    ends = {name: amount for name in ("value", "lower", "upper") if (amount := getattr(cost_per_saved, name)) is not None}
    shown = dict(zip(ends, moneys(language, list(ends.values()), currency), strict=True))
    if cost_per_saved.kind == "known":
        return text(language, "interventions.cost_known", value=shown["value"], bounds=span(language, shown["lower"], shown["upper"]))
    return text(language, "interventions.cost_not_below", lower=shown["lower"])

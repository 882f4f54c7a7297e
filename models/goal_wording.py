"""Goals and what a target retention takes, in rows and sentences: the same in the report and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.texts import Count, decimal, estimate, money, number, share, span, text, window

if TYPE_CHECKING:
    from models.community import Community
    from models.declared import Language
    from models.goals import Distance, GoalName, Goals, Reached
    from models.intervals import Estimate
    from models.plan_figures import Outlook

GOALS: dict[GoalName, str] = {
    "stickiness": "community_report.stickiness",
    "weekly_events": "community_report.weekly_events",
    "value_to_cost": "community_report.value_to_cost",
    "not_silent": "community_report.not_silent",
    "retention": "community_report.retention",
}
SHARES: tuple[GoalName, ...] = ("stickiness", "not_silent", "retention")
MOST_PLACES = 5
VERDICTS = {True: "community_report.met", False: "community_report.not_met", None: "community_report.not_known"}


@dataclass(frozen=True)
class GoalRow:
    """`part` of the goal that is there, in per cent, at most 100; 0 where nothing is known."""

    name: str
    value: str
    goal: str
    met: bool | None
    verdict: str
    part: float


def goal_row(one: Reached, goals: Goals, language: Language) -> GoalRow:
    places = 0 if one.value is None else _places(one, one.value)
    value = text(language, "unit.unknown") if one.value is None else _shown(one, one.value, places)
    part = 0.0 if one.value is None else 100 * min(1.0, one.value / one.goal) if one.goal else 100.0
    told = {"window": window(language, goals.silence_days)} if one.name == "not_silent" else {}
    name, verdict = text(language, GOALS[one.name], **told), text(language, VERDICTS[one.met])
    return GoalRow(name, value, _shown(one, one.goal, places), one.met, verdict, part)


def _places(one: Reached, value: float) -> int:
    """As many as it takes for what misses its goal not to look like it."""
    apart = (places for places in range(MOST_PLACES) if one.met or _shown(one, value, places) != _shown(one, one.goal, places))
    return next(apart, 0)


def _shown(one: Reached, value: float, places: int) -> str:
    if one.name not in SHARES:
        return decimal(value, 1 + places)
    return share(value) if places == 0 else f"{decimal(100 * value, places)}%"


def target_sentences(distance: Distance, community: Community, language: Language) -> list[str]:
    """How far it is, and whether the interventions that are declared could reach it."""
    expected = distance.expected
    bounds = {"expected": share(expected.value), "bounds": span(language, share(expected.lower), share(expected.upper))}
    target, days = f"{100 * distance.target:g}%", window(language, distance.days)
    given = {"target": target, "members": number(language, distance.members), "window": days}
    if distance.within_reach == "reached":
        return [text(language, "community_report.target_met", **given, **bounds)]
    missing = {"missing": number(language, distance.missing), "weekly": number(language, distance.missing_per_week)}
    return [text(language, "community_report.target", **given, **bounds, **missing), _reach(distance, community, language)]


def _reach(distance: Distance, community: Community, language: Language) -> str:
    if distance.reaching is not None:
        return _takes(distance.reaching, community, language)
    at_most = distance.at_most
    if distance.most is None or at_most is None:
        return text(language, "community_report.target_unknown")
    bounds = {"at_most": share(at_most.value), "bounds": span(language, share(at_most.lower), share(at_most.upper))}
    key = "community_report.target_perhaps" if distance.within_reach == "perhaps" else "community_report.target_beyond"
    return text(language, key, saved=_range(distance.most.saved, language), **bounds)


def _takes(plan: Outlook, community: Community, language: Language) -> str:
    labels = {arm.id: arm.label.of(language) for arm in community.interventions}
    used = [f"{labels[arm.intervention_id]} {number(language, round(arm.members))}" for arm in plan.arms if arm.members >= 0.5]
    return text(
        language,
        "community_report.target_takes",
        spend=money(language, plan.spend, community.currency),
        contacted=Count(language, round(plan.contacted)),
        saved=_range(plan.saved, language),
        who=text(language, "unit.list").join(used),
    )


def _range(told: Estimate, language: Language) -> str:
    return estimate(language, *(decimal(end, 0 if abs(end) >= 10 else 1) for end in (told.value, *told.interval)))

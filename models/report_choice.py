"""What was chosen for a member and what else was considered, in words and figures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from models.actions import NO_ACTION
from models.refusal_wording import Standing, removal_sentence
from models.texts import decimal, estimate, money, moneys, named, points, price, share, text
from models.wording import channel_name, uplift_sentence

if TYPE_CHECKING:
    from models.community import Community
    from models.decision import Candidate, Decision
    from models.declared import Language

State = Literal["chosen", "possible", "removed"]
SIGNS: dict[State, str] = {"chosen": "●", "possible": "○", "removed": "✕"}


@dataclass(frozen=True)
class Figure:
    """A number with its name and, where it needs one, the way it comes about."""

    label: str
    value: str
    how: str = ""


@dataclass(frozen=True)
class Choice:
    title: str
    sentence: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """A candidate: how it stands, and why."""

    state: State
    sign: str
    standing: str
    title: str
    note: str
    figures: tuple[Figure, ...]


def chosen_candidate(decision: Decision) -> Candidate | None:
    """The candidate that the draw picked; None where nothing was chosen."""
    if decision.chosen == NO_ACTION:
        return None
    reached = accumulate(candidate.probability for candidate in decision.candidates)
    drawn = [candidate for candidate, upto in zip(decision.candidates, reached, strict=True) if upto > decision.draw]
    same = [candidate for candidate in (*drawn, *decision.candidates) if candidate.intervention_id == decision.chosen]
    return same[0] if same else None


def choice_of(decision: Decision, community: Community, language: Language) -> Choice:
    chosen = chosen_candidate(decision)
    if chosen is None:
        return _nothing(decision, community, language)
    return Choice(
        title=title_of(chosen, community, language),
        sentence=uplift_sentence(language, chosen.uplift, chosen.uplift_interval),
        figures=_figures(chosen, community, language),
        notes=(
            text(language, "report.effect_source", source=named(language, "uplift_source", chosen.uplift_source)),
            _over(decision, chosen, community, language),
            text(language, "report.lever", lever=named(language, "lever", community.intervention(chosen.intervention_id).lever)),
        ),
    )


def _nothing(decision: Decision, community: Community, language: Language) -> Choice:
    sentence = "" if decision.no_action_reason is None else named(language, "no_action", decision.no_action_reason)
    best = _best(decision, None)
    if best is None:
        return Choice(text(language, "report.do_nothing"), sentence, (), ())
    note = text(language, "report.alternative", **_other(best, community, language))
    return Choice(text(language, "report.do_nothing"), sentence, (), (note,))


def _over(decision: Decision, chosen: Candidate, community: Community, language: Language) -> str:
    best = _best(decision, chosen)
    if best is None:
        return text(language, "report.over_nothing")
    key = "report.explored" if decision.exploration and best.priority > chosen.priority else "report.over"
    return text(language, key, **_other(best, community, language))


def _best(decision: Decision, apart_from: Candidate | None) -> Candidate | None:
    """The allowed intervention of highest priority, the first of equals."""
    allowed = [
        candidate
        for candidate in decision.candidates
        if candidate.removed_at is None and candidate.intervention_id != NO_ACTION and candidate is not apart_from
    ]
    return max(allowed, key=lambda candidate: candidate.priority, default=None)


def _other(candidate: Candidate, community: Community, language: Language) -> dict[str, str]:
    return {"other": title_of(candidate, community, language), "priority": money(language, candidate.priority, community.currency)}


def title_of(candidate: Candidate, community: Community, language: Language) -> str:
    if candidate.intervention_id == NO_ACTION:
        return text(language, "report.do_nothing")
    label = community.intervention(candidate.intervention_id).label.of(language)
    if candidate.channel is None:
        return label
    return text(language, "report.action", action=label, channel=channel_name(language, candidate.channel))


def _figures(candidate: Candidate, community: Community, language: Language) -> tuple[Figure, ...]:
    benefit = candidate.uplift * candidate.value
    benefit_text, priority = moneys(language, (benefit, candidate.priority), community.currency)
    money_figures = (
        Figure(text(language, "report.benefit"), benefit_text, text(language, "report.benefit_how")),
        Figure(text(language, "report.cost"), price(language, candidate.cost, community.currency)),
        Figure(text(language, "report.priority"), priority, text(language, "report.priority_how")),
    )
    chance = Figure(text(language, "report.chance"), share(candidate.probability), text(language, "report.chance_how"))
    return (*money_figures, chance)


def options_of(decision: Decision, community: Community, language: Language) -> list[Option]:
    """The chosen one first, then what was possible by priority, then what was ruled out, in the order of the rules' stages."""
    chosen = chosen_candidate(decision)
    stages = ("arbitration", "control", "contact_policy", "eligibility")

    def order(candidate: Candidate) -> tuple[int, float]:
        state = _state(candidate, chosen)
        if candidate.removed_at is None:
            return (0 if state == "chosen" else 1, -candidate.priority)
        return (2 + stages.index(candidate.removed_at), 0)

    return [_option(candidate, chosen, decision, community, language) for candidate in sorted(decision.candidates, key=order)]


def _state(candidate: Candidate, chosen: Candidate | None) -> State:
    if candidate.removed_at is not None:
        return "removed"
    picked = candidate.intervention_id == NO_ACTION if chosen is None else candidate is chosen
    return "chosen" if picked else "possible"


def _option(candidate: Candidate, chosen: Candidate | None, decision: Decision, community: Community, language: Language) -> Option:
    state = _state(candidate, chosen)
    standing = Standing(decision.member, decision.churn.probability)
    return Option(
        state=state,
        sign=SIGNS[state],
        standing=text(language, f"report.{state}"),
        title=title_of(candidate, community, language),
        note=removal_sentence(language, candidate, standing, community) if state == "removed" else "",
        figures=() if state == "removed" else _option_figures(candidate, community, language),
    )


def _option_figures(candidate: Candidate, community: Community, language: Language) -> tuple[Figure, ...]:
    low, high = (decimal(100 * bound, 1, signed=True) for bound in candidate.uplift_interval)
    effect = Figure(text(language, "report.effect"), estimate(language, points(language, 100 * candidate.uplift), low, high))
    worth = (
        Figure(text(language, "report.cost"), price(language, candidate.cost, community.currency)),
        Figure(text(language, "report.priority"), money(language, candidate.priority, community.currency)),
    )
    chance = Figure(text(language, "report.chance"), share(candidate.probability))
    return (chance,) if candidate.intervention_id == NO_ACTION else (effect, *worth, chance)

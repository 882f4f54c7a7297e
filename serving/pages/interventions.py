"""Interventions: what each is known to bring, and how far it comes from the catalogue to a member who answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from models.intervention_figures import CONTACT_DAYS, InterventionReport
from models.intervention_wording import of_hundred, told
from models.texts import Count, calendar_day, estimate, listed, named, number, plural, price, sentences, share, span, text, window
from models.whiskers import Scale, Whisker
from models.wording import channel_name
from serving.intervention_figures import intervention_figures
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, Visitor
from serving.service import CurrentService

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SIGNS = {"act": "✓", "avoid": "✕", "explore": "?", "not_enough": "…", "not_measured": "…"}
SHORT = {
    "act": "interventions.short.act",
    "avoid": "interventions.short.avoid",
    "explore": "interventions.short.explore",
    "not_enough": "interventions.short.not_enough",
    "not_measured": "interventions.short.not_measured",
}


@dataclass(frozen=True)
class StepBar:
    """`members` is None where nobody tells; `lost`: what kept the others out, a sentence each."""

    text: str
    members: str | None
    share: str
    width: float
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """One intervention; `evidence` are names and written numbers."""

    id: str
    name: str
    verdict: str
    sign: str
    short: str
    about: str
    verdict_text: str
    sentences: tuple[str, ...]
    effect: str
    effect_between: str
    whisker: Whisker
    whisker_label: str
    cost_text: str
    chosen: str
    sent: str
    run: tuple[StepBar, ...]
    contacts: tuple[StepBar, ...]
    answered: str | None
    contacts_note: str
    evidence: tuple[tuple[str, str], ...]


@router.get("/interventions")
def interventions(request: Request, service: CurrentService, whoever: Reader) -> Response:
    report = intervention_figures(service)
    told_of = {one.id for one in service.community.interventions}
    content = _Teller(report, whoever).content()
    return page(request, whoever, "interventions.html", community=service.community.name, told_of=told_of, **content)


@dataclass(frozen=True)
class _Teller:
    report: InterventionReport
    whoever: Visitor

    def content(self) -> dict[str, Any]:
        language, figures = self.whoever.language, told(self.report, self.whoever.language)
        ones = figures["interventions"]
        scale = Scale.over([one["effect_interval"] for one in ones])
        return {
            "as_of": figures["as_of"],
            "lead": self._lead(ones),
            "under": sentences(language, self._under(ones)),
            "cards": [self._card(one, scale) for one in ones],
            "zero": scale.zero,
            "window": window(language, CONTACT_DAYS),
            "day_of_run": calendar_day(language, figures["as_of"]),
            "since": calendar_day(language, figures["contacts_since"]),
        }

    def _lead(self, ones: list[dict[str, Any]]) -> str:
        language, shown = self.whoever.language, sum(one["verdict"] == "act" for one in ones)
        if not ones:
            return text(language, "interventions.empty")
        if not shown:
            return text(language, "interventions.lead_none")
        return plural(language, "interventions.lead", shown, all=number(language, len(ones)))

    def _under(self, ones: list[dict[str, Any]]) -> list[str]:
        language = self.whoever.language
        if not ones:
            return [text(language, "interventions.empty_how")]
        chosen = sum(step["members"] for one in ones for step in one["run"] if step["name"] == "ranked")
        told_run = {"members": number(language, self.report.members), "chosen": number(language, chosen)}
        harmful = sum(one["verdict"] == "avoid" for one in ones)
        still_open = len(ones) - harmful - sum(one["verdict"] == "act" for one in ones)
        counted = (("interventions.harmful", harmful), ("interventions.open", still_open))
        sentences = [plural(language, key, count) for key, count in counted if count]
        return [text(language, "interventions.run_chosen", **told_run), *sentences]

    def _card(self, one: dict[str, Any], scale: Scale) -> Card:
        language, (low, high) = self.whoever.language, one["effect_interval"]
        run, contacts = one["run"], one["contacts"]
        effect, between = of_hundred(one["effect"]), span(language, of_hundred(low), of_hundred(high))
        return Card(
            id=one["id"],
            name=one["label"],
            verdict=one["verdict"],
            sign=SIGNS[one["verdict"]],
            short=text(language, SHORT[one["verdict"]]),
            about=self._about(one),
            verdict_text=one["verdict_text"],
            sentences=(
                one["effect_text"],
                one["cost_per_saved"]["text"],
                text(language, "interventions.rests_on", source=one["source_text"]),
            ),
            effect=effect,
            effect_between=between,
            whisker=scale.whisker(one["effect"], low, high),
            whisker_label=text(language, "interventions.compare_label", n=effect, bounds=between),
            cost_text=one["cost_per_saved"]["text"],
            chosen=number(language, run[-1]["members"]),
            sent=number(language, contacts[1]["members"]),
            run=self._bars(run),
            contacts=self._bars(contacts) if contacts[0]["members"] else (),
            answered=self._answered(one),
            contacts_note=self._contacts_note(contacts),
            evidence=self._evidence(one),
        )

    def _about(self, one: dict[str, Any]) -> str:
        language, declared = self.whoever.language, self.report.community.intervention(one["id"])
        cost = price(language, one["cost"], self.report.community.currency)
        return text(
            language,
            "interventions.about",
            category=named(language, "category", declared.category),
            channels=listed(language, [channel_name(language, name) for name in declared.channels]),
            cost=cost,
        )

    def _bars(self, steps: list[dict[str, Any]]) -> tuple[StepBar, ...]:
        """As shares of the first."""
        first = max(steps[0]["members"], 1)
        return tuple(self._bar(step, first) for step in steps)

    def _bar(self, step: dict[str, Any], first: int) -> StepBar:
        language, members = self.whoever.language, step["members"]
        lost = tuple(
            text(language, "interventions.lost_first", n=number(language, one["members"]), rule=one["text"]) for one in step["blocked"]
        )
        if members is None:
            return StepBar(step["label"], None, "", 0.0, lost)
        return StepBar(step["label"], number(language, members), share(members / first), 100 * members / first, lost)

    def _contacts_note(self, contacts: list[dict[str, Any]]) -> str:
        language = self.whoever.language
        unknown = [text(language, "interventions.converted_unknown")] if contacts[-1]["members"] is None else []
        return sentences(language, [text(language, "interventions.contacts_note"), *unknown])

    def _answered(self, one: dict[str, Any]) -> str | None:
        language, of = self.whoever.language, one["answerable"]
        if not of:
            return None
        given = {"n": number(language, one["answered"]), "of": Count(language, of), "share": share(one["answered"] / of)}
        return text(language, "interventions.answered", **given)

    def _evidence(self, one: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        language, found = self.whoever.language, one["evidence"]
        if found is None:
            return ()
        seen, held = found["average_effect"], found["heterogeneity_held"]
        unknown = text(language, "interventions.unknown")
        rows = (
            ("interventions.measured", unknown if seen is None else self._bounded(seen, found["interval"])),
            ("interventions.believed", of_hundred(found["expected_effect"])),
            ("interventions.contacts_learned", number(language, found["n"])),
            ("interventions.left_alone", number(language, found["n_none"])),
            ("interventions.more_members", self._more(one["more_members"])),
            ("interventions.held", unknown if held is None else share(min(max(held, 0.0), 1.0))),
            ("interventions.smallest_chance", share(found["smallest_propensity"])),
        )
        return tuple((text(language, key), written) for key, written in rows)

    def _more(self, members: int | None) -> str:
        if members is None:
            return text(self.whoever.language, "interventions.none_to_see")
        return number(self.whoever.language, members) if members else text(self.whoever.language, "interventions.no_more")

    def _bounded(self, value: float, interval: tuple[float, float]) -> str:
        return estimate(self.whoever.language, of_hundred(value), *(of_hundred(end) for end in interval))

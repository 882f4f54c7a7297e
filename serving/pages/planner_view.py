"""What the page Planner says of a plan, in the words of its reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from math import ceil, log10
from typing import Any

import numpy as np

from models.audience import Selection
from models.blocking_wording import blocking_sentence
from models.community import Community
from models.declared import Language
from models.intervals import Estimate
from models.plan_figures import ArmOutlook, Outlook
from models.quotas import BUDGET, limits_of
from models.simulated_plan import Simulated
from models.supply import Capacity
from models.texts import Count, decimal, estimate, money, named, number, plural, share, span, text, window
from models.wording import channel_name, of_leaving, opening, tier_name
from serving.pages.planner_rows import ArmRow, Kept, Point, Slider
from serving.pages.site import month
from serving.pages.visitors import Visitor
from serving.service import Service

MOST, CHANNEL = "most:", "channel:"
"""Before the names of the fields that limit members."""

RULES_SHOWN = 8
STEPS = 100


@dataclass(frozen=True)
class View:
    """`free` is the plan for the same audience without a budget and places of one's own; `asked` are those of the form."""

    service: Service
    whoever: Visitor
    simulated: Simulated
    free: Simulated
    asked: Capacity

    def content(self) -> dict[str, Any]:
        language, simulated = self.whoever.language, self.simulated
        outlook, before = simulated.outlook, simulated.before
        return {
            "state": self._state(),
            "lead": self._lead(),
            "members": number(language, simulated.members),
            "held_out": number(language, round(simulated.held_out)) if simulated.held_out else None,
            "contacted": number(language, round(outlook.contacted)),
            "spend": self._money(outlook.spend),
            "saved": _told(outlook.saved.value),
            "saved_bounds": self._bounds(outlook.saved, _told),
            "net_value": self._money(outlook.net_value.value),
            "net_bounds": self._bounds(outlook.net_value, self._money),
            "cost_of_one": self._cost_of_one(outlook),
            "believed": share(outlook.believed) if outlook.believed > 0 else None,
            "before_label": text(language, of_leaving("audience.expected", self.service.community)),
            "before": self._pair(before.expected.value, simulated.going.value, lambda value: number(language, round(value))),
            "going_bounds": self._bounds(simulated.going, lambda value: number(language, round(value))),
            "at_risk": self._pair(before.value_at_risk, simulated.still_at_risk, self._money),
            "points": self._points(),
            "arms": [self._arm(arm) for arm in outlook.arms if arm.members >= 0.5],
            "sources": self._sources(),
            "currency": self.service.community.currency,
            "explored": simulated.plan.exploration > 0,
            "uncertain": outlook.saved.lower <= 0,
            "prices": self._prices(),
            "used_up": self._used_up(),
            "blocked": self._blocked(),
            "rules": text(language, "planner.rules_lead", n=Count(language, sum(one.members for one in simulated.blocked))),
            "confirm": text(
                language, "planner.confirm_lead", contacted=Count(language, round(outlook.contacted)), spend=self._money(outlook.spend)
            ),
            "budget": self._budget(),
            "sliders": [one for at, arm in enumerate(simulated.terms.arms) if (one := self._slider(arm.id, at)) is not None],
            "channels": [one for at, name in enumerate(simulated.terms.channels) if (one := self._channel(name, at)) is not None],
            "as_of": simulated.terms.as_of.astimezone(self.service.community.zone),
        }

    def _money(self, value: float) -> str:
        return money(self.whoever.language, value, self.service.community.currency)

    def _bounds(self, told: Estimate, written: Any) -> str:  # noqa: ANN401 - from a number to its text
        return span(self.whoever.language, written(told.lower), written(told.upper))

    def _estimate(self, told: Estimate, written: Any) -> str:  # noqa: ANN401 - as above
        return estimate(self.whoever.language, written(told.value), written(told.lower), written(told.upper))

    def _state(self) -> str:
        """What there is to show: `plan`, or why there is none."""
        if not self.simulated.members:
            return "nobody"
        if self.free.outlook.contacted < 0.05:
            return "nothing_pays"
        return "nothing_left" if self.simulated.outlook.contacted < 0.05 else "plan"

    def _lead(self) -> str:
        language, state = self.whoever.language, self._state()
        if state == "nobody":
            return text(language, "planner.lead_nobody")
        if state == "nothing_pays":
            return text(language, "planner.lead_nothing_pays")
        if state == "nothing_left":
            return text(language, "planner.lead_nothing_left")
        return headline(self.simulated, self.service.community, language)

    def _cost_of_one(self, outlook: Outlook) -> str | None:
        language, bounds = self.whoever.language, outlook.cost_per_saved_interval
        if outlook.cost_per_saved is None or bounds is None:
            return None
        high = text(language, "planner.no_end") if bounds[1] is None else self._money(bounds[1])
        told = span(language, self._money(bounds[0]), high)
        return text(language, "planner.cost_of_one", money=self._money(outlook.cost_per_saved), bounds=told)

    def _pair(self, without: float, with_plan: float, told: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        width = 100 * with_plan / without if without > 0 else 0.0
        return {"without": told(without), "with_plan": told(with_plan), "width": min(width, 100.0)}

    def _points(self) -> list[Point]:
        """The chosen one is drawn among those of the frontier, by its spend."""
        chosen = self.simulated.outlook
        points = [*((point, False) for point in self.simulated.frontier), (chosen, True)]
        return [self._point(point, on) for point, on in sorted(points, key=lambda pair: (pair[0].spend, pair[1]))]

    def _point(self, point: Outlook, on: bool) -> Point:  # noqa: FBT001 - a column of a row
        net, spend = point.net_value, self._money(point.spend)
        saved = self._estimate(point.saved, _told)
        told = self._estimate(net, self._money)
        label = text(self.whoever.language, "planner.point", spend=spend, net=told)
        return Point(label, point.spend, net.value, net.lower, net.upper, on, spend, told, saved)

    def _arm(self, arm: ArmOutlook) -> ArmRow:
        language = self.whoever.language
        return ArmRow(
            text=self._label(arm.intervention_id),
            members=number(language, round(arm.members)),
            spend=self._money(arm.spend),
            saved=_told(arm.saved.value),
            saved_bounds=self._bounds(arm.saved, _told),
            net_value=self._money(arm.net_value.value),
            net_bounds=self._bounds(arm.net_value, self._money),
            evidence=named(language, "evidence", arm.source),
            about=named(language, "uplift_source", arm.source),
            source=arm.source,
        )

    def _sources(self) -> list[tuple[str, str]]:
        """The badges in the table, and what each means."""
        language = self.whoever.language
        found = dict.fromkeys(arm.source for arm in self.simulated.outlook.arms if arm.members >= 0.5)
        return [(named(language, "evidence", source), named(language, "uplift_source", source)) for source in found]

    def _label(self, intervention_id: str) -> str:
        labels = {one.id: one.label.of(self.whoever.language) for one in self.service.community.interventions}
        return labels.get(intervention_id, intervention_id)

    def _prices(self) -> list[str]:
        """What one unit more would bring, of what is used up."""
        language, simulated = self.whoever.language, self.simulated
        told = []
        if simulated.budget_price > 0:
            told.append(text(language, "planner.price_budget", one=self._money(1), money=self._money(simulated.budget_price)))
        for name, limit in simulated.limits.items():
            if limit.shadow_price > 0 and limit.limit > 0:
                what = self._channel_name(name.removeprefix(CHANNEL)) if name.startswith(CHANNEL) else self._label(name)
                told.append(text(language, "planner.price_place", what=what, money=self._money(limit.shadow_price)))
        return told

    def _used_up(self) -> list[str]:
        """What earlier decisions of the running period left of what is declared."""
        language, capacity, told = self.whoever.language, self.service.community.capacity, []
        keys = {1: "planner.period_day", 7: "planner.period_week"}
        period = text(language, keys.get(capacity.period_days, "planner.period_days"), n=capacity.period_days)
        limits = limits_of(capacity)
        for name, used in self.simulated.used_in_period.items():
            kind, _, of = name.partition(":")
            counted = self._money if name == BUDGET else partial(number, language)
            amounts = {"limit": counted(limits[name]), "used": counted(used), "left": counted(max(0.0, limits[name] - used))}
            if name == BUDGET:
                told.append(text(language, "planner.used_budget", period=period, **amounts))
                continue
            what = self._channel_name(of) if kind == "channel" else self._label(of)
            told.append(text(language, "planner.used_places", what=what, period=period, **amounts))
        return told

    def _channel_name(self, name: str) -> str:
        return opening(channel_name(self.whoever.language, name))

    def _blocked(self) -> list[Kept]:
        """A sentence for each rule and intervention; of a rule that keeps several away alike, one."""
        language, community = self.whoever.language, self.service.community
        known = {one.id for one in community.interventions}
        sentences: dict[str, list[str]] = {}
        members: Counter[str] = Counter()
        for one in self.simulated.blocked:
            if one.intervention_id in known:
                sentence = blocking_sentence(language, one.intervention_id, f"{one.stage}:{one.rule}", community)
                sentences.setdefault(sentence, []).append(self._label(one.intervention_id))
                members[sentence] += one.members
        join = text(language, "unit.list").join
        return [
            Kept(number(language, count), text(language, "planner.kept", what=join(sentences[sentence]), why=sentence))
            for sentence, count in members.most_common(RULES_SHOWN)
        ]

    def _budget(self) -> Slider:
        highest = _rounded_up(self.free.outlook.spend)
        asked = self.asked.budget
        how = "planner.budget_left" if self.free.budget_price > 0 else "planner.budget_how"
        return Slider(
            name="budget",
            text=text(self.whoever.language, "planner.budget", currency=self.service.community.currency),
            how=text(self.whoever.language, how, money=self._money(self.free.outlook.spend)),
            value="" if asked is None else f"{asked:.15g}",
            highest=f"{highest:.15g}",
            step=f"{highest / STEPS:.15g}",
        )

    def _slider(self, intervention_id: str, at: int) -> Slider | None:
        candidates, members = self.free.strata.candidates, self.free.strata.members
        worth = round(float(members[candidates.allowed[:, at] & (candidates.priority[:, at] > 0)].sum()))
        how = text(self.whoever.language, "planner.worth_it", n=Count(self.whoever.language, worth))
        return slider_of_places(
            f"{MOST}{intervention_id}", self._label(intervention_id), how, worth, self.asked.interventions.get(intervention_id)
        )

    def _channel(self, name: str, at: int) -> Slider | None:
        strata = self.free.strata
        reached = (strata.candidates.channel == at) & strata.candidates.allowed & (strata.candidates.priority > 0)
        worth = round(float(strata.members[np.any(reached, axis=1)].sum()))
        how = text(self.whoever.language, "planner.worth_it", n=Count(self.whoever.language, worth))
        return slider_of_places(f"{MOST}{CHANNEL}{name}", self._channel_name(name), how, worth, self.asked.channels.get(name))

    def named_audience(self, selection: Selection) -> str:
        """With how many they are, and how many of them have a risk, where that is not all."""
        language, scored, members = self.whoever.language, self.simulated.before.members, self.simulated.members
        key = "planner.members" if scored == members else "planner.scored"
        return plural(language, key, members, audience=self.audience(selection), scored=number(language, scored))

    def audience(self, selection: Selection) -> str:
        """Who is meant, in words."""
        language, community, told = self.whoever.language, self.service.community, []
        low, high = selection.shares
        if (low, high) != (0, 1):
            told.append(text(language, "planner.risk", range=span(language, share(low), share(high))))
        if selection.risk_band is not None:
            told.append(text(language, "planner.risk", range=named(language, "band", selection.risk_band)))
        if selection.stage is not None:
            told.append(named(language, "stage", selection.stage))
        if selection.tier is not None:
            told.append(tier_name(language, selection.tier, community))
        if selection.tag is not None:
            told.append(named(language, "tag", selection.tag))
        if selection.cohort is not None:
            told.append(text(language, "planner.joined", month=month(self.whoever, selection.cohort)))
        told += [value for _, value in selection.groups]
        return text(language, "unit.list").join(told) if told else text(language, "planner.everybody")


def slider_of_places(name: str, label: str, how: str, worth: int, asked: int | None) -> Slider | None:
    """None where there is nothing to limit. The upper end, which is no limit, is a whole number of steps: no slider rests elsewhere."""
    if not worth and asked is None:
        return None
    step = max(1, worth // STEPS)
    highest = step * max(1, ceil(worth / step))
    return Slider(name, label, how, "" if asked is None else str(asked), str(highest), str(step))


def _told(members: float) -> str:
    """With one decimal below a hundred."""
    return decimal(members, 0 if abs(members) >= 100 else 1)


def _rounded_up(value: float) -> float:
    """To two digits that count; 1 for nothing."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (ceil(log10(value)) - 2)
    return float(ceil(value / unit - 1e-9) * unit)


def headline(simulated: Simulated, community: Community, language: Language) -> str:
    """Of a plan that contacts somebody. Where nobody has a risk, as among members who are silent already, nobody is said to stay."""
    outlook = simulated.outlook
    free = outlook.spend < 0.005
    stay, back = ("planner.lead_free", "planner.lead_back_free") if free else ("planner.lead", "planner.lead_back")
    key = of_leaving(stay if simulated.before.members else back, community)
    told = {} if free else {"money": money(language, outlook.spend, community.currency)}
    return text(language, key, saved=_told(outlook.saved.value), window=window(language, simulated.terms.horizon_days), **told)

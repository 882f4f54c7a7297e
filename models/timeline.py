"""What a member did, and what was done for the member, day by day, the latest first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from models.actions import NO_ACTION
from models.moments import EPOCH
from models.texts import calendar_day, named, number, price, text
from models.wording import opening

if TYPE_CHECKING:
    from models.community import Community
    from models.declared import Language

TIMELINE_DAYS = 90
DAYS_SHOWN = 14
Kind = Literal["event", "touch", "decision"]
SIGNS: dict[Kind, str] = {"event": "○", "touch": "✉", "decision": "◆"}


@dataclass(frozen=True)
class Happened:
    """An event of the member; `value` is None where it has none."""

    at_us: int
    type: str
    value: float | None


@dataclass(frozen=True)
class Contacted:
    """`state` is the response where there is one."""

    at_us: int
    intervention_id: str
    state: str


@dataclass(frozen=True)
class Settled:
    """A decision that was kept; `chosen` may be doing nothing."""

    at_us: int
    chosen: str


@dataclass(frozen=True)
class Entry:
    kind: Kind
    sign: str
    label: str
    text: str


@dataclass(frozen=True)
class TimelineDay:
    day: str
    entries: tuple[Entry, ...]


def timeline(
    events: Sequence[Happened], touches: Sequence[Contacted], decisions: Sequence[Settled], community: Community, language: Language
) -> list[TimelineDay]:
    """At most DAYS_SHOWN days, by the community's clock; events of one signal are told together."""
    teller = _Teller(community, language)
    days: dict[date, list[Entry]] = defaultdict(list)
    for settled in decisions:
        days[teller.day(settled.at_us)].append(
            teller.entry("decision", text(language, "member_page.timeline_decision", action=teller.action(settled.chosen)))
        )
    for touch in touches:
        told = text(
            language,
            "member_page.timeline_touch",
            action=teller.action(touch.intervention_id),
            state=named(language, "touch_state", touch.state),
        )
        days[teller.day(touch.at_us)].append(teller.entry("touch", told))
    for day, told in teller.activity(events):
        days[day].append(teller.entry("event", told))
    latest = sorted(days, reverse=True)[:DAYS_SHOWN]
    return [TimelineDay(calendar_day(language, day), tuple(days[day])) for day in latest]


@dataclass(frozen=True)
class _Teller:
    community: Community
    language: Language

    def day(self, at_us: int) -> date:
        return (EPOCH + timedelta(microseconds=at_us)).astimezone(self.community.zone).date()

    def entry(self, kind: Kind, told: str) -> Entry:
        labels: dict[Kind, str] = {
            "event": "member_page.timeline_kind_event",
            "touch": "member_page.timeline_kind_touch",
            "decision": "member_page.timeline_kind_decision",
        }
        return Entry(kind, SIGNS[kind], text(self.language, labels[kind]), told)

    def action(self, name: str) -> str:
        labels = {one.id: one.label.of(self.language) for one in self.community.interventions}
        return text(self.language, "report.do_nothing") if name == NO_ACTION else labels.get(name, name.replace("_", " "))

    def activity(self, events: Sequence[Happened]) -> list[tuple[date, str]]:
        """One sentence for each day with events."""
        counts: dict[date, Counter[int]] = defaultdict(Counter)
        sums: dict[tuple[date, int], float] = defaultdict(float)
        for event in events:
            signal = self.community.signal_of_type.get(event.type)
            if signal is not None:
                counts[self.day(event.at_us)][signal] += 1
                sums[self.day(event.at_us), signal] += event.value or 0.0
        parts = {day: [self._signal(signal, n, sums[day, signal]) for signal, n in sorted(found.items())] for day, found in counts.items()}
        return [(day, text(self.language, "unit.list").join(told)) for day, told in parts.items()]

    def _signal(self, position: int, n: int, total: float) -> str:
        signal = self.community.signals[position]
        label, times = opening(signal.label.of(self.language)), number(self.language, n)
        if signal.value != "money" or not total:
            return text(self.language, "member_page.timeline_count", signal=label, n=times)
        return text(
            self.language, "member_page.timeline_amount", signal=label, n=times, money=price(self.language, total, self.community.currency)
        )

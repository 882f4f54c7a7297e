"""One member explained: the decision that would be taken now, as JSON or as a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.deciding import Decisions, decide
from models.decision import Decision
from models.declared import Language
from models.engine import Engine, explain
from models.member_report import Provenance, render_member_report, report_content, weekly_activity
from models.moments import microseconds
from models.quotas import Quotas
from models.snapshots import Snapshots
from models.store import Past
from serving.answers import ScoreAnswer
from serving.pricing import Pricing, present_context, pricing, standing_warnings
from serving.problems import Fault
from serving.schemas import ScoreRequest
from serving.service import Service
from serving.telling import score_answer

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of a report: its own style, and no script."""


@dataclass(frozen=True)
class Explained:
    engine: Engine
    past: Past
    decisions: Decisions
    language: Language
    now: datetime
    pricing: Pricing

    @property
    def decision(self) -> Decision:
        return self.decisions[0]

    @property
    def warnings(self) -> list[Fault]:
        return standing_warnings(self.engine, self.pricing, self.now, self.language)

    def answer(self) -> ScoreAnswer:
        (member_id,) = self.decisions.about.member_ids
        request = ScoreRequest(member_id=member_id, mode="simulate", max_actions=50, include=frozenset({"reasons", "candidates"}))
        return score_answer(self.decisions, request, self.warnings)

    def page(self) -> str:
        return render_member_report(self.decision, self.engine.community, **self._told)

    def content(self) -> dict[str, Any]:
        """What the report's templates read, for a page with a frame of its own."""
        return report_content(self.decision, self.engine.community, **self._told)

    @property
    def _told(self) -> dict[str, Any]:
        community, events = self.engine.community, self.past.events
        local = self.now.astimezone(community.zone)
        return {
            "activity": weekly_activity(events.timestamp_us, events.signal, len(community.signals), local),
            "generated_at": self.now,
            "language": self.language,
            "provenance": Provenance(self.engine.provenance.trained_through, tuple(fault.detail for fault in self.warnings)),
        }


def explain_member(service: Service, member_id: str, language: Language | None) -> Explained:
    """Raises UnknownMember, NoChampion and StoreUnavailable."""
    by, now = service.decider(member_id), service.clock()
    engine = by.engine
    told_in = language or engine.community.language
    context = present_context(service.store, Quotas.of(service.community.capacity, engine.community, now), now)
    past = service.store.past([member_id], engine.community, microseconds(now))
    asked = Snapshots.at(past.events, microseconds(now)), [member_id], [service.new_id()], past.contacts
    priced = pricing(service.store, by.priced_as, now)
    decisions = decide(engine, past.events, *asked, as_of=now, language=told_in, context=context, explain=explain, terms=priced.terms)
    return Explained(engine, past, decisions, told_in, now, priced)

"""The same member with other events in its log, through the same features: what would be decided before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.community import DAY_US
from models.deciding import Decisions, decide
from models.declared import Language
from models.engine import Engine, explain
from models.moments import microseconds
from models.quotas import Quotas
from models.snapshots import Snapshots
from models.store import LoggedEvent, Past
from models.store_rows import signal_rows
from models.texts import text
from models.weighing import Context
from models.what_if import without
from serving.answers import ScoreAnswer, WhatIfAnswer
from serving.pricing import Pricing, present_context, pricing, standing_warnings
from serving.problems import Fault
from serving.schemas import Removal, ScoreRequest, WhatIfRequest
from serving.service import Service
from serving.telling import score_answer


def what_if(service: Service, member_id: str, request: WhatIfRequest) -> WhatIfAnswer:
    """Raises UnknownMember, NoChampion and StoreUnavailable. The draw is the same for both, so that only the events differ."""
    by, now = service.decider(member_id), service.clock()
    engine = by.engine
    language = request.language or engine.community.language
    context = present_context(service.store, Quotas.of(service.community.capacity, engine.community, now), now)
    study = _Study(engine, member_id, service.new_id(), now, language, pricing(service.store, by.priced_as, now), context)
    added, faults = _accepted(service, [event.of(member_id) for event in request.add], now, language)
    before = service.store.past([member_id], engine.community, microseconds(now))
    after = service.store.past([member_id], engine.community, microseconds(now), added)
    removed = _removed(service, engine, member_id, request.remove, now)
    if request.remove and not removed:
        faults.append(Fault(code="nothing_removed", pointer="/remove", detail=text(language, "warning.nothing_removed")))
    changed = without(after.events, signal_rows(removed, {member_id: 0}, engine.community.signal_of_type))
    decided = study.decided(before), study.decided(Past(changed, after.contacts, after.contacts_seen))
    answers = [study.answer(decisions, request.max_actions) for decisions in decided]
    return WhatIfAnswer(
        member_id=member_id, before=answers[0], after=answers[1], removed=len(removed), change_pp=_change(*decided), warnings=faults
    )


@dataclass(frozen=True)
class _Study:
    engine: Engine
    member_id: str
    decision_id: str
    now: datetime
    language: Language
    pricing: Pricing
    context: Context

    def decided(self, past: Past) -> Decisions:
        """The one."""
        asked = Snapshots.at(past.events, microseconds(self.now)), [self.member_id], [self.decision_id], past.contacts
        return decide(
            self.engine,
            past.events,
            *asked,
            as_of=self.now,
            language=self.language,
            context=self.context,
            explain=explain,
            terms=self.pricing.terms,
        )

    def answer(self, decisions: Decisions, max_actions: int) -> ScoreAnswer:
        request = ScoreRequest(member_id=self.member_id, mode="simulate", max_actions=max_actions)
        warnings = standing_warnings(self.engine, self.pricing, self.now, self.language)
        return score_answer(decisions, request, warnings)


def _accepted(service: Service, events: Sequence[LoggedEvent], now: datetime, language: Language) -> tuple[list[LoggedEvent], list[Fault]]:
    """Those that a log may hold, and what is wrong with the others."""
    faults = [service.fault_of(event, now, language) for event in events]
    told = [fault.model_copy(update={"pointer": f"/add/{at}"}) for at, fault in enumerate(faults) if fault is not None]
    return [event for event, fault in zip(events, faults, strict=True) if fault is None], told


def _removed(
    service: Service, engine: Engine, member_id: str, remove: Removal | None, now: datetime
) -> list[tuple[str, int, str, float | None]]:
    """Rows of the store that are to be left out; older ones than the lookback are read by no feature."""
    if remove is None:
        return []
    oldest_us = microseconds(now) - engine.community.lookback_days * DAY_US
    since_us = oldest_us if remove.since is None else max(oldest_us, microseconds(remove.since))
    return service.store.happened(member_id, since_us, remove.event_ids, remove.types)


def _change(before: Decisions, after: Decisions) -> float | None:
    """Percentage points of risk; None where one of them has no score."""
    old, new = (decided.standings.risks[0].probability for decided in (before, after))
    return None if old is None or new is None else 100 * (new - old)

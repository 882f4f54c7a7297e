"""Decisions that were kept, read back with what became of them, page by page."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from models.moments import EPOCH, microseconds
from models.reports import OutcomeReport, Touch
from models.store_rows import DecisionQuery, Kept
from serving.decision_answers import OutcomeAnswer, TouchAnswer
from serving.problems import INVALID, TRACE_GONE, UNKNOWN_DECISION, Fault, Refusal
from serving.service import Service


@dataclass(frozen=True)
class Cursor:
    """Where a page ended, as text that only this service reads."""

    created_us: int
    decision_id: str

    @property
    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.created_us}:{self.decision_id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises Refusal for what is none."""
        try:
            at_us, _, decision_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
            return cls(microseconds(_moment(int(at_us))), _printable(decision_id))
        except (ValueError, OverflowError):
            fault = Fault(parameter="query.cursor", code="invalid_cursor", detail="no cursor of this service; begin without one")
            raise Refusal(INVALID, f"query.cursor: {fault.detail}", (fault,)) from None


@dataclass(frozen=True)
class Page:
    """`text` is the JSON of a DecisionsPage."""

    text: str
    following: Cursor | None


def kept_decision(service: Service, decision_id: str) -> Kept:
    """Raises Refusal for an unknown one, and one whose trace has left the store."""
    kept = service.store.kept(decision_id)
    if kept is None:
        raise Refusal(UNKNOWN_DECISION, f'decision "{decision_id}" is not known; `score_only` and `simulate` keep none')
    if not kept.has_trace:
        made, days = f"{_moment(kept.created_us):%Y-%m-%d}", service.community.store.traces_days
        raise Refusal(TRACE_GONE, f'decision "{decision_id}" was made on {made}; traces are kept here for {days} days')
    return kept


def told_decision(service: Service, decision_id: str) -> str:
    """The JSON of a DecisionAnswer."""
    return _told(service, [kept_decision(service, decision_id)])[0]


def page_of_decisions(service: Service, query: DecisionQuery) -> Page:
    """One more than asked for tells whether another page follows."""
    found = service.store.decisions(query.longer())
    shown = found[: query.limit]
    following = Cursor(shown[-1].created_us, shown[-1].decision_id) if len(found) > query.limit else None
    cursor = "null" if following is None else f'"{following.text}"'
    return Page(f'{{"decisions":[{",".join(_told(service, shown))}],"next_cursor":{cursor}}}', following)


def _told(service: Service, kept: Sequence[Kept]) -> list[str]:
    """The stored text of each, and behind it what was reported."""
    reported = service.store.reported([one.decision_id for one in kept])
    now_us = microseconds(service.clock())
    touches, outcomes = defaultdict(list), defaultdict(list)
    for touch in sorted(reported.touches, key=lambda touch: (touch.at_us, touch.touch_id)):
        touches[touch.decision_id].append(_touch(touch, now_us).model_dump_json())
    for outcome in sorted(reported.outcomes, key=lambda outcome: (outcome.at_us, outcome.outcome_id)):
        outcomes[outcome.decision_id].append(_outcome(outcome).model_dump_json())
    return [
        f'{one.body[:-1]},"touches":[{",".join(touches[one.decision_id])}],"outcomes":[{",".join(outcomes[one.decision_id])}]}}'
        for one in kept
    ]


def _touch(touch: Touch, now_us: int) -> TouchAnswer:
    ended = touch.state == "reserved" and touch.expires_us is not None and touch.expires_us <= now_us
    return TouchAnswer(
        touch_id=None if touch.is_reservation else touch.touch_id,
        state="expired" if ended else touch.state,
        channel=touch.channel,
        at=_moment(touch.at_us),
        response=touch.response,
        cost=touch.cost,
        expires_at=None if touch.expires_us is None else _moment(touch.expires_us),
    )


def _outcome(outcome: OutcomeReport) -> OutcomeAnswer:
    return OutcomeAnswer(outcome_id=outcome.outcome_id, type=outcome.type, at=_moment(outcome.at_us), value=outcome.value)


def _printable(text: str) -> str:
    """PostgreSQL takes no other; raises ValueError."""
    if not text.isprintable():
        raise ValueError(text)
    return text


def _moment(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)

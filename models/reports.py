"""What other systems report: touches that were made and outcomes that followed, judged against what is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from models.actions import NO_ACTION
from models.moments import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

TouchState = Literal["delivered", "undelivered"]
Response = Literal["accepted", "refused", "redeemed"]
TOUCH_STATES = ("reserved", "delivered", "undelivered", "expired")
OCCUPYING = ("reserved", "delivered")
"""States of a touch that take a place."""


class Verdict(NamedTuple):
    """On one row. `accepted` where something of it was new; code and detail tell why it was `rejected`."""

    state: Literal["accepted", "duplicate", "rejected"]
    code: str = ""
    detail: str = ""


ACCEPTED, DUPLICATE = Verdict("accepted"), Verdict("duplicate")


@dataclass(frozen=True)
class TouchReport:
    """Of a decision, or without one of a member and an intervention. A later report with the same id brings the touch up to date."""

    touch_id: str
    at_us: int
    state: TouchState
    decision_id: str | None = None
    member_id: str | None = None
    intervention_id: str | None = None
    channel: str | None = None
    response: Response | None = None
    cost: float | None = None


@dataclass(frozen=True)
class OutcomeReport:
    """Something that followed, `type` being one of the community's event types, a response to a touch, or any other name."""

    outcome_id: str
    member_id: str
    type: str
    at_us: int
    decision_id: str | None = None
    value: float | None = None


@dataclass(frozen=True)
class DecisionMade:
    """What a report is held against."""

    decision_id: str
    member_id: str
    created_us: int
    chosen: str
    channel: str | None


@dataclass(frozen=True)
class Touch:
    """One row of the store. state: reserved | delivered | undelivered | expired; source: log | decision | report, `log` also for None.

    A reservation has the id of its decision until a touch is reported for it. `period_us` is where its place is counted, if it is.
    """

    touch_id: str
    member_id: str
    at_us: int
    channel: str | None
    intervention_id: str
    state: str
    response: str | None = None
    decision_id: str | None = None
    cost: float | None = None
    expires_us: int | None = None
    period_us: int | None = None
    source: str | None = None

    @property
    def is_reservation(self) -> bool:
        return self.source == "decision" and self.touch_id == self.decision_id

    @property
    def occupies(self) -> bool:
        return self.period_us is not None and self.state in OCCUPYING


@dataclass(frozen=True)
class Known:
    """What reports may be about: the store's own rows, the channels of each intervention, and by how much clocks may differ."""

    members: frozenset[str]
    decisions: Mapping[str, DecisionMade]
    touches: Mapping[str, Touch]
    reservations: Mapping[str, Touch]
    channels: Mapping[str, tuple[str, ...]]
    skew_us: int


class Change(NamedTuple):
    """`before` is None for a touch that is new."""

    before: Touch | None
    after: Touch


def judge_touch(report: TouchReport, known: Known) -> Change | Verdict:
    """A verdict where nothing is to be written."""
    held = known.touches.get(report.touch_id)
    told = _touch_of_decision(report, known) if report.decision_id is not None else _touch_of_member(report, held, known)
    if isinstance(told, Verdict):
        return told
    if held is None:
        reserved = known.reservations.get(report.decision_id or "")
        return Change(reserved, told if reserved is None else _confirmed(reserved, told))
    if (held.member_id, held.intervention_id) != (told.member_id, told.intervention_id) or held.source in {None, "log"}:
        return Verdict("rejected", "touch_id_reused", f'touch "{report.touch_id}" was reported before, for something else; choose a new id')
    after = _confirmed(held, told)
    return DUPLICATE if after == held else Change(held, after)


def judge_outcome(report: OutcomeReport, held: OutcomeReport | None, known: Known) -> Verdict:
    if report.member_id not in known.members:
        return _unknown_member(report.member_id)
    if report.decision_id is not None:
        decision = known.decisions.get(report.decision_id)
        fault = _unknown_decision(report.decision_id) if decision is None else _against(decision, report.member_id, report.at_us, known)
        if fault is not None:
            return fault
    if held is None:
        return ACCEPTED
    return DUPLICATE if held == report else Verdict("rejected", "outcome_id_reused", f'outcome "{report.outcome_id}" was another before')


def _touch_of_decision(report: TouchReport, known: Known) -> Touch | Verdict:
    decision = known.decisions.get(report.decision_id or "")
    if decision is None:
        return _unknown_decision(report.decision_id or "")
    fault = _against(decision, report.member_id or decision.member_id, report.at_us, known)
    if fault is not None:
        return fault
    if decision.chosen == NO_ACTION:
        detail = f'decision "{decision.decision_id}" chose to do nothing; name member_id and intervention_id instead'
        return Verdict("rejected", "nothing_was_chosen", detail)
    if report.intervention_id not in {None, decision.chosen}:
        return Verdict("rejected", "other_intervention", f'the decision chose "{decision.chosen}", not "{report.intervention_id}"')
    channel = report.channel or decision.channel
    return _touch(report, decision.member_id, decision.chosen, channel, known)


def _touch_of_member(report: TouchReport, held: Touch | None, known: Known) -> Touch | Verdict:
    member_id = report.member_id or (held.member_id if held else "")
    intervention_id = report.intervention_id or (held.intervention_id if held else "")
    if member_id not in known.members:
        return _unknown_member(member_id)
    channels = known.channels.get(intervention_id)
    if channels is None:
        names = ", ".join(sorted(known.channels))
        return Verdict("rejected", "unknown_intervention", f'the catalogue has no "{intervention_id}"; it has {names}')
    only = channels[0] if len(channels) == 1 else None
    return _touch(report, member_id, intervention_id, report.channel or (held.channel if held else None) or only, known)


def _touch(report: TouchReport, member_id: str, intervention_id: str, channel: str | None, known: Known) -> Touch | Verdict:
    offered = known.channels.get(intervention_id)
    if offered is not None and channel is not None and channel not in offered:
        return Verdict("rejected", "unknown_channel", f'"{intervention_id}" has no channel "{channel}"; it has {", ".join(offered)}')
    return Touch(
        touch_id=report.touch_id,
        member_id=member_id,
        at_us=report.at_us,
        channel=channel,
        intervention_id=intervention_id,
        state=report.state,
        response=report.response,
        decision_id=report.decision_id,
        cost=report.cost,
        source="report",
    )


def _confirmed(held: Touch, told: Touch) -> Touch:
    """What was known and is not told again stays."""
    return replace(
        told,
        response=told.response or held.response,
        decision_id=held.decision_id,
        cost=held.cost if told.cost is None else told.cost,
        period_us=held.period_us,
    )


def _against(decision: DecisionMade, member_id: str, at_us: int, known: Known) -> Verdict | None:
    if member_id != decision.member_id:
        return Verdict("rejected", "other_member", f'decision "{decision.decision_id}" was made for another member than "{member_id}"')
    if at_us < decision.created_us - known.skew_us:
        made = EPOCH + timedelta(microseconds=decision.created_us)
        return Verdict("rejected", "before_decision", f"the time lies before the decision, which was made at {made.isoformat()}")
    return None


def _unknown_member(member_id: str) -> Verdict:
    return Verdict("rejected", "unknown_member", f'member "{member_id}" is not known; ids are case-sensitive')


def _unknown_decision(decision_id: str) -> Verdict:
    return Verdict("rejected", "unknown_decision", f'decision "{decision_id}" is not known; `score_only` and `simulate` keep none')

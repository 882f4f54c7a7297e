"""What other systems report to the store: touches that were made, and outcomes that followed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from models import store_schema as schema
from models.errors import StoreUnavailable
from models.reports import ACCEPTED, Change, DecisionMade, Known, OutcomeReport, Touch, TouchReport, Verdict, judge_outcome, judge_touch
from models.sources import RESPONSES
from models.store_contacts import rows_of, seen_anew, take, uses_of
from models.store_statements import add_events, held_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from models.quotas import Quotas
    from models.store_rows import LoggedEvent

MOST_ATTEMPTS = 20


class ReportStore(schema.Transactions):
    """The store's part that other systems report to."""

    def report_touches(
        self,
        reports: Sequence[TouchReport],
        channels: Mapping[str, tuple[str, ...]],
        quotas_at: Callable[[int], Quotas],
        skew_us: int,
    ) -> list[Verdict]:
        """`channels` by intervention; `quotas_at` tells the quotas of the period of a moment; clocks may differ by `skew_us`."""
        return self._judged(lambda connection: report_touches(connection, reports, channels, quotas_at, skew_us))

    def report_outcomes(self, reports: Sequence[OutcomeReport], events: Sequence[LoggedEvent | None], skew_us: int) -> list[Verdict]:
        """`events` are what each outcome says that the member did, if anything; those of accepted outcomes are kept with them."""
        return self._judged(lambda connection: report_outcomes(connection, reports, events, skew_us))

    def _judged(self, judge: Callable[[Connection], list[Verdict]]) -> list[Verdict]:
        """Once more where another transaction took an id a moment before: then it is seen to be taken."""
        for _ in range(MOST_ATTEMPTS):
            with suppress(IntegrityError), self._writing() as connection:
                return judge(connection)
        raise StoreUnavailable("many report under the same ids at once; nothing was written, try again")


def report_touches(
    connection: Connection,
    reports: Sequence[TouchReport],
    channels: Mapping[str, tuple[str, ...]],
    quotas_at: Callable[[int], Quotas],
    skew_us: int,
) -> list[Verdict]:
    """`quotas_at` gives for a moment the quotas of its period. Rows of one member are judged in their order."""
    known = _known(connection, reports, channels, skew_us)
    touches, reservations = dict(known.touches), dict(known.reservations)
    verdicts: list[Verdict] = []
    changes: list[Change] = []
    for report in reports:
        judged = judge_touch(report, replace(known, touches=touches, reservations=reservations))
        if isinstance(judged, Verdict):
            verdicts.append(judged)
            continue
        change = judged if judged.before else Change(None, _counted(judged.after, quotas_at(report.at_us)))
        touches[change.after.touch_id] = change.after
        reservations.pop(change.after.decision_id or "", None)
        changes.append(change)
        verdicts.append(ACCEPTED)
    _write(connection, changes, quotas_at)
    return verdicts


def _counted(touch: Touch, quotas: Quotas) -> Touch:
    """A contact of another origin takes its place in the period in which it was made."""
    uses = quotas.use(touch.intervention_id, touch.channel, touch.cost or 0.0)
    cost = quotas.costs.get(touch.intervention_id) if touch.cost is None else touch.cost
    return replace(touch, cost=cost, period_us=quotas.begins_us) if uses else replace(touch, cost=cost)


def _known(
    connection: Connection, reports: Sequence[TouchReport | OutcomeReport], channels: Mapping[str, tuple[str, ...]], skew_us: int
) -> Known:
    """Holds the rows of the members until the transaction ends, so that no decision on them is made in between."""
    decision_ids = {report.decision_id for report in reports if report.decision_id is not None}
    decisions = {row.decision_id: row for row in rows_of(connection, schema.decisions, "decision_id", decision_ids, DecisionMade)}
    touch_ids = {report.touch_id for report in reports if isinstance(report, TouchReport)}
    member_ids = {report.member_id for report in reports if report.member_id is not None} | {row.member_id for row in decisions.values()}
    table = schema.members.c.member_id
    held = connection.scalars(select(table).where(table.in_(member_ids)).order_by(table).with_for_update())
    members = frozenset(held)
    touches = {row.touch_id: row for row in rows_of(connection, schema.touches, "touch_id", touch_ids, Touch)}
    of_decisions = rows_of(connection, schema.touches, "decision_id", decision_ids, Touch)
    reservations = {row.touch_id: row for row in of_decisions if row.is_reservation}
    return Known(members, decisions, touches, reservations, channels, skew_us)


def _write(connection: Connection, changes: Sequence[Change], quotas_at: Callable[[int], Quotas]) -> None:
    if not changes:
        return
    table = schema.touches
    new = [asdict(change.after) for change in changes if change.before is None]
    if new:
        connection.execute(table.insert(), new)
    moved = [{**asdict(change.after), "was": change.before.touch_id} for change in changes if change.before is not None]
    if moved:
        connection.execute(update(table).where(table.c.touch_id == bindparam("was")), moved)
    seen_anew(connection, {change.after.member_id for change in changes})
    take(connection, uses_of(changes, quotas_at))


def report_outcomes(
    connection: Connection, reports: Sequence[OutcomeReport], events: Sequence[LoggedEvent | None], skew_us: int
) -> list[Verdict]:
    verdicts = _kept_outcomes(connection, reports, events, skew_us)
    done = zip(events, verdicts, strict=True)
    add_events(connection, [event for event, verdict in done if event is not None and verdict == ACCEPTED])
    accepted = [report for report, verdict in zip(reports, verdicts, strict=True) if verdict == ACCEPTED]
    answered = {report.decision_id: report.type for report in accepted if report.decision_id and report.type in RESPONSES}
    answer_touches(connection, answered)
    return verdicts


def _kept_outcomes(
    connection: Connection, reports: Sequence[OutcomeReport], events: Sequence[LoggedEvent | None], skew_us: int
) -> list[Verdict]:
    known = _known(connection, reports, {}, skew_us)
    table = schema.outcomes
    held = {
        row.outcome_id: row for row in rows_of(connection, table, "outcome_id", {report.outcome_id for report in reports}, OutcomeReport)
    }
    happened = held_events(connection, [event.identity for event in events if event is not None])
    verdicts: list[Verdict] = []
    new: list[dict[str, Any]] = []
    for report, event in zip(reports, events, strict=True):
        verdict = judge_outcome(report, held.get(report.outcome_id), known)
        if verdict == ACCEPTED and event is not None and happened.get(event.identity, event.content) != event.content:
            verdict = Verdict("rejected", "outcome_id_reused", f'the event "{report.outcome_id}" was another before; choose a new id')
        verdicts.append(verdict)
        if verdict == ACCEPTED:
            held[report.outcome_id] = report
            new.append(asdict(report))
    if new:
        connection.execute(table.insert(), new)
    return verdicts


def answer_touches(connection: Connection, responses: Mapping[str, str]) -> None:
    """The member's response, by decision, stands with the touches of that decision that may have reached the member."""
    if not responses:
        return
    touches = [touch for touch in rows_of(connection, schema.touches, "decision_id", responses, Touch) if touch.state != "undelivered"]
    table = schema.touches
    said = update(table).where(table.c.touch_id == bindparam("of")).values(response=bindparam("said"))
    if touches:
        connection.execute(said, [{"of": touch.touch_id, "said": responses[touch.decision_id or ""]} for touch in touches])
        seen_anew(connection, {touch.member_id for touch in touches})

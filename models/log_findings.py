"""What the accepted log as a whole tells before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.assignments import EARLY
from models.census import PLAUSIBLE_FROM
from models.declaration import Key, line_of
from models.findings import Finding
from models.holes import Hole, holes
from models.training_cuts import FEWEST_OF_A_CLASS, FEWEST_SNAPSHOTS, FEWEST_TO_GRADE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from models.census import Census, Span
    from models.community import Community, Signal
    from models.findings import Level, Told

    Lines = Mapping[Key, int]

ENOUGH_OF_EACH = 100
SHOWN_HOLES = 5
LINES_SHARE = 0.2
BUSIEST_SHARE, MANY_MEMBERS = 0.1, 100
"""Of so many members no one person has so large a share of all events."""


def log_findings(census: Census, span: Span, community: Community, lines: Lines) -> tuple[Finding, ...]:
    """Types, history, churned and retained, repeated events and holes; the log has at least one event."""
    return (
        *_types(census, community, lines),
        *_history(span, community, lines),
        *_rest(community, lines),
        *_both_outcomes(census, span, community),
        *_enough_to_learn(census, community, lines),
        *_who(census, community),
        *_repeats(census, community),
        *_lines_of_one(census),
        *_old_times(census, span, community),
        *_holes(census, community),
    )


def _types(census: Census, community: Community, lines: Lines) -> list[Finding]:
    counts = dict(sorted(census.types.items(), key=lambda named: (-named[1], named[0])))
    has = [f'"{kind}"' for kind in list(counts)[:12]]
    findings = [finding for place, signal in enumerate(community.signals) for finding in _unknown_types(signal, place, counts, has, lines)]
    ending = community.churn.contract_event
    if ending is not None and ending not in counts:
        line = line_of(lines, ("churn", "contract_event"))
        findings.append(Finding("error", "churn.contract_event", line, "unknown_contract_event", {"kind": ending, "has": has}))
    unused = [f'"{kind}" ({count:,})' for kind, count in counts.items() if kind not in community.signal_of_type and kind != ending]
    if unused:
        findings.append(Finding("warning", community.log.type, None, "unused_types", {"kinds": unused[:12]}))
    return findings


def _unknown_types(signal: Signal, place: int, counts: Mapping[str, int], has: list[str], lines: Lines) -> list[Finding]:
    """A signal that never occurs is an error; one of several names that does not is a warning."""
    unknown = [(position, kind) for position, kind in enumerate(signal.event_types) if kind not in counts]
    level: Level = "error" if len(unknown) == len(signal.event_types) else "warning"
    found = []
    for position, kind in unknown:
        line = line_of(lines, ("signals", place, "event_types", position))
        told: Told = {"signal": signal.name, "kind": kind, "has": has}
        found.append(Finding(level, f"signals.{signal.name}", line, "unknown_type", told))
    return found


def days_held(first: datetime, last: datetime) -> int:
    """Days in UTC with the first and the last event among them, both counted."""
    return (last.date() - first.date()).days + 1


def _history(span: Span, community: Community, lines: Lines) -> list[Finding]:
    """A horizon needs the log to be three times as long: to look back on, to learn from and to be tested on."""
    have = days_held(span.first, span.last)
    line = line_of(lines, ("churn", "horizons_days"))
    findings = []
    for days in community.churn.horizons_days:
        if have < 3 * days:
            level: Level = "error" if days == community.churn.horizon_days and have < 2 * days else "warning"
            findings.append(Finding(level, "churn.horizons_days", line, "short_history", {"days": days, "have": have, "need": 3 * days}))
    if have < community.windows_days[-1]:
        told: Told = {"days": community.windows_days[-1], "have": have}
        findings.append(Finding("advice", "windows_days", line_of(lines, ("windows_days",)), "long_windows", told))
    return findings


def _rest(community: Community, lines: Lines) -> list[Finding]:
    """As `assignments` tells it of draws: what is sent in the last tenth of the horizon changes little."""
    days, horizon = community.contact_policy.draw_cooldown_days, community.churn.horizon_days
    if not 0 < days < EARLY * horizon:
        return []
    line = line_of(lines, ("contact_policy", "draw_cooldown_days"))
    return [Finding("warning", "contact_policy.draw_cooldown_days", line, "short_rest", {"days": days, "need": horizon})]


def _both_outcomes(census: Census, span: Span, community: Community) -> list[Finding]:
    """Counted at the last cut with a whole horizon after it."""
    churn, cut = community.churn, span.last_cut(community.churn.horizon_days)
    churned, retained = census.churned, census.asked - census.churned
    fewest = min(churned, retained)
    if fewest >= ENOUGH_OF_EACH:
        return []
    too_few, few = ("too_few_churned", "few_churned") if churned <= retained else ("too_few_retained", "few_retained")
    need = FEWEST_TO_GRADE if fewest < FEWEST_TO_GRADE else ENOUGH_OF_EACH
    day = np.datetime64(cut, "us").astype("datetime64[D]")
    told: Told = {"have": fewest, "of": census.asked, "day": str(day), "days": churn.horizon_days, "need": need}
    if fewest < FEWEST_TO_GRADE:
        return [Finding("error", None, None, too_few, told)]
    return [Finding("warning", None, None, few, told)]


def _enough_to_learn(census: Census, community: Community, lines: Lines) -> list[Finding]:
    seen = census.learned
    if seen.suffice:
        return []
    have = {"days": community.churn.horizon_days, "snapshots": seen.snapshots, "rarer": seen.rarer}
    told: Told = have | {"need": FEWEST_SNAPSHOTS, "need_rarer": FEWEST_OF_A_CLASS}
    return [Finding("error", "churn.horizon_days", line_of(lines, ("churn", "horizon_days")), "too_little_to_learn", told)]


def _who(census: Census, community: Community) -> list[Finding]:
    """Ids that may stand for several people, or for nobody."""
    column, total, found = community.log.member, census.types.total(), []
    if (short := census.shortened).members:
        found.append(Finding("warning", column, None, "ids_shortened", {"count": short.members, "example": short.busiest}))
    for code, seen, least in (("nobody", census.nobody, 0.0), ("busiest", census.everyone, BUSIEST_SHARE)):
        if seen.members and seen.most > least * total and (code == "nobody" or seen.members >= MANY_MEMBERS):
            found.append(Finding("warning", column, None, code, {"found": seen.most, "total": total, "member": seen.busiest}))
    return found


def _repeats(census: Census, community: Community) -> list[Finding]:
    """Two equal purchases on one day can both be real, so they are kept; equal to the second they seldom are."""
    if community.log.event_id is not None or not census.repeated:
        return []
    told: Told = {"count": census.repeated, "total": census.types.total()}
    return [Finding("warning" if census.timed else "advice", None, None, "repeats", told)]


def _lines_of_one(census: Census) -> list[Finding]:
    """Where times have hours, events at one moment are likely the lines of one order."""
    total = census.types.total()
    if not census.timed or census.together < LINES_SHARE * total:
        return []
    return [Finding("advice", None, None, "lines_of_one", {"count": census.together, "total": total})]


def _old_times(census: Census, span: Span, community: Community) -> list[Finding]:
    if not census.old:
        return []
    told: Told = {"count": census.old, "year": PLAUSIBLE_FROM, "first": f"{span.first:%Y-%m-%d}"}
    return [Finding("warning", community.log.time, None, "old_times", told)]


def _holes(census: Census, community: Community) -> list[Finding]:
    """The largest holes, each on its own, and the number of the others."""
    found = sorted(holes(census.daily), key=lambda hole: hole.found - hole.usual)
    findings = [_hole(hole, community) for hole in found[:SHOWN_HOLES]]
    if (others := len(found) - SHOWN_HOLES) > 0:
        findings.append(Finding("warning", community.log.time, None, "more_holes", {"count": others}))
    return findings


def _hole(hole: Hole, community: Community) -> Finding:
    counts = {"found": hole.found, "usual": hole.usual}
    if hole.first == hole.last:
        return Finding("warning", community.log.time, None, "hole_of_a_day", counts | {"day": str(hole.first)})
    return Finding("warning", community.log.time, None, "hole", counts | {"first": str(hole.first), "last": str(hole.last)})

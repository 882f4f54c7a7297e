"""What the accepted log as a whole tells before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.declaration import Key, line_of
from models.findings import Finding
from models.holes import Hole, holes
from models.snapshots import label_churn, last_usable_cut, population

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from models.community import Community, Signal
    from models.events import EventLog
    from models.findings import Level
    from models.snapshots import Activity

    Lines = Mapping[Key, int]

LEAST_OF_EACH, ENOUGH_OF_EACH = 10, 100
SHOWN_HOLES = 5
PLAUSIBLE_FROM = 1990


def log_findings(log: EventLog, activity: Activity, community: Community, lines: Lines) -> tuple[Finding, ...]:
    """Types, history, churned and retained, repeated events and holes; the log has at least one event."""
    return (
        *_types(log, community, lines),
        *_history(log, community, lines),
        *_both_outcomes(log, activity, community),
        *_repeats(log, community),
        *_old_times(log, community),
        *_holes(log, community),
    )


def _types(log: EventLog, community: Community, lines: Lines) -> list[Finding]:
    counts = dict(log.events.group_by(pl.col("type").cast(pl.String)).len().sort("len", "type", descending=[True, False]).iter_rows())
    has = ", ".join(f'"{kind}"' for kind in list(counts)[:12])
    findings = [finding for place, signal in enumerate(community.signals) for finding in _unknown_types(signal, place, counts, has, lines)]
    ending = community.churn.contract_event
    if ending is not None and ending not in counts:
        line = line_of(lines, ("churn", "contract_event"))
        message = f'churn.contract_event: unknown event type "{ending}"; the log has {has}{_at(line)}'
        findings.append(Finding("error", "churn.contract_event", line, message, "name the event with which a contract ends"))
    unused = [f'"{kind}" ({count:,})' for kind, count in counts.items() if kind not in community.signal_of_type and kind != ending]
    if unused:
        message = f"no signal counts the event types {', '.join(unused[:12])}"
        findings.append(
            Finding("warning", community.log.type, None, message, "add them to the event_types of a signal, or leave them out knowingly")
        )
    return findings


def _unknown_types(signal: Signal, place: int, counts: Mapping[str, int], has: str, lines: Lines) -> list[Finding]:
    """A signal that never occurs is an error; one of several names that does not is a warning."""
    unknown = [(position, kind) for position, kind in enumerate(signal.event_types) if kind not in counts]
    level: Level = "error" if len(unknown) == len(signal.event_types) else "warning"
    found = []
    for position, kind in unknown:
        line = line_of(lines, ("signals", place, "event_types", position))
        message = f'signals.{signal.name}: unknown event type "{kind}"; the log has {has}{_at(line)}'
        found.append(Finding(level, f"signals.{signal.name}", line, message, "correct its spelling, or take it out"))
    return found


def _at(line: int | None) -> str:
    return "" if line is None else f" (line {line})"


def days_held(first: datetime, last: datetime) -> int:
    """Days in UTC with the first and the last event among them, both counted."""
    return (last.date() - first.date()).days + 1


def _history(log: EventLog, community: Community, lines: Lines) -> list[Finding]:
    """A horizon needs the log to be three times as long: to look back on, to learn from and to be tested on."""
    have = days_held(log.first, log.last)
    line = line_of(lines, ("churn", "horizons_days"))
    findings = []
    for days in community.churn.horizons_days:
        if have < 3 * days:
            level: Level = "error" if days == community.churn.horizon_days and have < 2 * days else "warning"
            message = f"too short a history for a horizon of {days} days: have {have} days, need {3 * days}"
            findings.append(Finding(level, "churn.horizons_days", line, message, "choose shorter horizons, or bring a longer log"))
    if have < community.windows_days[-1]:
        message = f"windows up to {community.windows_days[-1]} days, but the log has {have}"
        findings.append(
            Finding("advice", "windows_days", line_of(lines, ("windows_days",)), message, "longer windows than the log repeat each other")
        )
    return findings


def _both_outcomes(log: EventLog, activity: Activity, community: Community) -> list[Finding]:
    """Counted at the last cut with a whole horizon after it."""
    churn = community.churn
    cut = last_usable_cut(int(log.events["timestamp"].to_physical().to_numpy().max()), churn.horizon_days)
    asked = population(activity, cut, churn)
    churned = int(label_churn(activity, asked, churn.horizon_days, churn).sum())
    retained = len(asked) - churned
    fewest = min(churned, retained)
    if fewest >= ENOUGH_OF_EACH:
        return []
    few = "churned" if churned <= retained else "retained"
    need = LEAST_OF_EACH if fewest < LEAST_OF_EACH else ENOUGH_OF_EACH
    day = np.datetime64(cut, "us").astype("datetime64[D]")
    message = (
        f"too few {few} members: have {fewest:,} of {len(asked):,} active at {day}, "
        f"the last day with {churn.horizon_days} days after it; need {need}"
    )
    what_to_do = (
        "choose another horizon or active_days, or bring more members"
        if fewest < LEAST_OF_EACH
        else "expect wide intervals; the simple rule may do as well"
    )
    return [Finding("error" if fewest < LEAST_OF_EACH else "warning", None, None, message, what_to_do)]


def _repeats(log: EventLog, community: Community) -> list[Finding]:
    """Two equal purchases on one day can both be real, so they are kept; equal to the second they seldom are."""
    events = log.events
    if community.log.event_id is not None:
        return []
    same = ((events["member"] == events["member"].shift()) & (events["timestamp"] == events["timestamp"].shift())).fill_null(value=False)
    near = events.filter(same | same.shift(-1).fill_null(value=False)).select("member", "timestamp", "type", "value", "channel")
    repeated = near.height - near.unique().height
    if not repeated:
        return []
    hours = events["timestamp"].dt.convert_time_zone(community.timezone).dt.hour()
    message = f"{repeated:,} of {events.height:,} events equal another one in every column that is read"
    what_to_do = "all are kept; where each event has an id, declare log.event_id and repeats are rejected"
    return [Finding("advice" if hours.max() == 0 else "warning", None, None, message, what_to_do)]


def _old_times(log: EventLog, community: Community) -> list[Finding]:
    old = log.events.filter(pl.col("timestamp").dt.year() < PLAUSIBLE_FROM)
    if old.is_empty():
        return []
    message = f"{old.height:,} events lie before {PLAUSIBLE_FROM}, the first at {log.first:%Y-%m-%d}"
    return [Finding("warning", community.log.time, None, message, "a time that stands for none, such as 1970-01-01, should be left empty")]


def _holes(log: EventLog, community: Community) -> list[Finding]:
    """The largest holes, each on its own, and the number of the others."""
    found = sorted(holes(log, community.timezone), key=lambda hole: hole.found - hole.usual)
    findings = [
        Finding("warning", community.log.time, None, _words(hole), "fetch the missing events, or keep test days away from it")
        for hole in found[:SHOWN_HOLES]
    ]
    if (others := len(found) - SHOWN_HOLES) > 0:
        findings.append(
            Finding(
                "warning", community.log.time, None, f"{others} more holes in the log, each smaller", "look at the number of events by day"
            )
        )
    return findings


def _words(hole: Hole) -> str:
    span = f"on {hole.first}" if hole.first == hole.last else f"from {hole.first} to {hole.last}"
    return f"a hole {span}: {hole.found:,} events where about {hole.usual:,.0f} are usual"

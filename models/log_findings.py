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
    from models.findings import Level, Told
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


def _history(log: EventLog, community: Community, lines: Lines) -> list[Finding]:
    """A horizon needs the log to be three times as long: to look back on, to learn from and to be tested on."""
    have = days_held(log.first, log.last)
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
    too_few, few = ("too_few_churned", "few_churned") if churned <= retained else ("too_few_retained", "few_retained")
    need = LEAST_OF_EACH if fewest < LEAST_OF_EACH else ENOUGH_OF_EACH
    day = np.datetime64(cut, "us").astype("datetime64[D]")
    told: Told = {"have": fewest, "of": len(asked), "day": str(day), "days": churn.horizon_days, "need": need}
    if fewest < LEAST_OF_EACH:
        return [Finding("error", None, None, too_few, told)]
    return [Finding("warning", None, None, few, told)]


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
    told: Told = {"count": repeated, "total": events.height}
    return [Finding("advice" if hours.max() == 0 else "warning", None, None, "repeats", told)]


def _old_times(log: EventLog, community: Community) -> list[Finding]:
    old = log.events.filter(pl.col("timestamp").dt.year() < PLAUSIBLE_FROM)
    if old.is_empty():
        return []
    told: Told = {"count": old.height, "year": PLAUSIBLE_FROM, "first": f"{log.first:%Y-%m-%d}"}
    return [Finding("warning", community.log.time, None, "old_times", told)]


def _holes(log: EventLog, community: Community) -> list[Finding]:
    """The largest holes, each on its own, and the number of the others."""
    found = sorted(holes(log, community.timezone), key=lambda hole: hole.found - hole.usual)
    findings = [_hole(hole, community) for hole in found[:SHOWN_HOLES]]
    if (others := len(found) - SHOWN_HOLES) > 0:
        findings.append(Finding("warning", community.log.time, None, "more_holes", {"count": others}))
    return findings


def _hole(hole: Hole, community: Community) -> Finding:
    counts = {"found": hole.found, "usual": hole.usual}
    if hole.first == hole.last:
        return Finding("warning", community.log.time, None, "hole_of_a_day", counts | {"day": str(hole.first)})
    return Finding("warning", community.log.time, None, "hole", counts | {"first": str(hole.first), "last": str(hole.last)})

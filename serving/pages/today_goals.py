"""The part of Today that looks at goals: which are reached, what a target retention takes, and how members move between stages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models.declared import STAGES
from models.goal_wording import goal_row, target_sentences
from models.sankey import NARROW, sankey
from models.texts import Count, calendar_day, named, number, text
from models.wording import opening
from serving.goals import ahead_of
from serving.latest_run import Run
from serving.pages.visitors import Visitor
from serving.service import Service

SIGNS = {True: "✓", False: "✕", None: "?"}


def goals_content(service: Service, run: Run, whoever: Visitor, target: float | None) -> dict[str, Any]:
    """Raises StoreUnavailable."""
    language, ahead = whoever.language, ahead_of(service, run, target)
    distance = ahead.distance
    return {
        "goals": [(goal_row(one, service.community.goals, language), SIGNS[one.met]) for one in ahead.goals],
        "target": None if distance is None else f"{100 * distance.target:g}",
        "target_says": [] if distance is None else target_sentences(distance, service.community, language),
        "plans_as_of": None if ahead.frontier_as_of is None else _day(ahead.frontier_as_of, service, whoever),
        "paths": _paths(service, run, whoever),
    }


def _paths(service: Service, run: Run, whoever: Visitor) -> dict[str, Any] | None:
    """None for a run of an earlier release."""
    overview, language = run.overview, whoever.language
    if overview.since is None:
        return None
    names = [opening(named(language, "stage", stage)) for stage in STAGES]
    since, at = (_day(day, service, whoever) for day in (overview.since, overview.as_of))
    paths, ends = overview.paths, ([*names, text(language, "community_report.not_yet")], names)
    return {
        "title": text(language, "community_report.paths", since=since, at=at),
        "moved": text(language, "community_report.moved", gone=Count(language, paths.gone), back=number(language, paths.back)),
        "drawing": sankey(paths.counts, *ends),
        "narrow": sankey(paths.counts, *ends, NARROW),
        "kinds": dict(zip(names, STAGES, strict=True)),
    }


def _day(at: datetime, service: Service, whoever: Visitor) -> str:
    return calendar_day(whoever.language, at.astimezone(service.community.zone))

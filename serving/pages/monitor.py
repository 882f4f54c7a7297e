"""Monitor: whether data, model and decisions are in order, what is wrong first, since when, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from models.declared import Language
from models.readings import MONITOR
from models.texts import calendar_day, number, plural, text
from serving.monitor import MonitorAnswer, ReadingAnswer, latest_monitor
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, Visitor
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

ORDER = ("alarm", "unknown", "ok")
SUBJECTS = ("data", "model", "decisions")
SIGNS = {"ok": "✓", "alarm": "!", "unknown": "–"}


@dataclass(frozen=True)
class Shown:
    """`since` is empty where no alarm is raised."""

    title: str
    said: str
    means: str
    limit: str
    since: str
    todo: str
    status: str
    status_text: str
    sign: str


@dataclass(frozen=True)
class Group:
    title: str
    readings: list[Shown]


@router.get("/monitor")
def monitor(request: Request, service: CurrentService, whoever: Reader) -> Response:
    """What `GET /v1/monitor` answers; before the first run what brings it."""
    if service.store.figures(MONITOR) is None:
        return page(request, whoever, "monitor.html", lead=text(whoever.language, "monitor_page.none"), alarms=[], groups=[], as_of=None)
    told = latest_monitor(service.store, service.community, whoever.language)
    return page(request, whoever, "monitor.html", **_content(service, whoever, told))


def _content(service: Service, whoever: Visitor, told: MonitorAnswer) -> dict[str, Any]:
    """Alarms on top; below, everything by what it is about, alarms first."""
    language, zone = whoever.language, service.community.zone
    readings = sorted(told.readings, key=lambda one: ORDER.index(one.status))
    shown = {one.name: _shown(service, whoever, one) for one in readings}
    groups = [(subject, [shown[one.name] for one in readings if one.subject == subject]) for subject in SUBJECTS]
    alarms, of = len(told.alarms), number(language, len(told.readings))
    lead = plural(language, "monitor_page.alarms", alarms, of=of) if alarms else text(language, "monitor_page.in_order", of=of)
    return {
        "lead": lead,
        "alarms": [shown[one.name] for one in readings if one.status == "alarm"],
        "groups": [Group(text(language, f"monitor.subject.{subject}"), rows) for subject, rows in groups if rows],
        "as_of": calendar_day(language, told.as_of.astimezone(zone)),
    }


def _shown(service: Service, whoever: Visitor, one: ReadingAnswer) -> Shown:
    language = whoever.language
    return Shown(
        title=one.title,
        said=_whole(one.said, language),
        means=one.means,
        limit=one.limit,
        since="" if one.since is None else text(language, "monitor_page.since", at=_day(service, whoever, one.since)),
        todo=_whole(one.todo, language),
        status=one.status,
        status_text=text(language, f"monitor.status.{one.status}"),
        sign=SIGNS[one.status],
    )


def _whole(sentence: str, language: Language) -> str:
    """As a sentence of its own begins and ends."""
    stop = "。" if language == "zh" else "."
    return f"{sentence[:1].upper()}{sentence[1:]}{'' if not sentence or sentence.endswith(stop) else stop}"


def _day(service: Service, whoever: Visitor, at: datetime) -> str:
    return calendar_day(whoever.language, at.astimezone(service.community.zone))

"""One member: the report, what happened lately, and what would be if the member did something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from models.community import DAY_US, Community, Signal
from models.moments import microseconds
from models.texts import decimal, plural, points, text
from models.timeline import TIMELINE_DAYS, Contacted, Happened, Settled, TimelineDay, timeline
from models.wording import channel_name, opening
from serving.answers import ScoreAnswer, WhatIfAnswer
from serving.member_page import PAGE_POLICY, explain_member
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, SentForm, Visitor
from serving.schemas import Behaviour, Removal, Text, WhatIfRequest
from serving.service import CurrentService, Service
from serving.what_if import what_if

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MemberId = Annotated[Text, Path()]
MOST_ADDED = 50
RECENT = timedelta(days=7)
DROPPED = timedelta(days=30)


@dataclass(frozen=True)
class Lever:
    """A row of the form: a kind of behaviour that can be added to or left out."""

    name: str
    text: str
    has_amount: bool
    amount: str


@dataclass(frozen=True)
class Outcome:
    """`raises` is None where the risk stays; `action` tells what would be done, and instead of what."""

    sentence: str
    raises: bool | None
    action: str
    instead: str
    warnings: tuple[str, ...]


@router.get("/members")
@router.get("/members/")
def find(request: Request, whoever: Reader, member_id: Annotated[str, Query(alias="id", max_length=256)] = "") -> Response:
    """Whoever names nobody is asked for an id."""
    wanted = member_id.strip()
    if not wanted:
        return page(request, whoever, "find.html")
    return RedirectResponse(f"/members/{quote(wanted, safe='')}", 303)


@router.get("/members/{member_id:path}/report.html")
def report(service: CurrentService, whoever: Reader, member_id: MemberId) -> Response:
    """The report as one file that needs nothing else."""
    written = explain_member(service, member_id, whoever.language).page()
    return Response(written, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/members/{member_id:path}")
def member(request: Request, service: CurrentService, whoever: Reader, member_id: MemberId) -> Response:
    """Raises UnknownMember, NoChampion and StoreUnavailable."""
    explained = explain_member(service, member_id, whoever.language)
    impersonal = explained.decision.impersonal
    content = explained.content()
    days = [] if impersonal else _timeline(service, explained.engine.community, member_id, whoever)
    return page(
        request,
        whoever,
        "member.html",
        **content,
        timeline=days,
        timeline_more=plural(whoever.language, "member_page.timeline_more", len(days)),
        levers=[] if impersonal else [_lever(signal, whoever) for signal in explained.engine.community.signals],
        most_added=MOST_ADDED,
        currency=explained.engine.community.currency,
        path=f"/members/{quote(member_id, safe='')}",
    )


@router.post("/members/{member_id:path}/what-if")
async def suppose(request: Request, service: CurrentService, whoever: Reader, member_id: MemberId, form: SentForm) -> Response:
    """A part of the page, put in place by htmx; without a script a page of its own."""
    asked = _asked(form, service.community, service.clock(), whoever)
    if not asked.add and asked.remove is None:
        return page(request, whoever, "what_if.html", outcome=None)
    answer = await run_in_threadpool(what_if, service, member_id, asked)
    return page(request, whoever, "what_if.html", outcome=_outcome(answer, service.community, whoever))


def _timeline(service: Service, community: Community, member_id: str, whoever: Visitor) -> list[TimelineDay]:
    since_us = microseconds(service.clock()) - TIMELINE_DAYS * DAY_US
    happened = service.store.happened(member_id, since_us, types=list(community.signal_of_type))
    touches = service.store.touches_of(member_id, since_us, community.same_touch_us)
    made = service.store.choices(member_id, since_us, 50)
    return timeline(
        [Happened(at_us, kind, value) for _, at_us, kind, value in happened],
        [Contacted(touch.at_us, touch.intervention_id, touch.response or touch.state) for touch in touches],
        [Settled(at_us, chosen) for at_us, chosen in made],
        community,
        whoever.language,
    )


def _lever(signal: Signal, whoever: Visitor) -> Lever:
    return Lever(signal.name, opening(signal.label.of(whoever.language)), signal.value == "money", "30" if signal.value == "money" else "")


def _asked(form: Mapping[str, str], community: Community, now: datetime, whoever: Visitor) -> WhatIfRequest:
    """Added events lie evenly in the last 7 days."""
    add = [event for signal in community.signals for event in _added(form, signal, now)]
    dropped = [kind for signal in community.signals if form.get(f"without_{signal.name}") for kind in signal.event_types]
    remove = Removal(types=dropped[:100], since=now - DROPPED) if dropped else None
    return WhatIfRequest(add=add[:1000], remove=remove, language=whoever.language)


def _added(form: Mapping[str, str], signal: Signal, now: datetime) -> list[Behaviour]:
    count = min(_whole(form.get(f"more_{signal.name}", "")), MOST_ADDED)
    value = _amount(form.get(f"amount_{signal.name}", "")) if signal.value == "money" else None
    times = [now - RECENT * (at + 0.5) / count for at in range(count)]
    return [Behaviour(type=signal.event_types[0], timestamp=at, value=value) for at in times]


def _whole(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0


def _amount(given: str) -> float | None:
    """None for what is no amount of money."""
    whole, _, part = given.strip().partition(".")
    sound = whole.isascii() and whole.isdigit() and len(whole) < 10 and (not part or (part.isascii() and part.isdigit()))
    return float(given) if sound else None


def _outcome(answer: WhatIfAnswer, community: Community, whoever: Visitor) -> Outcome:
    language = whoever.language
    before, after = answer.before, answer.after
    now, then = (_action(one, community, whoever) for one in (before, after))
    same = now == then
    return Outcome(
        sentence=_sentence(answer, whoever),
        raises=None if answer.change_pp is None or _per_cent(before) == _per_cent(after) else answer.change_pp > 0,
        action=text(language, "member_page.what_if_action", action=then),
        instead=text(language, "member_page.what_if_unchanged") if same else text(language, "member_page.what_if_instead", action=now),
        warnings=tuple(opening(fault.detail) for fault in answer.warnings if fault.pointer is not None),
    )


def _sentence(answer: WhatIfAnswer, whoever: Visitor) -> str:
    language = whoever.language
    if answer.after.churn.probability is None:
        return answer.after.churn.text or text(language, "member_page.what_if_no_number")
    before, after = _per_cent(answer.before), _per_cent(answer.after)
    told = {"after": f"{decimal(after, 1)}%"}
    if answer.before.churn.probability is None:
        return text(language, "member_page.what_if_new", **told)
    if after == before:
        return text(language, "member_page.what_if_same", **told)
    return text(language, "member_page.what_if_result", before=f"{decimal(before, 1)}%", change=points(language, after - before), **told)


def _per_cent(answer: ScoreAnswer) -> float:
    """As it is told, so that what is told of two adds up."""
    return round(100 * (answer.churn.probability or 0.0), 1)


def _action(answer: ScoreAnswer, community: Community, whoever: Visitor) -> str:
    language = whoever.language
    if not answer.actions:
        return text(language, "report.do_nothing")
    first = answer.actions[0]
    label = community.intervention(first.intervention_id).label.of(language)
    return text(language, "report.action", action=label, channel=channel_name(language, first.channel)) if first.channel else label

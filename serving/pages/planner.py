"""Planner: what a campaign for an audience would bring, as budget and places are moved; and the step that makes it a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from models.simulated_plan import Question, Simulated
from models.supply import Capacity
from serving.audience import Selected, audience_request, fields_of
from serving.job_requests import new_job
from serving.pages.planner_view import CHANNEL, MOST, View
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, SentForm, Visitor, need
from serving.plan_desk import Asked
from serving.schemas import AudienceRequest, CapacityRequest, DecisionJobRequest
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LARGEST = 10**12
Percent = Annotated[int, Query(ge=0, le=90, description="of the audience, held out")]
Money = Annotated[str, Query(max_length=20)]


@dataclass(frozen=True)
class Settings:
    """What the form says: `capacity` by intervention and channel, its budget None for none; `hold_out` in per cent."""

    capacity: Capacity
    hold_out: int

    @property
    def question(self) -> Question:
        return Question(self.capacity, None, self.hold_out / 100)

    def fields(self) -> list[tuple[str, str]]:
        capacity = self.capacity
        budget = [] if capacity.budget is None else [("budget", f"{capacity.budget:.15g}")]
        most = [(f"{MOST}{name}", str(places)) for name, places in capacity.interventions.items()]
        channels = [(f"{MOST}{CHANNEL}{name}", str(places)) for name, places in capacity.channels.items()]
        return [*budget, *most, *channels, ("hold_out", str(self.hold_out))]


def address_of(asked: DecisionJobRequest) -> str:
    """The planner with the audience and the limits of a job; of a job that the page cannot ask for, such as one for two stages, without."""
    audience, capacity = asked.audience, asked.capacity
    kinds: Mapping[str, Sequence[str]] = {
        "risk_band": audience.risk_bands,
        "stage": audience.stages,
        "tier": audience.tiers,
        "tag": audience.tags,
        "cohort": audience.cohorts,
        **{f"group:{column}": values for column, values in audience.groups.items()},
    }
    if audience.member_ids is not None or any(len(values) > 1 for values in kinds.values()):
        return "/planner"
    named = [_field(kind, value) for kind, values in kinds.items() for value in values]
    places = Capacity(interventions=capacity.interventions, channels=capacity.channels, budget=asked.budget)
    limits = Settings(places, round(100 * asked.hold_out))
    return f"/planner?{urlencode([('from', audience.risk_from), ('to', audience.risk_to), *named, *limits.fields()])}"


def _field(kind: str, value: str) -> tuple[str, str]:
    name, _, column = kind.partition(":")
    return name, f"{column}:{value}" if column else value


@router.get("/planner")
def planner(
    request: Request,
    service: CurrentService,
    whoever: Reader,
    selection: Selected,
    budget: Money = "",
    hold_out: Percent = 0,
    hx_request: Annotated[str | None, Header()] = None,
) -> Response:
    """The whole page, or for htmx the parts of it that budget and places change."""
    settings = Settings(_capacity(request.query_params, service, budget), hold_out)
    audience = audience_request(selection)
    view = View(service, whoever, service.plan_desk.plan(Asked(audience, settings.question)), _free(service, audience), settings.capacity)
    template = "planner_result.html" if hx_request is not None else "planner.html"
    hidden = [*fields_of(selection), *settings.fields()]
    may_start = whoever.holder is not None and whoever.holder.may("plan")
    content = view.content() | {"audience": view.named_audience(selection), "audience_fields": fields_of(selection), "hold_out": hold_out}
    return page(request, whoever, template, fields=hidden, query=urlencode(fields_of(selection)), may_start=may_start, **content)


@router.post("/planner/confirm")
async def confirm(service: CurrentService, whoever: Reader, form: SentForm, selection: Selected) -> Response:
    """Makes the decision job of the plan, and leads to it. Asks for the scope `plan`."""
    need(whoever, "plan")
    settings = Settings(_capacity(form, service, form.get("budget", "")), int(form.get("hold_out", "") or 0))
    job_id = await run_in_threadpool(_start, service, whoever, audience_request(selection), settings, dry_run=form.get("dry_run") == "1")
    return RedirectResponse(f"/planner/jobs/{job_id}", 303)


def _start(service: Service, whoever: Visitor, audience: AudienceRequest, settings: Settings, *, dry_run: bool) -> str:
    capacity = CapacityRequest(interventions=settings.capacity.interventions, channels=settings.capacity.channels)
    asked = DecisionJobRequest(
        audience=audience,
        budget=settings.capacity.budget,
        capacity=capacity,
        hold_out=settings.hold_out / 100,
        dry_run=dry_run,
        language=whoever.language,
    )
    job = new_job(service, asked, None)
    service.store.add_job(job.row, job.named, "" if whoever.holder is None else whoever.holder.key_id, None, "")
    service.job_asked.set()
    return job.row.job_id


def _free(service: Service, audience: AudienceRequest) -> Simulated:
    """Without a budget and places of one's own: how far the sliders reach."""
    return service.plan_desk.plan(Asked(audience, Question()))


def _capacity(given: Mapping[str, str], service: Service, budget: str) -> Capacity:
    """What is no number sets no limit."""
    most = {name.removeprefix(MOST): int(places) for name, places in given.items() if name.startswith(MOST) and _is_whole(places)}
    channels = {name.removeprefix(CHANNEL): places for name, places in most.items() if name.startswith(CHANNEL)}
    known = {one.id for one in service.plan_desk.ground().ground.terms.arms}
    return Capacity(
        interventions={name: places for name, places in most.items() if name in known},
        channels={name: places for name, places in channels.items() if name in service.community.channels},
        budget=_amount(budget),
    )


def _is_whole(given: str) -> bool:
    return given.isascii() and given.isdigit() and len(given) < 10


def _amount(given: str) -> float | None:
    whole, _, part = given.strip().partition(".")
    sound = _is_whole(whole) and (not part or (part.isascii() and part.isdigit()))
    return min(float(given), LARGEST) if sound else None

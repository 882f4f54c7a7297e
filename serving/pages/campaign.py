"""A campaign that was confirmed: how far its decision job has come, and what was decided."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.responses import RedirectResponse

from models.actions import NO_ACTION
from models.jobs import JobRow
from models.texts import Count, money, number, price, share, text
from models.wording import channel_name
from serving.job_answers import JobAnswer, JobResult
from serving.pages.audience import BYTE_ORDER_MARK, cell
from serving.pages.planner import address_of
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, SentForm, Visitor, need
from serving.routes.jobs import LINES, cancelled_job, known_job, lines_of
from serving.schemas import DecisionJobRequest, Text
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED, LOOKED_AT = 50, 5_000
JobId = Annotated[Text, Path()]


@dataclass(frozen=True)
class Line:
    member_id: str
    action: str
    channel: str
    risk: str
    cost: str
    net_value: str
    decision_id: str | None


@router.get("/planner/jobs/{job_id}")
def campaign(
    request: Request, service: CurrentService, whoever: Reader, job_id: JobId, hx_request: Annotated[str | None, Header()] = None
) -> Response:
    """The whole page, or for htmx the part that changes as the job goes on. Asks for the scope `plan`."""
    need(whoever, "plan")
    row = known_job(service, job_id)
    template = "campaign_progress.html" if hx_request is not None else "campaign.html"
    return page(request, whoever, template, **_content(service, whoever, row))


@router.post("/planner/jobs/{job_id}/cancel")
async def cancel(service: CurrentService, whoever: Reader, job_id: JobId, _form: SentForm) -> Response:
    """Asks for the scope `plan`."""
    need(whoever, "plan")
    row = await run_in_threadpool(cancelled_job, service, job_id)
    return RedirectResponse(f"/planner/jobs/{row.job_id}", 303)


@router.get("/planner/jobs/{job_id}/results.{kind}")
def results(service: CurrentService, whoever: Reader, job_id: JobId, kind: str) -> Response:
    """All decisions, as lines of JSON or as a table for spreadsheets. Asks for the scope `plan`."""
    need(whoever, "plan")
    row = known_job(service, job_id)
    headers = {"Content-Disposition": f'attachment; filename="campaign-{row.job_id[:8]}.{"csv" if kind == "csv" else "ndjson"}"'}
    if kind == "csv":
        return StreamingResponse(_table(service, job_id), media_type="text/csv; charset=utf-8", headers=headers)
    return StreamingResponse(lines_of(service, job_id, 0), media_type="application/x-ndjson", headers=headers)


def _table(service: Service, job_id: str) -> Iterator[str]:
    columns = list(JobResult.model_fields)
    yield BYTE_ORDER_MARK + ",".join(columns) + "\n"
    for part in lines_of(service, job_id, 0):
        written = io.StringIO()
        told = (json.loads(line) for line in part.splitlines())
        csv.writer(written, lineterminator="\n").writerows([cell(row[name]) for name in columns] for row in told)
        yield written.getvalue()


def _content(service: Service, whoever: Visitor, row: JobRow) -> dict[str, Any]:
    language, job = whoever.language, JobAnswer.of(row)
    paid = job.counts.cost
    listed = [] if row.is_open else _listed(service, whoever, row.job_id)
    return {
        "job": job,
        "back": address_of(DecisionJobRequest.model_validate_json(row.request)),
        "open": row.is_open,
        "lead": text(language, _LEADS[row.status, job.dry_run], n=Count(language, job.counts.contacted)),
        "progress": round(100 * job.progress),
        "progress_text": share(job.progress),
        "decided": number(language, job.counts.decided),
        "contacted": number(language, job.counts.contacted),
        "spend": money(language, paid, service.community.currency),
        "expected": _expected(service, whoever, job),
        "listed": listed,
        "all_listed": len(listed) == job.counts.contacted,
        "listed_number": number(language, len(listed)),
    }


_LEADS = {
    ("queued", False): "campaign.queued",
    ("queued", True): "campaign.queued",
    ("running", False): "campaign.running",
    ("running", True): "campaign.running_dry",
    ("succeeded", False): "campaign.succeeded",
    ("succeeded", True): "campaign.succeeded_dry",
    ("failed", False): "campaign.failed",
    ("failed", True): "campaign.failed",
    ("cancelled", False): "campaign.cancelled",
    ("cancelled", True): "campaign.cancelled",
}


def _expected(service: Service, whoever: Visitor, job: JobAnswer) -> str | None:
    """What the plan of the job was expected to cost and to bring."""
    if job.plan is None:
        return None
    told, language, currency = job.plan, whoever.language, service.community.currency
    spend, net = (money(language, amount, currency) for amount in (told.spend, told.net_value))
    return text(language, "campaign.expected", money=spend, net=net)


def _listed(service: Service, whoever: Visitor, job_id: str) -> list[Line]:
    """The first of those who are contacted."""
    found: list[Line] = []
    for first in range(0, LOOKED_AT, LINES):
        lines = service.store.job_lines(job_id, first, LINES)
        told = (JobResult.model_validate_json(line.text) for line in lines)
        found += [_line(service, whoever, row) for row in told if row.intervention_id != NO_ACTION]
        if not lines or len(found) >= LISTED:
            break
    return found[:LISTED]


def _line(service: Service, whoever: Visitor, row: JobResult) -> Line:
    language, currency = whoever.language, service.community.currency
    labels = {one.id: one.label.of(language) for one in service.community.interventions}
    return Line(
        member_id=row.member_id,
        action=labels.get(row.intervention_id, row.intervention_id),
        channel="" if row.channel is None else channel_name(language, row.channel),
        risk="–" if row.probability is None else share(row.probability),
        cost=price(language, row.cost, currency),
        net_value=money(language, row.expected_net_value, currency),
        decision_id=row.decision_id,
    )

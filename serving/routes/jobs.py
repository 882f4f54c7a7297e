"""Decisions on all members or on an audience, made in the background."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from models.jobs import JobEnd, JobRow
from models.moments import microseconds
from models.store_rows import Claim
from serving.api_route import ApiRoute
from serving.auth import Planning
from serving.fault_wording import CURSOR
from serving.job_answers import JobAnswer, JobResult, JobsAnswer
from serving.job_requests import new_job
from serving.problems import IN_FLIGHT, JOB_NOT_ENDED, REUSED, UNKNOWN_JOB, Refusal
from serving.request_ids import IdempotencyKey, named
from serving.schemas import DecisionJobRequest, Text
from serving.service import CurrentService, Service
from serving.settings import wall_clock

router = APIRouter(tags=["jobs"], route_class=ApiRoute)

PAGE, LINES = 50, 1_000
JobId = Annotated[Text, Path()]


class Ndjson(StreamingResponse):
    media_type = "application/x-ndjson"


@router.post("/v1/decision-jobs", status_code=202, response_model=JobAnswer)
def create_decision_job(
    service: CurrentService, holder: Planning, request: DecisionJobRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Scope `plan`. Accepted and durable; `Location` is where its progress stands. Money and places are shared out among all of them."""
    request_id = named(request.request_id, idempotency_key)
    job = new_job(service, request, request_id)
    claim = service.store.add_job(job.row, job.named, holder.key_id, request_id, sha256(request.content.encode()).hexdigest())
    service.job_asked.set()
    text = _answer_of(claim, job.row, request_id)
    location = f"/v1/decision-jobs/{json.loads(text)['job_id']}"
    return Response(text, 202, {"Location": location}, "application/json")


@router.get("/v1/decision-jobs")
def list_decision_jobs(
    service: CurrentService,
    _holder: Planning,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next_cursor` of the page before")] = None,
) -> JobsAnswer:
    """Scope `plan`. Newest first; jobs are kept for a month after their end."""
    created_us, _, job_id = (cursor or "").partition(".")
    rows = service.store.jobs((int(created_us), job_id) if cursor else None, PAGE)
    last = rows[-1] if len(rows) == PAGE else None
    return JobsAnswer(jobs=[JobAnswer.of(row) for row in rows], next_cursor=f"{last.created_us}.{last.job_id}" if last else None)


@router.get("/v1/decision-jobs/{job_id}")
def get_decision_job(service: CurrentService, _holder: Planning, job_id: JobId) -> JobAnswer:
    """Scope `plan`."""
    return JobAnswer.of(known_job(service, job_id))


@router.delete("/v1/decision-jobs/{job_id}")
def cancel_decision_job(service: CurrentService, _holder: Planning, job_id: JobId) -> JobAnswer:
    """Scope `plan`. Ends it where it is: decisions that were kept stay; a job that has ended stays as it is."""
    return JobAnswer.of(cancelled_job(service, job_id))


def cancelled_job(service: Service, job_id: str) -> JobRow:
    """As it has ended, be it so or otherwise."""
    known_job(service, job_id)
    service.store.end_job(JobEnd(job_id, "cancelled", microseconds(wall_clock())))
    return known_job(service, job_id)


@router.get(
    "/v1/decision-jobs/{job_id}/results",
    response_class=Ndjson,
    responses={200: {"model": JobResult, "description": "One object a line, each a `JobResult`"}},
)
def get_decision_job_results(
    service: CurrentService,
    _holder: Planning,
    job_id: JobId,
    offset: Annotated[
        int, Query(ge=0, le=2**31 - 1, description="begin with this `row`; to go on, one more than the last that was read")
    ] = 0,
) -> Ndjson:
    """Scope `plan`. One JSON object a line for each member, once the job has ended; erased members are left out."""
    row = known_job(service, job_id)
    if row.is_open:
        raise Refusal(JOB_NOT_ENDED, f'job "{job_id}" is {row.status}; its results are there once it has ended')
    return Ndjson(lines_of(service, job_id, offset))


def lines_of(service: Service, job_id: str, first: int) -> Iterator[str]:
    while lines := service.store.job_lines(job_id, first, LINES):
        yield "".join(f"{line.text}\n" for line in lines)
        first = lines[-1].position + 1


def known_job(service: Service, job_id: str) -> JobRow:
    row = service.store.job(job_id)
    if row is None:
        raise Refusal(UNKNOWN_JOB, f'decision job "{job_id}" is not known; jobs are kept for thirty days after their end')
    return row


def _answer_of(claim: Claim, row: JobRow, request_id: str | None) -> str:
    if claim.state == "in_flight":
        raise Refusal(IN_FLIGHT, f'request "{request_id}" is being answered; ask again in a moment')
    if claim.state == "other_body":
        raise Refusal(REUSED, f'request id "{request_id}" came with another body before; choose a new one')
    return row.answer if claim.answer is None else claim.answer

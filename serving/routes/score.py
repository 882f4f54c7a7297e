"""Risk, reasons and ranked interventions, for one member and for many."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from serving.answers import BatchAnswer, BatchRow, ScoreAnswer
from serving.api_route import ApiRoute
from serving.auth import Scoring
from serving.problems import INVALID, CurrentRequestId, Refusal
from serving.request_ids import IdempotencyKey, named
from serving.schemas import BatchRequest, Row, ScoreRequest
from serving.score_turns import Posed
from serving.scoring import Outcome, answer_requests
from serving.service import CurrentService
from serving.turns import Turns

router = APIRouter(tags=["score"], route_class=ApiRoute)


async def _turns(request: Request) -> Turns[Posed, Outcome]:
    return cast("Turns[Posed, Outcome]", request.app.state.scores)


ScoreTurns = Annotated[Turns[Posed, Outcome], Depends(_turns)]


@router.post("/v1/score", response_model=ScoreAnswer)
@router.post("/score", response_model=ScoreAnswer, include_in_schema=False)
async def score(turns: ScoreTurns, holder: Scoring, request: ScoreRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """Scope `score`. In mode `decide` the answer is sent once the decision is durable."""
    request_id = named(request.request_id, idempotency_key)
    outcome = await turns.result(Posed(request.model_copy(update={"request_id": request_id}), holder.key_id))
    if isinstance(outcome, Refusal):
        raise outcome
    return Response(outcome, media_type="application/json")


@router.post("/v1/score/batch", response_model=BatchAnswer)
def score_batch(
    service: CurrentService, holder: Scoring, request_id: CurrentRequestId, batch: BatchRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Scope `score`. Each row has the status that it would have alone; a member may occur once."""
    outcomes: dict[int, Outcome] = {index: _malformed(row) for index, row in enumerate(batch.requests) if row.content is None}
    requests = {
        index: _named(row.content, f"{idempotency_key}:{index}" if idempotency_key else None)
        for index, row in enumerate(batch.requests)
        if row.content is not None
    }
    outcomes |= answer_requests(service, holder.key_id, requests)
    rows = ",".join(_row(index, outcomes[index], request_id) for index in range(len(batch.requests)))
    return Response(f'{{"results":[{rows}]}}', media_type="application/json")


def _named(row: ScoreRequest, key: str | None) -> ScoreRequest:
    """The key of the header is the request id where the row has none of its own."""
    return row.model_copy(update={"request_id": key}) if key and row.request_id is None else row


def _malformed(row: Row[ScoreRequest]) -> Refusal:
    first = row.faults[0]
    return Refusal(INVALID, f"{first.pointer}: {first.detail}", row.faults)


def _row(index: int, outcome: Outcome, request_id: str) -> str:
    """The stored text of an answer goes in as it is, so that a repeated row is the same to the byte."""
    if isinstance(outcome, str):
        return f'{{"index":{index},"status":200,"answer":{outcome},"problem":null}}'
    return BatchRow(index=index, status=outcome.kind.status, problem=outcome.problem(request_id)).model_dump_json()

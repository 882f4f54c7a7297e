"""What is asked of an audience, and the answer in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, StringConstraints

from models.activity import Cohort
from models.audience import BINS, GROUPS, Audience, Counted, Selection
from models.decision import RiskBand
from models.declared import Stage, Tag
from models.groups import group_columns
from models.overview import Band
from models.store_overviews import StandingQuery
from serving.answers import Answered
from serving.decided_since import DecidedSince, decided_since
from serving.fault_wording import MONTH, TEXT_OR_NOTHING
from serving.latest_run import Run
from serving.problems import INVALID, Fault, Refusal
from serving.schemas import AudienceRequest, ShortText
from serving.service import CurrentService, Service

STEP = 100 // BINS
"""Per cent of risk in a bin."""


Month = Annotated[str, StringConstraints(pattern=MONTH)]
GroupText = Annotated[str, StringConstraints(max_length=330, pattern=TEXT_OR_NOTHING)]
_ANY = BeforeValidator(lambda given: given or None)
"""A form sends an empty text where nothing is chosen."""


def _groups(
    service: CurrentService,
    group: Annotated[list[GroupText] | None, Query(max_length=8, description="`column:value` of what `members.groups` declares")] = None,
) -> tuple[tuple[str, str], ...]:
    """A form sends an empty text where nothing is chosen. Raises Refusal for a column that is not declared, or is asked for twice."""
    columns, found = group_columns(service.community), dict[str, str]()
    for one in filter(None, group or ()):
        column = next((name for name in columns if one.startswith(f"{name}:")), None)
        if column is None or column in found:
            allowed = ", ".join(f"{name}:VALUE" for name in columns) or "none, for members.groups declares no column"
            detail = f'"{one}" names no group, or one column twice; allowed are {allowed}'
            raise Refusal(INVALID, f"group: {detail}", (Fault(parameter="query.group", code="group", detail=detail),))
        found[column] = one.removeprefix(f"{column}:")
    return tuple(found.items())


def _selection(
    groups: Annotated[tuple[tuple[str, str], ...], Depends(_groups)],
    lowest: Annotated[int, Query(alias="from", ge=0, le=100, description="lowest risk, per cent, in steps of 5")] = 0,
    highest: Annotated[int, Query(alias="to", ge=0, le=100, description="highest risk, per cent, in steps of 5")] = 100,
    risk_band: Annotated[RiskBand | None, _ANY] = None,
    stage: Annotated[Stage | None, _ANY] = None,
    tier: Annotated[ShortText | None, _ANY] = None,
    tag: Annotated[Tag | None, _ANY] = None,
    cohort: Annotated[Month | None, _ANY, Query(description="year and month of joining")] = None,
) -> Selection:
    """Bounds the wrong way round are taken the right way; at least one bin is chosen."""
    low, high = sorted((lowest // STEP, -(-highest // STEP)))
    return Selection(min(low, BINS - 1), max(high, low + 1), risk_band, stage, tier, tag, cohort, groups)


Selected = Annotated[Selection, Depends(_selection)]


def fields_of(selection: Selection) -> list[tuple[str, str]]:
    """As a form or an address asks for it."""
    asked = {name: getattr(selection, name) for name in (*GROUPS, "tag")}
    bounds = [("from", str(selection.low * STEP)), ("to", str(selection.high * STEP))]
    groups = [("group", f"{column}:{value}") for column, value in selection.groups]
    return [*bounds, *((name, one) for name, one in asked.items() if one), *groups]


def audience_request(selection: Selection) -> AudienceRequest:
    """The same members for a plan or a decision job."""
    named = {"risk_bands": selection.risk_band, "stages": selection.stage, "tiers": selection.tier, "tags": selection.tag}
    kinds = {name: [] if one is None else [one] for name, one in (named | {"cohorts": selection.cohort}).items()}
    groups = {column: [value] for column, value in selection.groups}
    bounds = {"risk_from": selection.low * STEP, "risk_to": selection.high * STEP}
    return AudienceRequest.model_validate(kinds | bounds | {"groups": groups})


def query_of(run: Run, selection: Selection) -> StandingQuery:
    return StandingQuery(run.overview_key, selection, run.cells.cells_of_few(selection))


class Interval(Answered):
    value: float
    lower: float
    upper: float


class CountedAnswer(Answered):
    """`expected` members go silent, with a 90 % interval of chance alone."""

    members: int
    expected: Interval
    value_at_risk: float


class Standing(Answered):
    """Where a member stood in the run; numbers of risk are shares."""

    member_id: str
    probability: float
    risk_band: RiskBand
    stage: Stage
    tier: str
    tags: list[Tag]
    cohort: str
    groups: dict[str, str]
    value: float
    value_at_risk: float
    chosen: str


class AudienceAnswer(BaseModel):
    """Counts of the run at `as_of`: `histogram` are members by 5 points of risk, of any risk but else as selected.

    `choices` tell what else can be chosen; a column of the members table stands there as `group:<column>`.
    """

    as_of: datetime
    decided_since: DecidedSince
    model_version: str
    risk_from: float
    risk_to: float
    total: CountedAnswer
    everyone: CountedAnswer
    histogram: list[int]
    choices: dict[str, dict[str, int]]
    members: list[Standing]


class BandAnswer(Answered):
    name: str
    members: int
    expected: float
    value_at_risk: float
    members_before: int | None = None


class LivelinessAnswer(Answered):
    """Active members by day, oldest first, and within 30 days; `stickiness` is their ratio (DAU/MAU)."""

    first_day: date
    daily: list[int]
    monthly: int
    weekly_events: float
    stickiness: float | None


class CohortAnswer(Answered):
    """Of the members who joined in a month the share that was active in each 30 days since."""

    month: str
    members: int
    kept: list[float]


class OverviewAnswer(Answered):
    """The community at `as_of`."""

    as_of: datetime
    before: datetime | None
    decided_since: DecidedSince
    last_event_at: datetime
    model_version: str
    grade: str
    trained_through: datetime
    horizon_days: int
    members: int
    scored: CountedAnswer
    bands: list[BandAnswer]
    stages: dict[str, int]
    chosen: dict[str, int]
    liveliness: LivelinessAnswer
    cohorts: list[CohortAnswer]


def audience_answer(service: Service, run: Run, selection: Selection, limit: int) -> AudienceAnswer:
    """Raises StoreUnavailable."""
    found: Audience = run.cells.audience(selection)
    rows = service.store.standings(query_of(run, selection), limit) if limit else []
    low, high = selection.shares
    return AudienceAnswer(
        as_of=run.overview.as_of,
        decided_since=decided_since(service, run),
        model_version=run.overview.model_version,
        risk_from=low,
        risk_to=high,
        total=counted(found.total),
        everyone=counted(found.everyone),
        histogram=list(found.histogram),
        choices={name: dict(options) for name, options in found.choices.items()},
        members=[standing(row) for row in rows],
    )


def counted(found: Counted) -> CountedAnswer:
    return CountedAnswer.model_validate(found)


def standing(row: Mapping[str, Any]) -> Standing:
    told = {name: row[name] for name in Standing.model_fields if name not in {"tags", "groups"}}
    return Standing(**told, tags=tags_of(row["tags"]), groups=row["groups"] or {})


def tags_of(text: str) -> list[str]:
    """As they are kept, with a comma before and after each."""
    return [tag for tag in text.split(",") if tag]


def overview_answer(service: Service, run: Run) -> OverviewAnswer:
    """Raises StoreUnavailable."""
    overview, before = run.overview, run.before
    held = {} if before is None else {band.name: band.members for band in before.bands}
    told = {
        name: getattr(overview, name) for name in OverviewAnswer.model_fields if name not in {"before", "decided_since", "bands", "cohorts"}
    }
    return OverviewAnswer.model_validate(
        told
        | {
            "before": None if before is None else before.as_of,
            "decided_since": decided_since(service, run),
            "bands": [_band(band, held.get(band.name)) for band in overview.bands],
            "cohorts": [_cohort(cohort) for cohort in overview.cohorts],
        }
    )


def _band(band: Band, before: int | None) -> BandAnswer:
    return BandAnswer(name=band.name, members=band.members, expected=band.expected, value_at_risk=band.value_at_risk, members_before=before)


def _cohort(cohort: Cohort) -> CohortAnswer:
    return CohortAnswer.model_validate(cohort)

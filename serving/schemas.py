"""Requests: what may be sent, checked at the edge."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StrictBool,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from models.audience import BINS
from models.audience_filter import AudienceFilter
from models.decision import RiskBand
from models.declared import STAGES, TAGS, Language, Stage, Tag
from models.moments import microseconds
from models.simulated_plan import Question
from models.store import LoggedEvent
from models.supply import Capacity
from serving.fault_wording import AS_TIME, MONTH, TEXT
from serving.problems import Fault, faults_of

MAX_ROWS = 1_000
MAX_NAMED = 10_000
MOST = 1e15
_BEGINS_AS_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d")
_LOST_PLUS = re.compile(r" \d\d:?\d\d$")
Mode = Literal["decide", "score_only", "simulate"]
Part = Literal["reasons", "candidates"]
Text = Annotated[str, Field(min_length=1, max_length=256, pattern=TEXT)]
ShortText = Annotated[str, Field(min_length=1, max_length=64, pattern=TEXT)]


def _written(value: object) -> object:
    """Pydantic would take a number too, and guess whether it counts seconds or milliseconds."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _BEGINS_AS_TIME.match(value)):
        message = f"give a time as {AS_TIME}"
        raise ValueError(message)
    if isinstance(value, str) and _LOST_PLUS.search(value, 11):
        message = f"the offset has lost its sign; give a time as {AS_TIME}, in an address with %2B for the +"
        raise ValueError(message)
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
Amount = Annotated[
    float, Field(ge=-MOST, le=MOST, allow_inf_nan=False, strict=True, description="money or quantity, where the type has one")
]

Model = TypeVar("Model", bound=BaseModel)


class Received(BaseModel):
    """Unknown keys are refused, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Behaviour(Received):
    """Something a member did. Without `event_id` the content is its identity: the same content again is the same event."""

    event_id: Annotated[Text | None, Field(description="unique in the community; makes a repetition harmless")] = None
    type: Annotated[ShortText, Field(description="an event type that a signal of the community names")]
    timestamp: Annotated[Moment, Field(description="RFC 3339, with an offset")]
    value: Amount | None = None
    channel: ShortText | None = None

    def of(self, member_id: str) -> LoggedEvent:
        return LoggedEvent(member_id, microseconds(self.timestamp), self.type, self.event_id, self.value, self.channel)


class MemberBehaviour(Behaviour):
    """An event together with the member who did it."""

    member_id: Text

    def logged(self) -> LoggedEvent:
        return self.of(self.member_id)


class RequestContext(Received):
    """Where the member is met now."""

    channel: Annotated[ShortText | None, Field(description="preferred by the interventions that have it")] = None


class ScoreRequest(Received):
    """Only `member_id` is required."""

    member_id: Text
    request_id: Annotated[Text | None, Field(description="while its answer is kept, a retry with the same id and body gets it")] = None
    events: Annotated[list[Behaviour], Field(max_length=MAX_ROWS, description="added to the stored history for this answer")] = []
    persist_events: Annotated[bool, Field(description="keep these events as well")] = False
    context: RequestContext = RequestContext()
    max_actions: Annotated[int, Field(ge=0, le=50)] = 3
    mode: Annotated[Mode, Field(description="`decide` keeps the decision and reserves a contact; the others keep nothing")] = "decide"
    include: Annotated[frozenset[Part], Field(description="parts of the answer beyond the short ones")] = frozenset({"reasons"})
    language: Annotated[Language | None, Field(description="of the texts; by default that of the community")] = None

    @property
    def is_claimed(self) -> bool:
        """Its answer is kept for a retry."""
        return self.request_id is not None and self.mode == "decide"

    @property
    def content(self) -> str:
        """What has to be the same for a retry."""
        return self.model_dump_json(exclude={"request_id", "include"}) + ",".join(sorted(self.include))


class PreferencesRequest(Received):
    """What is left out stays as it was."""

    personalization: Annotated[StrictBool | None, Field(description="false: no score, no marketing, nothing learned")] = None
    contact: Annotated[dict[ShortText, StrictBool], Field(max_length=64, description="by channel; `any` stands for all")] = {}


class Row(Generic[Model]):
    """One row of a list: its content, or what is wrong with it; a bad row does not fail the rest.

    No dataclass, for pydantic would read the fields of one from the request.
    """

    def __init__(self, content: Model | None, faults: tuple[Fault, ...] = ()) -> None:
        self.content = content
        self.faults = faults

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's own signature
        (model,) = get_args(source)
        return core_schema.no_info_wrap_validator_function(cls._read, handler(model))

    @classmethod
    def _read(cls, value: object, validate: ValidatorFunctionWrapHandler) -> Self:
        try:
            return cls(validate(value))
        except ValidationError as error:
            return cls(None, faults_of({**detail, "loc": ("body", *detail["loc"])} for detail in error.errors(include_url=False)))


class BatchRequest(Received):
    """Each row is a request of its own, with its own status in the answer."""

    requests: Annotated[list[Row[ScoreRequest]], Field(min_length=1, max_length=MAX_ROWS)]


class Removal(Received):
    """Events to be left out: those with these ids, and those of these types from `since` on; older ones than the lookback count nowhere."""

    event_ids: Annotated[list[Text], Field(max_length=MAX_ROWS)] = []
    types: Annotated[list[ShortText], Field(max_length=100)] = []
    since: Annotated[Moment | None, Field(description="by default as far back as the features look")] = None


class WhatIfRequest(Received):
    """Nothing of it is kept."""

    add: Annotated[list[Behaviour], Field(max_length=MAX_ROWS, description="as if the member had done this too")] = []
    remove: Annotated[Removal | None, Field(description="as if the member had not done this")] = None
    max_actions: Annotated[int, Field(ge=0, le=50)] = 3
    language: Annotated[Language | None, Field(description="of the texts; by default that of the community")] = None


Month = Annotated[str, Field(pattern=MONTH)]
RiskBound = Annotated[int, Field(ge=0, le=100, multiple_of=100 // BINS)]


class AudienceRequest(Received):
    """Members who have one of the values of every kind that is given; without any, all members."""

    member_ids: Annotated[list[Text] | None, Field(max_length=MAX_NAMED, description="only among these; ids of nobody are counted")] = None
    risk_bands: Annotated[list[RiskBand], Field(max_length=3)] = []
    stages: Annotated[list[Stage], Field(max_length=len(STAGES))] = []
    tiers: Annotated[list[ShortText], Field(max_length=100, description="names of the declaration")] = []
    tags: Annotated[list[Tag], Field(max_length=len(TAGS), description="members who wear one of them")] = []
    cohorts: Annotated[list[Month], Field(max_length=100, description="years and months of joining")] = []
    risk_from: Annotated[RiskBound, Field(description="lowest risk, per cent, in steps of 5")] = 0
    risk_to: Annotated[RiskBound, Field(description="highest risk, per cent, in steps of 5")] = 100

    @model_validator(mode="after")
    def _leave_some_risk(self) -> Self:
        if self.risk_from >= self.risk_to:
            message = f"risk_from {self.risk_from} is not below risk_to {self.risk_to}"
            raise ValueError(message)
        return self

    groups: Annotated[
        dict[ShortText, Annotated[list[Text], Field(min_length=1, max_length=50)]],
        Field(max_length=4, description="by column of `members.groups`, members who have one of these values"),
    ] = {}

    @property
    def filter(self) -> AudienceFilter:
        """Without who is named."""
        kinds = (tuple(self.risk_bands), tuple(self.stages), tuple(self.tiers), tuple(self.tags))
        groups = {name: tuple(values) for name, values in self.groups.items()}
        low, high = (percent * BINS // 100 for percent in (self.risk_from, self.risk_to))
        return AudienceFilter(*kinds, groups, tuple(self.cohorts), low, high)

    def without_names(self) -> Self:
        """Who is named stands elsewhere, so that it can be erased; that somebody is named is kept."""
        return self if self.member_ids is None else self.model_copy(update={"member_ids": []})


class CapacityRequest(Received):
    """Most members who may get an intervention or be met on a channel; what the declaration allows in its period is never exceeded."""

    interventions: Annotated[dict[ShortText, Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=100)] = {}
    channels: Annotated[dict[ShortText, Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=100)] = {}


class DecisionJobRequest(Received):
    """Everything may be left out: then all members are decided on, within what is declared."""

    request_id: Annotated[
        Text | None, Field(description="while its answer is kept, a retry of the same body gets it, and no second job")
    ] = None
    audience: AudienceRequest = AudienceRequest()
    budget: Annotated[float | None, Field(ge=0, le=1e15, allow_inf_nan=False, description="money that all decisions together may cost")] = (
        None
    )
    capacity: CapacityRequest = CapacityRequest()
    hold_out: Annotated[float, Field(ge=0, le=0.9, description="share of the audience, drawn at random, that this job leaves alone")] = 0.0
    dry_run: Annotated[bool, Field(description="decide, and keep and reserve nothing")] = False
    language: Annotated[Language | None, Field(description="of the reasons that are kept; by default that of the community")] = None

    @property
    def is_for_everyone(self) -> bool:
        return self.audience == AudienceRequest() and not self.hold_out

    @property
    def content(self) -> str:
        """What has to be the same for a retry."""
        return self.model_dump_json(exclude={"request_id"})


class PlanRequest(Received):
    """Everything may be left out: then the plan is for all members, within what is declared."""

    audience: AudienceRequest = AudienceRequest()
    budget: Annotated[float | None, Field(ge=0, le=1e15, allow_inf_nan=False, description="money that the campaign may cost")] = None
    capacity: CapacityRequest = CapacityRequest()
    interventions: Annotated[list[ShortText] | None, Field(min_length=1, max_length=100, description="only these may be used")] = None
    hold_out: Annotated[float, Field(ge=0, le=0.9, description="share of the audience, drawn at random, that gets nothing")] = 0.0
    points: Annotated[int, Field(ge=1, le=50, description="budgets of the frontier, up to what would be spent without one")] = 8
    include: Annotated[frozenset[Literal["members"]], Field(description="`members`: what each would get")] = frozenset()
    cursor: Annotated[Text | None, Field(description="`next_cursor` of the page of members before")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="members on a page")] = 100
    language: Annotated[Language | None, Field(description="of the texts; by default that of the community")] = None

    @property
    def question(self) -> Question:
        capacity = Capacity(interventions=self.capacity.interventions, channels=self.capacity.channels, budget=self.budget)
        return Question(capacity, None if self.interventions is None else tuple(self.interventions), self.hold_out, self.points)


class EventsRequest(Received):
    events: Annotated[list[Row[MemberBehaviour]], Field(max_length=MAX_ROWS)]

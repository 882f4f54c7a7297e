"""The declaration of one community: what its log means, when a member counts as gone, and what may be done about it."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from models.agreement import check_agreement

DAY_US = 86_400_000_000
Language = Literal["en", "zh"]
Stage = Literal["new", "growing", "active", "stable", "silent", "lost"]
STAGES: tuple[Stage, ...] = ("new", "growing", "active", "stable", "silent", "lost")
Tag = Literal["newcomer_at_risk", "interest_decay", "demand_mismatch", "estrangement", "win_back_candidate", "high_value"]
TAGS: tuple[Tag, ...] = ("newcomer_at_risk", "interest_decay", "demand_mismatch", "estrangement", "win_back_candidate", "high_value")
NO_ACTION = "none"


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        message = f'unknown time zone "{name}"; use an IANA name such as "Asia/Shanghai" or "UTC"'
        raise ValueError(message)
    return name


def _ascending(days: tuple[int, ...]) -> tuple[int, ...]:
    if list(days) != sorted(set(days)):
        message = f"{list(days)} must be rising whole days without repeats"
        raise ValueError(message)
    return days


TimeZone = Annotated[str, AfterValidator(_known_zone)]
PositiveDays = Annotated[int, Field(gt=0, le=3650)]
RisingDays = Annotated[tuple[PositiveDays, ...], Field(min_length=1), AfterValidator(_ascending)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
WeightedContext = Annotated[str, Field(pattern=rf"^({'|'.join(STAGES)}|channel:.+)$")]


class Declared(BaseModel):
    """Unknown keys are refused, so that a misspelt key is an error and never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Declared):
    """What a person reads, in each language of the product."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class LogSource(Declared):
    """Where the behaviour log is and which of its columns mean what.

    Either `type` names a column or `type_is` names the one type that every row has.
    """

    path: str
    member: str
    time: str
    type: str | None = None
    type_is: str | None = None
    value: str | None = None
    event_id: str | None = None
    channel: str | None = None

    @model_validator(mode="after")
    def _one_source_of_type(self) -> Self:
        if (self.type is None) == (self.type_is is None):
            message = "give exactly one of `type` (a column) and `type_is` (one name for every row)"
            raise ValueError(message)
        return self


class MembersSource(Declared):
    """A table of members. `attributes` are fixed at joining; a column measured later leaks the future and must not be named."""

    path: str
    member: str
    joined: str
    attributes: tuple[str, ...] = ()


class TouchesSource(Declared):
    """A table of earlier assignments: one row for each (member, time), `none` included."""

    path: str
    member: str
    time: str
    intervention: str = "intervention"
    channel: str | None = None
    delivered: str | None = None
    propensity_prefix: str | None = None


class Signal(Declared):
    """One kind of behaviour: the event types that count as it.

    `qualifying` events keep a member from being silent. `value` tells what the value column holds for it: nothing, money paid
    by the member, or some other quantity (a rating, a length).
    """

    name: Name
    event_types: Annotated[tuple[str, ...], Field(min_length=1)]
    qualifying: bool = True
    value: Literal["none", "money", "quantity"] = "none"
    label: Label


class Churn(Declared):
    """When a member counts as gone.

    Without `contract_event`: no qualifying event in `[as_of, as_of + horizon)`. With it: that event in the same interval.
    The population at `as_of` has a qualifying event in `[as_of - active_days, as_of)` and `min_history_days` of tenure.
    """

    horizons_days: RisingDays = (7, 30, 90)
    horizon_days: PositiveDays = 30
    active_days: PositiveDays = 30
    min_history_days: Annotated[int, Field(ge=0, le=3650)] = 0
    contract_event: str | None = None

    @model_validator(mode="after")
    def _decides_on_a_known_horizon(self) -> Self:
        if self.horizon_days not in self.horizons_days:
            message = f"horizon_days {self.horizon_days} must be one of horizons_days {list(self.horizons_days)}"
            raise ValueError(message)
        return self


class Tier(Declared):
    """Members with at least `min_contributions` qualifying events in the longest window belong here; `value` is money in `value_days`."""

    name: Name
    min_contributions: Annotated[int, Field(ge=0)]
    value: Annotated[float, Field(ge=0)]
    label: Label


class Lifecycle(Declared):
    """Thresholds of stages and tags; models/lifecycle.py states the rules that use them.

    Days count since the last qualifying event, or since joining for `new_days` and `newcomer_hours`. The last `trend_days` or so are set
    against the time before. `service_signals` are contacts with the service, `satisfaction_signals` ratings (higher is better). Members
    worth at least `high_value` have that tag; left out, it is the value of the highest of several tiers.
    """

    new_days: PositiveDays = 30
    silent_days: PositiveDays = 7
    lost_days: PositiveDays = 30
    stable_days: PositiveDays = 180
    trend_days: PositiveDays = 14
    growing_ratio: Annotated[float, Field(gt=1)] = 1.5
    fading_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    low_weekly_events: Annotated[float, Field(ge=0)] = 3.0
    high_weekly_events: Annotated[float, Field(ge=0)] = 5.0
    newcomer_hours: Annotated[int, Field(gt=0)] = 72
    newcomer_silent_hours: Annotated[int, Field(gt=0)] = 24
    win_back_contributions: Annotated[int, Field(ge=1)] = 5
    high_value: Annotated[float, Field(gt=0)] | None = None
    service_signals: tuple[str, ...] = ()
    satisfaction_signals: tuple[str, ...] = ()
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _tiers_rise_from_zero(self) -> Self:
        floors = [tier.min_contributions for tier in self.tiers]
        if floors[0] != 0 or floors != sorted(set(floors)):
            message = f"tiers: min_contributions must rise from 0, got {floors}"
            raise ValueError(message)
        if self.lost_days <= self.silent_days:
            message = f"lost_days {self.lost_days} must be above silent_days {self.silent_days}"
            raise ValueError(message)
        return self


class Value(Declared):
    """Money a member is worth over `value_days`: learned from purchases where `source` is `purchases`, else that of the tier.

    `margin` is the share of a purchase's value that the community keeps.
    """

    source: Literal["purchases", "tiers"] = "tiers"
    value_days: PositiveDays = 90
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0


class Eligibility(Declared):
    """May this member have it at all? Every given rule must hold, bounds included; of `tags` one suffices. One left out does not bind."""

    stages: tuple[Stage, ...] | None = None
    tiers: tuple[str, ...] | None = None
    tags: tuple[Tag, ...] | None = None
    min_tenure_days: float | None = None
    max_tenure_days: float | None = None
    min_days_silent: float | None = None
    max_days_silent: float | None = None
    min_churn_probability: Share | None = None
    min_value: float | None = None


class Intervention(Declared):
    """Something that may be done for a member.

    `starting_uplift` is the change of retention (a share, may be negative) believed for a member of usual risk before there are data;
    `starting_evidence` is how many members a trial would need to be worth as much as that belief; `lever_weight` bounds what
    the psychological lever may add or take away. `context_weights` maps the name of a stage, or `channel:<name>` of one of its
    channels, to a factor of the priority; a context that it leaves out weighs 1, and a stage and a channel multiply.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    label: Label
    category: Literal["incentive", "content", "social", "recognition", "service"]
    lever: Literal["reciprocity", "loss_aversion", "scarcity", "curiosity", "competence", "belonging", "status", "care"]
    lever_weight: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0
    context_weights: dict[WeightedContext, Annotated[float, Field(ge=0, le=2)]] = {}
    channels: Annotated[tuple[Name, ...], Field(min_length=1)]
    cost: Annotated[float, Field(ge=0)]
    starting_uplift: Annotated[float, Field(ge=-1, le=1)]
    starting_evidence: Annotated[float, Field(gt=0)]
    cooldown_days: Annotated[int, Field(ge=0)] = 14
    valid_days: PositiveDays = 7
    eligibility: Eligibility = Eligibility()

    @model_validator(mode="after")
    def _is_not_doing_nothing(self) -> Self:
        if self.id == NO_ACTION:
            message = f'"{NO_ACTION}" is the name of doing nothing; choose another id'
            raise ValueError(message)
        return self


class Cap(Declared):
    """At most `max_contacts` in any `days` running, on one channel or (`channel: any`) on all together."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    channel: str = "any"
    max_contacts: Annotated[int, Field(ge=0)]
    days: PositiveDays


class QuietHours(Declared):
    """No sending from `start` (inclusive) to `end` (exclusive) by the community's clock; may run over midnight."""

    start: time
    end: time


class ContactPolicy(Declared):
    """How often may we."""

    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None


class Policy(Declared):
    """How a choice is made among what is allowed.

    `exploration` is the least probability with which every allowed action, doing nothing included, is chosen;
    `control_share` of the members, by salted hash, is never contacted.
    """

    exploration: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    control_share: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    control_salt: str = "global_control"


class Community(Declared):
    """All of keepwell.yaml. Money is in `currency`; times without an offset are read by the clock of `timezone`."""

    format: Literal[1] = 1
    name: Name
    language: Language = "en"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    timezone: TimeZone = "UTC"
    log: LogSource
    members: MembersSource | None = None
    touches: TouchesSource | None = None
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=32)]
    windows_days: RisingDays = (1, 3, 7, 14, 30, 60, 90)
    lookback_days: PositiveDays = 365
    churn: Churn = Churn()
    value: Value = Value()
    lifecycle: Lifecycle
    interventions: Annotated[tuple[Intervention, ...], Field(min_length=1)]
    contact_policy: ContactPolicy = ContactPolicy()
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        check_agreement(self)
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel of the catalogue, in the order in which it first names them."""
        return tuple(dict.fromkeys(channel for intervention in self.interventions for channel in intervention.channels))

    @property
    def signal_of_type(self) -> dict[str, int]:
        """Event type -> position of its signal in `signals`."""
        return {kind: position for position, signal in enumerate(self.signals) for kind in signal.event_types}

    def intervention(self, intervention_id: str) -> Intervention:
        """Raises KeyError for an id that the catalogue does not have."""
        return {candidate.id: candidate for candidate in self.interventions}[intervention_id]

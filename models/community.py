"""The declaration of one community: what its log means, when a member counts as gone, and what may be done about it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from models.actions import ContactPolicy, Intervention, Policy
from models.agreement import check_agreement
from models.declared import Declared, Label, Language, Name, PositiveDays, RisingDays, TimeZone
from models.experiment_declaration import Experiment
from models.goals import Goals
from models.keeping import Keeping
from models.once import Once
from models.rollout_declaration import Guardrails
from models.rules import Scene
from models.schedule import Schedule, Watch
from models.sources import SAME_SECONDS, LogSource, MembersSource, TouchesSource
from models.supply import Capacity

DAY_US = 86_400_000_000
CURRENCY = r"^[A-Z]{3}$"


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


class Community(Declared):
    """All of keepwell.yaml. Money is in `currency`; times without an offset are read by the clock of `timezone`."""

    format: Literal[1] = 1
    name: Name
    language: Language = "en"
    currency: Annotated[str, Field(pattern=CURRENCY)] = "CNY"
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
    scenes: tuple[Scene, ...] = ()
    interventions: Annotated[tuple[Intervention, ...], Field(min_length=1)]
    contact_policy: ContactPolicy = ContactPolicy()
    policy: Policy = Policy()
    capacity: Capacity = Capacity()
    experiments: tuple[Experiment, ...] = ()
    goals: Goals = Goals()
    schedule: Schedule = Schedule()
    store: Keeping = Keeping()
    monitor: Watch = Watch()
    rollout: Guardrails = Guardrails()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        check_agreement(self)
        return self

    @property
    def same_touch_us(self) -> int:
        """A declared touch this near one of the service is that one."""
        return round((SAME_SECONDS if self.touches is None else self.touches.same_within_seconds) * 1e6)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel of the catalogue, in the order in which it first names them."""
        return _channels(self.interventions)

    @property
    def signal_of_type(self) -> dict[str, int]:
        """Event type -> position of its signal in `signals`."""
        return _signal_of_type(self.signals)

    def intervention(self, intervention_id: str) -> Intervention:
        """Raises KeyError for an id that the catalogue does not have."""
        return _by_id(self.interventions)[intervention_id]


@Once
def _by_id(interventions: tuple[Intervention, ...]) -> dict[str, Intervention]:
    return {intervention.id: intervention for intervention in interventions}


@Once
def _channels(interventions: tuple[Intervention, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(channel for intervention in interventions for channel in intervention.channels))


@Once
def _signal_of_type(signals: tuple[Signal, ...]) -> dict[str, int]:
    return {kind: position for position, signal in enumerate(signals) for kind in signal.event_types}

"""Who may have an intervention, as it is declared: one key for each rule, all of which must hold."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from models.declared import Declared, Identifier, Label, Name, PositiveDays, Share, Stage, Tag

Status = Literal["scored", "insufficient_history", "already_churned"]
Texts = Annotated[tuple[str, ...], Field(min_length=1)]
OneOrMore = Annotated[Texts, BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Scene(Declared):
    """A moment in the life of a member, and for how long after it something may still be done about it.

    One of four: the first event of a signal ever (`any`: of any qualifying one); so many days after the last qualifying event, or after
    joining; the beginning of the day of a date in the members table, every year, 29 February on the 28th in common years; the event that
    lifted the member into one of the tiers. It is open in [moment, moment + within), until an intervention of it is assigned.
    """

    name: Identifier
    label: Label
    after_first: Name | None = None
    after_silence_days: PositiveDays | None = None
    on_date: Name | None = None
    on_tiers: Texts | None = None
    within_hours: Annotated[int, Field(gt=0, le=8760)] | None = None
    within_days: PositiveDays | None = None

    @model_validator(mode="after")
    def _is_one_moment(self) -> Self:
        for keys in (("after_first", "after_silence_days", "on_date", "on_tiers"), ("within_hours", "within_days")):
            given = [key for key in keys if getattr(self, key) is not None]
            if len(given) != 1:
                message = f"give exactly one of {', '.join(keys)}, not {' and '.join(given) or 'none'}"
                raise ValueError(message)
        return self

    @property
    def open_hours(self) -> int:
        """How long it stays open."""
        return self.within_hours if self.within_hours is not None else 24 * (self.within_days or 0)


class Bounds(Declared):
    """From `at_least` to `at_most`, both included; at least one of them is given."""

    at_least: Amount | None = None
    at_most: Amount | None = None

    @model_validator(mode="after")
    def _bound_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            message = "give `at_least`, `at_most` or both"
            raise ValueError(message)
        _refuse_crossed("at_least", self.at_least, "at_most", self.at_most)
        return self


class SignalDays(Bounds):
    """Days since the last event of a signal, or of any qualifying one (`any`); without one in the lookback, more than any number."""

    signal: Name


class AssignedDays(Bounds):
    """Days since an intervention was last assigned to the member, delivered or not; never is more than any number."""

    intervention: Name


class SignalCount(Bounds):
    """Events of a signal, or of any qualifying one (`any`), in the last `days`, a declared window."""

    signal: Name
    days: PositiveDays


class Eligibility(Declared):
    """May this member have it at all? Every given key must hold, bounds included; one left out does not bind.

    Of a list of names one suffices, but all `consents` are needed and none of `no_tags` may be worn; of `days_since`, `counts` and
    `attributes` every entry must hold, of `experiment` too: it has begun, and the member is in that arm, or one of those. `statuses` left
    out admits members with a score alone, and every member where the intervention is mandatory or transactional.
    """

    scenes: Texts | None = None
    statuses: Annotated[tuple[Status, ...], Field(min_length=1)] | None = None
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    tiers: Texts | None = None
    tags: Annotated[tuple[Tag, ...], Field(min_length=1)] | None = None
    no_tags: Annotated[tuple[Tag, ...], Field(min_length=1)] | None = None
    consents: Texts | None = None
    channels: Texts | None = None
    attributes: dict[str, Texts] | None = None
    days_since: Annotated[tuple[SignalDays, ...], Field(min_length=1)] | None = None
    days_since_assigned: Annotated[tuple[AssignedDays, ...], Field(min_length=1)] | None = None
    counts: Annotated[tuple[SignalCount, ...], Field(min_length=1)] | None = None
    experiment: Annotated[dict[Name, OneOrMore], Field(min_length=1)] | None = None
    min_tenure_days: Amount | None = None
    max_tenure_days: Amount | None = None
    min_days_silent: Amount | None = None
    max_days_silent: Amount | None = None
    min_churn_probability: Share | None = None
    max_churn_probability: Share | None = None
    min_value: float | None = None
    max_value: float | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        for what in ("tenure_days", "days_silent", "churn_probability", "value"):
            low, high = f"min_{what}", f"max_{what}"
            _refuse_crossed(low, getattr(self, low), high, getattr(self, high))
        return self


def _refuse_crossed(low: str, least: float | None, high: str, most: float | None) -> None:
    if least is not None and most is not None and least > most:
        message = f"{low} {least:g} is above {high} {most:g}, so no member could have it"
        raise ValueError(message)

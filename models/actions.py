"""What may be done for members, as it is declared: interventions, how often they may be contacted, and how a choice is made."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.declared import STAGES, Declared, Identifier, Label, Name, PositiveDays, Share, TimeOfDay
from models.rules import Eligibility

NO_ACTION = "none"
CONTACT_RULES = (
    *("cooldown_days", "refused_before", "refused_recently", "drawn_recently", "unreachable", "opted_out", "no_consent"),
    *("capacity_used_up", "budget_used_up"),
)
"""What the contact policy may name beside its caps."""
MessageClass = Literal["marketing", "mandatory", "transactional"]
CONTEXT = rf"^({'|'.join(STAGES)}|channel:.+)$"
WeightedContext = Annotated[str, Field(pattern=CONTEXT)]


class Intervention(Declared):
    """Something that may be done for a member.

    `starting_uplift` is the change of retention (a share, may be negative) believed for a member of usual risk before there are data;
    `starting_evidence` is how many members a trial would need to be worth as much as that belief; `lever_weight` bounds what
    the psychological lever may add or take away. `context_weights` maps the name of a stage, or `channel:<name>` of one of its
    channels, to a factor of the priority; a context that it leaves out weighs 1, and a stage and a channel multiply.

    A `mandatory` one goes before all that is weighed, and passes the contact policy like a `marketing` one; a `transactional` one goes
    before that, at any hour, whatever the caps and what the member wishes to hear, and no cap counts it. The global control holds back
    neither of the two. After a refusal it rests for `refusal_cooldown_days`.

    `cost` is paid for every member to whom it is assigned, `incentive_cost` for those who redeem it: a share of `redemption_rate`, as
    believed before there are data, and worth as much as `redemption_evidence` members seen. Members who would stay anyway redeem too.
    """

    id: Identifier
    label: Label
    category: Literal["incentive", "content", "social", "recognition", "service"]
    lever: Literal["reciprocity", "loss_aversion", "scarcity", "curiosity", "competence", "belonging", "status", "care"]
    lever_weight: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0
    context_weights: dict[WeightedContext, Annotated[float, Field(ge=0, le=2)]] = {}  # noqa: RUF012 - pydantic copies a default
    channels: Annotated[tuple[Name, ...], Field(min_length=1)]
    cost: Annotated[float, Field(ge=0)]
    incentive_cost: Annotated[float, Field(ge=0)] = 0.0
    redemption_rate: Share = 1.0
    redemption_evidence: Annotated[float, Field(gt=0)] = 20.0
    starting_uplift: Annotated[float, Field(ge=-1, le=1)]
    starting_evidence: Annotated[float, Field(gt=0)]
    cooldown_days: Annotated[int, Field(ge=0)] = 14
    valid_days: PositiveDays = 7
    message_class: MessageClass = "marketing"
    refusal_cooldown_days: Annotated[int, Field(ge=0, le=3650)] = 0
    eligibility: Eligibility = Eligibility()

    @model_validator(mode="after")
    def _is_not_doing_nothing(self) -> Self:
        if self.id == NO_ACTION:
            message = f'"{NO_ACTION}" is the name of doing nothing; choose another id'
            raise ValueError(message)
        return self

    @property
    def expected_cost(self) -> float:
        """Of assigning it to one member: cost + redemption_rate x incentive_cost. Every cost in a decision is this one."""
        return self.cost + self.redemption_rate * self.incentive_cost


class Cap(Declared):
    """At most `max_contacts` in any `days` running, on one channel or (`channel: any`) on all together."""

    name: Identifier
    channel: str = "any"
    max_contacts: Annotated[int, Field(ge=0)]
    days: PositiveDays


class QuietHours(Declared):
    """No sending from `start` (inclusive) to `end` (exclusive) by the member's clock; may run over midnight."""

    start: TimeOfDay
    end: TimeOfDay


class ContactPolicy(Declared):
    """How often may we, when, and with whose leave.

    After a refusal of anything the member is left alone for `refusal_cooldown_days`. After a decision in which chance was in play, be it to
    do nothing, it gets no marketing for `draw_cooldown_days`. `opt_in` maps a channel, or `any`, to the consent
    that is needed there. A decision of the service holds its contact until a touch is reported; where none was by the end of its validity
    it is `unreported`: `released`, or `counted` for good.
    """

    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None
    refusal_cooldown_days: Annotated[int, Field(ge=0, le=3650)] = 0
    draw_cooldown_days: Annotated[int, Field(ge=0, le=3650, exclude_if=lambda days: days == 0)] = 0
    opt_in: dict[str, str] = {}  # noqa: RUF012 - pydantic copies a default
    unreported: Literal["released", "counted"] = "released"


class Policy(Declared):
    """How a choice is made among what is allowed.

    `exploration` is the least probability with which every allowed action, doing nothing included, is chosen;
    `control_share` of the members, by salted hash, gets no marketing. `caution` moves the uplift that is weighed from the estimate (0) to
    the lower end of its 90 % interval (1).
    """

    exploration: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    control_share: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    control_salt: str = "global_control"
    caution: Share = 0.0

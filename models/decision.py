"""One decision: what was known of a member, what could have been done, what was chosen and with which probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from models.declared import Stage

ChurnStatus = Literal["scored", "insufficient_history", "already_churned", "opted_out"]
RiskBand = Literal["low", "medium", "high"]
RemovalStage = Literal["eligibility", "contact_policy", "control", "arbitration"]
UpliftSource = Literal["prior", "experiment", "observational"]
Direction = Literal["raises", "lowers"]
Arm = Literal["treated", "control"]
NoActionReason = Literal[
    "insufficient_history",
    "already_churned",
    "opted_out",
    "global_control",
    "nothing_allowed",
    "outbid",
    "do_nothing_is_best",
    "explored_nothing",
    "contact_refused",
]


@dataclass(frozen=True)
class ChurnScore:
    """Numbers are there only where `status` is `scored`; `percentile` is the share of the reference members with a lower probability."""

    status: ChurnStatus
    horizon_days: int
    probability: float | None = None
    typical_probability: float | None = None
    percentile: float | None = None
    risk_band: RiskBand | None = None
    horizons: tuple[tuple[int, float], ...] = ()

    @property
    def withheld(self) -> bool:
        """The member switched personalisation off: nothing that was derived of its behaviour is told."""
        return self.status == "opted_out"


@dataclass(frozen=True)
class MemberState:
    """`value` is money over the community's `value_days`; `value_at_risk` = churn probability x value, None where not scored."""

    stage: Stage
    tier: str
    tags: tuple[str, ...]
    value: float
    value_at_risk: float | None
    tenure_days: float
    days_silent: float | None


class Reason(NamedTuple):
    """One group of features: `contribution_pp` percentage points of risk against the usual member; the groups add up exactly.

    `value`, `typical` and `text` are those of one feature of the group, `feature`, over `window_days` where it has a window. A trend is a
    logarithm: log((1 + recent) / (1 + before)). Where there has been something to see of the member for less than the window, `text` says
    for how long.
    """

    code: str
    direction: Direction
    contribution_pp: float
    value: float | None
    typical: float | None
    text: str
    feature: str | None = None
    window_days: int | None = None


@dataclass(frozen=True)
class Candidate:
    """One intervention on one channel, or `none`: its factors, and where it fell out if it did.

    priority = context_weight x lever_weight x (weighed_uplift x value) - cost; probability is that of being chosen, 0 where removed.
    Candidates are ranked by priority - shadow_price, what the plan in force charges for cost and place. It may be sent from
    `send_not_before`, after the quiet hours, until `valid_until`; `none` has neither.
    """

    intervention_id: str
    channel: str | None
    uplift: float
    uplift_interval: tuple[float, float]
    uplift_source: UpliftSource
    value: float
    lever_weight: float
    context_weight: float
    cost: float
    priority: float
    shadow_price: float = 0.0
    probability: float = 0.0
    removed_at: RemovalStage | None = None
    rule: str | None = None
    send_not_before: datetime | None = None
    valid_until: datetime | None = None
    caution: float = 0.0

    @property
    def weighed_uplift(self) -> float:
        """(1 - caution) x uplift + caution x the lower end of its interval."""
        return self.uplift + self.caution * (self.uplift_interval[0] - self.uplift)

    @property
    def expected_net_value(self) -> float:
        """Uplift x value - cost: the money expected, without the weights of context and lever."""
        return self.uplift * self.value - self.cost


@dataclass(frozen=True)
class Decision:
    """The whole trace. `draw` in [0, 1) picked `chosen` from the cumulated probabilities of the candidates, in their order, `none` first.

    A member without a score has `none` and what admits such a member. `exploration`: the draw picked something else than the best.
    `plan_id` names the plan whose prices were charged. `effect_reasons` tell why the learned effect of what was chosen is larger or smaller
    for this member than for the usual one, in percentage points of the effect.
    """

    decision_id: str
    member_id: str
    as_of: datetime
    features_as_of: datetime
    last_event_at: datetime | None
    churn: ChurnScore
    member: MemberState
    reasons: tuple[Reason, ...]
    candidates: tuple[Candidate, ...]
    chosen: str
    draw: float
    exploration: bool
    arm: Arm
    no_action_reason: NoActionReason | None
    model_version: str
    grade: str
    catalogue_fingerprint: str
    plan_id: str | None = None
    effect_reasons: tuple[Reason, ...] = ()

    @property
    def impersonal(self) -> bool:
        return self.churn.withheld

"""What a client reads of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.actions import NO_ACTION
from models.blocking_wording import blocking_sentence
from models.decision import RemovalStage, UpliftSource
from models.texts import listed, text
from serving.answers import Answered, Probability
from serving.audience import Interval

if TYPE_CHECKING:
    import polars as pl

    from models.arrays import Floats, Integers
    from models.community import Community
    from models.declared import Language
    from models.simulated_plan import Simulated
    from serving.plan_desk import Ground
    from serving.schemas import AudienceRequest


class RuleCount(Answered):
    rule: str
    members: int


class PlannedIntervention(Answered):
    """Members expected to get it; `blocked` are the rules that kept most members from it."""

    intervention_id: str
    uplift_source: UpliftSource
    members: float
    spend: float
    net_value: float
    net_value_interval: tuple[float, float]
    saved: Interval
    blocked: list[RuleCount]


class PlanPoint(Answered):
    """What a budget, null for none, is expected to bring, with 90 % intervals; `share_by_prior`: of the contacts with a believed effect."""

    budget: float | None
    spend: float
    net_value: float
    net_value_interval: tuple[float, float]
    members_contacted: float
    members_saved: Interval
    cost_per_saved: float | None
    cost_per_saved_interval: tuple[float, float | None] | None
    share_by_prior: float
    gap: float
    interventions: list[PlannedIntervention]


class Before(Answered):
    """Of members with a risk: how many are expected to go, with an interval of chance alone, and the money at risk."""

    members: int
    going: Interval
    value_at_risk: float


class After(Answered):
    """With the plan; the interval is that of its effect."""

    going: Interval
    value_at_risk: float


class PlannedCapacity(Answered):
    """`used` in expectation; `shadow_price` is what one place more would bring."""

    limit: float
    used: float
    shadow_price: float


class BlockedCount(Answered):
    """Members with a risk from whom a rule kept an intervention."""

    intervention_id: str
    stage: RemovalStage
    rule: str
    members: int
    text: str


class PlannedMember(Answered):
    """`intervention_id` is what the member would most probably get, `none` for nothing."""

    member_id: str
    intervention_id: str
    channel: str | None
    assignment_probability: Probability
    churn_probability: Probability | None


class PlanAnswer(Answered):
    """Made on the run at `as_of`; nothing of it is kept. `rows` are null where they were not asked for.

    `used_in_period`: what earlier decisions used of what is declared, `budget`, `intervention:<id>` or `channel:<name>`; it is taken off.
    """

    as_of: datetime
    version: str
    members: int
    held_out: float
    currency: str
    horizon_days: int
    before: Before
    after: After
    plan: PlanPoint
    frontier: list[PlanPoint]
    shadow_price_of_budget: float
    capacities: dict[str, PlannedCapacity]
    used_in_period: dict[str, float]
    blocked: list[BlockedCount]
    exploration: float
    warnings: list[str]
    rows: list[PlannedMember] | None = None
    next_cursor: str | None = None


def plan_answer(simulated: Simulated, community: Community, language: Language) -> PlanAnswer:
    """With the numbers of `Simulated.to_dict`, and a sentence for each rule."""
    told = simulated.to_dict()
    blocked = [one | {"text": blocked_text(language, one, community)} for one in told.pop("blocked")]
    return PlanAnswer.model_validate(told | {"blocked": blocked, "warnings": list(_warnings(simulated, community, language))})


def blocked_text(language: Language, blocked: dict[str, Any], community: Community) -> str:
    """The stage alone where the declaration has the intervention no more."""
    declared = {one.id for one in community.interventions}
    if blocked["intervention_id"] not in declared:
        return text(language, f"removed.{blocked['stage']}")
    return blocking_sentence(language, blocked["intervention_id"], f"{blocked['stage']}:{blocked['rule']}", community)


def _warnings(simulated: Simulated, community: Community, language: Language) -> Iterator[str]:
    labels = {one.id: one.label.of(language) for one in community.interventions}
    believed = [
        labels.get(arm.intervention_id, arm.intervention_id) for arm in simulated.outlook.arms if arm.source == "prior" and arm.members > 0
    ]
    if believed:
        yield text(language, "warning.effect_not_measured", arms=listed(language, believed))


class Rows:
    """Members of an audience with what the plan means for each."""

    def __init__(self, ground: Ground, simulated: Simulated) -> None:
        self._ground, self._plan = ground.ground, simulated
        shares = np.full((len(self._ground.strata), simulated.plan.expected.shape[1]), np.nan)
        shares[simulated.rows] = simulated.plan.expected
        self._shares: Floats = shares

    def told(self, rows: pl.DataFrame, audience: AudienceRequest) -> list[PlannedMember]:
        """Of ROW_COLUMNS; those who belong to the audience."""
        chosen = rows.filter(self._ground.belongs(rows, audience.filter))
        stratum = chosen["stratum"].to_numpy()
        best: Integers = self._shares[stratum].argmax(axis=1) if len(stratum) else np.empty(0, np.int64)
        return [
            self._row(member_id, int(at), int(action), risk)
            for member_id, at, action, risk in zip(chosen["member_id"], stratum, best, chosen["probability"], strict=True)
        ]

    def _row(self, member_id: str, stratum: int, action: int, risk: float | None) -> PlannedMember:
        terms, channel = self._ground.terms, self._ground.strata.candidates.channel
        return PlannedMember(
            member_id=member_id,
            intervention_id=terms.arms[action - 1].id if action else NO_ACTION,
            channel=terms.channels[int(channel[stratum, action - 1])] if action else None,
            assignment_probability=min(1.0, float(self._shares[stratum, action])),
            churn_probability=risk,
        )

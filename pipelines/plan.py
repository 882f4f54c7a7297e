"""Plans for all members without deciding anything: what each budget would bring, and the plan that the service is to go by."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from models.campaign import Campaign, Part
from models.catalogue_identity import catalogue_fingerprint
from models.moments import microseconds
from models.plan_figures import Outlook
from models.plan_in_force import PlanInForce
from models.planning import JointPlan
from models.store import PlanRow, Store
from models.store_rows import content_id
from models.supply import Supply
from pipelines.everyone import weigh_everyone
from pipelines.loading import decision_time, engine_of, load

if TYPE_CHECKING:
    from datetime import datetime

    from models.engine import Engine
    from models.training import Progress
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Limit:
    """One capacity: `used` in expectation, and what one place more would bring."""

    limit: float
    used: float
    shadow_price: float


@dataclass(frozen=True)
class Planned:
    """`outlook` for the budget that was asked for; `frontier` by rising budget, the last without one; `limits` by what they limit."""

    as_of: datetime
    version: str
    members: int
    currency: str
    outlook: Outlook
    frontier: tuple[Outlook, ...]
    budget_price: float
    limits: dict[str, Limit]
    exploration: float
    declared_exploration: float
    in_force: PlanInForce | None = None

    def to_dict(self) -> dict[str, Any]:
        force = self.in_force
        return {
            "as_of": self.as_of.isoformat(),
            "version": self.version,
            "members": self.members,
            "currency": self.currency,
            "plan": self.outlook.to_dict(),
            "frontier": [point.to_dict() for point in self.frontier],
            "shadow_price_of_budget": self.budget_price,
            "capacities": {name: vars(limit) for name, limit in self.limits.items()},
            "exploration": self.exploration,
            "plan_in_force": None if force is None else {"plan_id": force.plan_id, "valid_until": force.valid_until.isoformat()},
        }


def plan_campaign(
    workspace: Workspace, *, budget: float | None, points: int, as_of: str | None, now: datetime, progress: Progress, valid_days: int | None
) -> Planned:
    """With `valid_days` the plan is put in force for so long from `as_of` on. Without a `budget` the declared one holds.

    Raises InputError, NoChampion, ModelRefused.
    """
    progress("log")
    loaded = load(workspace, now=now)
    budget = loaded.community.capacity.budget if budget is None else budget
    engine = engine_of(workspace, None)
    at = decision_time(loaded, as_of, now=now)
    progress("members")
    parts = (Part.of(engine, batch.weighed) for batch in weigh_everyone(engine, loaded, at))
    everyone = Campaign.of(engine, parts, Supply.of(engine.community, loaded.community.capacity, None))
    progress("plans")
    joint = everyone.plan(budget)
    planned = _planned(everyone, joint, everyone.outlook(joint, budget), frontier(everyone, points), at)
    if valid_days is None:
        return planned
    in_force = _in_force(planned, joint, engine, at + timedelta(days=valid_days), now)
    _put_in_force(workspace, PlanRow(in_force.plan_id, microseconds(now), in_force.to_json()))
    return replace(planned, in_force=in_force)


def withdraw_plan(workspace: Workspace, *, now: datetime) -> None:
    """From now on the service decides without a plan."""
    _put_in_force(workspace, PlanRow(content_id("withdrawn", now.isoformat()), microseconds(now), None))


def frontier(everyone: Campaign, points: int) -> tuple[Outlook, ...]:
    """At equal steps up to what would be spent without a budget."""
    free = everyone.outlook(everyone.plan(None), None)
    budgets = [free.spend * step / points for step in range(1, points)] if free.spend > 0 else []
    return (*(everyone.outlook(everyone.plan(budget), budget) for budget in budgets), free)


def _planned(everyone: Campaign, joint: JointPlan, told: Outlook, frontier: tuple[Outlook, ...], at: datetime) -> Planned:
    community = everyone.engine.community
    return Planned(
        as_of=at,
        version=everyone.engine.version,
        members=len(everyone.candidates.priority),
        currency=community.currency,
        outlook=told,
        frontier=frontier,
        budget_price=joint.plan.shadow_prices.budget,
        limits=_limits(everyone, joint),
        exploration=joint.exploration,
        declared_exploration=community.policy.exploration,
    )


def _limits(everyone: Campaign, joint: JointPlan) -> dict[str, Limit]:
    community, supply, prices = everyone.engine.community, everyone.supply, joint.plan.shadow_prices
    share = joint.expected[:, 1:]
    reached = np.bincount(everyone.candidates.channel.ravel(), share.ravel(), len(community.channels))
    rows = [
        *zip((arm.id for arm in community.interventions), supply.interventions, share.sum(axis=0), prices.interventions, strict=True),
        *zip((f"channel:{name}" for name in community.channels), supply.channels, reached, prices.channels, strict=True),
    ]
    return {name: Limit(float(limit), float(used), float(price)) for name, limit, used, price in rows if np.isfinite(limit)}


def _in_force(planned: Planned, joint: JointPlan, engine: Engine, valid_until: datetime, now: datetime) -> PlanInForce:
    community, prices = engine.community, joint.plan.shadow_prices
    return PlanInForce(
        plan_id=content_id(engine.version, planned.as_of.isoformat(), planned.outlook.budget, now.isoformat()),
        as_of=planned.as_of,
        activated_at=now,
        valid_until=valid_until,
        model_version=engine.version,
        catalogue_fingerprint=catalogue_fingerprint(community),
        budget=planned.outlook.budget,
        expected_spend=planned.outlook.spend,
        exploration=joint.exploration,
        budget_price=prices.budget,
        interventions={arm.id: float(price) for arm, price in zip(community.interventions, prices.interventions, strict=True)},
        channels={name: float(price) for name, price in zip(community.channels, prices.channels, strict=True)},
    )


def _put_in_force(workspace: Workspace, plan: PlanRow) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        store.put_in_force(plan)

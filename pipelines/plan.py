"""Plans for all members or an audience: what each budget would bring, and the plan that the service is to go by."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from models.audience import standings_of
from models.catalogue_identity import catalogue_fingerprint
from models.decision_table import table_of
from models.groups import groups_of_log
from models.moments import microseconds
from models.plan_ground import PlanGround, lay_ground
from models.plan_ground import Terms as PlanTerms
from models.plan_in_force import PlanInForce
from models.quotas import limits_of, period_begin_us
from models.simulated_plan import EVERYONE, Question, Simulated, simulate_plan
from models.store import PlanRow, Store
from models.store_rows import content_id
from pipelines.everyone import weigh_everyone
from pipelines.loading import decision_time, engine_of, load
from pipelines.parts import strata_of

if TYPE_CHECKING:
    from datetime import datetime

    from models.audience_filter import AudienceFilter
    from models.community import Community
    from models.engine import Engine
    from models.plan_figures import Outlook
    from models.training import Progress
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """`in_force` where the plan was put in force."""

    simulated: Simulated
    declared_exploration: float
    in_force: PlanInForce | None = None

    @property
    def outlook(self) -> Outlook:
        return self.simulated.outlook

    def to_dict(self) -> dict[str, Any]:
        force = self.in_force
        told = None if force is None else {"plan_id": force.plan_id, "valid_until": force.valid_until.isoformat()}
        return self.simulated.to_dict() | {"plan_in_force": told}


def plan_campaign(
    workspace: Workspace,
    question: Question,
    audience: AudienceFilter = EVERYONE,
    *,
    as_of: str | None,
    now: datetime,
    progress: Progress,
    valid_days: int | None = None,
) -> Planned:
    """With `valid_days` the plan is put in force for so long from `as_of` on. Raises InputError, NoChampion, ModelRefused."""
    progress("log")
    loaded = load(workspace, now=now)
    engine = engine_of(workspace, None)
    at = decision_time(loaded, as_of, now=now)
    progress("members")
    ground = ground_of(engine, loaded, at)
    progress("plans")
    crowd, used = ground.crowd(audience), used_in_period(workspace, loaded.community, now)
    simulated = simulate_plan(ground.terms, crowd, question, loaded.community.capacity, used=used)
    planned = Planned(simulated, engine.community.policy.exploration)
    if valid_days is None:
        return planned
    in_force = _in_force(simulated, engine, at + timedelta(days=valid_days), now)
    _put_in_force(workspace, PlanRow(in_force.plan_id, microseconds(now), in_force.to_json()))
    return replace(planned, in_force=in_force)


def ground_of(engine: Engine, loaded: Loaded, at: datetime) -> PlanGround:
    """As a run of `decide` at that time would lay it."""
    parts, standings = [], []
    for batch in weigh_everyone(engine, loaded, at):
        parts.append(strata_of(engine, batch))
        table = table_of(engine, batch.weighed, batch.member_ids, batch.decision_ids, at)
        members = batch.members
        groups = groups_of_log(members, loaded.community)
        standings.append(standings_of(table, members["joined"], loaded.community.timezone, groups))
    return lay_ground(PlanTerms.of(engine, at), parts, pl.concat(standings)).ground


def used_in_period(workspace: Workspace, community: Community, now: datetime) -> dict[str, float]:
    """What the running period has no more of; nothing where there is no store yet."""
    if not limits_of(community.capacity) or (workspace.store_file is not None and not workspace.store_file.is_file()):
        return {}
    with closing(Store.open(workspace.store_url)) as store:
        return store.used(period_begin_us(now, community.capacity.period_days, community), microseconds(now))


def withdraw_plan(workspace: Workspace, *, now: datetime) -> None:
    """From now on the service decides without a plan."""
    _put_in_force(workspace, PlanRow(content_id("withdrawn", now.isoformat()), microseconds(now), None))


def _in_force(simulated: Simulated, engine: Engine, valid_until: datetime, now: datetime) -> PlanInForce:
    terms, prices = simulated.terms, simulated.plan.prices
    return PlanInForce(
        plan_id=content_id(engine.version, terms.as_of.isoformat(), simulated.outlook.budget, now.isoformat()),
        as_of=terms.as_of,
        activated_at=now,
        valid_until=valid_until,
        model_version=engine.version,
        catalogue_fingerprint=catalogue_fingerprint(engine.community),
        budget=simulated.outlook.budget,
        expected_spend=simulated.outlook.spend,
        exploration=simulated.plan.exploration,
        budget_price=prices.budget,
        interventions={arm.id: float(price) for arm, price in zip(terms.arms, prices.interventions, strict=True)},
        channels={name: float(price) for name, price in zip(terms.channels, prices.channels, strict=True)},
        members=simulated.members - simulated.held_out,
        planned={arm.intervention_id: arm.members for arm in simulated.outlook.arms},
    )


def _put_in_force(workspace: Workspace, plan: PlanRow) -> None:
    with closing(Store.open(workspace.store_url)) as store:
        store.put_in_force(plan)

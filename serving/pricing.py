"""What holds for all members at this moment: the plan in force, as far as it may be gone by, and what is used up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from models.engine import Engine
from models.plan_in_force import PlanInForce, Standing
from models.quotas import Quotas
from models.shadow_prices import FREE, Terms
from models.store import Store
from models.weighing import Context
from serving.problems import Fault

REMEDY = "decisions are made without it until `keepwell plan --activate` puts another in force or `keepwell plan --withdraw` ends it"
IGNORED: dict[Standing, str] = {
    "expired": "the plan of {plan.as_of:%Y-%m-%d} held until {plan.valid_until:%Y-%m-%d %H:%M} UTC",
    "of_another_model": "the plan in force was made with model version {plan.model_version}, which no longer decides",
    "of_another_catalogue": "interventions, contact policy or policy have changed since the plan in force was made",
}


@dataclass(frozen=True)
class Pricing:
    """What candidates are charged, and what to say where a plan had to be left aside."""

    terms: Terms = FREE
    warnings: tuple[Fault, ...] = ()


def present_context(store: Store, quotas: Quotas, channel: str | None = None, taken: Mapping[str, float] = MappingProxyType({})) -> Context:
    """What is used up of the period, `taken` included, which is decided but not kept yet.

    Read it before the members' contacts: what changes in between is found when a decision is kept. Raises StoreUnavailable.
    """
    if not quotas.limits:
        return Context(channel)
    return Context(channel, quotas.used_up(Counter(store.used(quotas.begins_us)) + Counter(taken)))


def pricing(store: Store, engine: Engine, now: datetime) -> Pricing:
    """Raises StoreUnavailable."""
    body = store.plan_in_force()
    if body is None:
        return Pricing()
    plan = PlanInForce.from_json(body)
    standing = plan.standing(engine, now)
    if standing == "in_force":
        return Pricing(plan.terms)
    return Pricing(warnings=(Fault(code=f"plan_{standing}", detail=f"{IGNORED[standing].format(plan=plan)}; {REMEDY}"),))

"""The plan in force, as far as decisions that are made now may go by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.engine import Engine
from models.plan_in_force import PlanInForce, Standing
from models.shadow_prices import FREE, Terms
from models.store import Store
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

"""What holds for all members at this moment: the plan in force, as far as it may be gone by, and what is used up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType

from models.declared import Language
from models.engine import Engine
from models.moments import microseconds
from models.plan_in_force import PlanInForce, Standing
from models.quotas import Quotas
from models.shadow_prices import FREE, Terms
from models.store import Store
from models.texts import calendar_day, moment, plural, text
from models.weighing import Context
from serving.problems import Fault

STALE_AFTER = timedelta(days=90)
IGNORED: dict[Standing, str] = {
    "expired": "warning.plan_expired",
    "of_another_model": "warning.plan_of_another_model",
    "of_another_catalogue": "warning.plan_of_another_catalogue",
}


@dataclass(frozen=True)
class Pricing:
    """What candidates are charged, and the plan that had to be left aside with the reason, where one had to."""

    terms: Terms = FREE
    ignored: PlanInForce | None = None
    standing: Standing = "in_force"

    def warnings(self, language: Language, zone: tzinfo) -> list[Fault]:
        if self.ignored is None:
            return []
        plan, remedy = self.ignored, text(language, "warning.plan_remedy")
        day, until = calendar_day(language, plan.as_of.astimezone(zone)), moment(language, plan.valid_until.astimezone(zone))
        detail = text(language, IGNORED[self.standing], day=day, until=until, version=plan.model_version, remedy=remedy)
        return [Fault(code=f"plan_{self.standing}", detail=detail)]


def standing_warnings(engine: Engine, pricing: Pricing, now: datetime, language: Language) -> list[Fault]:
    """About the model, where its training data ended long ago, and the plan, whatever is asked."""
    zone, through = engine.community.zone, engine.provenance.trained_through
    said = pricing.warnings(language, zone)
    if now - through <= STALE_AFTER:
        return said
    days = plural(language, "unit.days", (now - through).days)
    detail = text(language, "warning.old_model", day=calendar_day(language, through.astimezone(zone)), days=days)
    return [Fault(code="old_model", detail=detail), *said]


def present_context(
    store: Store, quotas: Quotas, now: datetime, channel: str | None = None, taken: Mapping[str, float] = MappingProxyType({})
) -> Context:
    """What is used up of the period, `taken` included, which is decided but not kept yet.

    Read it before the members' contacts: what changes in between is found when a decision is kept. Raises StoreUnavailable.
    """
    if not quotas.limits:
        return Context(channel)
    return Context(channel, quotas.used_up(Counter(store.used(quotas.begins_us, microseconds(now))) + Counter(taken)))


def pricing(store: Store, engine: Engine, now: datetime) -> Pricing:
    """Raises StoreUnavailable."""
    body = store.plan_in_force()
    if body is None:
        return Pricing()
    plan = PlanInForce.from_json(body)
    standing = plan.standing(engine, now)
    if standing == "in_force":
        return Pricing(plan.terms)
    return Pricing(ignored=plan, standing=standing)

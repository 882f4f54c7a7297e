"""What a plan means for each member, as text that outlives the process which made the plan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.planning import JointPlan, Settled, settled
from models.shadow_prices import ShadowPrices, Terms

if TYPE_CHECKING:
    from models.plan_figures import Outlook
    from models.weighing import Weighed


def settled_rows(outcome: Settled) -> list[str]:
    """JSON for each member; numbers come back as they were."""
    columns = (outcome.propensity.tolist(), outcome.best.tolist(), outcome.chosen.tolist(), outcome.outbid.tolist())
    return [json.dumps(row) for row in zip(*columns, strict=True)]


def settled_of(rows: Sequence[str]) -> Settled:
    """What `settled_rows` wrote, of one member at least."""
    propensity, best, chosen, outbid = zip(*(json.loads(row) for row in rows), strict=True)
    return Settled(np.array(propensity, dtype=np.float64), *(np.array(column, dtype=np.int64) for column in (best, chosen, outbid)))


def followed_row(row: str, prices: ShadowPrices) -> dict[str, Any]:
    """One of `settled_rows` with the plan's prices: all that a member's decision takes from the plan."""
    return {"settled": json.loads(row), "prices": _prices(prices)}


def follow(weighed: Weighed, followed: Mapping[str, Any]) -> Weighed:
    """One member who was weighed alone, with what a plan meant for it, as of `followed_row`."""
    return settled(weighed, _prices_of(followed["prices"]), settled_of([json.dumps(followed["settled"])]))


def plan_to_json(joint: JointPlan, outlook: Outlook) -> str:
    by_resource = _prices(joint.plan.shadow_prices)
    return json.dumps({"prices": by_resource, "exploration": joint.exploration, "outlook": outlook.to_dict()})


def terms_of(plan: str, plan_id: str) -> Terms:
    """Of what `plan_to_json` wrote."""
    told = json.loads(plan)
    return Terms(_prices_of(told["prices"]), told["exploration"], plan_id)


def _prices(prices: ShadowPrices) -> dict[str, Any]:
    return {"budget": prices.budget, "interventions": prices.interventions.tolist(), "channels": prices.channels.tolist()}


def _prices_of(told: Mapping[str, Any]) -> ShadowPrices:
    return ShadowPrices(told["budget"], *(np.array(told[name]) for name in ("interventions", "channels")))


def outlook_of(plan: str) -> dict[str, Any]:
    """What the plan was expected to bring, as of `Outlook.to_dict`."""
    told: dict[str, Any] = json.loads(plan)["outlook"]
    return told

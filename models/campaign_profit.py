"""What a campaign on the members of one date may bring, with the response that the engine learned or believes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from models.policy import costs
from models.profit import learned_profit

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.engine import Engine
    from models.profit import MaximumProfit

LEVEL = 0.9


@dataclass(frozen=True)
class CampaignProfit:
    """Expected maximum profit by either ranking (`learned_profit`); `learned` is the share of members whose action's effect was learned."""

    by_risk: MaximumProfit
    by_net_value: MaximumProfit
    learned: float

    def to_dict(self) -> dict[str, Any]:
        told = {"by_risk": self.by_risk, "by_net_value": self.by_net_value}
        return {"learned": self.learned} | {
            name: {"profit": found.profit, "target_share": found.target_share} for name, found in told.items()
        }


def campaign_profit(engine: Engine, features: Floats, risk: Floats) -> CampaignProfit:
    """Each member is offered the action of highest uplift x value - cost; features (n, n_features), risk (n,) of the main horizon."""
    uplift, bounds = engine.uplift.effect(features, risk), engine.uplift.interval(features, risk, LEVEL)
    value = engine.value(features)
    net = uplift * value[:, None] - costs(engine.community)
    own = np.arange(len(net)), np.argmax(net, axis=1)
    spread = value * (bounds.high - bounds.low)[own] / (2 * ndtri((1 + LEVEL) / 2))
    learned = np.array([engine.uplift.source(name) != "prior" for name in engine.uplift.interventions])
    return CampaignProfit(
        by_risk=learned_profit(risk, net[own], spread),
        by_net_value=learned_profit(net[own], net[own], spread),
        learned=float(learned[own[1]].mean()),
    )

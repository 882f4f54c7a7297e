"""How often what was offered is redeemed, from the log and the catalogue's belief."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from scipy.special import betaincinv

from models.community import DAY_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.actions import Intervention
    from models.community import Community

LEVEL = 0.9
_NEAREST = 1e-9


@dataclass(frozen=True)
class RedemptionRate:
    """The share of those to whom an incentive was assigned who redeem it, whether or not they would have stayed without it.

    With a belief of r worth m members, x redeemed of n make it Beta(r m + x, (1 - r) m + n - x): `rate` is its mean, `low` and `high` hold
    LEVEL of it.
    """

    intervention: str
    rate: float
    low: float
    high: float
    assigned: int
    redeemed: int
    belief: float

    @classmethod
    def of(cls, intervention: Intervention, assigned: int, redeemed: int) -> RedemptionRate:
        belief, worth = intervention.redemption_rate, intervention.redemption_evidence
        yes, no = belief * worth + redeemed, (1 - belief) * worth + assigned - redeemed
        low, high = (float(betaincinv(max(yes, _NEAREST), max(no, _NEAREST), share)) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return cls(intervention.id, yes / (yes + no), low, high, assigned, redeemed, belief)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def redemption_rates(touches: pl.DataFrame, community: Community, *, until_us: int) -> tuple[RedemptionRate, ...]:
    """Of each intervention with an incentive, from an EventLog's touches whose offer had ended by `until_us`, delivered or not.

    Where the declaration names no column of responses, and none was reported to the service, nothing is known of redeeming, and the beliefs
    stand.
    """
    offers = [intervention for intervention in community.interventions if intervention.incentive_cost > 0]
    telling = _telling(touches, community)
    return tuple(_rate(telling, offer, until_us) for offer in offers)


def _telling(touches: pl.DataFrame, community: Community) -> pl.DataFrame:
    """The touches whose responses would be known."""
    declared = community.touches is not None and community.touches.response is not None
    if "decision_id" not in touches.columns:
        return touches if declared else touches.clear()
    own = pl.col("decision_id").is_not_null()
    reporting = touches.filter(own & pl.col("response").is_not_null()).height > 0
    return touches.filter((~own & declared) | (own & reporting))


def _rate(touches: pl.DataFrame, offer: Intervention, until_us: int) -> RedemptionRate:
    ended = pl.col("timestamp").to_physical() <= until_us - offer.valid_days * DAY_US
    made = touches.filter((pl.col("intervention").cast(pl.String) == offer.id) & ended)
    redeemed = 0 if made.is_empty() else int((made["response"] == "redeemed").sum())
    return RedemptionRate.of(offer, made.height, redeemed)


def with_redemption(community: Community, rates: Sequence[RedemptionRate]) -> Community:
    """The declaration with these rates in place of its beliefs, so that every cost rests on them."""
    learned = {rate.intervention: rate.rate for rate in rates}
    interventions = tuple(
        each.model_copy(update={"redemption_rate": learned[each.id]}) if each.id in learned else each for each in community.interventions
    )
    return community.model_copy(update={"interventions": interventions})

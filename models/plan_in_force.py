"""A plan that was put in force: what a decision made later, for one member, has to know of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from models.shadow_prices import ShadowPrices, Terms

if TYPE_CHECKING:
    from models.engine import Engine

Standing = Literal["in_force", "expired", "of_another_model", "of_another_catalogue"]
_TIMES = ("as_of", "activated_at", "valid_until")


@dataclass(frozen=True)
class PlanInForce:
    """`planned`: the members of `members` whom each intervention is expected to reach, by its id; empty where that was not kept.

    `interventions` and `channels` name the prices of the capacities, by the catalogue whose fingerprint is `catalogue_fingerprint`.
    """

    plan_id: str
    as_of: datetime
    activated_at: datetime
    valid_until: datetime
    model_version: str
    catalogue_fingerprint: str
    budget: float | None
    expected_spend: float
    exploration: float
    budget_price: float
    interventions: dict[str, float]
    channels: dict[str, float]
    members: float = 0.0
    planned: dict[str, float] = field(default_factory=dict)

    def standing(self, engine: Engine, now: datetime) -> Standing:
        """May its prices be used by this engine now? `valid_until` is the first moment at which they may not."""
        if now >= self.valid_until:
            return "expired"
        if self.model_version != engine.version:
            return "of_another_model"
        return "in_force" if self.catalogue_fingerprint == engine.catalogue_fingerprint else "of_another_catalogue"

    @property
    def terms(self) -> Terms:
        prices = ShadowPrices(self.budget_price, *(np.array(list(by_name.values())) for by_name in (self.interventions, self.channels)))
        return Terms(prices, self.exploration, self.plan_id)

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {name: getattr(self, name).isoformat() for name in _TIMES}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        content = json.loads(text)
        return cls(**content | {name: datetime.fromisoformat(content[name]) for name in _TIMES})

"""Members to plan for, as one table and in parts, and what there is for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.plan_parts import PlanPart, summed
from models.planning import Candidates
from models.supply import Supply

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.arrays import Floats

COSTS = np.array([2.0, 15.0, 0.5])


@dataclass(frozen=True)
class Here:
    """Parts in this process."""

    parts: list[PlanPart]

    def over(self, ask: Callable[[PlanPart], Any]) -> list[Any]:
        return [ask(part) for part in self.parts]

    def total(self, ask: Callable[[PlanPart], Any]) -> Any:
        return summed(self.over(ask))


def members(seed: int, n: int, *, alike: bool = False) -> tuple[Candidates, Floats]:
    """Two channels; some priorities below nothing, a tenth of the candidates refused, one member in fifty with something urgent."""
    rng = np.random.default_rng(seed)
    priority = rng.gamma(1.5, 3.0, (n, 3)) * np.array([1.0, 3.0, 0.4]) - COSTS
    if alike:
        priority = np.round(priority)
    urgent = np.where(rng.random(n) < 0.02, rng.integers(1, 4, n), 0)
    allowed = (rng.random((n, 3)) < 0.9) & ((urgent[:, None] == 0) | (np.arange(1, 4) == urgent[:, None]))
    allowed |= np.arange(1, 4) == urgent[:, None]
    channel = np.where(rng.random((n, 3)) < 0.5, 0, [0, 1, 1])
    return Candidates(priority, np.broadcast_to(COSTS, (n, 3)).copy(), channel, allowed, urgent), rng.random(n)


def cut(candidates: Candidates, draw: Floats, number: int, lots: int | None = None) -> tuple[Here, PlanPart]:
    ids = [f"m{at:06}" for at in range(len(draw))]
    whole = PlanPart.of(ids, [f"d-{one}" for one in ids], candidates, draw)
    if lots is not None:
        whole = whole._replace(lot=np.floor(whole.lot * lots) / lots)
    scattered = np.random.default_rng(1).permutation(len(draw))
    return Here([PlanPart.from_bytes(whole.of_members(rows).to_bytes()) for rows in np.array_split(scattered, number)]), whole


def supply(
    budget: float = np.inf,
    interventions: tuple[float, float, float] = (np.inf, np.inf, np.inf),
    channels: tuple[float, float] = (np.inf, np.inf),
) -> Supply:
    return Supply(budget, np.array(interventions, float), np.array(channels, float), exploration_share=0.1)


SUPPLIES = {
    "money": supply(budget=9_000.0),
    "places": supply(interventions=(900, 120, np.inf)),
    "all": supply(budget=6_000.0, interventions=(2_000, 80, 3_000), channels=(2_500, 1_200)),
    "little": supply(budget=4_000.0, channels=(300, 100)),
}

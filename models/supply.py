"""How much there is to hand out in one run: a budget, and places for interventions and channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import Field

from models.declared import Declared, PositiveDays, Share

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.community import Community

Members = Annotated[int, Field(ge=0)]


class Capacity(Declared):
    """Most members who can be served, by the id of an intervention and by the name of a channel, and most money.

    They hold for one run of a batch, and in the service for every period of `period_days`, which begins at midnight by the community's
    clock. `exploration_share` is the largest part of the budget, and of each of these, that exploration of a batch may be expected to take.
    """

    interventions: dict[str, Members] = {}  # noqa: RUF012 - pydantic copies a default
    channels: dict[str, Members] = {}  # noqa: RUF012 - as above
    budget: Annotated[float, Field(ge=0)] | None = None
    period_days: PositiveDays = 1
    exploration_share: Share = 0.1


@dataclass(frozen=True)
class Supply:
    """interventions (k,), channels (n_channels,): members, infinite where there is no limit; budget: money, infinite likewise."""

    budget: float
    interventions: Floats
    channels: Floats
    exploration_share: float

    @classmethod
    def of(cls, community: Community, capacity: Capacity, budget: float | None) -> Self:
        """In the order of the community's catalogue and channels; what it does not have is left out."""
        return cls(
            budget=np.inf if budget is None else budget,
            interventions=np.array([capacity.interventions.get(arm.id, np.inf) for arm in community.interventions], dtype=np.float64),
            channels=np.array([capacity.channels.get(name, np.inf) for name in community.channels], dtype=np.float64),
            exploration_share=capacity.exploration_share,
        )

    @property
    def limits(self) -> Floats:
        """Shape (1 + k + n_channels,)."""
        return np.concatenate([[self.budget], self.interventions, self.channels])

    @property
    def endless(self) -> bool:
        return not np.isfinite(self.limits).any()

"""What money and places are worth under a plan, and so what a candidate has to bring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Floats, Integers


class Charge(NamedTuple):
    """What is charged for a candidate's cost and for its places, in money; shape (n_members, n_interventions)."""

    money: Floats
    place: Floats

    @property
    def total(self) -> Floats:
        return self.money + self.place


@dataclass(frozen=True)
class ShadowPrices:
    """What one unit more would bring: of the budget, of each intervention's capacity (k,), of each channel's (n_channels,)."""

    budget: float
    interventions: Floats
    channels: Floats

    @classmethod
    def of(cls, resources: Floats, n_interventions: int) -> Self:
        """From prices of all resources, shape (1 + k + n_channels,): the budget, then the interventions, then the channels."""
        return cls(float(resources[0]), resources[1 : 1 + n_interventions], resources[1 + n_interventions :])

    @property
    def resources(self) -> Floats:
        return np.concatenate([[self.budget], self.interventions, self.channels])

    def charge(self, cost: Floats, channel: Integers) -> Charge:
        """Price x use, for cost and channel of shape (n, k). Channels beyond those that have a price cost nothing."""
        by_channel = self._by_channel.take(channel, mode="clip")
        return Charge(self.budget * cost, self.interventions + by_channel)

    @cached_property
    def _by_channel(self) -> Floats:
        return np.append(self.channels, 0.0)


@dataclass(frozen=True)
class Terms:
    """What a plan, named by `plan_id`, asks of a decision: its prices, and its exploration where that is not the policy's own."""

    prices: ShadowPrices
    exploration: float | None = None
    plan_id: str | None = None

    def exploration_or(self, declared: float) -> float:
        return declared if self.exploration is None else self.exploration


FREE = Terms(ShadowPrices(0.0, np.zeros(1), np.empty(0)))

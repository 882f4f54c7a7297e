"""What may be offered to whom: worth, cost and channel of each candidate, and what members would take at given prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.dual import Demand
from models.intervals import dot

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers

CHUNK = 32_768
NOBODY = -1


@dataclass(frozen=True)
class Offers:
    """Arrays of shape (k, n_members), interventions first, so that one of them is contiguous.

    value: -inf where not allowed; channel: positions in the channels, None where they have no capacity; weight (n_members,) multiplies
    value, cost and use. A resource is the budget, an intervention's capacity or a channel's, in that order, r = 1 + k + n_channels.
    """

    value: Floats
    cost: Floats
    weight: Floats
    channel: Integers | None
    n_channels: int

    @property
    def n_members(self) -> int:
        return int(self.value.shape[1])

    @property
    def n_interventions(self) -> int:
        return int(self.value.shape[0])

    def of_members(self, members: slice | Integers) -> Offers:
        channel = None if self.channel is None else self.channel[:, members]
        return Offers(self.value[:, members], self.cost[:, members], self.weight[members], channel, self.n_channels)

    def chunks(self) -> Iterator[slice]:
        return (slice(begin, begin + CHUNK) for begin in range(0, self.n_members, CHUNK))

    def priced(self, prices: Floats, intervention: int) -> Floats:
        """What is left of the value after price x use, for a member that counts as 1; shape (n_members,); prices (r,)."""
        left: Floats = self.value[intervention] - prices[0] * self.cost[intervention]
        left -= prices[1 + intervention]
        if self.channel is not None:
            left -= prices[1 + self.n_interventions + self.channel[intervention]]
        return left

    def picks(self, prices: Floats) -> Picks:
        """The best of each member at these prices: first of equals, none where nothing is left above 0."""
        picks = Picks(np.empty(self.n_members, np.int16), np.empty(self.n_members))
        for chunk in self.chunks():
            _pick(self.of_members(chunk), prices, Picks(picks.choice[chunk], picks.surplus[chunk]))
        return picks

    def demand(self, prices: Floats) -> Demand:
        """One pass in chunks that fit the processor's cache."""
        total = Demand(0.0, np.zeros(len(prices)))
        for chunk in self.chunks():
            part = self.of_members(chunk)
            picks = part.picks(prices)
            total += Demand(float(dot(part.weight, picks.surplus)), part.used(picks.choice))
        return total

    def regret(self, prices: Floats, choice: Integers) -> Floats:
        """How much more a member has at these prices from `choice` than from the best of all else, nothing included; shape (n_members,)."""
        chosen = np.where(choice == NOBODY, 0.0, -np.inf)
        otherwise = np.where(choice == NOBODY, -np.inf, 0.0)
        for intervention in range(self.n_interventions):
            left = self.priced(prices, intervention)
            mine = choice == intervention
            np.copyto(chosen, left, where=mine)
            np.maximum(otherwise, left, out=otherwise, where=~mine)
        return chosen - otherwise

    def used(self, choice: Integers) -> Floats:
        """Of each resource, shape (r,); choice (n_members,): -1 for none."""
        members = np.flatnonzero(choice != NOBODY)
        chosen, weight = choice[members], self.weight[members]
        used = np.zeros(1 + self.n_interventions + self.n_channels)
        used[0] = dot(weight, self.cost[chosen, members])
        used[1 : 1 + self.n_interventions] = np.bincount(chosen, weight, self.n_interventions)
        if self.channel is not None:
            used[1 + self.n_interventions :] = np.bincount(self.channel[chosen, members], weight, self.n_channels)
        return used

    def worth(self, choice: Integers) -> float:
        members = np.flatnonzero(choice != NOBODY)
        return float(dot(self.weight[members], self.value[choice[members], members]))

    def affords(self, left: Floats) -> Flags:
        """Which candidates the money that is left would pay, one at a time, shape (k, n_members); `left` (r,) or (r, n_members)."""
        enough: Flags = self.cost * self.weight <= np.maximum(left[0], 0)
        return enough

    def fits(self, left: Floats) -> Flags:
        """Which candidates all that is left would suffice for; shapes as for `affords`."""
        interventions, channels = np.split(np.maximum(left[1:], 0), [self.n_interventions])
        suffices = self.affords(left)
        suffices &= self.weight <= (interventions[:, None] if left.ndim == 1 else interventions)
        if self.channel is not None:
            by_channel = channels[self.channel] if left.ndim == 1 else channels[self.channel, np.arange(self.n_members)]
            suffices &= self.weight <= by_channel
        return suffices


@dataclass(frozen=True)
class Picks:
    """Of each member (n,): the best intervention or -1, and what it leaves above nothing."""

    choice: Integers
    surplus: Floats


def _pick(offers: Offers, prices: Floats, into: Picks) -> None:
    into.choice[:] = NOBODY
    into.surplus[:] = 0
    for intervention in range(offers.n_interventions):
        left = offers.priced(prices, intervention)
        better = left > into.surplus
        np.copyto(into.surplus, left, where=better)
        into.choice[better] = intervention

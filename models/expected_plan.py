"""The best plan in expectation: what every stratum is to get, divided where it pays, at prices that balance money and places."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from models.dual import Demand, Known, minimise_dual
from models.planning import room_of
from models.policy import with_urgent
from models.shadow_prices import ShadowPrices

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.offers import Offers
    from models.planning import Candidates, Room
    from models.strata import Strata
    from models.supply import Supply


FINE, COARSE = 1e-6, 1e-4
REMEMBERED = 20
"""Prices that are tried again for another plan."""


@dataclass(frozen=True)
class ExpectedPlan:
    """meant, expected (s, 1 + k): the shares of each stratum that are to get each action, `none` first, without and with exploration.

    `exploration`: the least probability of every open action. `bound`: what no plan for these strata exceeds, `value` what this one has.
    """

    prices: ShadowPrices
    exploration: float
    meant: Floats
    expected: Floats
    value: float
    bound: float

    @property
    def gap(self) -> float:
        return max(0.0, (self.bound - self.value) / self.bound) if self.bound > 0 else 0.0


@dataclass(frozen=True)
class _Taken:
    """At some prices: choice (s,), -1 for none; surplus (k + 2,) and use (k + 2, r) of the strata with so many actions."""

    prices: Floats
    choice: Integers
    surplus: Floats
    use: Floats


@dataclass(frozen=True)
class _Market:
    """What strata with the same offers would take, remembered for all prices that were asked about; number (s,) as of a Room."""

    offers: Offers
    members: Floats
    number: Integers
    asked: dict[bytes, _Taken] = field(default_factory=dict)

    def at(self, prices: Floats) -> _Taken:
        found = self.asked.get(prices.tobytes())
        if found is None:
            found = self.asked[prices.tobytes()] = self._take(prices)
        return found

    def _take(self, prices: Floats) -> _Taken:
        picks = self.offers.picks(prices)
        most, k, taken = self.offers.n_interventions + 2, self.offers.n_interventions, np.flatnonzero(picks.choice >= 0)
        choice, number, members = picks.choice[taken].astype(np.int64), self.number[taken], self.members[taken]
        use = np.zeros((most, 1 + k + self.offers.n_channels))
        use[:, 0] = np.bincount(number, members * self.offers.cost[choice, taken], most)
        use[:, 1 : 1 + k] = np.bincount(number * k + choice, members, most * k).reshape(most, k)
        if self.offers.channel is not None:
            channels = self.offers.n_channels
            at = number * channels + self.offers.channel[choice, taken]
            use[:, 1 + k :] = np.bincount(at, members, most * channels).reshape(most, channels)
        surplus = np.bincount(self.number, self.members * picks.surplus, most).astype(np.float64)
        return _Taken(prices, picks.choice, surplus, use)

    def known(self, weight: Floats, limits: Floats) -> list[Known]:
        """Of what was asked before, what lies lowest in the dual of these limits."""
        told = [Known(taken.prices, self.demand(taken.prices, weight)) for taken in self.asked.values()]
        bound = np.isfinite(limits)
        within = [one for one in told if not one.prices[~bound].any()]
        return sorted(within, key=lambda one: one.demand.surplus + float(one.prices[bound] @ limits[bound]))[:REMEMBERED]

    def demand(self, prices: Floats, weight: Floats) -> Demand:
        """`weight` (k + 2,): by the number of actions, what exploration leaves of each choice."""
        taken = self.at(prices)
        return Demand(float(weight @ taken.surplus), weight @ taken.use)


@dataclass(frozen=True)
class Planner:
    """Plans for the same strata under one supply after another, to a relative `tolerance`: what was asked for one plan serves the next.

    So the last digits of a plan, within the tolerance, depend on the plans before it.
    """

    strata: Strata
    exploration: float
    tolerance: float = FINE
    markets: dict[bytes, _Market] = field(default_factory=dict)

    def plan(self, supply: Supply) -> ExpectedPlan:
        """The optimum of the linear programme of `plan_jointly`, in which members are divided where whole ones would leave something over.

        Its choices are those of members who choose by one of the dual's quotes, each quote followed by its share; so all limits are kept.
        """
        candidates, members = self.strata.candidates, self.strata.members
        room = room_of(candidates, supply, self.exploration, members)
        market = self._market(room, len(supply.channels))
        actions = np.arange(candidates.cost.shape[1] + 2)
        weight = np.maximum(1 - actions * np.minimum(room.least, 1 / np.maximum(actions, 1)), 0.0)
        known = market.known(weight, room.rest)
        dual = minimise_dual(lambda prices: market.demand(prices, weight), room.rest, known=known, tolerance=self.tolerance)
        meant = np.zeros((len(members), 1 + candidates.cost.shape[1]))
        for quote in dual.quotes:
            meant[np.arange(len(members)), 1 + market.at(quote.prices).choice.astype(np.int64)] += quote.share
        worth = np.where(room.worth_it, candidates.priority, 0.0)
        return ExpectedPlan(
            prices=ShadowPrices.of(dual.prices, candidates.cost.shape[1]),
            exploration=room.least,
            meant=meant,
            expected=with_urgent(_explored(room, meant), candidates.urgent),
            value=float(((members * room.weight)[:, None] * meant[:, 1:] * worth).sum()),
            bound=dual.bound,
        )

    def _market(self, room: Room, n_channels: int) -> _Market:
        key = np.packbits(np.stack([room.worth_it, room.open_now])).tobytes()
        if key not in self.markets:
            self.markets[key] = _Market(_offers(self.strata.candidates, room, n_channels), self.strata.members, room.number)
        return self.markets[key]


def _offers(candidates: Candidates, room: Room, n_channels: int) -> Offers:
    return replace(candidates, allowed=room.worth_it).offers(np.ones(len(room.weight)), n_channels)


def _explored(room: Room, meant: Floats) -> Floats:
    """Each open action its least probability, and the rest to what is meant."""
    open_too = np.column_stack([np.ones(len(meant), dtype=bool), room.open_now])
    explored: Floats = open_too * room.floor[:, None] + room.weight[:, None] * meant
    return explored

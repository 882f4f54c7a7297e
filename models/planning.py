"""One plan for all members: who is meant to get what, and what each then gets while money and places last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.allocation import Plan, plan_of
from models.interventions import Refusals
from models.offers import NOBODY, Offers
from models.policy import OUTBID, arbitration_refusals, choose, propensities, with_urgent
from models.rationing import Turn, ration, with_slack
from models.rounding import best_fitting
from models.shadow_prices import Charge

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.shadow_prices import ShadowPrices
    from models.supply import Supply
    from models.weighing import Weighed


@dataclass(frozen=True)
class Candidates:
    """What may be done for all members and what it is worth; shape (n_members, k). channel: positions in the community's channels.

    urgent (n_members,): 1 + position of what has to be sent whatever it is worth, 0 for nothing.
    """

    priority: Floats
    cost: Floats
    channel: Integers
    allowed: Flags
    urgent: Integers

    @classmethod
    def of(cls, weighed: Weighed) -> Self:
        """As they stand before arbitration."""
        return cls(weighed.priority, weighed.cost, weighed.channel, weighed.allowed, weighed.urgent)

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Of the members of all parts, one after the other."""
        names = ("priority", "cost", "channel", "allowed", "urgent")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __getitem__(self, members: Flags | Integers | slice) -> Self:
        return type(self)(self.priority[members], self.cost[members], self.channel[members], self.allowed[members], self.urgent[members])

    def put(self, members: Integers, others: Candidates) -> Self:
        """With those of these members in place of theirs."""
        columns = {name: column.copy() for name, column in vars(self).items()}
        for name, column in columns.items():
            column[members] = getattr(others, name)
        return type(self)(**columns)

    @property
    def sent(self) -> Flags:
        """What is urgent, shape (n_members, k)."""
        sent: Flags = np.arange(1, self.cost.shape[1] + 1) == self.urgent[:, None]
        return sent

    @property
    def weighed(self) -> Candidates:
        """Without what is urgent, which no plan weighs."""
        return replace(self, allowed=self.allowed & ~self.sent)

    @property
    def rounded(self) -> Candidates:
        """Priorities that differ by less than 6e-8 of themselves as equal: what a sum rounds to depends on who was weighed together."""
        return replace(self, priority=self.priority.astype(np.float32).astype(np.float64))

    def offers(self, weight: Floats, n_channels: int) -> Offers:
        value = np.where(self.allowed, self.priority, -np.inf)
        columns = (np.ascontiguousarray(column.T) for column in (value, self.cost, self.channel))
        return Offers(next(columns), next(columns), weight, next(columns) if n_channels else None, n_channels)


@dataclass(frozen=True)
class JointPlan:
    """`plan` is for what exploration leaves; `exploration`: the least probability of every allowed action while this plan is followed.

    expected (n_members, 1 + k): the probability of each action, `none` first, as long as money and places last.
    """

    plan: Plan
    exploration: float
    expected: Floats

    @property
    def meant(self) -> Floats:
        """The plan's choice, as a probability of 1."""
        meant: Floats = (np.arange(self.expected.shape[1]) == 1 + self.plan.choice[:, None]).astype(np.float64)
        return meant

    @property
    def gap(self) -> float:
        return self.plan.gap


def plan_jointly(candidates: Candidates, supply: Supply, exploration: float) -> JointPlan:
    """The plan of highest priority, in expectation within the supply, exploration counted in full.

    Of equal members the first ones are served: whoever wants the same plan again gives them in the order of their ids.

    With e the least probability and m actions of a member, doing nothing among them, each has e and the plan's choice 1 - (m - 1) e. So
    the exploration's part of the money and the places is known beforehand and taken off, and a choice counts 1 - m e. What is urgent is
    taken off before that, even where it is more than there is.
    """
    room, weighed = room_of(candidates, supply, exploration), candidates.weighed
    worth_it = replace(weighed.rounded, allowed=room.worth_it)
    plan = plan_of(worth_it.offers(room.weight, len(supply.channels)), room.rest)
    return JointPlan(plan, room.least, with_urgent(propensities(1 + plan.choice, room.open_now, room.least), candidates.urgent))


@dataclass(frozen=True)
class Room:
    """What exploration and all that is urgent leave to plan with.

    open_now (n, k): what fits, be it worth it or not; worth_it (n, k): of it what is; least: the least probability of each that is open;
    weight (n,): what that leaves to the plan's choice; rest (r,): what is left of each resource.
    """

    open_now: Flags
    worth_it: Flags
    least: float
    weight: Floats
    rest: Floats

    @property
    def number(self) -> Integers:
        """Actions of each member, doing nothing among them, shape (n,)."""
        number: Integers = 1 + self.open_now.sum(axis=1)
        return number

    @property
    def floor(self) -> Floats:
        """Shape (n,): the least probability of each of a member's actions."""
        return np.minimum(self.least, 1 / self.number)


def room_of(candidates: Candidates, supply: Supply, exploration: float, members: Floats | float = 1.0) -> Room:
    """`members` (n,): how many each row stands for."""
    limits, count = _limits(candidates, supply, members), np.broadcast_to(members, len(candidates.allowed))[:, None]
    candidates = candidates.weighed
    whole = candidates.offers(np.ones(len(candidates.allowed)), len(supply.channels))
    open_now = candidates.allowed & whole.fits(with_slack(limits)).T
    least = exploration_of(_use(candidates, open_now * count, supply), limits, supply.exploration_share, exploration)
    number = 1 + open_now.sum(axis=1)
    floor = np.minimum(least, 1 / number)
    return Room(
        open_now=open_now,
        worth_it=open_now & (candidates.priority > 0),
        least=least,
        weight=np.maximum(1 - number * floor, 0.0),
        rest=np.maximum(limits - _use(candidates, open_now * floor[:, None] * count, supply), 0.0),
    )


def _limits(candidates: Candidates, supply: Supply, members: Floats | float = 1.0) -> Floats:
    """What is left of the supply when all that is urgent has been sent, shape (r,)."""
    count = np.broadcast_to(members, len(candidates.urgent))[:, None]
    return np.maximum(supply.limits - _use(candidates, candidates.sent * count, supply), 0.0)


def exploration_of(use: Floats, limits: Floats, share: float, declared: float) -> float:
    """The declared probability, or less, so that what is explored stays within its share; use (r,): what one of each candidate takes."""
    asked = (use > 0) & np.isfinite(limits)
    return min(declared, float((share * limits[asked] / use[asked]).min(initial=np.inf)))


def _use(candidates: Candidates, probability: Floats, supply: Supply) -> Floats:
    """Of each resource, shape (r,), where each candidate is taken with its probability, (n_members, k)."""
    channels = np.bincount(candidates.channel.ravel(), probability.ravel(), len(supply.channels))
    return np.concatenate([[(probability * candidates.cost).sum()], probability.sum(axis=0), channels])


@dataclass(frozen=True)
class Settled:
    """What came of a plan: propensity (n, 1 + k); best and chosen (n,), 0 for none; outbid (n, k): 0, or 1 + position in OUTBID."""

    propensity: Floats
    best: Integers
    chosen: Integers
    outbid: Integers

    def __getitem__(self, members: slice) -> Self:
        return type(self)(self.propensity[members], self.best[members], self.chosen[members], self.outbid[members])


def settle(candidates: Candidates, joint: JointPlan, supply: Supply, draw: Floats) -> Settled:
    """Members draw in turn, those first who would lose most without their choice, among what money and places still suffice for.

    So nothing is ever exceeded, and each propensity is exact given those who came before. Where the plan's choice fits no more it is
    the best that does.
    """
    limits, certain = _limits(candidates, supply), candidates
    candidates = candidates.weighed.rounded
    offers = candidates.offers(np.ones(len(draw)), len(supply.channels))
    choice, prices = joint.plan.choice, joint.plan.shadow_prices.resources
    propensity, best = np.empty((len(draw), 1 + offers.n_interventions)), np.empty(len(draw), np.int64)
    stood = np.empty(candidates.allowed.shape, dtype=bool)

    def take(turn: Turn) -> Integers:
        stand = standing(turn, choice[turn.members], prices, joint.exploration)
        propensity[turn.members], best[turn.members], stood[turn.members] = stand.propensity, stand.best, turn.fits.T
        return choose(stand.propensity, draw[turn.members]) - 1

    order = np.lexsort((-offers.regret(prices, choice), choice == NOBODY))
    served = ration(offers, order, with_slack(limits), take)
    chosen = np.zeros(len(draw), np.int64)
    chosen[order] = 1 + served.taken
    by_money = np.where(offers.affords(served.left).T, 2, 1)
    best, chosen = (np.where(certain.urgent > 0, certain.urgent, action) for action in (best, chosen))
    return Settled(with_urgent(propensity, certain.urgent), best, chosen, np.where(candidates.allowed & ~stood, by_money, 0))


class Standing(NamedTuple):
    """Of members when their turn comes: propensity (m, 1 + k), and the best that fits, (m,), 0 for none."""

    propensity: Floats
    best: Integers


def standing(turn: Turn, meant: Integers, prices: Floats, exploration: float) -> Standing:
    """`meant` (m,): the plan's choice."""
    granted = (meant != NOBODY) & turn.fits[meant, np.arange(len(meant))]
    best = 1 + np.where(granted, meant, best_fitting(turn, prices, least=0.0))
    best[meant == NOBODY] = 0
    return Standing(propensities(best, turn.fits.T, exploration), best)


def settled(weighed: Weighed, prices: ShadowPrices, outcome: Settled) -> Weighed:
    """What was weighed for some members, with what came of the plan for them.

    What the plan allowed and is allowed no longer is not done: its probability is that of doing nothing, which is exact, for what is drawn
    stays as it was. What has become urgent since is done.
    """
    charge = Charge(*prices.charge(weighed.cost, weighed.channel))
    standing = Refusals(weighed.refusals.rules, np.where(weighed.allowed, 0, weighed.refusals.code))
    left = standing.then(Refusals(OUTBID, outcome.outbid))
    planned = outcome.propensity[:, 1:]
    lost = np.where(weighed.allowed, 0.0, planned)
    propensity = with_urgent(np.column_stack([outcome.propensity[:, 0] + lost.sum(axis=1), planned - lost]), weighed.urgent)
    return replace(
        weighed,
        charge=charge,
        allowed=left.allowed,
        refusals=left.then(arbitration_refusals(propensity, weighed.priority, charge)),
        propensity=propensity,
        best=_still(outcome.best, weighed),
        chosen=_still(outcome.chosen, weighed),
    )


def _still(action: Integers, weighed: Weighed) -> Integers:
    """The action where it is allowed, 0 elsewhere; what is urgent before all."""
    column = np.maximum(action - 1, 0)
    allowed = weighed.allowed[np.arange(len(action)), column]
    return np.where(weighed.urgent > 0, weighed.urgent, np.where(allowed, action, 0))

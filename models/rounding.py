"""From prices to a whole assignment that keeps every limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.offers import NOBODY
from models.rationing import Take, Turn, ration, with_slack

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.dual import Dual
    from models.offers import Offers

GOLDEN = (5**0.5 - 1) / 2


def rounded(offers: Offers, dual: Dual, limits: Floats) -> Integers:
    """Members choose by the prices, are admitted while there is room, and what is left is handed out; shape (n_members,), -1 for none."""
    return _filled(offers, _admitted(offers, _by_quotes(offers, dual), limits, dual.prices), limits, dual.prices)


def _by_quotes(offers: Offers, dual: Dual) -> Integers:
    """Each member's pick by one of the quotes. Those whose pick depends on the quote are dealt out by its share.

    The multiples of the golden ratio, taken modulo 1, deal evenly over any stretch of members.
    """
    picks = np.stack([offers.picks(quote.prices).choice for quote in dual.quotes])
    tied = np.flatnonzero((picks != picks[0]).any(axis=0))
    upto = np.cumsum([quote.share for quote in dual.quotes])[:-1]
    quote = np.searchsorted(upto, np.arange(1, len(tied) + 1) * GOLDEN % 1, side="right")
    choice: Integers = picks[0].astype(np.int64)
    choice[tied] = picks[quote, tied]
    return choice


def _admitted(offers: Offers, wanted: Integers, limits: Floats, prices: Floats) -> Integers:
    """Who loses most without what is `wanted` comes first. Where that fits no more, it is the best that does and is worth these prices."""
    members = np.flatnonzero(wanted != NOBODY)
    order = members[np.argsort(-offers.regret(prices, wanted)[members], kind="stable")]

    def take(turn: Turn) -> Integers:
        mine = wanted[turn.members]
        granted = turn.fits[mine, np.arange(len(mine))]
        return np.where(granted, mine, best_fitting(turn, prices, least=0.0))

    return _in_turn(offers, order, np.full(offers.n_members, NOBODY), limits, take)


def _filled(offers: Offers, choice: Integers, limits: Floats, prices: Floats) -> Integers:
    """Members who have nothing get what still fits, first those who leave most above the prices, be that below 0."""
    left = with_slack(limits) - offers.used(choice)
    empty = np.flatnonzero(choice == NOBODY)
    open_to = offers.of_members(empty)
    empty = empty[(open_to.fits(left) & (open_to.value > -np.inf)).any(axis=0)]
    nearest = np.max([offers.of_members(empty).priced(prices, arm) for arm in range(offers.n_interventions)], axis=0, initial=-np.inf)
    order = empty[np.argsort(-nearest, kind="stable")]
    return _in_turn(offers, order, choice, limits, lambda turn: best_fitting(turn, prices))


def best_fitting(turn: Turn, prices: Floats, least: float = -np.inf) -> Integers:
    """The candidate that fits and leaves most above the prices, -1 where that is not above `least`."""
    best, choice = np.full(len(turn.members), least), np.full(len(turn.members), NOBODY)
    for intervention in range(turn.offers.n_interventions):
        left = np.where(turn.fits[intervention], turn.offers.priced(prices, intervention), -np.inf)
        better = left > best
        np.copyto(best, left, where=better)
        choice[better] = intervention
    return choice


def _in_turn(offers: Offers, order: Integers, choice: Integers, limits: Floats, take: Take) -> Integers:
    left = with_slack(limits) - offers.used(choice)
    after = choice.copy()
    after[order] = ration(offers, order, left, take).taken
    return after

"""One after the other, each gets what it would while there is enough: uses never exceed what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.offers import NOBODY

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.offers import Offers

FIRST_BLOCK, LONGEST_BLOCK = 512, 65_536
SLACK = 1e-9


class Turn(NamedTuple):
    """Members in their order, shape (m,), their offers, and which of them there is still enough for when their turn comes, (k, m)."""

    members: Integers
    offers: Offers
    fits: Flags


Take = Callable[[Turn], "Integers"]


class Rationed(NamedTuple):
    """What each took, in their order, shape (m,): intervention or -1; and what is left of each resource, shape (r,)."""

    taken: Integers
    left: Floats


def with_slack(limits: Floats) -> Floats:
    """A relative 1e-9 more, for sums of money round."""
    return limits * (1 + SLACK)


def ration(offers: Offers, order: Integers, left: Floats, take: Take) -> Rationed:
    """`take` says what the members of a turn take of what fits: intervention or -1, shape (m,).

    It is asked for a block of members with what fits at its beginning. Its answer holds up to the first member for whom something that is
    allowed fits no more; from there on it is asked again. So what it says of a member must follow from that member and what fits alone.
    """
    taken = np.full(len(order), NOBODY)
    begin, length = 0, FIRST_BLOCK
    while begin < len(order):
        block = order[begin : begin + length]
        part = offers.of_members(block)
        allowed = part.value > -np.inf
        fits = part.fits(left) & allowed
        asked = take(Turn(block, part, fits))
        before = _left_before(part, asked, left)
        changed = ((part.fits(before[:, :-1]) & allowed) != fits).any(axis=0)
        held = int(np.argmax(changed)) if changed.any() else len(block)
        taken[begin : begin + held] = asked[:held]
        left, begin = before[:, held], begin + held
        length = min(2 * length, LONGEST_BLOCK) if held == len(block) else max(2 * held, FIRST_BLOCK)
    return Rationed(taken, left)


def _left_before(offers: Offers, taken: Integers, left: Floats) -> Floats:
    """What is left of each resource before each member's turn and after the last, shape (r, m + 1)."""
    members = np.flatnonzero(taken != NOBODY)
    chosen, weight = taken[members], offers.weight[members]
    used = np.zeros((len(left), len(taken) + 1))
    used[0, 1 + members] = weight * offers.cost[chosen, members]
    used[1 + chosen, 1 + members] = weight
    if offers.channel is not None:
        used[1 + offers.n_interventions + offers.channel[chosen, members], 1 + members] = weight
    remaining: Floats = left[:, None] - np.cumsum(used, axis=1)
    return remaining

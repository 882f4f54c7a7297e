"""One intervention against doing nothing, of decisions that were drawn with known chances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.doubly_robust import scores_of
from models.errors import NotEnoughData
from models.measured import mean_of, ratio_of
from models.score_interval import Shares
from models.small_arms import FEWEST, HARDLY_SKEWED, MOST_SKEWED, Balance, SmallArm, of_shares
from models.two_arms import ALPHA, Compared

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.intervals import Members
    from models.measured import Measured

NONE, ARM, OTHER = 0, 1, 2


@dataclass(frozen=True)
class Drawn:
    """Decisions that could have been either, arrays of shape (n,): what was assigned, and the chances of the two.

    `members` tells which decisions are of one member, or of one group.
    """

    assigned: Integers
    outcome: Floats
    none: Floats
    chance: Floats
    members: Members

    def weights(self, arm: int) -> Floats:
        """Of each decision, the inverse of its chance where it was this arm."""
        weight: Floats = (self.assigned == arm) / (self.none if arm == NONE else self.chance)
        return weight

    def mean(self, arm: int) -> Measured:
        """Raises NotEnoughData where one member holds all the weight."""
        weight = self.weights(arm)
        return ratio_of(weight * self.outcome, weight, self.members)


def compare_drawn(drawn: Drawn, *, share: bool) -> Compared | SmallArm | None:
    """The mean doubly robust score, with the weighted means of both arms as what is expected; errors by member, or group.

    None where one member holds all the weight, or nothing varies. Where few members, or uneven weights, do not bear that, `share`s of 0 and
    1 by the score interval of as many members as their weights are worth, as if each had all its decisions in one arm; else nothing.
    """
    try:
        control, treated = (drawn.mean(arm).value for arm in (NONE, ARM))
        expected = np.tile([control, treated, 0.0], (len(drawn.outcome), 1))
        chances = np.column_stack([drawn.none, drawn.chance, 1 - drawn.none - drawn.chance])
        gap = mean_of(scores_of(drawn.assigned, drawn.outcome, chances, expected).score[:, 0], drawn.members)
    except NotEnoughData:
        return None
    if gap.standard_error == 0:
        return None
    balance = _balance(drawn, control, treated)
    if balance.bears(HARDLY_SKEWED if share else MOST_SKEWED, FEWEST):
        return Compared(len(drawn.outcome), treated, control, gap.interval(1 - ALPHA), None, gap.p)
    if share:
        return of_shares(Shares(treated, balance.members, control, balance.control_members), len(drawn.outcome))
    smaller = ARM if balance.members < balance.control_members else NONE
    return SmallArm(treated, control, balance.needed(int((drawn.assigned == smaller).sum()), FEWEST))


def _balance(drawn: Drawn, control: float, treated: float) -> Balance:
    weight, other = (drawn.members.sums(drawn.weights(arm)) for arm in (ARM, NONE))
    residual, of_control = (drawn.outcome[drawn.assigned == arm] - mean for arm, mean in ((ARM, treated), (NONE, control)))
    return Balance.of(weight, other, residual, of_control)

"""Who draws when money and places run low, told for members who lie apart: the moments at which something no longer suffices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.offers import NOBODY
from models.plan_parts import Calls, PlanPart, sorted_by, turn_key
from models.planning import Settled, standing
from models.policy import choose, with_urgent
from models.rationing import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Floats, Integers
    from models.offers import Offers
    from models.plan_parts import Answer, Everyone
    from models.planning import Standing


@dataclass(frozen=True)
class Followed:
    """A plan as each part follows it: by prices, and where the call was close as it was decided for all. decided: choices by id.

    keys (t,): from which turn on there is no more than left (t, r), and of members who have the same turn from which id on, `firsts`;
    end (r,): what is left in the end, None while turns are sought.
    """

    calls: Calls
    decided: Mapping[str, int]
    keys: np.ndarray
    left: Floats
    firsts: tuple[str, ...] = ("",)
    end: Floats | None = None

    def turns(self, part: PlanPart) -> Turns:
        candidates = part.candidates.weighed.rounded
        offers = candidates.offers(np.ones(len(part.draw)), len(self.calls.terms.supply.channels))
        choice = self._choice(part)
        key = turn_key(offers.regret(self.calls.prices, choice), choice, part.lot)
        fits = offers.fits(self.left[self._at(key, part)].T) & (offers.value > -np.inf)
        turn = Turn(np.arange(len(key)), offers, fits)
        stand = standing(turn, choice, self.calls.prices, self.calls.terms.least)
        return Turns(key, offers, fits, stand, choose(stand.propensity, part.draw))

    def _at(self, key: np.ndarray, part: PlanPart) -> Integers:
        """Which of `keys` each member has reached, shape (n,)."""
        at = np.searchsorted(self.keys, key, side="right") - 1
        for row in np.flatnonzero(self.keys[at] == key).tolist():
            while self.keys[at[row]] == key[row] and part.ids[row] < self.firsts[at[row]]:
                at[row] -= 1
        return at

    def _choice(self, part: PlanPart) -> Integers:
        offers = self.calls.terms.of(part).offers(self.calls.rest)
        choice, close = self.calls.choice(part, offers), np.flatnonzero(self.calls.close(part, offers))
        choice[close] = [self.decided[part.ids[row]] for row in close.tolist()]
        return choice

    def outcome(self, part: PlanPart) -> Settled:
        """As `planning.settle` tells of all."""
        told, urgent = self.turns(part), part.candidates.urgent
        by_money = np.where(told.offers.affords(self.left[-1] if self.end is None else self.end).T, 2, 1)
        best, chosen = (np.where(urgent > 0, urgent, action) for action in (told.stand.best, told.chosen))
        stood = told.fits.T | ~(told.offers.value > -np.inf).T
        return Settled(with_urgent(told.stand.propensity, urgent), best, chosen, np.where(stood, 0, by_money))

    def then(self, key: int, first: str, left: Floats) -> Self:
        """From this turn on, and of those who have it from this id on, no more is left than that."""
        return replace(self, keys=np.append(self.keys, np.uint64(key)), left=np.vstack([self.left, left]), firsts=(*self.firsts, first))


class Turns(NamedTuple):
    """Of the members of a part: key (n,); fits (k, n); chosen (n,), 0 for none."""

    key: np.ndarray
    offers: Offers
    fits: Flags
    stand: Standing
    chosen: Integers

    @property
    def used(self) -> Floats:
        """What each takes of each resource, shape (n, r)."""
        taken = self.chosen - 1
        members = np.flatnonzero(taken != NOBODY)
        k, used = self.offers.n_interventions, np.zeros((len(taken), 1 + self.offers.n_interventions + self.offers.n_channels))
        used[members, 0] = self.offers.cost[taken[members], members]
        used[members, 1 + taken[members]] = 1.0
        if self.offers.channel is not None:
            used[members, 1 + k + self.offers.channel[taken[members], members]] = 1.0
        return used

    def used_by(self, edges: np.ndarray, begin: int) -> Floats:
        """Between edges (b,) of keys, of the turns from `begin` on, shape (b - 1, r)."""
        rows = self.key >= np.uint64(begin)
        place = np.searchsorted(edges, self.key[rows], side="right") - 1
        return np.column_stack([np.bincount(place, column, len(edges) - 1) for column in self.used[rows].T])


def suffices(costs: Floats, left: Floats) -> Flags:
    """Which interventions one more of can be paid, and of which places one is left: shape (n, k + r - 1) for costs (k,) and left (n, r)."""
    return np.column_stack([costs <= np.maximum(left[:, :1], 0), left[:, 1:] >= 1])


@dataclass(frozen=True)
class AskKeys:
    """Every so-manieth of the keys, so that about `most` of all come back."""

    followed: Followed
    share: float

    def __call__(self, part: PlanPart) -> Answer:
        key = np.sort(self.followed.turns(part).key)
        return {"keys": key[:: max(1, round(1 / self.share))]}


@dataclass(frozen=True)
class AskUses:
    """As `Turns.used_by`."""

    followed: Followed
    edges: np.ndarray
    begin: int

    def __call__(self, part: PlanPart) -> Answer:
        return {"use": self.followed.turns(part).used_by(self.edges, self.begin)}


@dataclass(frozen=True)
class AskMembers:
    """Those whose turn is from `low` to before `high`, as `PlanPart.to_bytes` tells."""

    followed: Followed
    low: int
    high: int

    def __call__(self, part: PlanPart) -> Answer:
        key = self.followed.turns(part).key
        rows = np.flatnonzero((key >= np.uint64(self.low)) & (key < np.uint64(self.high)))
        return {"part": np.frombuffer(part.of_members(rows).to_bytes(), np.uint8)}


def sought_turns(everyone: Everyone, followed: Followed, costs: Floats, edges: np.ndarray) -> Followed:
    """All turns at which something no longer suffices: sums by bins tell in which bin the next one lies, its members tell where."""
    begin, left = 0, followed.left[0]
    while True:
        asked = AskUses(followed, edges, begin)
        after = left - np.cumsum(everyone.total(asked)["use"], axis=0)
        changed = (suffices(costs, after) != suffices(costs, left[None])).any(axis=1)
        if not changed.any():
            return replace(followed, end=after[-1])
        at = int(np.argmax(changed))
        low, high = max(begin, int(edges[at])), int(edges[at + 1])
        told = everyone.over(AskMembers(followed, low, high))
        members = PlanPart.together([PlanPart.from_bytes(one["part"].tobytes()) for one in told])
        followed, left = _through(followed, left if at == 0 else after[at - 1], members, costs)
        begin = high


def _through(followed: Followed, left: Floats, members: PlanPart, costs: Floats) -> tuple[Followed, Floats]:
    """The turns among these members, one after the other, those of one turn by their ids, and what is left after them."""
    key = followed.turns(members).key
    order = np.lexsort((np.argsort(sorted_by(members.ids)), key))
    while len(order):
        after = left - np.cumsum(followed.turns(members).used[order], axis=0)
        changed = (suffices(costs, after) != suffices(costs, left[None])).any(axis=1)
        if not changed.any():
            return followed, after[-1]
        at = int(np.argmax(changed))
        left, last, order = after[at], order[at], order[at + 1 :]
        turn, first = (int(key[order[0]]), members.ids[order[0]]) if len(order) else (int(key[last]) + 1, "")
        followed = followed.then(turn, first, left)
    return followed, left

"""The closest calls of an assignment, decided again by branch and bound while all other members stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.offers import NOBODY
from models.rationing import ration
from models.rounding import best_fitting

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

    from models.arrays import Floats, Integers
    from models.dual import Dual
    from models.offers import Offers

MOST_CALLS = 600
MOST_WORK = 25_000
CLOSE_ENOUGH = 2e-5
ROUNDING = 1e-9
_WHOLE = 1e-6


@dataclass(frozen=True)
class Refined:
    """`choice` (n_members,), and the lower of the bounds that are known."""

    choice: Integers
    bound: float


def refine(offers: Offers, choice: Integers, limits: Floats, dual: Dual) -> Refined:
    """`choice` within `limits` (r,), or a better one.

    An alternative that leaves a member more than bound - value below its best at the prices stands in no better assignment. Of the others
    the MOST_CALLS closest are decided again; if they are all, the bound comes down too. MOST_WORK bounds nodes x calls.
    Nothing is tried where the gap is CLOSE_ENOUGH.
    """
    value, bound = offers.worth(choice), dual.bound
    if bound - value <= CLOSE_ENOUGH * bound:
        return Refined(choice, bound)
    calls = _closest_calls(offers, choice, dual.prices, bound - value)
    if len(calls.member) == 0:
        return Refined(choice, value)
    found = _Tree(offers, limits, choice, calls).search()
    refined = choice.copy()
    refined[found.members] = found.choice
    apart = value - offers.of_members(found.members).worth(choice[found.members])
    return Refined(refined, min(bound, apart + found.bound) if calls.all_of_them else bound)


@dataclass(frozen=True)
class _Calls:
    """Alternatives to be decided between, those taken now among them: intervention, or -1 for none, and member; shape (n_calls,)."""

    intervention: Integers
    member: Integers
    all_of_them: bool


class _Alternatives(NamedTuple):
    """What a member could have instead: intervention, or -1 for none; member; regret: how much worse than its best at the prices."""

    intervention: Integers
    member: Integers
    regret: Floats


def _closest_calls(offers: Offers, choice: Integers, prices: Floats, gap: float) -> _Calls:
    parts = [_alternatives(offers.of_members(chunk), choice[chunk], prices, gap, chunk.start) for chunk in offers.chunks()]
    intervention, member, regret = _Alternatives(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    closest = np.argsort(regret, kind="stable")[:MOST_CALLS]
    decided = np.unique(member[closest])
    return _Calls(
        intervention=np.concatenate([intervention[closest], choice[decided]]),
        member=np.concatenate([member[closest], decided]),
        all_of_them=len(closest) == len(regret),
    )


def _alternatives(offers: Offers, choice: Integers, prices: Floats, gap: float, first: int) -> _Alternatives:
    """Those that would cost less than `gap`, without what is chosen; members count from `first`."""
    left = np.stack([np.zeros(offers.n_members), *(offers.priced(prices, arm) for arm in range(offers.n_interventions))])
    regret = offers.weight * (left.max(axis=0) - left)
    regret[1 + choice, np.arange(offers.n_members)] = np.inf
    row, member = np.nonzero(regret < gap)
    return _Alternatives(row - 1, first + member, regret[row, member])


@dataclass(frozen=True)
class _Found:
    """The choice of the members who were decided again, and what none of theirs exceeds."""

    members: Integers
    choice: Integers
    bound: float


@dataclass(frozen=True)
class _Node:
    """Bounds (n_calls,) of the 0/1 variables, and the solution of the linear relaxation within them."""

    lower: Floats
    upper: Floats
    x: Floats

    @property
    def fractional(self) -> Integers:
        """Positions of the variables that are not whole."""
        return np.flatnonzero(np.abs(self.x - np.round(self.x)) > _WHOLE)

    def with_variable(self, at: int, value: float) -> tuple[Floats, Floats]:
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[at] = upper[at] = value
        return lower, upper


class _Tree:
    """Branch and bound over 0/1 variables, one for each call, of which each member has one; the node of the highest bound goes first."""

    def __init__(self, offers: Offers, limits: Floats, choice: Integers, calls: _Calls) -> None:
        self._members, self._row = np.unique(calls.member, return_inverse=True)
        self._part, self._arm = offers.of_members(self._members), calls.intervention
        self._best = choice[self._members]
        self._value = self._part.worth(self._best)
        self._left = limits - offers.used(choice) + self._part.used(self._best)
        self._finite = np.flatnonzero(np.isfinite(self._left))
        self._use = _use(self._part, self._arm, self._row)[self._finite]
        self._worth = np.where(self._arm == NOBODY, 0.0, self._part.weight[self._row] * self._part.value[self._arm, self._row])
        self._waiting: list[tuple[float, int, _Node]] = []
        self._number = count()

    def search(self) -> _Found:
        n = len(self._row)
        self._explore(np.zeros(n), np.ones(n))
        for _ in range(MOST_WORK // n):
            if self._bound() <= self._value * (1 + ROUNDING):
                break
            node = heappop(self._waiting)[2]
            at = int(node.fractional[np.argmax(node.x[node.fractional])])
            self._explore(*node.with_variable(at, 1.0))
            self._explore(*node.with_variable(at, 0.0))
        return _Found(self._members, self._best, max(self._bound(), self._value))

    def _bound(self) -> float:
        return -self._waiting[0][0] if self._waiting else -np.inf

    def _explore(self, lower: Floats, upper: Floats) -> None:
        """Solve the relaxation; keep it for later where it promises more than is known and is not whole."""
        from scipy.optimize import Bounds, milp  # noqa: PLC0415 - half a second that only planning needs

        scale = float(np.abs(self._worth).max()) or 1.0
        solved = milp(-self._worth / scale, constraints=self._constraints, bounds=Bounds(lower, upper))
        if solved.x is None or -solved.fun * scale <= self._value * (1 + ROUNDING):
            return
        node = _Node(lower, upper, solved.x)
        self._keep(self._rounded(solved.x))
        if len(node.fractional):
            heappush(self._waiting, (solved.fun * scale, next(self._number), node))

    @cached_property
    def _constraints(self) -> LinearConstraint:
        """No more than is left of each resource, and one call for each member."""
        from scipy.optimize import LinearConstraint  # noqa: PLC0415 - as above
        from scipy.sparse import csr_array, vstack  # noqa: PLC0415 - as above

        n, ones = len(self._row), np.ones(len(self._members))
        each = csr_array((np.ones(n), (self._row, np.arange(n))), shape=(len(ones), n))
        left = self._left[self._finite]
        rows = vstack([csr_array(self._use), each], format="csc")
        return LinearConstraint(rows, np.concatenate([np.full(len(left), -np.inf), ones]), np.concatenate([left, ones]))

    def _rounded(self, x: Floats) -> Integers:
        """Members who are whole as they are; then the others in turn, each the best that fits, and nothing where nothing does."""
        choice = np.full(len(self._members), NOBODY)
        whole = x > 1 - _WHOLE
        choice[self._row[whole]] = self._arm[whole]
        split = np.setdiff1d(np.arange(len(choice)), self._row[whole])
        order = split[np.argsort(-self._part.value[:, split].max(axis=0), kind="stable")]
        left = self._left - self._part.used(choice)
        choice[order] = ration(self._part, order, left, lambda turn: best_fitting(turn, np.zeros(len(left)))).taken
        return choice

    def _keep(self, choice: Integers) -> None:
        value = self._part.worth(choice)
        if value > self._value and (self._part.used(choice) <= self._left).all():
            self._best, self._value = choice, value


def _use(offers: Offers, intervention: Integers, member: Integers) -> Floats:
    """Of each resource by each variable, shape (r, n_variables)."""
    taken = np.flatnonzero(intervention != NOBODY)
    arm, row = intervention[taken], member[taken]
    use = np.zeros((1 + offers.n_interventions + offers.n_channels, len(member)))
    use[0, taken] = offers.weight[row] * offers.cost[arm, row]
    use[1 + arm, taken] = offers.weight[row]
    if offers.channel is not None:
        use[1 + offers.n_interventions + offers.channel[arm, row], taken] = offers.weight[row]
    return use

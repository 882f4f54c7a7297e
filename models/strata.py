"""Members who are alike taken together, so that a campaign for a million of them is planned on some thousands of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.interventions import Rule
from models.plan_figures import Prospects
from models.planning import Candidates

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.plan_figures import Arm
    from models.weighing import Weighed

Blocked = Counter[tuple[str, str]]
FREE = -1.0
TOLD_APART_BY = ((FREE, 0), (FREE, 1), (0.5, 0), (0.5, 1), (0.9, 0), (0.25, 0), (0.75, 0))
"""At which price of money, by the share of the members for whom it is too high, and by their best (0) or what is next best (1).

Those that matter most come first. Places that run out move members from their best to what is next best.
"""
SURPLUS_AT = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97)
"""Prices, likewise, at which members are alike who have about the same left from their best and from what is next best."""
HALVED_AT_ONCE = 8
"""Strata that differ within themselves by at least this part of the most divided one are halved in the same pass."""


@dataclass(frozen=True)
class Strata:
    """Of each stratum, shape (s,) or (s, k): how many members it has, and the means of what may be done for them and may come of it.

    All members of a stratum have the same channels, the same refusals and the same status of being `scored`, so that what holds for its
    mean in expectation holds for them together exactly. refused: 0 where a candidate competes, else 1 + position in `rules`.
    """

    members: Floats
    candidates: Candidates
    prospects: Prospects
    scored: Flags
    refused: Integers
    rules: tuple[Rule, ...]

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, rows: Integers | Flags | slice) -> Self:
        return replace(
            self,
            members=self.members[rows],
            candidates=self.candidates[rows],
            prospects=self.prospects[rows],
            scored=self.scored[rows],
            refused=self.refused[rows],
        )

    @classmethod
    def of(cls, weighed: Weighed, arms: Sequence[Arm]) -> Self:
        """Each member by itself, before arbitration."""
        candidates = Candidates.of(weighed)
        return cls(
            members=np.ones(len(weighed.probability)),
            candidates=replace(candidates, priority=np.nan_to_num(candidates.priority)),
            prospects=Prospects.of(weighed, arms),
            scored=weighed.scored,
            refused=np.where(weighed.allowed, 0, weighed.refusals.code).astype(np.int16),
            rules=weighed.refusals.rules,
        )

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Rules of parts are told apart by stage and name."""
        rules = tuple(dict.fromkeys(rule for part in parts for rule in part.rules))
        place = {rule: 1 + at for at, rule in enumerate(rules)}
        renumbered = [np.array([0, *(place[rule] for rule in part.rules)], np.int16)[part.refused] for part in parts]
        return cls(
            members=np.concatenate([part.members for part in parts]),
            candidates=Candidates.together([part.candidates for part in parts]),
            prospects=Prospects.together([part.prospects for part in parts]),
            scored=np.concatenate([part.scored for part in parts]),
            refused=np.concatenate(renumbered),
            rules=rules,
        )

    def condensed(self, most: int) -> Condensed:
        """About `most` strata, more where more refusals and channels differ; as they are where they are no more than that.

        Where all members of a stratum take the same at some prices, so does their mean, and nothing is lost at these. So members are told
        apart by what they take, and then within one set of refusals, channels and choices halved at the mean of the column in which they
        differ most, those strata that differ most first (a k-d tree that grows where the sum of squares is largest). Columns are what is
        left from the best and the next best at some prices of money, and the priorities, which decide where few places are left.
        """
        if len(self) <= most:
            return Condensed(self, np.arange(len(self)))
        code = _number([*self.refused.T, *self.candidates.channel.T, self.candidates.urgent, self.scored.astype(np.int8)])
        for picked in self._picks():
            finer = _number([code, picked])
            if finer.max() < most / 2:
                code = finer
        code = _halved(self._surpluses, self.members, code, most)
        return Condensed(self._merged(code), code)

    @property
    def _worth(self) -> Floats:
        return np.where(self.candidates.allowed, np.maximum(self.candidates.priority, 0.0), 0.0)

    def _left(self, shares: Sequence[float]) -> dict[float, Floats]:
        """By share of the members for whom it is too high what a price of money leaves of each priority, 0 where that is nothing."""
        worth, cost = self._worth, self.candidates.cost
        most = np.divide(worth, cost, out=np.zeros_like(worth), where=cost > 0).max(axis=1, initial=0.0)
        paying = most[most > 0]
        prices = {share: float(np.quantile(paying, share)) if share != FREE and len(paying) else 0.0 for share in shares}
        return {share: np.maximum(worth - price * cost, 0.0) for share, price in prices.items()}

    def _picks(self) -> Iterator[Integers]:
        """What each would take, or would if that were not to be had; -1 where that is nothing."""
        left = self._left(list(dict.fromkeys(share for share, _ in TOLD_APART_BY)))
        for share, place in TOLD_APART_BY:
            yield _best(left[share])[min(place, left[share].shape[1] - 1)]

    @property
    def _surpluses(self) -> Floats:
        return np.column_stack([*(np.sort(left, axis=1)[:, -2:] for left in self._left(SURPLUS_AT).values()), self._worth])

    def _merged(self, code: Integers) -> Self:
        """Sums of members and means of all else; `code` (s,) numbers the strata that come of it from 0 on."""
        members = np.bincount(code, self.members).astype(np.float64)
        first = np.zeros(len(members), np.int64)
        first[code[::-1]] = np.arange(len(code))[::-1]

        def mean(column: Floats) -> Floats:
            if column.ndim == 2:
                return np.column_stack([mean(part) for part in column.T])
            return np.bincount(code, self.members * column) / members

        told = self[first]
        candidates = replace(told.candidates, priority=mean(self.candidates.priority), cost=mean(self.candidates.cost))
        return replace(told, members=members, candidates=candidates, prospects=self.prospects.mapped(mean))

    @cached_property
    def _kept_away(self) -> Floats:
        """The scored members from whom each rule kept each intervention, shape (k, 1 + n_rules)."""
        members, number = self.members[self.scored], 1 + len(self.rules)
        return np.array([np.bincount(column, members, number) for column in self.refused[self.scored].T])

    def blocked(self, interventions: Sequence[str]) -> Blocked:
        """By intervention and rule, `stage:name`, the scored members whom it kept away before arbitration."""
        counts: Blocked = Counter()
        for intervention_id, held in zip(interventions, self._kept_away[:, 1:].tolist(), strict=True):
            told = zip(self.rules, held, strict=True)
            counts.update(
                {(intervention_id, f"{rule.stage}:{rule.name}"): round(n) for rule, n in told if rule.stage != "arbitration" and n}
            )
        return counts

    @cached_property
    def best(self) -> Integers:
        """Of each stratum the best of what is allowed, and worth it; -1 where there is none."""
        candidates = self.candidates
        worth = np.where(candidates.allowed & (candidates.priority > 0), candidates.priority, -np.inf)
        return np.where((worth > -np.inf).any(axis=1), worth.argmax(axis=1), -1)


class Condensed(NamedTuple):
    """Strata, and for each of those that they were made of the position of its own."""

    strata: Strata
    code: Integers


def _best(left: Floats) -> tuple[Integers, Integers]:
    """Of each row the column of the largest, and of the largest of the others; -1 where it is not above 0."""
    rows, first = np.arange(len(left)), left.argmax(axis=1)
    others = left.copy()
    others[rows, first] = 0.0
    second = others.argmax(axis=1)
    return np.where(left[rows, first] > 0, first, -1), np.where(others[rows, second] > 0, second, -1)


def _number(columns: Sequence[Integers]) -> Integers:
    """Of rows that are equal in all columns, each (n,), the same number, from 0 on."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low, high = int(column.min(initial=0)), int(column.max(initial=0))
        if high > low:
            code = np.unique(code * (high - low + 1) + (column - low), return_inverse=True)[1].ravel()
    return code


def _halved(columns: Floats, weight: Floats, code: Integers, most: int) -> Integers:
    """Columns (n, d); weight and code (n,). Strata from 0 on, at most `most` unless there were more.

    It ends where those that differ most differ by rounding alone, so that nobody lies above their mean.
    """
    number = 0
    while number < (number := int(code.max()) + 1) < most:
        total = np.bincount(code, weight)
        means = np.column_stack([np.bincount(code, weight * column) / total for column in columns.T])
        apart = columns - means[code]
        squares = np.column_stack([np.bincount(code, weight * column**2) for column in apart.T])
        widest = squares.argmax(axis=1)
        spread = squares.max(axis=1)
        chosen = np.argsort(-spread, kind="stable")[: min(most - number, int((spread > spread.max() / HALVED_AT_ONCE).sum()))]
        if len(chosen) == 0:
            break
        fresh = np.full(number, -1)
        fresh[chosen] = number + np.arange(len(chosen))
        moves = (fresh[code] >= 0) & (apart[np.arange(len(code)), widest[code]] > 0)
        code = np.where(moves, fresh[code], code)
        if (np.bincount(code, minlength=number + len(chosen)) == 0).any():
            code = np.unique(code, return_inverse=True)[1].ravel()
    return code

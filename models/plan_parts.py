"""What a part of the members tells of itself to a plan for all of them: sums, and a bounded number of close calls."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
import polars as pl

from models.offers import NOBODY
from models.planning import Candidates
from models.policy import draws_of
from models.rationing import with_slack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from models.arrays import Flags, Floats, Integers
    from models.dual import Quote
    from models.offers import Offers
    from models.supply import Supply

_KEPT = tuple(field.name for field in fields(Candidates))
Answer = dict[str, np.ndarray]
CLOSENESS = np.concatenate([[0.0], np.geomspace(1e-12, 1e12, 1_200)])
"""Edges of bins of how much less than its choice a member's next best is worth, in money."""


class Everyone(Protocol):
    """All parts, one at least, wherever they lie. `ask` is called for each of them there; its answers come back, in any order.

    `total`: their sum alone, where all answers have the same names and shapes.
    """

    def over(self, ask: Callable[[PlanPart], Answer]) -> Iterable[Answer]: ...

    def total(self, ask: Callable[[PlanPart], Answer]) -> Answer: ...


def summed(answers: Iterable[Answer]) -> Answer:
    """Of one at least."""
    return reduce(lambda one, other: {name: one[name] + other[name] for name in one}, answers)


def packed_ids(ids: Sequence[str]) -> np.ndarray:
    """As bytes: an array of texts is as wide as the longest one in every row, and loses what ends in a null character."""
    return np.frombuffer(json.dumps(list(ids)).encode(), np.uint8)


def ids_of(packed: np.ndarray) -> list[str]:
    """What `packed_ids` packed."""
    told: list[str] = json.loads(packed.tobytes())
    return told


def sorted_by(ids: Sequence[str]) -> Integers:
    """The positions of ids in their order."""
    order: Integers = pl.Series(ids, dtype=pl.String).arg_sort().to_numpy()
    return order


class PlanPart(NamedTuple):
    """Members of a part, shape (n,) and (n, k). lot: uniform in [0, 1), and independent of the draw; it deals out what is tied."""

    ids: list[str]
    candidates: Candidates
    draw: Floats
    lot: Floats

    @classmethod
    def of(cls, member_ids: Sequence[str], decision_ids: Sequence[str], candidates: Candidates, draw: Floats) -> Self:
        return cls(list(member_ids), candidates, draw, draws_of(f"{one}|lot" for one in decision_ids))

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """One part at least."""
        ids = [one for part in parts for one in part.ids]
        draw, lot = (np.concatenate([getattr(part, name) for part in parts]) for name in ("draw", "lot"))
        return cls(ids, Candidates.together([part.candidates for part in parts]), draw, lot)

    def of_members(self, rows: Integers) -> Self:
        return type(self)([self.ids[row] for row in rows.tolist()], self.candidates[rows], self.draw[rows], self.lot[rows])

    def to_bytes(self) -> bytes:
        written = io.BytesIO()
        arrays = {name: getattr(self.candidates, name) for name in _KEPT}
        np.savez(written, allow_pickle=False, ids=packed_ids(self.ids), draw=self.draw, lot=self.lot, **arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, written: bytes) -> Self:
        with np.load(io.BytesIO(written), allow_pickle=False) as held:
            candidates = Candidates(*(held[name] for name in _KEPT))
            return cls(ids_of(held["ids"]), candidates, held["draw"], held["lot"])


@dataclass(frozen=True)
class Terms:
    """What is known of a plan before it is made. limits (r,): without what is urgent; least: the least probability of what is open."""

    supply: Supply
    limits: Floats
    least: float

    def of(self, part: PlanPart) -> Chances:
        return Chances(self, part)


@dataclass(frozen=True)
class Chances:
    """As `planning.Room` for the members of a part."""

    terms: Terms
    part: PlanPart

    @cached_property
    def n_channels(self) -> int:
        return len(self.terms.supply.channels)

    @cached_property
    def open_now(self) -> Flags:
        candidates = self.part.candidates.weighed
        whole = candidates.offers(np.ones(len(self.part.draw)), self.n_channels)
        fits: Flags = candidates.allowed & whole.fits(with_slack(self.terms.limits)).T
        return fits

    @cached_property
    def number(self) -> Integers:
        number: Integers = 1 + self.open_now.sum(axis=1)
        return number

    def offers(self, rest: Floats) -> Offers:
        """What competes for the `rest`, by the weight that exploration leaves."""
        candidates = self.part.candidates.weighed.rounded
        weight = np.maximum(1 - self.number * np.minimum(self.terms.least, 1 / self.number), 0.0)
        worth_it = replace(candidates, allowed=self.open_now & (candidates.priority > 0))
        offers = worth_it.offers(weight, self.n_channels)
        return replace(offers, value=np.where(offers.fits(with_slack(rest)), offers.value, -np.inf))


def use_by_number(chances: Chances) -> Floats:
    """What one of each open candidate takes, by the number of a member's actions: shape (k + 2, r)."""
    open_now, candidates = chances.open_now, chances.part.candidates
    sums = np.zeros((open_now.shape[1] + 2, len(chances.terms.limits)))
    for number in np.unique(chances.number).tolist():
        rows = chances.number == number
        sums[number] = used_of(candidates[rows], open_now[rows].astype(np.float64), chances.n_channels)
    return sums


def used_of(candidates: Candidates, probability: Floats, n_channels: int) -> Floats:
    """Of each resource, shape (r,), where each candidate is taken with its probability, (n, k)."""
    channels = np.bincount(candidates.channel.ravel(), probability.ravel(), n_channels)
    return np.concatenate([[(probability * candidates.cost).sum()], probability.sum(axis=0), channels])


@dataclass(frozen=True)
class Calls:
    """Who chooses by prices alone, and whose call is close: those within `closeness`, and of those at it exactly the share `dealt`."""

    terms: Terms
    rest: Floats
    prices: Floats
    quotes: tuple[Quote, ...]
    closeness: float = np.inf
    dealt: float = 1.0

    def margins(self, part: PlanPart) -> Integers:
        """How many members lie in each bin of CLOSENESS."""
        offers = self.terms.of(part).offers(self.rest)
        told: Integers = np.histogram(self._margin(offers), np.append(CLOSENESS, np.inf))[0]
        return told

    def choice(self, part: PlanPart, offers: Offers) -> Integers:
        """By one of the quotes each, those whose pick depends on it as their lot falls."""
        picks = np.stack([offers.picks(quote.prices).choice for quote in self.quotes])
        upto = np.cumsum([quote.share for quote in self.quotes])[:-1]
        told: Integers = picks[np.searchsorted(upto, part.lot, side="right"), np.arange(offers.n_members)].astype(np.int64)
        return told

    def close(self, part: PlanPart, offers: Offers) -> Flags:
        margin = self._margin(offers)
        chosen: Flags = (margin < self.closeness) & ((part.lot * 7919 % 1 < self.dealt) | (margin >= CLOSENESS[1]))
        return chosen & (offers.value > -np.inf).any(axis=0)

    def _margin(self, offers: Offers) -> Floats:
        """How much a member's best at the prices is above its next best, nothing included, by its weight; infinite without any offer."""
        left = np.stack([np.zeros(offers.n_members), *(offers.priced(self.prices, arm) for arm in range(offers.n_interventions))])
        best = np.sort(left, axis=0)
        margin: Floats = np.where(best[-2] > -np.inf, offers.weight * (best[-1] - np.where(best[-2] > -np.inf, best[-2], 0.0)), np.inf)
        return margin


def turn_key(regret: Floats, choice: Integers, lot: Floats) -> np.ndarray:
    """Rising in the order in which members draw, uint64: those who choose something first, then by falling regret, then by lot."""
    bits = (0.0 - regret).astype(np.float32).view(np.uint32).astype(np.uint64)
    rising: np.ndarray = np.where(bits >> np.uint64(31), ~bits & np.uint64(0xFFFFFFFF), bits | np.uint64(0x80000000))
    fine = (lot * (1 << 31)).astype(np.uint64)
    key: np.ndarray = ((choice == NOBODY).astype(np.uint64) << np.uint64(63)) | (rising << np.uint64(31)) | fine
    return key


@dataclass(frozen=True)
class AskSent:
    """What has to be sent whatever it is worth takes so much: `use` (r,)."""

    n_channels: int

    def __call__(self, part: PlanPart) -> Answer:
        return {"use": used_of(part.candidates, part.candidates.sent.astype(np.float64), self.n_channels)}


@dataclass(frozen=True)
class AskNumbers:
    """As `use_by_number`."""

    terms: Terms

    def __call__(self, part: PlanPart) -> Answer:
        return {"use": use_by_number(self.terms.of(part))}


@dataclass(frozen=True)
class AskDemand:
    """surplus and use (r,) at these prices, as of `dual.Demand`."""

    terms: Terms
    rest: Floats
    prices: Floats

    def __call__(self, part: PlanPart) -> Answer:
        told = self.terms.of(part).offers(self.rest).demand(self.prices)
        return {"surplus": np.array(told.surplus), "use": told.use}


@dataclass(frozen=True)
class AskMargins:
    calls: Calls

    def __call__(self, part: PlanPart) -> Answer:
        return {"members": self.calls.margins(part)}


@dataclass(frozen=True)
class AskCalls:
    """used (r,) and worth of those who choose by prices; ids (packed), value, cost, channel (k, m), weight of those whose call is close."""

    calls: Calls

    def __call__(self, part: PlanPart) -> Answer:
        offers = self.calls.terms.of(part).offers(self.calls.rest)
        close, choice = self.calls.close(part, offers), self.calls.choice(part, offers)
        choice[close] = NOBODY
        near = offers.of_members(np.flatnonzero(close))
        channel = {} if near.channel is None else {"channel": near.channel}
        ids = packed_ids([part.ids[row] for row in np.flatnonzero(close).tolist()])
        told = {"used": offers.used(choice), "worth": np.array(offers.worth(choice)), "ids": ids}
        return told | {"value": near.value, "cost": near.cost, "weight": near.weight} | channel

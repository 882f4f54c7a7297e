"""Is targeting by risk hurting? The same number of members contacted by risk, by expected effect, by expected net value, and at random.

The question of Ascarza (2018, Journal of Marketing Research 55, 80-98): the members most likely to leave need not be those who can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

import numpy as np

from models.errors import InputError, NotEnoughData
from models.intervals import members_of_rows
from models.measured import Measured, ratio_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Floats, Integers
    from models.intervals import Estimate, Members

Ranking = Literal["risk", "effect", "net_value", "random"]
Finding = Literal["risk_hurts", "effect_is_better", "risk_is_better", "no_difference"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
LEVEL = 0.9
THOUSAND = 1000.0
CURVE = tuple(round(0.05 * step, 2) for step in range(1, 21))
FEWEST_CONTACTED = 20
"""Of fewer no point of the curve is told."""
OUT_OF_REACH = 100


@dataclass(frozen=True)
class TrialRows:
    """Assignments with what was known of each before it, and what it says about effects; n rows, k interventions.

    Attributes:
        risk: (n,) probability of churn.
        predicted: (n, k) effects from models that learned from the parts before the row's own.
        value: (n,) money a kept member is worth.
        cost: (n, k) expected money for each action.
        score: (n, k) doubly robust scores, whose mean over any rows chosen without looking at their outcomes is their average effect.
        given: (n, k) probabilities of what a contacted member gets, adding up to 1; 0 throughout where no comparison is possible.
        member, unit, part: (n,) codes; rows of one unit, a member or a group that was given the same together, depend on each other and are
            in one part; those of part 0 only teach (models.in_turn).
    """

    risk: Floats
    predicted: Floats
    value: Floats
    cost: Floats
    score: Floats
    given: Floats
    member: Integers
    unit: Integers
    part: Integers

    def __len__(self) -> int:
        return len(self.risk)


def as_logged(propensities: Floats, comparable: Flags) -> Floats:
    """Contacted members get what they got so far: each action in proportion to its logged probability. (n, 1 + k) and (n, k) to (n, k)."""
    share = np.where(comparable, propensities[:, 1:], 0.0)
    total = share.sum(axis=1, keepdims=True)
    return share / np.where(total > 0, total, 1.0)


def best_predicted(predicted: Floats, value: Floats, cost: Floats, comparable: Flags) -> Floats:
    """Contacted members get the comparable action of highest predicted net value; the first of equals, shape (n, k)."""
    worth = np.where(comparable, value[:, None] * predicted - cost, -np.inf)
    one = np.eye(predicted.shape[1])[np.argmax(worth, axis=1)]
    return np.where(comparable, one, 0.0)


@dataclass(frozen=True)
class Targeted:
    """Per 1,000 contacted: members kept who would have left, and money, their value less what the contacts cost."""

    kept: Estimate
    money: Estimate


@dataclass(frozen=True)
class Gap:
    """`better` minus `than`, on the same members: what both share is no part of the intervals."""

    better: Ranking
    than: Ranking
    kept: Estimate
    money: Estimate

    @property
    def beyond_chance(self) -> bool:
        """Of the members kept."""
        return self.kept.lower > 0 or self.kept.upper < 0


@dataclass(frozen=True)
class CurvePoint:
    """`net`: money for each 1,000 members of the population when `share` of them is contacted."""

    share: float
    kept: dict[Ranking, Estimate]
    net: dict[Ranking, Estimate]


@dataclass(frozen=True)
class Targeting:
    """Of `n` rows of `n_members` those of the first part, `only_taught`, judge nothing; all else here is of the others.

    `left_out` rows could not have had both something and nothing. `mix`: what a contacted member gets, by intervention, on average.
    """

    share: float
    level: float
    n: int
    n_members: int
    only_taught: int
    left_out: int
    mix: tuple[float, ...]
    at: dict[Ranking, Targeted]
    gaps: tuple[Gap, ...]
    curve: tuple[CurvePoint, ...]

    def gap(self, better: Ranking, than: Ranking) -> Gap:
        return next(found for found in self.gaps if (found.better, found.than) == (better, than))

    @property
    def finding(self) -> Finding:
        """Risk hurts where it is worse than chance, beyond chance."""
        if self.gap("random", "risk").kept.lower > 0:
            return "risk_hurts"
        ahead = self.gap("effect", "risk")
        if not ahead.beyond_chance:
            return "no_difference"
        return "effect_is_better" if ahead.kept.lower > 0 else "risk_is_better"

    @property
    def needed(self) -> int | None:
        """Assignments of this kind that would show a lead of the effect over the risk as large as the one seen.

        None where there was none, or one so small that more than OUT_OF_REACH times those there are would be needed.
        """
        ahead = self.gap("effect", "risk").kept
        if ahead.value <= 0 or (ahead.value - ahead.lower) ** 2 > OUT_OF_REACH * ahead.value**2:
            return None
        return round(self.n * ((ahead.value - ahead.lower) / ahead.value) ** 2)


def compare_targeting(rows: TrialRows, share: float, *, curve: Sequence[float] = CURVE, level: float = LEVEL) -> Targeting:
    """Every ranking contacts the same number of members, and each contacted one gets the same: only who is contacted differs.

    Members are ranked within each part, since the models of two parts differ in level; members of equal scores are contacted in
    proportion. `curve` names the shares told beside. Raises InputError for a share outside (0, 1], NotEnoughData where fewer than
    FEWEST_CONTACTED of those with a control, and not of the first part, are contacted.
    """
    if not 0 < share <= 1:
        raise InputError(f"share {share}: give the part of the members to contact, above 0 and up to 1")
    comparable = rows.given.any(axis=1)
    kept, only_taught = np.flatnonzero(comparable & (rows.part > 0)), int((comparable & (rows.part == 0)).sum())
    if share * len(kept) < FEWEST_CONTACTED:
        raise NotEnoughData(
            f"targeting: {only_taught + len(kept):,} assignments could have been nothing as well as something; {only_taught:,} of them "
            f"only teach the first effects, and of the others {share:.0%} are contacted; "
            f"at least {FEWEST_CONTACTED} contacted are needed: log a control with its probability, or contact a larger share"
        )
    treated = _Treated.of(rows, kept)
    measured = {name: treated.contacted(name, share) for name in RANKINGS}
    pairs: tuple[tuple[Ranking, Ranking], ...] = (("effect", "risk"), ("net_value", "risk"), ("random", "risk"), ("effect", "random"))
    return Targeting(
        share=share,
        level=level,
        n=int(comparable.sum()),
        n_members=len(np.unique(rows.member[comparable])),
        only_taught=only_taught,
        left_out=int((~comparable).sum()),
        mix=tuple(rows.given[kept].mean(axis=0).tolist()),
        at={name: Targeted(found.kept.interval(level), found.money.interval(level)) for name, found in measured.items()},
        gaps=tuple(_gap(measured, better, than, level) for better, than in pairs),
        curve=tuple(_point(treated, at, level) for at in curve if at * len(kept) >= FEWEST_CONTACTED),
    )


@dataclass(frozen=True)
class _Contacted:
    kept: Measured
    money: Measured


@dataclass(frozen=True)
class _Treated:
    """Rows with what each would get if contacted: effect and money (n,), and its place by each ranking."""

    members: Members
    effect: Floats
    money: Floats
    places: dict[Ranking, Places]

    @classmethod
    def of(cls, rows: TrialRows, kept: Integers) -> _Treated:
        given, value = rows.given[kept], rows.value[kept]
        effect, predicted, cost = ((given * held[kept]).sum(axis=1) for held in (rows.score, rows.predicted, rows.cost))
        scores: dict[Ranking, Floats] = {
            "risk": rows.risk[kept],
            "effect": predicted,
            "net_value": value * predicted - cost,
            "random": np.zeros(len(kept)),
        }
        places = {name: Places.of(score, rows.part[kept]) for name, score in scores.items()}
        return cls(members_of_rows(rows.unit[kept], len(kept)), effect, value * effect - cost, places)

    def contacted(self, ranking: Ranking, share: float) -> _Contacted:
        """The place of the cut-off is taken as given: next to the noise of single outcomes its own error is nothing."""
        weight = self.places[ranking].included(share)
        return _Contacted(*(ratio_of(weight * held, weight, self.members) * THOUSAND for held in (self.effect, self.money)))


@dataclass(frozen=True)
class Places:
    """Of each row in its part, highest score first: rows `before` those of its score, the `size` of that block, all rows; shape (n,)."""

    before: Floats
    size: Floats
    total: Floats

    @classmethod
    def of(cls, score: Floats, part: Integers) -> Self:
        before, size, total = (np.empty(len(score)) for _ in range(3))
        for number in np.unique(part):
            rows = np.flatnonzero(part == number)
            _, block, sizes = np.unique(-score[rows], return_inverse=True, return_counts=True)
            before[rows], size[rows], total[rows] = (np.cumsum(sizes) - sizes)[block], sizes[block], len(rows)
        return cls(before, size, total)

    def included(self, share: float) -> Floats:
        """How much of each row is among the `share` of its part with the highest scores, in [0, 1]; equal scores share alike."""
        return np.clip((share * self.total - self.before) / self.size, 0.0, 1.0)


def _gap(measured: dict[Ranking, _Contacted], better: Ranking, than: Ranking, level: float) -> Gap:
    a, b = measured[better], measured[than]
    return Gap(better, than, (a.kept - b.kept).interval(level), (a.money - b.money).interval(level))


def _point(treated: _Treated, share: float, level: float) -> CurvePoint:
    found = {name: treated.contacted(name, share) for name in RANKINGS}
    return CurvePoint(
        share=share,
        kept={name: one.kept.interval(level) for name, one in found.items()},
        net={name: (one.money * share).interval(level) for name, one in found.items()},
    )

"""What a plan can be expected to bring: money, members, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np

from models.intervals import Estimate

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.decision import UpliftSource
    from models.engine import Engine
    from models.strata import Strata
    from models.weighing import Weighed

RULES_SHOWN = 3
OUTBID = "arbitration:outbid"


@dataclass(frozen=True)
class Prospects:
    """Of all members what may come of each intervention, shape (n_members, k): uplift, and net_value = uplift x value - cost in money.

    low, high, net_low and net_high are the same at the ends of the uplift's interval by the errors that all members share; value
    (n_members,).
    """

    value: Floats
    uplift: Floats
    low: Floats
    high: Floats
    net_value: Floats
    net_low: Floats
    net_high: Floats

    @classmethod
    def of(cls, weighed: Weighed, arms: Sequence[Arm]) -> Self:
        """0 where an effect is not known."""
        middle, reach = weighed.uplift, np.array([arm.apart for arm in arms])
        low, high = (_shared(middle, end, reach) for end in weighed.interval)
        effects = [np.nan_to_num(effect) for effect in (middle, middle - low, middle + high)]
        known = ~np.isnan(middle)
        value = np.asarray(weighed.scores.value, dtype=np.float64)
        return cls(value, *effects, *(np.where(known, effect * value[:, None] - weighed.cost, 0.0) for effect in effects))

    def mapped(self, change: Callable[[Floats], Floats]) -> Self:
        """Every column changed alike."""
        return type(self)(*(change(getattr(self, name)) for name in _PROSPECTS))

    def __getitem__(self, members: Flags | Integers | slice) -> Self:
        return self.mapped(lambda column: column[members])

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _PROSPECTS))


_PROSPECTS = tuple(field.name for field in fields(Prospects))


def _shared(middle: Floats, end: Floats, apart: Floats) -> Floats:
    """What is left of the way to one end where another error, of size `apart`, is taken out of the sum of their squares."""
    return np.sqrt(np.maximum((end - middle) ** 2 - apart**2, 0.0))


class Arm(NamedTuple):
    """An intervention, what its effect rests on, and how far beyond the errors that all members share those of one may go.

    `apart` and `dimensions` as in models.uplift_beliefs.Apart; `population`: so many members does the average effect speak of.
    """

    id: str
    source: UpliftSource
    apart: float = 0.0
    dimensions: float = 1.0
    population: int = 0


def arms_of(engine: Engine) -> tuple[Arm, ...]:
    apart, population = engine.uplift.apart(), len(engine.reference.probabilities)
    reaches = zip(engine.community.interventions, apart.reach.tolist(), strict=True)
    return tuple(Arm(one.id, engine.uplift.source(one.id), reach, apart.dimensions, population) for one, reach in reaches)


def of_crowd(arms: Sequence[Arm], strata: Strata) -> tuple[Arm, ...]:
    """The same, where more members have a risk by now than when the engine was made, or than it was tested on."""
    scored = round(float(strata.members[strata.scored].sum()))
    return tuple(arm._replace(population=max(arm.population, scored)) for arm in arms)


@dataclass(frozen=True)
class ArmOutlook:
    """One intervention: members expected to get it, what that costs and brings, and the rules that kept most members from it."""

    intervention_id: str
    source: UpliftSource
    members: float
    spend: float
    net_value: Estimate
    saved: Estimate
    blocked: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "intervention_id": self.intervention_id,
            "uplift_source": self.source,
            "members": self.members,
            "spend": self.spend,
            "net_value": self.net_value.value,
            "net_value_interval": self.net_value.interval,
            "saved": self.saved.to_dict(),
            "blocked": [{"rule": rule, "members": members} for rule, members in self.blocked],
        }


@dataclass(frozen=True)
class Outlook:
    """Expected over the draws of exploration; `budget` None where there is none, `gap` how far from the best plan this can be at most.

    `kept`: of those saved the ones with a risk, who would else be expected to go; `value_kept`: the money that they are worth.
    """

    budget: float | None
    gap: float
    arms: tuple[ArmOutlook, ...]
    kept: Estimate
    value_kept: float

    @property
    def contacted(self) -> float:
        return sum(arm.members for arm in self.arms)

    @property
    def spend(self) -> float:
        return sum(arm.spend for arm in self.arms)

    @property
    def net_value(self) -> Estimate:
        """The ends add up those of the interventions, as if all errors went the same way."""
        return _total([arm.net_value for arm in self.arms])

    @property
    def saved(self) -> Estimate:
        """Members who stay because of the plan; its ends as those of the net value."""
        return _total([arm.saved for arm in self.arms])

    @property
    def believed(self) -> float:
        """Share of the contacts whose effect is a declared belief, which no experiment has tested."""
        return sum(arm.members for arm in self.arms if arm.source == "prior") / self.contacted if self.contacted else 0.0

    @property
    def cost_per_saved(self) -> float | None:
        """None where nobody is expected to be saved."""
        return self.spend / self.saved.value if self.saved.value > 0 else None

    @property
    def cost_per_saved_interval(self) -> tuple[float, float | None] | None:
        """From many saved to few; without an upper end where it may be that nobody is."""
        saved = self.saved
        if saved.upper <= 0:
            return None
        return self.spend / saved.upper, self.spend / saved.lower if saved.lower > 0 else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.budget,
            "spend": self.spend,
            "net_value": self.net_value.value,
            "net_value_interval": self.net_value.interval,
            "members_contacted": self.contacted,
            "members_saved": self.saved.to_dict(),
            "cost_per_saved": self.cost_per_saved,
            "cost_per_saved_interval": self.cost_per_saved_interval,
            "share_by_prior": self.believed,
            "gap": self.gap,
            "interventions": [arm.to_dict() for arm in self.arms],
        }


def _total(parts: Sequence[Estimate]) -> Estimate:
    return Estimate(*(sum(getattr(part, name) for part in parts) for name in ("value", "lower", "upper")))


class Meant(Protocol):
    """A plan: meant, expected (s, 1 + k), the shares of each stratum for each action, `none` first, without and with exploration."""

    @property
    def meant(self) -> Floats: ...

    @property
    def expected(self) -> Floats: ...

    @property
    def gap(self) -> float: ...


def outlook(arms: Sequence[Arm], strata: Strata, plan: Meant, budget: float | None) -> Outlook:
    """Of one intervention all members share the error of its average effect, so what these leave of the ends of their intervals adds up.

    Differences between members that were not found add up in part (`_added_up`), and their square is added to that of what is shared.
    """
    lost = strata.blocked([arm.id for arm in arms])
    for at, number in enumerate(_outbid(strata, plan)):
        lost[arms[at].id, OUTBID] = round(number)
    chance, prospects = plan.expected[:, 1:], strata.prospects
    effects = (prospects.uplift, prospects.low, prospects.high)
    nets = (prospects.net_value, prospects.net_low, prospects.net_high)
    share, risky = strata.members[:, None] * chance, chance * strata.scored[:, None]
    of_arms = _OfArms(
        members=share.sum(axis=0),
        spend=_sums(share, strata.candidates.cost),
        saved=_estimates(arms, strata.members, chance, effects),
        net_value=_estimates(arms, strata.members, chance, nets, prospects.value),
    )
    kept = _total(_estimates(arms, strata.members, risky, effects))
    risky_share = strata.members[:, None] * risky
    worth = float((_sums(risky_share, prospects.net_value) + _sums(risky_share, strata.candidates.cost)).sum())
    return Outlook(budget, plan.gap, tuple(_arm(at, arm, of_arms, lost) for at, arm in enumerate(arms)), kept, worth)


class _OfArms(NamedTuple):
    """Sums over members, one for each of k interventions."""

    members: Floats
    spend: Floats
    saved: tuple[Estimate, ...]
    net_value: tuple[Estimate, ...]


def _estimates(
    arms: Sequence[Arm], members: Floats, chance: Floats, columns: tuple[Floats, Floats, Floats], value: Floats | None = None
) -> tuple[Estimate, ...]:
    """Of each intervention what `columns`, an amount and its ends by what is shared, sum up to over the members who get it.

    members (s,), chance (s, k); value (s,): what a member's effect is multiplied by to have the amount, 1 where it is None.
    """
    middle, low, high = (_sums(members[:, None] * chance, column) for column in columns)
    weight = chance if value is None else chance * value[:, None]
    apart = np.array([arm.apart for arm in arms]) * _added_up(arms, members @ weight, members @ weight**2)
    lower, upper = middle - np.hypot(middle - low, apart), middle + np.hypot(high - middle, apart)
    return tuple(Estimate(*ends) for ends in zip(middle.tolist(), lower.tolist(), upper.tolist(), strict=True))


def _added_up(arms: Sequence[Arm], total: Floats, squares: Floats) -> Floats:
    """To how many members' worth of it differences that were not found add up in a sum with weights w, root mean square, shape (k,).

    They are taken for a function of any direction among d that are orthonormal over the population of N members, where it averages 0. By
    Bessel's inequality the squared means of these over members with weights w sum up to N sum(w^2) / sum(w)^2 - 1 at most; so the square
    of the sum is a d-th of N sum(w^2) - sum(w)^2, not less than members who differ by chance have, nor more than those who all err alike.
    """
    population, dimensions = (np.array([getattr(arm, name) for arm in arms], np.float64) for name in ("population", "dimensions"))
    lopsided = np.maximum(population * squares - total**2, 0.0) / dimensions
    return np.sqrt(np.minimum(total**2, np.maximum(lopsided, squares)))


def _sums(share: Floats, column: Floats) -> Floats:
    total: Floats = np.einsum("sk,sk->k", share, column)
    return total


def _arm(at: int, arm: Arm, sums: _OfArms, lost: Counter[tuple[str, str]]) -> ArmOutlook:
    rules = Counter({rule: number for (name, rule), number in lost.items() if name == arm.id and number})
    return ArmOutlook(
        intervention_id=arm.id,
        source=arm.source,
        members=float(sums.members[at]),
        spend=float(sums.spend[at]),
        net_value=sums.net_value[at],
        saved=sums.saved[at],
        blocked=tuple(rules.most_common(RULES_SHOWN)),
    )


def _outbid(strata: Strata, plan: Meant) -> Floats:
    """By intervention the members for whom it is the best of what is allowed, and worth it, and who are meant to get something else."""
    rows = np.flatnonzero(strata.best >= 0)
    best = strata.best[rows]
    missed = strata.members[rows] * (1 - plan.meant[rows, 1 + best])
    return np.bincount(best, missed, plan.meant.shape[1] - 1).astype(np.float64)

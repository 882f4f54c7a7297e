"""What a plan can be expected to bring: money, members, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.intervals import Estimate

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.planning import Candidates, JointPlan
    from models.weighing import Weighed

RULES_SHOWN = 3
OUTBID = "arbitration:outbid"


@dataclass(frozen=True)
class Prospects:
    """Of all members: net_value = uplift x value - cost, in money; uplift and the ends of its interval; shape (n_members, k)."""

    net_value: Floats
    uplift: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, weighed: Weighed) -> Self:
        """0 where an effect is not known."""
        net_value = weighed.uplift * weighed.scores.value[:, None] - weighed.cost
        return cls(*(np.nan_to_num(column) for column in (net_value, weighed.uplift, weighed.interval.low, weighed.interval.high)))

    def __getitem__(self, members: Flags | slice) -> Self:
        return type(self)(self.net_value[members], self.uplift[members], self.low[members], self.high[members])

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("net_value", "uplift", "low", "high")))


@dataclass(frozen=True)
class ArmOutlook:
    """One intervention: members expected to get it, what that costs and brings, and the rules that kept most members from it."""

    intervention_id: str
    members: float
    spend: float
    net_value: float
    saved: Estimate
    blocked: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        blocked = [{"rule": rule, "members": members} for rule, members in self.blocked]
        figures = {"members": self.members, "spend": self.spend, "net_value": self.net_value, "saved": self.saved.to_dict()}
        return {"intervention_id": self.intervention_id, **figures, "blocked": blocked}


@dataclass(frozen=True)
class Outlook:
    """Expected over the draws of exploration; `budget` None where there is none, `gap` how far from the best plan this can be at most."""

    budget: float | None
    gap: float
    arms: tuple[ArmOutlook, ...]

    @property
    def contacted(self) -> float:
        return sum(arm.members for arm in self.arms)

    @property
    def spend(self) -> float:
        return sum(arm.spend for arm in self.arms)

    @property
    def net_value(self) -> float:
        return sum(arm.net_value for arm in self.arms)

    @property
    def saved(self) -> Estimate:
        """Members who stay because of the plan. The ends add up those of the interventions, as if all errors went the same way."""
        return Estimate(*(sum(getattr(arm.saved, name) for arm in self.arms) for name in ("value", "lower", "upper")))

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
            "net_value": self.net_value,
            "members_contacted": self.contacted,
            "members_saved": self.saved.to_dict(),
            "cost_per_saved": self.cost_per_saved,
            "cost_per_saved_interval": self.cost_per_saved_interval,
            "gap": self.gap,
            "interventions": [arm.to_dict() for arm in self.arms],
        }


def outlook(
    community: Community,
    candidates: Candidates,
    prospects: Prospects,
    joint: JointPlan,
    budget: float | None,
    blocked: Counter[tuple[str, str]],
) -> Outlook:
    """`blocked`: by intervention and rule the members whom a rule before arbitration kept from it.

    Of one intervention the errors of all members' uplift are taken to be one and the same: they share the error of its average effect. So
    the sums of the lower and of the upper ends are the interval, wider than if members erred apart.
    """
    lost = Counter(blocked)
    for at, number in enumerate(_outbid(candidates, joint)):
        lost[community.interventions[at].id, OUTBID] = int(number)
    return Outlook(
        budget,
        joint.plan.gap,
        tuple(_arm(at, arm.id, candidates, prospects, joint, lost) for at, arm in enumerate(community.interventions)),
    )


def _arm(at: int, name: str, candidates: Candidates, prospects: Prospects, joint: JointPlan, lost: Counter[tuple[str, str]]) -> ArmOutlook:
    share = joint.expected[:, 1 + at]
    saved = (float((share * column[:, at]).sum()) for column in (prospects.uplift, prospects.low, prospects.high))
    rules = Counter({rule: number for (arm, rule), number in lost.items() if arm == name and number})
    return ArmOutlook(
        intervention_id=name,
        members=float(share.sum()),
        spend=float((share * candidates.cost[:, at]).sum()),
        net_value=float((share * prospects.net_value[:, at]).sum()),
        saved=Estimate(*saved),
        blocked=tuple(rules.most_common(RULES_SHOWN)),
    )


def _outbid(candidates: Candidates, joint: JointPlan) -> Integers:
    """By intervention the members for whom it is the best of what is allowed, and worth it, and who are meant to get something else."""
    worth = np.where(candidates.allowed & (candidates.priority > 0), candidates.priority, -np.inf)
    best = np.where((worth > -np.inf).any(axis=1), worth.argmax(axis=1), -1)
    missed = best[(best >= 0) & (best != joint.plan.choice)]
    return np.bincount(missed, minlength=worth.shape[1])


def blocked_by_rule(community: Community, parts: Iterable[Weighed], among: Flags | slice = slice(None)) -> Counter[tuple[str, str]]:
    """By intervention and rule, `stage:name`, the scored members of `among` whom it kept away before arbitration."""
    counts: Counter[tuple[str, str]] = Counter()
    for weighed in parts:
        rules, scored = weighed.refusals.rules, weighed.scored[among]
        for at, arm in enumerate(community.interventions):
            numbers = np.bincount(weighed.refusals.code[among][scored, at], minlength=1 + len(rules))[1:].tolist()
            told = {
                (arm.id, f"{rule.stage}:{rule.name}"): n
                for rule, n in zip(rules, numbers, strict=True)
                if rule.stage != "arbitration" and n
            }
            counts.update(told)
    return counts

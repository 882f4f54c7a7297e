"""Members weighed for one campaign, part by part, and the plans for all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.plan_figures import Outlook, Prospects, blocked_by_rule, outlook
from models.planning import Candidates, JointPlan, plan_jointly

if TYPE_CHECKING:
    from models.arrays import Flags
    from models.engine import Engine
    from models.supply import Supply
    from models.weighing import Weighed

Blocked = Counter[tuple[str, str]]


class Part(NamedTuple):
    """All that a plan needs of some members; what else was weighed for them can be let go."""

    candidates: Candidates
    prospects: Prospects
    blocked: Blocked

    @classmethod
    def of(cls, engine: Engine, weighed: Weighed, among: Flags | slice = slice(None)) -> Self:
        """Of the members that `among` selects, shape (n,)."""
        blocked = blocked_by_rule(engine.community, [weighed], among)
        return cls(Candidates.of(weighed)[among], Prospects.of(weighed)[among], blocked)


@dataclass(frozen=True)
class Campaign:
    """`supply` is what there is for all of them."""

    engine: Engine
    candidates: Candidates
    prospects: Prospects
    blocked: Blocked
    supply: Supply

    @classmethod
    def of(cls, engine: Engine, parts: Iterable[Part], supply: Supply) -> Self:
        """One part at least."""
        candidates, prospects, blocked = zip(*parts, strict=True)
        together = Counter[tuple[str, str]]()
        for lost in blocked:
            together.update(lost)
        return cls(engine, Candidates.together(candidates), Prospects.together(prospects), together, supply)

    def plan(self, budget: float | None) -> JointPlan:
        """With this budget in place of the supply's; None for none."""
        return self.planned(replace(self.supply, budget=np.inf if budget is None else budget))

    def planned(self, supply: Supply) -> JointPlan:
        return plan_jointly(self.candidates, supply, self.engine.community.policy.exploration)

    def outlook(self, joint: JointPlan, budget: float | None) -> Outlook:
        return outlook(self.engine.community, self.candidates, self.prospects, joint, budget, self.blocked)

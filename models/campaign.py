"""Members weighed for one campaign, part by part, and the plans for all of them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from models.plan_figures import Outlook, arms_of, of_crowd, outlook
from models.planning import JointPlan, plan_jointly
from models.strata import Strata

if TYPE_CHECKING:
    from models.arrays import Integers
    from models.engine import Engine
    from models.supply import Supply


@dataclass(frozen=True)
class Campaign:
    """`strata` has every member by itself; `supply` is what there is for all of them."""

    engine: Engine
    strata: Strata
    supply: Supply

    @classmethod
    def of(cls, engine: Engine, parts: Iterable[Strata], supply: Supply) -> Self:
        """One part at least."""
        return cls(engine, Strata.together(list(parts)), supply)

    def __getitem__(self, rows: Integers) -> Self:
        return replace(self, strata=self.strata[rows])

    def plan(self) -> JointPlan:
        return plan_jointly(self.strata.candidates, self.supply, self.engine.community.policy.exploration)

    def outlook(self, joint: JointPlan, budget: float | None) -> Outlook:
        return outlook(of_crowd(arms_of(self.engine), self.strata), self.strata, joint, budget)

"""Effects learned from the touches of the log, with the catalogue's beliefs where the log tells less than they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.assignments import assignments_of
from models.errors import NotEnoughData
from models.uplift import Uplift, fit_uplift
from models.uplift_beliefs import Estimate, PriorUplift, UpliftInterval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from models.actions import Intervention
    from models.arrays import Floats, Integers
    from models.assignments import Assignments
    from models.decision import UpliftSource
    from models.engine import Engine
    from models.events import EventArrays
    from models.uplift_evidence import Evidence

MOST_ROWS = 300_000
UNSEEN_CONFOUNDING = (
    "effects are observational: the probabilities of the assignments were not logged, so differences between members that no feature shows "
    "may pass for effects; log the probability of each choice, also where it was the same for all"
)


@dataclass(frozen=True)
class LearnedUplift:
    """`fitted` reads the columns `columns` of the engine's features; an intervention whose evidence is mostly prior follows `beliefs`.

    `through_us`: no outcome that it learned from ended later.
    """

    fitted: Uplift
    beliefs: PriorUplift
    columns: Integers
    through_us: int

    @property
    def interventions(self) -> tuple[str, ...]:
        return self.fitted.interventions

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        return self.fitted.evidence

    def effect(self, features: Floats, probability: Floats) -> Floats:
        learned = self.fitted.effect(features[:, self.columns])
        return self._where_learned(learned, self.beliefs.effect(features, probability), probability)

    def interval(self, features: Floats, probability: Floats, level: float = 0.9) -> UpliftInterval:
        return self._interval(self.fitted.interval(features[:, self.columns], level), features, probability, level)

    def estimate(self, features: Floats, probability: Floats, level: float = 0.9) -> Estimate:
        effect, interval = self.fitted.estimate(features[:, self.columns], level)
        believed = self.beliefs.effect(features, probability)
        return Estimate(self._where_learned(effect, believed, probability), self._interval(interval, features, probability, level))

    def _interval(self, learned: UpliftInterval, features: Floats, probability: Floats, level: float) -> UpliftInterval:
        believed = self.beliefs.interval(features, probability, level)
        low, high = (self._where_learned(*ends, probability) for ends in zip(learned, believed, strict=True))
        return UpliftInterval(low, high)

    def source(self, intervention_id: str) -> UpliftSource:
        return self.fitted.evidence[intervention_id].source

    def contributions(self, features: Floats) -> Floats:
        """Exact Shapley values of the learned effects, shape (n, k, n_features + 1), the base last; 0 for effects that are believed."""
        told = self.fitted.contributions(features[:, self.columns])
        values = np.zeros((len(features), len(self.interventions), features.shape[1] + 1))
        values[:, :, [*self.columns.tolist(), -1]] = np.where(self._learned[None, :, None], told, 0.0)
        return values

    def contributions_to(self, features: Floats, arm: int) -> Floats:
        """`contributions` to the effect of one intervention alone, shape (n, n_features + 1)."""
        values = np.zeros((len(features), features.shape[1] + 1))
        if self._learned[arm]:
            values[:, [*self.columns.tolist(), -1]] = self.fitted.contributions_to(features[:, self.columns], arm)
        return values

    def to_dict(self) -> dict[str, Any]:
        return {
            "fitted": self.fitted.to_dict(),
            "beliefs": self.beliefs.to_dict(),
            "columns": self.columns.tolist(),
            "through_us": self.through_us,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> LearnedUplift:
        columns = np.array(stored["columns"], dtype=np.int64)
        return cls(Uplift.from_dict(stored["fitted"]), PriorUplift.from_dict(stored["beliefs"]), columns, stored["through_us"])

    @property
    def _learned(self) -> np.ndarray:
        return np.array([evidence.source != "prior" for evidence in self.evidence.values()])

    def _where_learned(self, learned: Floats, believed: Floats, probability: Floats) -> Floats:
        mixed = np.where(self._learned, learned, believed)
        mixed[np.isnan(probability)] = np.nan
        return mixed


@dataclass(frozen=True)
class UpliftFromLog:
    """`uplift` is None where the log had too little; then the catalogue's beliefs stand. `rows`: assignments learned from."""

    uplift: LearnedUplift | None
    rows: int
    warnings: tuple[str, ...]


def learn_uplift(
    engine: Engine, events: EventArrays, touches: pl.DataFrame, kept: Integers, *, until_us: int, rng: np.random.Generator
) -> UpliftFromLog:
    """From assignments whose outcome lies before `until_us`; `kept` are the columns of the engine's features to learn from."""
    sampling, fitting = rng.spawn(2)
    made = _capped(assignments_of(touches, events, engine.community, until_us=until_us), sampling)
    if len(made) == 0:
        return UpliftFromLog(None, 0, (*made.warnings, "the catalogue's effects are used: the outcome of no assignment is known yet"))
    features = engine.features(events, made.snapshots, threads=2)[:, kept]
    catalogue, typical = engine.community.interventions, engine.reference.typical_probability
    priors = {one.id: (one.starting_uplift, one.starting_evidence) for one in catalogue}
    try:
        fitted = fit_uplift(
            features,
            made.names,
            made.retained,
            made.propensities,
            priors,
            interventions=made.interventions,
            groups=made.snapshots.member,
            rng=fitting,
        )
    except NotEnoughData as shortage:
        return UpliftFromLog(None, len(made), (*made.warnings, f"the catalogue's effects are used: {shortage}"))
    beliefs = PriorUplift.of(_updated(catalogue, fitted.evidence, typical), typical)
    observational = any(evidence.source == "observational" for evidence in fitted.evidence.values())
    warnings = (*made.warnings, *((UNSEEN_CONFOUNDING,) if observational else ()))
    return UpliftFromLog(LearnedUplift(fitted, beliefs, kept, until_us), len(made), warnings)


def _updated(catalogue: Sequence[Intervention], evidence: Mapping[str, Evidence], typical: float) -> list[Intervention]:
    """Beliefs after what little the log had: the expected effect, and the size of a trial of half in each arm with its error."""
    variance = typical * (1 - typical)
    return [
        one.model_copy(
            update={
                "starting_uplift": float(np.clip(evidence[one.id].expected_effect, -1, 1)),
                "starting_evidence": max(one.starting_evidence, 4 * variance / evidence[one.id].expected_error ** 2),
            }
        )
        for one in catalogue
    ]


def _capped(made: Assignments, rng: np.random.Generator) -> Assignments:
    """All assignments of so many members drawn at random that about 300,000 remain."""
    if len(made) <= MOST_ROWS:
        return made
    drawn = rng.random(int(made.snapshots.member.max()) + 1) < MOST_ROWS / len(made)
    return made[drawn[made.snapshots.member]]

"""Effects learned from the touches of the log, with the catalogue's beliefs where the log tells less than they do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.uplift import Uplift
from models.uplift_beliefs import Apart, Estimate, PriorUplift, UpliftInterval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Floats, Integers
    from models.decision import UpliftSource
    from models.uplift_evidence import Evidence


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
        learned = self.fitted.effect(features.take(self.columns, axis=1))
        return self._where_learned(learned, self.beliefs.effect(features, probability), probability)

    def interval(self, features: Floats, probability: Floats, level: float = 0.9) -> UpliftInterval:
        return self.estimate(features, probability, level).interval

    def estimate(self, features: Floats, probability: Floats, level: float = 0.9) -> Estimate:
        learned = self.fitted.effect_and_ends(features.take(self.columns, axis=1), level)
        return Estimate.of(self._where_learned(learned, self.beliefs.effect_and_ends(probability, level), probability))

    def apart(self, level: float = 0.9) -> Apart:
        learned = self.fitted.apart(level)
        return learned._replace(reach=np.where(self._learned, learned.reach, self.beliefs.apart(level).reach))

    def source(self, intervention_id: str) -> UpliftSource:
        return self.fitted.evidence[intervention_id].source

    def contributions(self, features: Floats) -> Floats:
        """Exact Shapley values of the learned effects, shape (n, k, n_features + 1), the base last; 0 for effects that are believed."""
        told = self.fitted.contributions(features.take(self.columns, axis=1))
        values = np.zeros((len(features), len(self.interventions), features.shape[1] + 1))
        values[:, :, self._places] = np.where(self._learned[None, :, None], told, 0.0)
        return values

    def contributions_to(self, features: Floats, arm: int) -> Floats:
        """`contributions` to the effect of one intervention alone, shape (n, n_features + 1)."""
        values = np.zeros((len(features), features.shape[1] + 1))
        if self._learned[arm]:
            values[:, self._places] = self.fitted.contributions_to(features.take(self.columns, axis=1), arm)
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

    @cached_property
    def _places(self) -> Integers:
        """Of the contributions among those of all features, the base last."""
        return np.append(self.columns, -1)

    @cached_property
    def _learned(self) -> np.ndarray:
        return np.array([evidence.source != "prior" for evidence in self.evidence.values()])

    def _where_learned(self, learned: Floats, believed: Floats, probability: Floats) -> Floats:
        mixed = np.where(self._learned, learned, believed)
        mixed[..., np.isnan(probability), :] = np.nan
        return mixed

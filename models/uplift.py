"""The effect of each intervention on each member, as it was learned from what was tried, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from models.balance import unlike_warning
from models.errors import InputError
from models.student import Student
from models.trial import matrix_of
from models.uplift_beliefs import Apart, Estimate, UpliftInterval
from models.uplift_evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Floats
    from models.balance import Unlike
    from models.trial import Given


@dataclass(frozen=True)
class Uplift:
    """effect = average + stretch (student - centre); arrays of shape (k,).

    Attributes:
        evidence: of each intervention, in the order of `interventions`.
        student: what the members' features say, one output for each intervention.
        error: standard error of the average; missed: standard deviation of differences between members that were not found; slope_error:
            standard error of the factor by which the differences found are right.
        bound: largest change that is possible, 1 where the outcome is 0/1.
        dimensions: in how many the features vary, from 1, where all tell the same, to their number, where each tells its own.
        columns: names of the features where a data frame was given.
        unlike: features in which an arm and `none` differ further than the logged chances explain; told by the fit, and not stored.
    """

    evidence: Mapping[str, Evidence]
    student: Student
    average: Floats
    centre: Floats
    stretch: Floats
    error: Floats
    missed: Floats
    slope_error: float
    bound: float
    dimensions: float
    columns: tuple[str, ...] | None = None
    unlike: tuple[Unlike, ...] = ()

    def warning(self, names: Sequence[str] | None = None) -> str | None:
        """What to mend before any of the effects is believed; None where nothing is `unlike`."""
        known = names or self.columns or [f"column {number}" for number in range(1 + max((one.column for one in self.unlike), default=0))]
        return unlike_warning(self.unlike, self.interventions, known) if self.unlike else None

    @property
    def interventions(self) -> tuple[str, ...]:
        return tuple(self.evidence)

    def effect(self, features: Given) -> Floats:
        """Outcome with each intervention minus outcome without, shape (n_members, n_interventions). Raises InputError for other columns."""
        return self._possible(self.average + self._difference(features))

    def interval(self, features: Given, level: float = 0.9) -> UpliftInterval:
        """The effect +- z sqrt(error^2 + (slope_error (effect - average))^2 + missed^2), each end of shape (n_members, k)."""
        return self.estimate(features, level).interval

    def estimate(self, features: Given, level: float = 0.9) -> Estimate:
        """Effect and interval, for which the members' features are read once."""
        return Estimate.of(self.effect_and_ends(features, level))

    def effect_and_ends(self, features: Given, level: float) -> Floats:
        """What `Estimate.of` takes."""
        difference = self._difference(features)
        reach = ndtri((1 + level) / 2) * np.sqrt(self.error**2 + (self.slope_error * difference) ** 2 + self.missed**2)
        middle = self.average + difference
        return self._possible(np.array([middle, middle - reach, middle + reach]))

    def apart(self, level: float = 0.9) -> Apart:
        return Apart(ndtri((1 + level) / 2) * self.missed, self.dimensions)

    def _possible(self, effect: Floats) -> Floats:
        held: Floats = np.minimum(np.maximum(effect, -self.bound), self.bound)
        return held

    def contributions(self, features: Given) -> Floats:
        """Exact Shapley values of each effect, shape (n_members, n_interventions, n_features + 1), the usual effect last; they add up."""
        told = self.student.contributions(self._matrix(features)) * self.stretch[:, None]
        told[:, :, -1] += self.average - self.stretch * self.centre
        return told

    def contributions_to(self, features: Given, arm: int) -> Floats:
        """`contributions` to the effect of one intervention alone, shape (n_members, n_features + 1)."""
        told: Floats = self.student.contributions_to(self._matrix(features), arm) * self.stretch[arm]
        told[:, -1] += self.average[arm] - self.stretch[arm] * self.centre[arm]
        return told

    def to_dict(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("average", "centre", "stretch", "error", "missed")}
        return {
            "evidence": [evidence.to_dict() for evidence in self.evidence.values()],
            "student": {"outputs": self.student.outputs, "model_text": self.student.model_text},
            "slope_error": self.slope_error,
            "dimensions": self.dimensions,
            "bound": None if np.isinf(self.bound) else self.bound,
            "columns": self.columns,
            **arrays,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Uplift:
        told = (Evidence.from_dict(evidence) for evidence in stored["evidence"])
        return cls(
            evidence={evidence.intervention: evidence for evidence in told},
            student=Student(stored["student"]["outputs"], stored["student"]["model_text"]),
            slope_error=stored["slope_error"],
            dimensions=stored.get("dimensions", 1.0),
            bound=np.inf if stored["bound"] is None else stored["bound"],
            columns=None if stored["columns"] is None else tuple(stored["columns"]),
            average=np.array(stored["average"]),
            centre=np.array(stored["centre"]),
            stretch=np.array(stored["stretch"]),
            error=np.array(stored["error"]),
            missed=np.array(stored["missed"]),
        )

    def _difference(self, features: Given) -> Floats:
        difference: Floats = self.stretch * (self.student(self._matrix(features)) - self.centre)
        return difference

    def _matrix(self, features: Given) -> Floats:
        given = column_names(features)
        if self.columns is not None and given is not None and given != self.columns:
            missing = [name for name in self.columns if name not in given]
            if missing:
                raise InputError(f"features: {', '.join(missing[:5])} missing; the effects were learned from {len(self.columns)} columns")
            features = features[list(self.columns)]
        matrix = matrix_of(features)
        if matrix.shape[1] != self.student.booster.features:
            raise InputError(f"features: {matrix.shape[1]} columns; the effects were learned from {self.student.booster.features}")
        return matrix


def column_names(features: Given) -> tuple[str, ...] | None:
    return tuple(str(name) for name in features.columns) if hasattr(features, "columns") else None

"""Risk of leaving, for each horizon: additive margins, a monotone calibration, and horizons that agree with one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from models.calibration import Calibration, calibration_from_dict
from models.margins import Contributions, Margin, margin_from_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

Outcome = Literal["silence", "contract_end"]


@dataclass(frozen=True)
class HorizonModel:
    """probability = calibration(margin(features))."""

    horizon_days: int
    margin: Margin
    calibration: Calibration

    def probability(self, features: np.ndarray) -> np.ndarray:
        return self.calibration(self.margin(features))

    def to_dict(self) -> dict[str, Any]:
        return {"horizon_days": self.horizon_days, "margin": self.margin.to_dict(), "calibration": self.calibration.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(stored["horizon_days"], margin_from_dict(stored["margin"]), calibration_from_dict(stored["calibration"]))


@dataclass(frozen=True)
class ChurnModel:
    """One model for each horizon, horizons rising; `main` is the horizon that decisions are made on."""

    models: tuple[HorizonModel, ...]
    main: int
    outcome: Outcome = "silence"

    @property
    def horizons_days(self) -> tuple[int, ...]:
        return tuple(model.horizon_days for model in self.models)

    @property
    def main_model(self) -> HorizonModel:
        return self.models[self.horizons_days.index(self.main)]

    def typical_probability(self, base: float) -> float:
        """Risk of the usual member: the calibrated base of the contributions."""
        return float(self.main_model.calibration(np.array([base]))[0])

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Shape (n, n_horizons). The main horizon keeps its value, the others are held to its side.

        Silence over a longer time is rarer, the end of a contract within a longer time likelier.
        """
        raw = np.stack([model.probability(features) for model in self.models], axis=1)
        at = self.horizons_days.index(self.main)
        longer, shorter = (np.minimum, np.maximum) if self.outcome == "silence" else (np.maximum, np.minimum)
        raw[:, at:] = longer.accumulate(raw[:, at:], axis=1)
        raw[:, : at + 1] = shorter.accumulate(raw[:, at::-1], axis=1)[:, ::-1]
        return raw

    def contributions(self, features: np.ndarray) -> Contributions:
        """Exact Shapley values of the main horizon's margin, in log-odds, shape (n, n_features)."""
        return self.main_model.margin.contributions(features)

    def to_dict(self) -> dict[str, Any]:
        return {"main": self.main, "outcome": self.outcome, "models": [model.to_dict() for model in self.models]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(tuple(HorizonModel.from_dict(model) for model in stored["models"]), stored["main"], stored["outcome"])

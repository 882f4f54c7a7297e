"""Additive risk margins in log-odds: how they are stored, and how they split over the features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any, Protocol, Self

import numpy as np

from models.booster import Booster
from models.shapley_trees import ShapleyTrees
from models.standardising import signed_log

LARGEST_STANDARD_SCORE = 5.0


@dataclass(frozen=True)
class Contributions:
    """`base + values.sum(axis=1)` is the margin; values has one column for each feature of the whole matrix, shape (n, n_features)."""

    base: float
    values: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        margin: np.ndarray = self.base + self.values.sum(axis=1)
        return margin


class Margin(Protocol):
    """A fitted part: feature matrix (n, n_features) -> log-odds of churn (n,)."""

    def __call__(self, features: np.ndarray) -> np.ndarray: ...

    def contributions(self, features: np.ndarray) -> Contributions: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class LinearMargin:
    """intercept + sum_j coefficient_j z_j, with z = (slog(x) - mean) / scale held within +-5 and slog(x) = sign(x) log(1 + |x|).

    A missing x is replaced by `fill` first. All arrays have the shape of `columns`, positions in the feature matrix. Since z has mean 0
    over the training rows, coefficient_j z_j is the exact Shapley value of feature j against independent training rows.
    """

    columns: np.ndarray
    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficient: np.ndarray
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        margin: np.ndarray = self.intercept + (self.standard(features) * self.coefficient).sum(axis=1)
        return margin

    def contributions(self, features: np.ndarray) -> Contributions:
        values = np.zeros(features.shape)
        values[:, self.columns] = self.standard(features) * self.coefficient
        return Contributions(self.intercept, values)

    def to_dict(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("columns", "fill", "mean", "scale", "coefficient")}
        return {"kind": "linear", "intercept": self.intercept, **arrays}

    def shifted(self, by: float) -> LinearMargin:
        return replace(self, intercept=self.intercept + by)

    def standard(self, features: np.ndarray) -> np.ndarray:
        z = (signed_log(features.take(self.columns, axis=1), self.fill) - self.mean) / self.scale
        held: np.ndarray = np.minimum(np.maximum(z, -LARGEST_STANDARD_SCORE), LARGEST_STANDARD_SCORE)
        return held


@dataclass(frozen=True)
class BoosterMargin:
    """A LightGBM model of the log-odds on some columns of the feature matrix."""

    columns: np.ndarray
    model_text: str

    @cached_property
    def booster(self) -> Booster:
        return Booster(self.model_text)

    @cached_property
    def shapley_trees(self) -> ShapleyTrees | None:
        return ShapleyTrees.of(self.model_text)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return self.booster.margins(features.take(self.columns, axis=1))[:, 0]

    def contributions(self, features: np.ndarray) -> Contributions:
        """Exact TreeSHAP (Lundberg et al. 2020), path dependent; looked up where all trees are small."""
        values = np.zeros(features.shape)
        if self.shapley_trees is not None:
            values[:, self.columns] = self.shapley_trees.contributions(features.take(self.columns, axis=1))
            return Contributions(self.shapley_trees.base, values)
        if len(features) == 0:
            return Contributions(0.0, values)
        shap = self.booster.contributions(features.take(self.columns, axis=1))[:, 0]
        values[:, self.columns] = shap[:, :-1]
        return Contributions(float(shap[0, -1]), values)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "booster", "columns": self.columns.tolist(), "model_text": self.model_text}


@dataclass(frozen=True)
class BlendedMargin:
    """The weighted sum of parts: both the margin and its contributions add."""

    weights: tuple[float, ...]
    parts: tuple[Margin, ...]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return reduce(add, (w * part(features) for w, part in zip(self.weights, self.parts, strict=True)))

    def contributions(self, features: np.ndarray) -> Contributions:
        each = [part.contributions(features) for part in self.parts]
        base = sum(w * part.base for w, part in zip(self.weights, each, strict=True))
        values = reduce(add, (w * part.values for w, part in zip(self.weights, each, strict=True)))
        return Contributions(float(base), values)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "blend", "weights": list(self.weights), "parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def of(cls, weighted: Mapping[str, float], parts: Mapping[str, Margin]) -> Self:
        """Parts of weight 0 are left out."""
        used = {name: weight for name, weight in weighted.items() if weight > 0}
        return cls(tuple(used.values()), tuple(parts[name] for name in used))


def margin_from_dict(stored: Mapping[str, Any]) -> Margin:
    """The inverse of `to_dict` of any margin; raises KeyError for an unknown kind."""
    return READERS[stored["kind"]](stored)


def _linear_from(stored: Mapping[str, Any]) -> LinearMargin:
    return LinearMargin(
        np.array(stored["columns"], dtype=np.int64),
        np.array(stored["fill"]),
        np.array(stored["mean"]),
        np.array(stored["scale"]),
        np.array(stored["coefficient"]),
        stored["intercept"],
    )


def _booster_from(stored: Mapping[str, Any]) -> BoosterMargin:
    return BoosterMargin(np.array(stored["columns"], dtype=np.int64), stored["model_text"])


def _blend_from(stored: Mapping[str, Any]) -> BlendedMargin:
    return BlendedMargin(tuple(stored["weights"]), tuple(margin_from_dict(part) for part in stored["parts"]))


READERS: dict[str, Callable[[Mapping[str, Any]], Margin]] = {"linear": _linear_from, "booster": _booster_from, "blend": _blend_from}

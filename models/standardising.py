"""Features as a linear model likes them: filled, on a common scale, without far outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Floats

FARTHEST = 5.0


@dataclass(frozen=True)
class Standard:
    """(slog(x) - mean) / scale within +-5, with slog(x) = sign(x) log(1 + |x|) and a missing x at `fill`, the median; shapes (d,)."""

    fill: Floats
    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Floats) -> Self:
        """Of the rows that a model learns from; a column without a value counts as 0 throughout."""
        fill = medians(features)
        logs = signed_log(features, fill)
        spread = logs.std(axis=0)
        return cls(fill, logs.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def __call__(self, features: Floats) -> Floats:
        standard: Floats = np.clip((signed_log(features, self.fill) - self.mean) / self.scale, -FARTHEST, FARTHEST)
        return standard


def medians(features: Floats) -> Floats:
    """Of each column without NaN; 0 for a column that is all NaN."""
    known = ~np.isnan(features).all(axis=0)
    middle = np.zeros(features.shape[1])
    middle[known] = np.nanmedian(features[:, known], axis=0)
    return middle


def signed_log(features: Floats, fill: Floats) -> Floats:
    """sign(x) log(1 + |x|), with `fill`, shape (d,), for a missing x."""
    filled = np.where(np.isnan(features), fill, features).astype(np.float64)
    logs: Floats = np.sign(filled) * np.log1p(np.abs(filled))
    return logs

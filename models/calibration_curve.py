"""Said against seen: the risk that was told, and the share that went, of members with about the same risk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from models.metrics import calibration_curve
from models.second_opinion import wilson

if TYPE_CHECKING:
    from typing import Any

    from models.arrays import Flags, Floats


@dataclass(frozen=True)
class CalibrationPoint:
    """Of `members` with a mean risk of `said` the share `seen` went, with its 95 % interval (Wilson)."""

    members: int
    said: float
    seen: float
    lower: float
    upper: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def calibration_points(churned: Flags, probability: Floats) -> tuple[CalibrationPoint, ...]:
    """In bins of equal mass, lowest risk first; both of shape (n,)."""
    told = []
    for found in calibration_curve(churned, probability):
        ends = wilson(round(found.observed * found.n), found.n)
        told.append(CalibrationPoint(found.n, found.predicted, found.observed, *ends))
    return tuple(told)

"""How precisely amounts are written, by their unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Floats
    from models.reason_groups import Unit


class Precision(NamedTuple):
    """Of each column: `steps` to a whole below `whole_from` in size, whole numbers from there on; `floored`, or to the nearest."""

    steps: Floats
    whole_from: Floats
    floored: Flags

    @classmethod
    def of(cls, units: Sequence[Unit]) -> Self:
        steps, whole_from, floored = zip(*(_PRECISION.get(unit, _NUMBER) for unit in units), strict=True)
        return cls(np.array(steps, dtype=np.float64), np.array(whole_from, dtype=np.float64), np.array(floored, dtype=np.bool_))


def as_written(values: Floats, precision: Precision) -> Floats:
    """The precision at which `wording.amount` writes, by column: values that are written alike become one number, shape (n, k)."""
    steps = np.where(np.abs(values) < precision.whole_from, precision.steps, 1.0)
    scaled = values * steps
    return np.where(precision.floored, np.floor(scaled), np.rint(scaled)) / steps


_NUMBER = (10, 10, False)
_PRECISION: dict[Unit, tuple[float, float, bool]] = {
    "days": (24, 1, True),
    "money": (100, 1000, False),
    "share": (100, np.inf, False),
    "trend": (1e6, np.inf, False),
}

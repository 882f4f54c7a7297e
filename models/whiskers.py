"""Intervals side by side on one scale, as lengths of an SVG in per cent: 0 is always on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

Side = Literal["above", "below", "both"]
MARGIN = 0.04
"""Of the width, left and right."""


@dataclass(frozen=True)
class Whisker:
    """`side`: the whole interval lies above or below 0, or holds it."""

    low: float
    value: float
    high: float
    side: Side

    @property
    def reach(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class Scale:
    least: float
    most: float

    @classmethod
    def over(cls, intervals: Sequence[Sequence[float]]) -> Self:
        ends = [0.0, *(end for interval in intervals for end in interval)]
        return cls(min(ends), max(ends))

    @property
    def zero(self) -> float:
        return self._at(0.0)

    def whisker(self, value: float, low: float, high: float) -> Whisker:
        side: Side = "above" if low > 0 else "below" if high < 0 else "both"
        return Whisker(self._at(low), self._at(value), self._at(high), side)

    def _at(self, value: float) -> float:
        span = self.most - self.least
        place = (value - self.least) / span if span else 0.5
        return 100 * (MARGIN + (1 - 2 * MARGIN) * place)

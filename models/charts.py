"""Lines over a common x: coordinates in the units of an SVG's view box, with round ticks."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.intervals import Estimate

WIDTH, HEIGHT = 400.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 8.0, 10.0, 26.0
TICKS = 5
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Line:
    """`points` and `band` are the attribute of an SVG polyline and polygon; `band` is empty where it is not drawn."""

    kind: str
    points: str
    band: str


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """`zero`: where y = 0 lies; `mark`: the x that is pointed out."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float
    mark: float


@dataclass(frozen=True)
class Series:
    """Estimates at each x; the interval is drawn where `banded`."""

    kind: str
    estimates: Sequence[Estimate]
    banded: bool = False

    @property
    def ends(self) -> list[float]:
        """All that must fit into the figure."""
        values = [estimate.value for estimate in self.estimates]
        bounds = [bound for estimate in self.estimates for bound in estimate.interval]
        return values + bounds * self.banded


def line_chart(
    xs: Sequence[float],
    series: Sequence[Series],
    *,
    mark: float,
    x_label: Callable[[float], str],
    y_label: Callable[[float], str],
    x_ticks: Sequence[float],
) -> Chart:
    """0 is always in the figure."""
    ends = [0.0, *(end for one in series for end in one.ends)]
    step = round_step(max(ends) - min(ends))
    low, high = floor(min(ends) / step) * step, max(ceil(max(ends) / step), floor(min(ends) / step) + 1) * step
    x_range = max(xs[-1], 1e-9)

    def at_x(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / x_range

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)

    def drawn(pairs: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in pairs)

    def line(one: Series) -> Line:
        upper = [(x, found.upper) for x, found in zip(xs, one.estimates, strict=True)]
        lower = [(x, found.lower) for x, found in zip(xs, one.estimates, strict=True)]
        band = drawn([*upper, *reversed(lower)]) if one.banded else ""
        return Line(one.kind, drawn([(x, found.value) for x, found in zip(xs, one.estimates, strict=True)]), band)

    return Chart(
        lines=tuple(line(one) for one in series),
        x_ticks=tuple(Tick(at_x(x), x_label(x)) for x in x_ticks),
        y_ticks=tuple(Tick(at_y(low + step * k), y_label(low + step * k)) for k in range(round((high - low) / step) + 1)),
        zero=at_y(0.0),
        mark=at_x(mark),
    )


def round_step(span: float) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that covers `span` in TICKS steps; 1 for no span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** floor(log10(span / TICKS))
    return next(step * power for step in STEPS if step * power * TICKS >= span * (1 - 1e-9))

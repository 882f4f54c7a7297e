"""The figures of several logs of one world and size, as one block of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tests.benchmarks.uplift_figures import Figures

CONSTANT = "learned constant"
"""What every other policy is compared with, log by log."""


@dataclass(frozen=True)
class Found:
    """by_learner: in the order of the table."""

    world: str
    size: int
    seed: int
    by_learner: dict[str, Figures]

    def rows(self) -> list[dict[str, Any]]:
        """One for each learner, for a JSON file."""
        return [
            {"world": self.world, "size": self.size, "seed": self.seed, "learner": learner} | asdict(figures)
            for learner, figures in self.by_learner.items()
        ]


@dataclass(frozen=True)
class Column:
    """tell: from the figures of a learner, and those of the constant, one for each log."""

    title: str
    width: int
    tell: Callable[[Sequence[Figures], Sequence[Figures]], str]


def mean(name: str, form: str) -> Callable[[Sequence[Figures], Sequence[Figures]], str]:
    def told(mine: Sequence[Figures], _: Sequence[Figures]) -> str:
        value = float(np.mean([getattr(one, name) for one in mine]))
        return "-" if np.isnan(value) else format(value, form)

    return told


def gain(mine: Sequence[Figures], _: Sequence[Figures]) -> str:
    """Mean and standard deviation over the logs."""
    gains = [one.gain for one in mine]
    return f"{np.mean(gains):.1f}" + (f" ({np.std(gains, ddof=1):.1f})" if len(gains) > 1 else "")


def beyond_constant(mine: Sequence[Figures], constant: Sequence[Figures]) -> str:
    """Mean of the differences log by log, and its standard error."""
    more = [one.gain - other.gain for one, other in zip(mine, constant, strict=True)]
    return f"{np.mean(more):+.1f}" + (f" ± {np.std(more, ddof=1) / len(more) ** 0.5:.1f}" if len(more) > 1 else "")


COLUMNS = (
    Column("gain, % (sd)", 13, gain),
    Column("less constant ± se", 19, beyond_constant),
    Column("gain at 20 %", 13, mean("limited", ".1f")),
    Column("PEHE", 8, mean("pehe", ".4f")),
    Column("slope", 7, mean("slope", ".2f")),
    Column("in arm", 7, mean("slope_within", ".2f")),
    Column("coverage", 9, mean("coverage", ".3f")),
    Column("width", 7, mean("width", ".3f")),
    Column("fit, s", 8, mean("fit_s", ".1f")),
    Column("one, ms", 8, mean("one_ms", ".2f")),
)


def tell(found: Sequence[Found]) -> None:
    first = found[0]
    print(f"\n{first.world}, {first.size:,} rows, {len(found)} logs", flush=True)
    print(f"  {'':27}" + "".join(f"{column.title:>{column.width}}" for column in COLUMNS))
    constant = [one.by_learner[CONSTANT] for one in found]
    for learner in first.by_learner:
        mine = [one.by_learner[learner] for one in found]
        print(f"  {learner:27}" + "".join(f"{column.tell(mine, constant):>{column.width}}" for column in COLUMNS), flush=True)

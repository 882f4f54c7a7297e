"""Why effects are what they are, for many decisions at once, worked out beside what else is told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from models.cores import begun

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.decision import Reason
    from models.declared import Language
    from models.engine import Engine
    from models.weighing import Weighed

BEGUN_ROWS = 100
"""For fewer, to begin beside costs as much as it saves."""


@dataclass(frozen=True)
class EffectReasons:
    """Of scored members for whom something was chosen, by their rows."""

    engine: Engine
    rows: Integers
    features: Floats
    contributions: Callable[[], Floats]

    @classmethod
    def begun(cls, engine: Engine, weighed: Weighed, acting: Flags | None) -> Self:
        """Of many rows the contributions are worked out while all else is told."""
        asked = weighed.chosen > 0 if acting is None else (weighed.chosen > 0) & acting
        rows = np.flatnonzero(weighed.scored & asked)
        features = weighed.scores.features[rows]
        work = partial(engine.effect_contributions, features, weighed.chosen[rows] - 1)
        return cls(engine, rows, features, work if len(rows) < BEGUN_ROWS else begun(work))

    def told(self, language: Language) -> dict[int, tuple[Reason, ...]]:
        told = self.engine.effect_reasons(self.features, self.contributions(), language)
        return dict(zip(self.rows.tolist(), told, strict=True))

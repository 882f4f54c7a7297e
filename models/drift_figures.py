"""How far members have moved from those whom the champion was tested on, in what it reads and in what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from models.drift import shifts_of
from models.errors import NotEnoughData
from models.watched_model import ModelWatch, weights_of

if TYPE_CHECKING:
    from models.engine import Engine
    from models.events import EventArrays
    from models.schedule import Watch

DRIFT = "drift"
"""Their name in the store."""
MOST_MEMBERS = 5_000


@dataclass(frozen=True)
class Moved:
    """One column: PSI, what chance alone may make of it, and how much of the model rests on it. `signal` and `family` tell what it is of.

    `notable`: above the declared limit and above chance.
    """

    name: str
    signal: str
    family: str
    psi: float
    chance: float
    weight: float
    notable: bool


@dataclass(frozen=True)
class DriftFigures:
    """Active members at `as_of` against those at `since`, that hour of the week nearest to the champion's test; MOST_MEMBERS each at most.

    `risk` is the score itself; `columns` are those that the model reads, that which moved most first.
    """

    as_of: datetime
    since: datetime
    model_version: str
    members_before: int
    members: int
    threshold: float
    risk: Moved
    columns: tuple[Moved, ...]

    @property
    def moved_weight(self) -> float:
        """How much of the model rests on columns that moved notably, a share of 1."""
        return sum(one.weight for one in self.columns if one.notable)

    def to_json(self) -> str:
        return _FIGURES.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> DriftFigures:
        return _FIGURES.validate_json(text)


_FIGURES = TypeAdapter(DriftFigures)


def drift_figures(engine: Engine, events: EventArrays, as_of: datetime, limits: Watch) -> DriftFigures | None:
    """None where nobody was active at one of the two times, as in a log that no longer reaches back."""
    watch = ModelWatch.of(engine, events, as_of)
    try:
        sides = watch.sides(as_of, most=MOST_MEMBERS)
        risk = watch.score(sides)
    except NotEnoughData:
        return None
    shifts = shifts_of(engine.names, sides.before, sides.after, weights_of(engine, sides.before))
    known = {feature.name: feature for feature in engine.spec.features}
    columns = []
    for one in shifts:
        feature = known.get(one.name)
        signal, family = (one.name, "attribute") if feature is None else (feature.signal, feature.family)
        columns.append(Moved(one.name, signal, family, one.psi, one.chance, one.weight, one.beyond(limits.feature_psi)))
    return DriftFigures(
        as_of=as_of,
        since=watch.since(as_of),
        model_version=engine.version,
        members_before=len(sides.before),
        members=len(sides.after),
        threshold=limits.feature_psi,
        risk=Moved("risk", "risk", "risk", risk.psi, risk.chance, risk.weight, risk.beyond(limits.score_psi)),
        columns=tuple(columns),
    )

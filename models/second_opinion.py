"""What another engine would have decided where the champion did: on the same history and contacts, with the same draw."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.actions import NO_ACTION
from models.basis import Basis
from models.interventions import NOT_DRAWN, ContactHistory
from models.moments import EPOCH
from models.snapshots import Snapshots
from models.weighing import BANDS, Weighed, risk_bands, weigh

if TYPE_CHECKING:
    from models.engine import Engine
    from models.events import EventArrays
    from models.weighing import Context

Z = 1.959964


class Opinion(NamedTuple):
    """`band` and `probability` are None for a member without a score."""

    band: str | None
    choice: str
    probability: float | None


@dataclass(frozen=True)
class Made:
    """A decision that was kept; `basis` and `body` are JSON."""

    decision_id: str
    member_id: str
    created_us: int
    model_version: str
    chosen: str
    body: str
    basis: str

    @property
    def opinion(self) -> Opinion:
        churn = json.loads(self.body)["churn"]
        return Opinion(churn["risk_band"], self.chosen, churn["probability"])


@dataclass(frozen=True)
class Agreement:
    """Of `decisions` the shares in which two engines agree, with 95 % Wilson intervals, and the mean distance of their probabilities.

    None where nothing was compared, or nobody had a score of both.
    """

    decisions: int
    band: float | None
    band_interval: tuple[float, float] | None
    choice: float | None
    choice_interval: tuple[float, float] | None
    probability_difference: float | None

    @classmethod
    def of(cls, decisions: int, same_band: int, same_choice: int, difference: float | None) -> Agreement:
        if decisions == 0:
            return cls(0, None, None, None, None, None)
        band, choice = (wilson(number, decisions) for number in (same_band, same_choice))
        return cls(decisions, same_band / decisions, band, same_choice / decisions, choice, difference)


def wilson(number: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): (number + z^2 / 2 -+ z sqrt(number (of - number) / of + z^2 / 4)) / (of + z^2)."""
    middle, half = number + Z * Z / 2, Z * math.sqrt(number * (of - number) / of + Z * Z / 4)
    return (middle - half) / (of + Z * Z), (middle + half) / (of + Z * Z)


def second_opinions(engine: Engine, events: EventArrays, made: Sequence[Made], row_of: dict[str, int]) -> dict[str, Opinion]:
    """By decision; `row_of` tells where a member stands in `events`. The prices of a plan are those of another engine and left aside."""
    together: dict[Context, list[tuple[Made, Basis]]] = defaultdict(list)
    for one in made:
        basis = Basis.from_json(one.basis)
        together[basis.context].append((one, basis))
    return {name: opinion for context, rows in together.items() for name, opinion in _opinions(engine, events, rows, row_of, context)}


def _opinions(
    engine: Engine, events: EventArrays, rows: Sequence[tuple[Made, Basis]], row_of: dict[str, int], context: Context
) -> Iterable[tuple[str, Opinion]]:
    made = [one for one, _ in rows]
    member, as_of_us = np.array([row_of[one.member_id] for one in made]), np.array([one.created_us for one in made])
    snapshots = Snapshots(member, as_of_us, events.joined_us[member])
    contacts, latest = _contacts([basis for _, basis in rows], as_of_us), EPOCH + timedelta(microseconds=int(as_of_us.max()))
    members, decisions = [one.member_id for one in made], [one.decision_id for one in made]
    weighed = weigh(engine, events, snapshots, members, decisions, contacts, as_of=latest, context=context)
    return zip(decisions, _told(engine, weighed), strict=True)


def _contacts(bases: Sequence[Basis], as_of_us: np.ndarray) -> ContactHistory:
    """Moved to the latest of the moments: rules on contacts ask only how long before the decision they were."""
    held = [basis.history for basis in bases]
    number = np.array([len(history.member) for history in held])
    rows = np.repeat(np.arange(len(held)), number)
    later_us = as_of_us.max() - as_of_us
    at_us = np.concatenate([history.at_us for history in held]) + later_us[rows]
    drawn_us = np.array([NOT_DRAWN if basis.drawn_us is None else basis.drawn_us for basis in bases], dtype=np.int64)
    names = ("channel", "intervention", "response", "undelivered")
    columns = {name: np.concatenate([np.asarray(getattr(history, name)) for history in held]) for name in names}
    return ContactHistory(
        member=rows,
        at_us=at_us,
        opted_out=tuple((row, channel) for row, basis in enumerate(bases) for channel in basis.opted_out),
        impersonal=tuple(row for row, basis in enumerate(bases) if basis.impersonal),
        drawn_us=drawn_us + later_us,
        **columns,
    )


def _told(engine: Engine, weighed: Weighed) -> list[Opinion]:
    arms = (NO_ACTION, *(one.id for one in engine.community.interventions))
    bands = risk_bands(weighed.probability, engine.reference.band_edges)
    rows = zip(weighed.scored.tolist(), bands.tolist(), weighed.chosen.tolist(), weighed.probability.tolist(), strict=True)
    return [
        Opinion(BANDS[band] if scored else None, arms[chosen], probability if scored else None)
        for scored, band, chosen, probability in rows
    ]

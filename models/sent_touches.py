"""What the store knows of touches of some members, those of a log and those that came through the service, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.community import DAY_US
from models.events import NEVER_US
from models.interventions import ContactHistory
from models.same_touches import NAMELESS, OWN, DeclaredTouches, KeptTouches, same_touches, with_what_is_declared
from models.signal_columns import SignalColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.arrays import Integers, Names

NO_CONTACT = ("undelivered", "expired")
BEFORE_US = DAY_US
"""Touches are read from so much earlier on: one of the log may be one of the service that was decided on before it."""


class Sent(NamedTuple):
    """A touch of the member in that row, as the store has it; `decided_us`: when the decision was made that it carries out, if one was."""

    row: int
    at_us: int
    channel: str | None
    intervention_id: str
    response: str | None
    state: str
    expires_us: int | None
    source: str | None
    named: str | None
    touch_id: str
    decision_id: str | None
    decided_us: int | None

    @property
    def declared(self) -> bool:
        return self.source in {None, "log"}


class Touched:
    """Touches by the position of their member, of each those columns that the store lists as JSON; None where there are none.

    `within_us`: as of `same_touches`.
    """

    def __init__(self, told: Sequence[str | None], within_us: int) -> None:
        rows = [Sent(row, *touch) for row, touches in enumerate(told) for touch in json.loads(touches or "[]")]
        self.rows = each_once(rows, within_us)

    def delivered(self, since_us: int, signal: int) -> SignalColumns:
        """Those that arrived, from `since_us` on, as one signal."""
        rows = [one for one in self.rows if one.at_us >= since_us and one.state == "delivered"]
        return SignalColumns.of_signal([one.row for one in rows], [one.at_us for one in rows], signal)

    def contacts(self, since_us: int, as_of_us: int, until_us: int = NEVER_US) -> ContactHistory:
        """Those made from `since_us` on and before `until_us`.

        What another request reserved a moment after `as_of` was decided earlier all the same, and is put before it.
        """
        rows = [one for one in self.rows if since_us <= one.at_us < until_us]
        return ContactHistory(
            member=np.array([one.row for one in rows], dtype=np.int64),
            at_us=np.minimum(np.array([one.at_us for one in rows], dtype=np.int64), as_of_us - 1),
            channel=np.array([one.channel or "" for one in rows], dtype=str),
            intervention=np.array([one.intervention_id for one in rows], dtype=str),
            response=np.array([one.response or "" for one in rows], dtype=str),
            undelivered=np.array([one.state in NO_CONTACT or (one.expires_us or NEVER_US) <= as_of_us for one in rows], dtype=np.bool_),
        )


def each_once(touches: list[Sent], within_us: int) -> list[Sent]:
    """Without those of the log that the service keeps too, which have what the log alone knows of them; by row and time."""
    groups = [{(one.row, one.intervention_id) for one in touches if one.declared is told} for told in (True, False)]
    if groups[0].isdisjoint(groups[1]):
        return touches
    of_log, of_service = ([one for one in touches if one.declared is told] for told in (True, False))
    code = {group: number for number, group in enumerate(groups[0] | groups[1])}
    names = [(name, row) for row, one in enumerate(of_service) for name in (one.decision_id, one.touch_id) if name is not None]
    known = {name: number for number, name in enumerate(dict(names))}
    declared = DeclaredTouches(
        group=_numbers(code[one.row, one.intervention_id] for one in of_log),
        at_us=_numbers(one.at_us for one in of_log),
        name=_numbers(NAMELESS if one.named is None else known.get(one.named, len(known)) for one in of_log),
        delivered=np.array([one.state == "delivered" for one in of_log]),
        response=_texts(one.response for one in of_log),
        channel=_texts(one.channel for one in of_log),
    )
    kept = KeptTouches(
        group=_numbers(code[one.row, one.intervention_id] for one in of_service),
        decided_us=_numbers(one.at_us if one.decided_us is None else one.decided_us for one in of_service),
        reached_us=_numbers(one.at_us for one in of_service),
        reported=np.array([one.source == "report" for one in of_service]),
        delivered=np.array([one.state == "delivered" for one in of_service]),
        response=_texts(one.response for one in of_service),
        channel=_texts(one.channel for one in of_service),
        name=_numbers(known[name] for name, _ in names),
        name_of=_numbers(row for _, row in names),
    )
    row = same_touches(declared, kept, within_us).row
    rest = [one for one, same in zip(of_log, row.tolist(), strict=True) if same == OWN]
    return sorted([*rest, *_known(of_service, with_what_is_declared(kept, declared, row))], key=lambda one: (one.row, one.at_us))


def _known(touches: Sequence[Sent], filled: KeptTouches) -> list[Sent]:
    """As `filled` tells of each."""
    told = zip(touches, filled.delivered.tolist(), filled.reached_us.tolist(), filled.response, filled.channel, strict=True)
    known = []
    for one, delivered, at_us, response, channel in told:
        arrived = {"state": "delivered", "at_us": at_us, "expires_us": None} if delivered and one.state != "delivered" else {}
        known.append(one._replace(response=response or None, channel=channel or None, **arrived))
    return known


def _numbers(numbers: Iterable[int]) -> Integers:
    return np.array(list(numbers), dtype=np.int64)


def _texts(texts: Iterable[str | None]) -> Names:
    return np.array([text or "" for text in texts], dtype=object)

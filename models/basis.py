"""What a decision was made on, so that it can be made again from the store as it stood then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from pydantic_core import to_json

from models.interventions import NOT_DRAWN, Contact, ContactHistory
from models.quotas import UsedUp
from models.weighing import Context

if TYPE_CHECKING:
    from models.declared import Language
    from models.store_rows import LoggedEvent, Past


@dataclass(frozen=True)
class Basis:
    """Of one member's decision.

    `event_key`: the last event that had arrived, of whatever member; later ones do not count, however old they are. `events`: how many rows
    of EventArrays that were, and `times` the sum of their times, both None where a log was read that tells more; `added`: events that came
    with the request, by the fields of LoggedEvent; `touched_us`: touches that were one signal more; `contacts`: at_us, channel,
    intervention, response, undelivered; `opted_out`: channels; `used_up` as of its `to_dict`. `followed`: what a plan for many meant for
    this member, as of `followed_row`; None where it was decided alone. `drawn_us`: as of ContactHistory, None where it never was, too.
    """

    event_key: int
    events: int | None
    joined_us: int
    attributes: str | None
    touched_us: tuple[int, ...]
    contacts: tuple[Contact, ...]
    opted_out: tuple[str, ...]
    impersonal: bool
    added: tuple[dict[str, Any], ...]
    channel: str | None
    used_up: dict[str, list[str]]
    language: Language
    times: int | None = None
    followed: dict[str, Any] | None = None
    drawn_us: int | None = None

    @property
    def context(self) -> Context:
        return Context(self.channel, UsedUp.from_dict(self.used_up))

    @property
    def history(self) -> ContactHistory:
        at_us, channel, intervention, response, undelivered = zip(*self.contacts, strict=True) if self.contacts else ((),) * 5
        return ContactHistory(
            member=np.zeros(len(at_us), dtype=np.int64),
            at_us=np.array(at_us, dtype=np.int64),
            channel=np.array(channel, dtype=str),
            intervention=np.array(intervention, dtype=str),
            opted_out=tuple((0, name) for name in self.opted_out),
            response=np.array(response, dtype=str),
            undelivered=np.array(undelivered, dtype=np.bool_),
            impersonal=(0,) if self.impersonal else (),
            drawn_us=None if self.drawn_us is None else np.array([self.drawn_us], dtype=np.int64),
        )

    def to_json(self) -> str:
        """Without what is empty."""
        told = {name: value for name, value in vars(self).items() if value is not None and value is not False and value != ()}
        return to_json(told).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        held = json.loads(text)
        empty: dict[str, Any] = {"events": None, "attributes": None, "channel": None, "impersonal": False}
        rows = {name: tuple(held.get(name, ())) for name in ("touched_us", "opted_out", "added")}
        contacts = tuple(cast("Contact", tuple(contact)) for contact in held.get("contacts", ()))
        return cls(**{**empty, **held, **rows, "contacts": contacts})


@dataclass(frozen=True)
class Bases:
    """Of the members of `past`, read together. `touch_signal` is the code of touches in its arrays."""

    past: Past
    context: Context
    language: Language
    touch_signal: int

    def of(self, row: int, added: tuple[LoggedEvent, ...] = ()) -> Basis:
        """`added`: the events that came with the member's request."""
        held, spans = self.past.contacts, self._spans
        return Basis(
            event_key=self.past.event_key,
            events=spans.events[row + 1] - spans.events[row],
            joined_us=spans.joined_us[row],
            attributes=self.past.attributes[row],
            touched_us=tuple(spans.touched_us[spans.touches[row] : spans.touches[row + 1]]),
            contacts=held.by_member.get(row, ()),
            opted_out=tuple(channel for of, channel in held.opted_out if of == row),
            impersonal=row in held.impersonal,
            added=tuple({name: value for name, value in vars(event).items() if value is not None} for event in added),
            channel=self.context.channel,
            used_up=self._used_up,
            language=self.language,
            times=(spans.times[row + 1] - spans.times[row]) % (1 << 64),
            drawn_us=self._drawn_us[row] if self._drawn_us else None,
        )

    @cached_property
    def _drawn_us(self) -> list[int | None]:
        """Empty where no rule asks."""
        drawn_us = self.past.contacts.drawn_us
        return [] if drawn_us is None else [None if at_us == NOT_DRAWN else at_us for at_us in drawn_us.tolist()]

    @cached_property
    def _used_up(self) -> dict[str, list[str]]:
        return self.context.used_up.to_dict()

    @cached_property
    def _spans(self) -> _Spans:
        events = self.past.events
        touched = np.flatnonzero(events.signal == self.touch_signal)
        times = np.zeros(len(events.timestamp_us) + 1, dtype=np.uint64)
        np.cumsum(events.timestamp_us.astype(np.uint64), out=times[1:])
        return _Spans(
            events=events.offsets.tolist(),
            joined_us=events.joined_us.tolist(),
            touches=np.searchsorted(touched, events.offsets).tolist(),
            touched_us=events.timestamp_us[touched].tolist(),
            times=times[events.offsets].tolist(),
        )


class _Spans(NamedTuple):
    """Where the events and the touches of each row begin, and the sum of all times before it, modulo 2^64; of all touches the time."""

    events: list[int]
    joined_us: list[int]
    touches: list[int]
    touched_us: list[int]
    times: list[int]


def sum_of_times(timestamp_us: np.ndarray) -> int:
    """Modulo 2^64: it tells by which times two histories differ."""
    return int(timestamp_us.astype(np.uint64).sum())

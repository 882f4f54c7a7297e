"""What a decision was made on, so that it can be made again from the store as it stood then."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from pydantic_core import to_json

from models.interventions import Contact, ContactHistory
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
    this member, as of `followed_row`; None where it was decided alone.
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

    @classmethod
    def of(cls, past: Past, row: int, added: tuple[LoggedEvent, ...], context: Context, language: Language, touch_signal: int) -> Self:
        """`touch_signal` is the code of touches in the arrays."""
        events, held = past.events, past.contacts
        own = slice(int(events.offsets[row]), int(events.offsets[row + 1]))
        touched = events.timestamp_us[own][events.signal[own] == touch_signal]
        return cls(
            event_key=past.event_key,
            events=own.stop - own.start,
            joined_us=int(events.joined_us[row]),
            attributes=past.attributes[row],
            touched_us=tuple(touched.tolist()),
            contacts=held.by_member.get(row, ()),
            opted_out=tuple(channel for of, channel in held.opted_out if of == row),
            impersonal=row in held.impersonal,
            added=tuple({name: value for name, value in asdict(event).items() if value is not None} for event in added),
            channel=context.channel,
            used_up=context.used_up.to_dict(),
            language=language,
            times=sum_of_times(events.timestamp_us[own]),
        )

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


def sum_of_times(timestamp_us: np.ndarray) -> int:
    """Modulo 2^64: it tells by which times two histories differ."""
    return int(timestamp_us.astype(np.uint64).sum())

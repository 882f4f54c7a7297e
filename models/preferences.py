"""What members have refused: decisions made by their traits, and contact on a channel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from models.features import ANY

if TYPE_CHECKING:
    from models.interventions import ContactHistory

PERSONALIZATION, CONTACT = "personalization", "contact:"
"""What is refused, in the times of a member's wishes: the one by its name, the other before that of a channel."""


@dataclass(frozen=True)
class Preferences:
    """`contact`: by channel whether it is welcome, `any` for all of them; on a channel that is not named it is.

    since_us: when each of `refused` was said, of those of which that is known.
    """

    personalization: bool = True
    contact: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    since_us: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    @property
    def refused_channels(self) -> tuple[str, ...]:
        return tuple(channel for channel, welcome in self.contact.items() if not welcome)

    @property
    def refused(self) -> tuple[str, ...]:
        """All that is, by names of its own."""
        channels = tuple(f"{CONTACT}{channel}" for channel in self.refused_channels)
        return channels if self.personalization else (PERSONALIZATION, *channels)

    def said_after(self, held: Preferences, now_us: int | None) -> Preferences:
        """With the times of what `held` refused before, and `now_us` for what is new; None where nobody knows."""
        before = held.refused
        times = {what: held.since_us.get(what) if what in before else now_us for what in self.refused}
        return replace(self, since_us={what: at_us for what, at_us in times.items() if at_us is not None})

    def refused_within(self, begin_us: int, end_us: int) -> bool:
        """From `begin_us` on and before `end_us`, as far as it is known when."""
        return any(begin_us <= at_us < end_us for at_us in self.since_us.values())

    def welcomes(self, channel: str) -> bool:
        return self.contact.get(ANY, True) and self.contact.get(channel, True)

    def to_json(self) -> str:
        told = {"personalization": self.personalization, "contact": dict(self.contact), "since_us": dict(self.since_us)}
        return json.dumps(told, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        held = json.loads(text)
        return cls(held["personalization"], held["contact"], held.get("since_us", {}))


UNASKED = Preferences()


def respected(contacts: ContactHistory, member_ids: Sequence[str], told: Mapping[str, Preferences]) -> ContactHistory:
    """The contacts with what their members refused; `member_ids` are the rows of the batch, `told` those who said anything."""
    if not told:
        return contacts
    rows = [(row, told[member_id]) for row, member_id in enumerate(member_ids) if member_id in told]
    refused = tuple((row, channel) for row, wish in rows for channel in wish.refused_channels)
    impersonal = tuple(row for row, wish in rows if not wish.personalization)
    return replace(contacts, opted_out=(*contacts.opted_out, *refused), impersonal=impersonal)

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


@dataclass(frozen=True)
class Preferences:
    """`contact`: by channel whether it is welcome, `any` for all of them; on a channel that is not named it is."""

    personalization: bool = True
    contact: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def refused_channels(self) -> tuple[str, ...]:
        return tuple(channel for channel, welcome in self.contact.items() if not welcome)

    def welcomes(self, channel: str) -> bool:
        return self.contact.get(ANY, True) and self.contact.get(channel, True)

    def to_json(self) -> str:
        return json.dumps({"personalization": self.personalization, "contact": dict(self.contact)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        held = json.loads(text)
        return cls(held["personalization"], held["contact"])


UNASKED = Preferences()


def respected(contacts: ContactHistory, member_ids: Sequence[str], told: Mapping[str, Preferences]) -> ContactHistory:
    """The contacts with what their members refused; `member_ids` are the rows of the batch, `told` those who said anything."""
    if not told:
        return contacts
    rows = [(row, told[member_id]) for row, member_id in enumerate(member_ids) if member_id in told]
    refused = tuple((row, channel) for row, wish in rows for channel in wish.refused_channels)
    impersonal = tuple(row for row, wish in rows if not wish.personalization)
    return replace(contacts, opted_out=(*contacts.opted_out, *refused), impersonal=impersonal)

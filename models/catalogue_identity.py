"""Whether two declarations decide by the same rules."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.community import Community


def catalogue_fingerprint(community: Community) -> str:
    """Of all that a decision rests on beside the model: interventions, contact policy and policy."""
    content = community.model_dump_json(include={"interventions", "contact_policy", "policy"})
    return hashlib.sha256(content.encode()).hexdigest()


def decides_alike(one: Community, other: Community) -> bool:
    """Whether both decide by the same declaration; how often incentives are redeemed is learned and may differ."""
    return len({catalogue_fingerprint(_undetermined(community)) for community in (one, other)}) == 1


def _undetermined(community: Community) -> Community:
    plain = tuple(each.model_copy(update={"redemption_rate": 1.0}) for each in community.interventions)
    return community.model_copy(update={"interventions": plain})

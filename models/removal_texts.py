"""Why candidates fell out, as JSON: members whom a rule asks alike are told the same, turn after turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from models.json_texts import written
from models.once import Once
from models.refusal_wording import asked_of, removal_sentence

if TYPE_CHECKING:
    from collections.abc import Hashable

    from models.community import Community
    from models.decision import RemovalStage
    from models.declared import Language
    from models.interventions import Rule
    from models.refusal_wording import Standing

MOST_HELD = 8_192


class Removal(NamedTuple):
    intervention_id: str
    removed_at: RemovalStage
    rule: str

    @classmethod
    def by(cls, intervention_id: str, rule: Rule) -> Self:
        return cls(intervention_id, rule.stage, rule.name)


@Once
def _held(_community: Community) -> dict[tuple[Language, Removal, Hashable], str]:
    return {}


def removal_text(language: Language, removal: Removal, standing: Standing, community: Community) -> str:
    """With its sentence."""
    held, asked = _held(community), (language, removal, asked_of(removal, standing))
    told = held.get(asked)
    if told is None:
        if len(held) >= MOST_HELD:
            held.clear()
        intervention_id, stage, rule = removal
        text = removal_sentence(language, removal, standing, community)
        told = held[asked] = written({"intervention_id": intervention_id, "stage": stage, "rule": rule, "text": text})
    return told

"""Does the model in force decide by what is declared? It keeps to the declaration that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.readings import Reading, judged

if TYPE_CHECKING:
    from models.community import Community
    from models.engine import Engine

BLOCKS = ("signals", "windows_days", "lookback_days", "churn", "value", "lifecycle", "scenes", "contact_policy", "policy")
ASIDE = ("label", "redemption_rate")
"""What people read, and what is learned."""


def declared_otherwise(declared: Community, known: Community) -> tuple[str, ...]:
    """Blocks, and interventions each by itself, as `interventions.call`."""
    one, other = (_plain(community.model_dump(mode="json")) for community in (declared, known))
    here, there = ({each["id"]: each for each in told["interventions"]} for told in (one, other))
    changed = (name for name in dict.fromkeys((*there, *here)) if here.get(name) != there.get(name))
    return (*(block for block in BLOCKS if one[block] != other[block]), *(f"interventions.{name}" for name in changed))


def declared_reading(declared: Community, engine: Engine) -> Reading:
    keys = declared_otherwise(declared, engine.community)
    return judged(
        "declared",
        "model",
        beyond=bool(keys),
        code="declared_otherwise" if keys else "as_declared",
        told={"version": engine.version, "keys": ", ".join(keys)},
        value=float(len(keys)),
        threshold=0.0,
    )


def _plain(told: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(told, list):
        return [_plain(each) for each in told]
    return {name: _plain(each) for name, each in told.items() if name not in ASIDE} if isinstance(told, dict) else told

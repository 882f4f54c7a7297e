"""The served community where members rest after each draw, and a registry whose champion was trained so."""

from dataclasses import replace
from pathlib import Path

from models.registry import Registry
from tests.registry_world import RECORD, own_registry
from tests.serving_world import DECLARED, world

DAYS, RULE = 14, "drawn_recently"
RESTING = DECLARED.model_copy(
    update={
        "contact_policy": DECLARED.contact_policy.model_copy(update={"draw_cooldown_days": DAYS}),
        "policy": DECLARED.policy.model_copy(update={"exploration": 0.1}),
    }
)


def resting_registry(folder: Path) -> Registry:
    registry = own_registry(folder)
    registry.register(replace(world().engine, community=RESTING), world().golden, RECORD)
    registry.promote(None, folder / "cache")
    return registry

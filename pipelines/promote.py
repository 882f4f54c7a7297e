"""Makes a registered engine the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.loading import registry

if TYPE_CHECKING:
    from pipelines.workspace import Workspace


def promote(workspace: Workspace, version: str | None) -> str:
    """The version that is now in force, by default the challenger's. Raises NoChampion and ModelRefused."""
    return registry(workspace).promote(version, workspace.model_cache)

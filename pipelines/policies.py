"""Tries registered engines' decisions on the assignments of the log, beside plain policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import NoChampion
from models.model_figures import POLICIES
from models.policy_trial import try_policies
from models.registry import CHALLENGER, CHAMPION
from pipelines.loading import engine_of, knowing_touches, load_to_learn, registry
from pipelines.publish_figures import publish_models

if TYPE_CHECKING:
    from models.engine import Engine
    from models.policy_trial import PolicyTrial
    from models.training import Progress
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class PoliciesTried:
    """`versions` by role; the first is what the others are compared with."""

    at: datetime
    versions: dict[str, str]
    currency: str
    trial: PolicyTrial

    def to_dict(self) -> dict[str, Any]:
        """What `keepwell evaluate --policy --json` prints; money per decision."""
        return {"at": self.at.isoformat(), "versions": self.versions, "currency": self.currency, **self.trial.to_dict()}


def evaluate_policies(
    workspace: Workspace, *, version: str | None, clip: float | None, seed: int, now: datetime, progress: Progress
) -> PoliciesTried:
    """The champion, and a version, by default the challenger, beside it; without a champion that version alone.

    What is found is kept with that version.

    Raises InputError, NotEnoughData, NoChampion, ModelRefused.
    """
    progress("log")
    loaded = load_to_learn(workspace, now=now)
    engines = {role: knowing_touches(engine, loaded.community) for role, engine in _engines(workspace, version).items()}
    progress("decisions, replayed and judged")
    trial = try_policies(engines, loaded.log, loaded.arrays, clip=clip, rng=np.random.default_rng(seed))
    progress("done")
    first = next(iter(engines.values()))
    tried = PoliciesTried(now, {role: engine.version for role, engine in engines.items()}, first.community.currency, trial)
    registry(workspace).keep_measured(list(engines.values())[-1].version, POLICIES, tried.to_dict())
    publish_models(workspace, now=now)
    return tried


def _engines(workspace: Workspace, version: str | None) -> dict[str, Engine]:
    aliases = registry(workspace).aliases()
    asked = version or aliases.get(CHALLENGER)
    roles = {CHAMPION: aliases.get(CHAMPION), CHALLENGER: None if asked == aliases.get(CHAMPION) else asked}
    engines = {role: engine_of(workspace, known) for role, known in roles.items() if known is not None}
    if not engines:
        message = "no model is registered yet; `keepwell train` makes one"
        raise NoChampion(message)
    return engines

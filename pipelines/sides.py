"""A run over all members while a roll-out runs: whose decisions its challenger makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.catalogue_identity import decides_alike
from pipelines.loading import engine_of
from pipelines.parts import DecidedPart, decide_part
from pipelines.rollout import running_rollout

if TYPE_CHECKING:
    from datetime import datetime

    from models.declared import Language
    from models.engine import Engine
    from models.rollouts import Rollout
    from pipelines.parts import Part
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Side:
    """What one engine decided on its members of a part."""

    engine: Engine
    decided: DecidedPart


@dataclass(frozen=True)
class Share:
    """A roll-out that runs; `challenger` is None where it decides for nobody, and `why` tells so."""

    rollout: Rollout
    champion: Engine
    challenger: Engine | None
    why: str

    @property
    def mark(self) -> str:
        """Another one as soon as others are meant."""
        return "" if self.challenger is None else f"{self.rollout.rollout_id}:{self.rollout.percent:g}"

    def sides(self, part: Part, at: datetime, language: Language) -> list[Side]:
        """Of those who have members in the part."""
        ids = part.log.members["member_id"].to_list()
        taken = self.rollout.takes(ids, self.champion.community.policy)
        engines = ((self.champion, ~taken), (self.challenger, taken))
        found = [Side(engine, decide_part(engine, part, at, language, among)) for engine, among in engines if engine is not None]
        return [side for side in found if side.decided.table.height]


def share_of(workspace: Workspace, champion: Engine, *, limited: bool) -> Share | None:
    """None where no roll-out runs; `limited`: money or places are shared out among all members. Raises ModelRefused."""
    rollout = running_rollout(workspace)
    if rollout is None or rollout.challenger == champion.version:
        return None
    told = f"roll-out {rollout.rollout_id}: version {rollout.challenger} decided"
    if limited:
        return Share(rollout, champion, None, f"{told} for nobody here: what is shared out among all members, the champion plans")
    challenger = engine_of(workspace, rollout.challenger)
    if not decides_alike(champion.community, challenger.community):
        return Share(rollout, champion, None, f"{told} for nobody here: its interventions, contact policy or policy are others")
    return Share(rollout, champion, challenger, f"{told} for {rollout.percent:g} % of the members")


def merged(sides: list[Side]) -> pl.DataFrame:
    """The rows of both tables in the order of the part."""
    table = pl.concat([side.decided.table for side in sides])
    order = np.argsort(np.concatenate([side.decided.batch.snapshots.member for side in sides]), kind="stable")
    return table[order]

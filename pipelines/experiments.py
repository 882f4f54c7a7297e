"""Reads the experiments of a community from its store, into which the declared log is put first."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.declaration import load_community
from models.experiment_wording import told
from models.experiments import Record, read_experiments
from models.kept_read_outs import read_and_keep
from models.store import Store
from pipelines.ingest import canonical_log, log_fingerprint

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.declared import Language
    from models.read_out import ReadOut
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class ExperimentsTold:
    """`only`: the one that was asked for, None where all were."""

    read_at: datetime
    community: Community
    language: Language
    read: tuple[ReadOut, ...]
    only: str | None

    def to_dict(self) -> dict[str, Any]:
        """As the service answers."""
        each = [told(one, self.community, self.language) for one in self.read]
        read_at = self.read_at.isoformat().replace("+00:00", "Z")
        return {"read_at": read_at, "experiments": each} if self.only is None else {**each[0], "read_at": read_at}


def tell_experiments(workspace: Workspace, only: str | None, *, language: Language | None, now: datetime) -> ExperimentsTold:
    """All of them are kept for the pages too. Raises InputError, UnknownExperiment."""
    community = load_community(workspace.declaration)
    log = canonical_log(workspace, community, now=now)
    with closing(Store.open(workspace.store_url)) as store:
        store.load_parts(log.parts(), log_fingerprint(workspace.log))
        if only is None:
            read = read_and_keep(store, community, now, now).read_outs
        else:
            read = read_experiments(Record.of(store, community, now), only)
    return ExperimentsTold(now, community, language or community.language, read, only)


def refresh_experiments(workspace: Workspace, community: Community, *, now: datetime) -> None:
    """What the pages show of them; without decisions, declared experiments and logged chances there is nothing to read or to do.

    For logged chances alone no log is put into a store that has none yet.
    """
    touches = community.touches
    logged = touches is not None and (touches.propensity_prefix is not None or bool(touches.propensities))
    with closing(Store.open(workspace.store_url)) as store:
        asked = store.has_decisions() or (logged and store.has_members())
    if asked or community.experiments:
        tell_experiments(workspace, None, language=None, now=now)

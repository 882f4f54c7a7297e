"""Reads the experiments of a community from its store, into which the declared log is put first."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.declaration import load_community
from models.experiment_wording import told
from models.experiments import Record, read_experiments
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

    community: Community
    language: Language
    read: tuple[ReadOut, ...]
    only: str | None

    def to_dict(self) -> dict[str, Any]:
        """As the service answers."""
        each = [told(one, self.community, self.language) for one in self.read]
        return {"experiments": each} if self.only is None else each[0]


def tell_experiments(workspace: Workspace, only: str | None, *, language: Language | None, now: datetime) -> ExperimentsTold:
    """Raises InputError, UnknownExperiment."""
    community = load_community(workspace.declaration)
    log = canonical_log(workspace, community, now=now)
    with closing(Store.open(workspace.store_url)) as store:
        store.load_log(log, log_fingerprint(workspace.log))
        record = Record.of(store, community, now)
    return ExperimentsTold(community, language or community.language, read_experiments(record, only), only)

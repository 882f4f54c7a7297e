"""What every verb that looks at members begins with: the declaration, the log as it stands, and its arrays."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.declaration import load_community
from models.errors import InputError, NoChampion
from models.events import event_arrays, with_events
from models.registry import CHALLENGER, Registry
from models.store import Store
from models.times import YEARS
from pipelines.ingest import ingest

if TYPE_CHECKING:
    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays, EventLog
    from models.findings import Finding
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Loaded:
    """`log` is the declared log and the events that came through the service."""

    community: Community
    log: EventLog
    arrays: EventArrays
    rejected: int
    findings: tuple[Finding, ...]

    @property
    def end(self) -> datetime:
        """The first midnight by the community's clock after the last event."""
        local = self.log.last.astimezone(self.community.zone)
        return midnight(local.date() + timedelta(days=1), self.community)


def load(workspace: Workspace, *, now: datetime) -> Loaded:
    """Raises InputError."""
    community = load_community(workspace.declaration)
    taken = ingest(workspace, community, now=now)
    log = with_events(taken.log, _posted(workspace))
    return Loaded(community, log, event_arrays(log, community), taken.rejected, taken.findings)


def registry(workspace: Workspace) -> Registry:
    """An MLflow given by URL keeps its artefacts where it likes."""
    local = workspace.mlflow_uri.startswith("sqlite:")
    return Registry(workspace.mlflow_uri, workspace.mlflow_artifacts if local else None)


def engine_of(workspace: Workspace, version: str | None) -> Engine:
    """A version, or the champion; raises NoChampion or ModelRefused."""
    models = registry(workspace)
    return models.champion(workspace.model_cache) if version is None else models.load(version, workspace.model_cache)


def champion_or_challenger(workspace: Workspace, version: str | None) -> Engine:
    """A version, else the champion, else the challenger, so that a model can be looked at before it is in force."""
    try:
        return engine_of(workspace, version)
    except NoChampion:
        return engine_of(workspace, registry(workspace).version_of(CHALLENGER))


def midnight(day: date, community: Community) -> datetime:
    return datetime.combine(day, time(), tzinfo=community.zone)


def moment(text: str, community: Community) -> datetime:
    """A date (midnight by the community's clock) or a time, as ISO 8601, within `YEARS`; raises InputError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}" is no date; write it as 2026-01-31 or 2026-01-31T09:00:00+08:00'
        raise InputError(message) from None
    if at.year not in YEARS:
        message = f'"{text}": a year from {YEARS[0]} to {YEARS[-1]} is needed'
        raise InputError(message)
    return at if at.tzinfo else at.replace(tzinfo=community.zone)


def decision_time(loaded: Loaded, as_of: str | None, *, now: datetime) -> datetime:
    """By default the first midnight after the log's last event, or `now` where that is earlier; raises InputError for a future time."""
    at = min(loaded.end, now) if as_of is None else moment(as_of, loaded.community)
    if at > now:
        message = f"{as_of} is in the future, of which the log knows nothing; choose a date up to {now:%Y-%m-%d}"
        raise InputError(message)
    return at


def _posted(workspace: Workspace) -> pl.DataFrame | None:
    """None where there is no store yet."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return None
    with closing(Store.open(workspace.store_url)) as store:
        return store.api_events()

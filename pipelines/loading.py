"""What every verb that looks at members begins with: the declaration, the log as it stands, and its arrays."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import polars as pl

from models.declaration import load_community
from models.declared_and_kept import Twice, with_touches
from models.errors import InputError, NoChampion
from models.events import EventLog, event_arrays, with_events, without_members
from models.moments import microseconds
from models.posted import posted_touches
from models.registry import CHALLENGER, Registry
from models.store import Store
from pipelines.archive import archived_events, archived_members, forget_archived, together
from pipelines.dates import midnight, moment
from pipelines.ingest import ingest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays
    from models.findings import Finding
    from models.kept_log import KeptLog
    from models.preferences import Preferences
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Loaded:
    """`log` is the declared log with the events, decisions and contacts that came through the service, without members who were erased.

    `preferences` are those of members who said any; `left_out`: members of whom nothing is to be learned, and who are not in it either.
    `event_key`: of the event of the service that had arrived last when its events had been read.
    """

    community: Community
    log: EventLog
    arrays: EventArrays
    rejected: int
    findings: tuple[Finding, ...]
    preferences: Mapping[str, Preferences]
    left_out: int = 0
    event_key: int = 0

    @property
    def end(self) -> datetime:
        """The first midnight by the community's clock after the last event."""
        return day_after(self.log.last, self.community)


def day_after(last: datetime, community: Community) -> datetime:
    """Its midnight by the community's clock."""
    return midnight(last.astimezone(community.zone).date() + timedelta(days=1), community)


def load(workspace: Workspace, *, now: datetime) -> Loaded:
    """Raises InputError."""
    community = load_community(workspace.declaration)
    taken = ingest(workspace, community, now=now)
    kept = taken.log.read()
    known = known_besides(workspace, kept.members, now)
    log = with_touches(with_events(without_members(kept, known.erased), known.posted), known.touches, community.same_touch_us)
    arrays = event_arrays(log, community)
    return Loaded(community, log, arrays, taken.rejected, taken.findings, known.preferences, event_key=known.event_key)


def load_to_learn(workspace: Workspace, *, now: datetime) -> Loaded:
    """Without members who switched personalisation off: nothing is learned from them, and nothing measured on them. Raises InputError."""
    return without_refusing(load(workspace, now=now))


def without_refusing(loaded: Loaded) -> Loaded:
    """The members who let themselves be scored."""
    refusing = [member_id for member_id, wish in loaded.preferences.items() if not wish.personalization]
    log = without_members(loaded.log, refusing)
    left_out = loaded.log.members.height - log.members.height
    return loaded if log is loaded.log else replace(loaded, log=log, arrays=event_arrays(log, loaded.community), left_out=left_out)


def registry(workspace: Workspace) -> Registry:
    """An MLflow given by URL keeps its artefacts where it likes."""
    local = workspace.mlflow_uri.startswith("sqlite:")
    return Registry(workspace.mlflow_uri, workspace.mlflow_artifacts if local else None)


def engine_of(workspace: Workspace, version: str | None) -> Engine:
    """A version, or the champion; raises NoChampion or ModelRefused."""
    models = registry(workspace)
    return models.champion(workspace.model_cache) if version is None else models.load(version, workspace.model_cache)


def knowing_touches(engine: Engine, community: Community) -> Engine:
    """Asked about touches as they are declared now, be it by which groups they were given, which an experiment may tell.

    So is the capacity. What it decides stays: of an experiment that it knows only the `cluster` beside a `column` is taken, which moves
    nobody to another arm.
    """
    told, own = {one.id: one for one in community.experiments}, engine.community.experiments
    known = [one.model_copy(update={"cluster": told[one.id].cluster}) if one.column and one.id in told else one for one in own]
    new = [one for one in community.experiments if one.id not in {one.id for one in own}]
    now = {"touches": community.touches, "experiments": (*known, *new), "capacity": community.capacity}
    return replace(engine, community=engine.community.model_copy(update=now))


def champion_or_challenger(workspace: Workspace, version: str | None) -> Engine:
    """A version, else the champion, else the challenger, so that a model can be looked at before it is in force."""
    try:
        return engine_of(workspace, version)
    except NoChampion:
        return engine_of(workspace, registry(workspace).version_of(CHALLENGER))


class Dated(Protocol):
    """A log that decisions are made on."""

    @property
    def community(self) -> Community: ...

    @property
    def end(self) -> datetime: ...


def decision_time(loaded: Dated, as_of: str | None, *, now: datetime) -> datetime:
    """By default the first midnight after the log's last event, or `now` where that is earlier; raises InputError for a future time."""
    at = min(loaded.end, now) if as_of is None else moment(as_of, loaded.community)
    if at > now:
        message = f"{as_of} is in the future, of which the log knows nothing; choose a date up to {now:%Y-%m-%d}"
        raise InputError(message)
    return at


@dataclass(frozen=True)
class Known:
    """What the store knows beyond the log; nothing where there is no store yet."""

    posted: pl.DataFrame | None = None
    touches: pl.DataFrame | None = None
    erased: frozenset[str] = frozenset()
    preferences: Mapping[str, Preferences] = field(default_factory=dict)
    event_key: int = 0


def told_twice(workspace: Workspace, community: Community, kept: KeptLog, *, now: datetime) -> tuple[Finding, ...]:
    """What `check` finds of declared touches that the store has too; nothing where there is no store yet."""
    if community.touches is None or not _has_store(workspace):
        return ()
    with closing(Store.open(workspace.store_url)) as store:
        posted = posted_touches(store.assignments(), store.other_contacts(), microseconds(now))
    log = with_touches(EventLog(pl.DataFrame(), kept.members, kept.touches), posted, community.same_touch_us)
    return Twice.of(log.touches, community).findings(community.touches)


def _has_store(workspace: Workspace) -> bool:
    """One on a server is there."""
    return workspace.store_file is None or workspace.store_file.is_file()


def known_besides(workspace: Workspace, members: pl.DataFrame, now: datetime) -> Known:
    if not _has_store(workspace):
        return Known()
    with closing(Store.open(workspace.store_url)) as store:
        archived = archived_events(workspace)
        met = set(members["member_id"]) | archived_members(workspace)
        erased = store.erased(met)
        forget_archived(workspace, erased)
        return Known(
            together(None if archived is None else archived.filter(~pl.col("member_id").is_in(list(erased))), store.api_events()),
            posted_touches(store.assignments(), store.other_contacts(), microseconds(now)),
            erased,
            store.everyones_preferences(),
            store.last_event_key(),
        )

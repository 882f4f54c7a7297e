"""Puts a challenger in force for a share of the members, raises the share, and takes it back at once."""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.catalogue_identity import decides_alike
from models.champions import previous_of
from models.errors import InputError, NoChampion
from models.moments import microseconds
from models.registry import CHALLENGER, CHAMPION
from models.rollouts import WHOLE, Planned, Rollout, Stage
from models.store import Store
from pipelines.loading import registry
from pipelines.publish_figures import publish_models

if TYPE_CHECKING:
    from datetime import datetime

    from models.rollouts import ProcessSeen
    from pipelines.workspace import Workspace

LIVE_SECONDS = 15.0
"""A process that was not heard of for so long no longer answers; it says something every five seconds while a roll-out runs."""
ASK_SECONDS = 0.1
MOST_ASKED = 100


@dataclass(frozen=True)
class Said:
    """Who does it, and why, as it is kept."""

    by: str
    because: str | None = None


@dataclass(frozen=True)
class Started:
    """`notes` tell what does not follow the roll-out."""

    rollout: Rollout
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RolledBack:
    """`ended`: the roll-out that ran, None where none did; then `champion` was put back in the place of `replaced`.

    `taken_over` are the processes of the service that no longer ask the challenger; of the `silent` ones nothing was heard.
    """

    champion: str
    ended: Rollout | None
    replaced: str | None = None
    taken_over: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ended": None if self.ended is None else self.ended.to_dict()}


def start(workspace: Workspace, percent: float, version: str | None, said: Said, *, now: datetime) -> Started:
    """Of a version, by default the challenger; its files are loaded and its golden members asked first.

    Raises InputError where one runs or the share is none, NoChampion, ModelRefused.
    """
    check_percent(percent)
    models, cache = registry(workspace), workspace.model_cache
    champion = models.version_of(CHAMPION)
    chosen = models.version_of(CHALLENGER) if version is None else version
    if chosen == champion:
        raise InputError(f"version {chosen} is the champion and decides for all; `keepwell train` makes a challenger, --version names one")
    engine, copy = models.load(chosen, cache), models.copy_of(chosen)
    planned = Planned(champion, chosen, copy.folder, copy.seal, secrets.token_hex(8), _stage(percent, said, now))
    alike = decides_alike(engine.community, models.load(champion, cache).community)
    with closing(Store.open(workspace.store_url)) as store:
        return Started(store.start_rollout(planned), () if alike else (OTHER_RULES,))


OTHER_RULES = (
    "the challenger has other interventions, another contact policy or another policy: no plan in force holds for its members, and in "
    "`keepwell decide`, and in jobs where money or places are shared out among all members, the champion decides for them too"
)


def raise_share(workspace: Workspace, percent: float, said: Said, *, now: datetime) -> Rollout:
    """Raises InputError where none runs, or the share would not grow."""
    check_percent(percent)
    with closing(Store.open(workspace.store_url)) as store:
        return store.raise_rollout(_stage(percent, said, now))


def check_percent(percent: float) -> None:
    """Raises InputError."""
    if not 0 < percent <= WHOLE:
        raise InputError(f"a share of {percent:g} % is none; give one above 0 and up to 100, such as 5")


def _stage(percent: float, said: Said, now: datetime) -> Stage:
    return Stage(percent, microseconds(now), said.by, said.because)


def running_rollout(workspace: Workspace) -> Rollout | None:
    """None too where there is no store yet."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return None
    with closing(Store.open(workspace.store_url)) as store:
        return store.running_rollout()


def was_rolled_back(workspace: Workspace, version: str) -> bool:
    """Whether its last roll-out ended so: only a person puts it in force then."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return False
    with closing(Store.open(workspace.store_url)) as store:
        states = [one.state for one in store.rollouts(MOST_ASKED) if one.challenger == version]
    return states[:1] == ["rolled_back"]


def roll_back(workspace: Workspace, version: str | None, said: Said, *, now: datetime) -> RolledBack:
    """Ends the roll-out that runs; where none does, or a version is named, puts the one before or that one in force.

    Raises NoChampion where nothing was in force before, ModelRefused, RegistryUnavailable, StoreUnavailable.
    """
    began = time.monotonic()
    with closing(Store.open(workspace.store_url)) as store:
        ended = store.end_rollout("rolled_back", microseconds(now), said.by, said.because)
        heard = () if ended is None else _heard(store, ended, now)
    told = RolledBack("", None) if ended is None else _taken_over(ended, heard)
    if ended is None or version is not None:
        champion, replaced = _put_back(workspace, version, now)
        told = RolledBack(champion, ended, replaced, told.taken_over, told.silent)
    return RolledBack(**{**vars(told), "seconds": round(time.monotonic() - began, 3)})


def _heard(store: Store, ended: Rollout, now: datetime) -> tuple[ProcessSeen, ...]:
    """The last word of each process that answers, once all of them have taken it over or fallen silent."""
    since_us, deadline = microseconds(now) - int(LIVE_SECONDS * 1e6), time.monotonic() + LIVE_SECONDS
    while True:
        seen = tuple(store.rollout_processes(ended.rollout_id, since_us))
        if all(one.percent == 0 for one in seen) or time.monotonic() >= deadline:
            return seen
        time.sleep(ASK_SECONDS)


def _taken_over(ended: Rollout, heard: tuple[ProcessSeen, ...]) -> RolledBack:
    over, silent = (tuple(one.process for one in heard if (one.percent == 0) is done) for done in (True, False))
    return RolledBack(ended.champion, ended, None, over, silent)


def _put_back(workspace: Workspace, version: str | None, now: datetime) -> tuple[str, str]:
    models = registry(workspace)
    champion = models.version_of(CHAMPION)
    before = version or previous_of(models.champions()) or _stood_before(workspace, champion)
    if before is None:
        raise NoChampion(f"version {champion} is the first that was in force; there is none to go back to. --version names another")
    models.promote(before, workspace.model_cache, at=now, how="rolled_back")
    publish_models(workspace, now=now)
    return before, champion


def _stood_before(workspace: Workspace, champion: str) -> str | None:
    """As its promotion told, of a release that did not note which versions were in force."""
    told = registry(workspace).gate(champion)
    return None if told is None or told.get("against") == champion else told.get("against")

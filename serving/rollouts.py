"""Which engine decides for whom while a roll-out runs: read from the store every second, and told back by each process."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread

from models.catalogue_identity import decides_alike
from models.champion_copy import ChampionCopy
from models.engine import Engine
from models.errors import KeepwellError, ModelRefused, StoreUnavailable
from models.moments import microseconds
from models.rollouts import ProcessSeen, Rollout
from models.store import Store
from serving.leaving import joined
from serving.logs import LOGGER
from serving.metrics import MODEL, tell_model
from serving.model_source import ModelSource
from serving.places import without_places
from serving.settings import wall_clock

ROUND_SECONDS = 1.0
HEARD_SECONDS = 5.0
"""How often a process says what it goes by while a roll-out runs, and tries again to load a challenger that it refused."""
LIVE_SECONDS = 3 * HEARD_SECONDS
"""Of a process that ended without a word nothing is shown after so long."""


@dataclass(frozen=True)
class Share:
    """A running roll-out with its challenger, ready to decide; `alike`: by the version of a champion, whether both have the same rules."""

    rollout: Rollout
    challenger: Engine
    alike: dict[str, bool] = field(default_factory=dict)

    def has_rules_of(self, champion: Engine) -> bool:
        if champion.version not in self.alike:
            self.alike[champion.version] = decides_alike(champion.community, self.challenger.community)
        return self.alike[champion.version]


@dataclass(frozen=True)
class Decider:
    """`engine` decides. The plan in force holds for it where it holds for `priced_as`: the champion, where both have the same rules."""

    engine: Engine
    priced_as: Engine


@dataclass(frozen=True)
class Part:
    """Rows of those who were asked about, rising, for whom one engine decides."""

    by: Decider
    rows: Sequence[int]


def parts_of(share: Share | None, champion: Engine, member_ids: Sequence[str]) -> tuple[Part, ...]:
    """The champion's first; one part where all belong to one engine."""
    own = Decider(champion, champion)
    if share is None or share.challenger.version == champion.version:
        return (Part(own, range(len(member_ids))),)
    taken = share.rollout.takes(member_ids, champion.community.policy).tolist()
    other = Decider(share.challenger, champion if share.has_rules_of(champion) else share.challenger)
    rows = {by: [row for row, one in enumerate(taken) if one is (by == 1)] for by in (0, 1)}
    return tuple(Part(by, mine) for by, mine in ((own, rows[0]), (other, rows[1])) if mine)


class RolloutWatch:
    """`share` is None where no roll-out runs, or this process refused its challenger: then the champion decides for all."""

    def __init__(self, store: Callable[[], Store], models: ModelSource, mlflow_uri: str, cache: Path) -> None:
        self._store = store
        self._models = models
        self._mlflow_uri = mlflow_uri
        self._cache = cache
        self._lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._watch, name="roll-out", daemon=True)
        self._answered = True
        self._told: ProcessSeen | None = None
        self._refused: str | None = None
        self._again_at = wall_clock()
        self.process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.share: Share | None = None

    def start(self) -> None:
        """Returns when it is known for whom a challenger decides, as far as the store answers."""
        self._round()
        self._thread.start()

    def stop(self) -> None:
        """Raises StoreUnavailable."""
        self._stopped.set()
        joined(self._thread)
        if self._told is not None:
            self._store().forget_rollout_process(self.process)

    def _watch(self) -> None:
        while not self._stopped.wait(ROUND_SECONDS):
            self._round()

    def _round(self) -> None:
        try:
            self.look(wall_clock())
            self._answered = True
        except StoreUnavailable as error:
            if self._answered:
                LOGGER.warning("the roll-out could not be looked up", why=str(error))
            self._answered = False
        except Exception:  # noqa: BLE001 - the thread has to outlive whatever a challenger does
            LOGGER.exception("the roll-out could not be looked up")

    def look(self, now: datetime) -> None:
        """Goes by what the store says, and then tells it so. Raises StoreUnavailable."""
        with self._lock:
            rollout, held = self._store().running_rollout(), self.share
            if held is not None and rollout is not None and held.rollout.rollout_id == rollout.rollout_id:
                self.share = replace(held, rollout=rollout)
            else:
                if held is not None:
                    self._end(held)
                self._begin(rollout, now)
            self._tell(rollout, microseconds(now))

    def _end(self, held: Share) -> None:
        """Of one that was finished the challenger is the champion now, and is taken over first: its members stay with it."""
        if any(one.rollout_id == held.rollout.rollout_id and one.state == "finished" for one in self._store().rollouts(1)):
            self._models.refresh()
        self.share = None
        LOGGER.info("challenger no longer decides", version=held.challenger.version)
        if self._models.version != held.challenger.version:
            MODEL.labels(held.challenger.version, held.challenger.grade).set(0)

    def _begin(self, rollout: Rollout | None, now: datetime) -> None:
        if rollout is None:
            self._refused = None
        elif self._refused is None or now >= self._again_at:
            self._refused = None
            try:
                self.share = Share(rollout, self._challenger(rollout))
            except KeepwellError as error:
                self._refused = without_places(str(error), self._mlflow_uri, self._cache)
                self._again_at = now + timedelta(seconds=HEARD_SECONDS)
                LOGGER.warning("challenger refused", version=rollout.challenger, why=str(error))
            else:
                LOGGER.info("challenger decides", version=rollout.challenger, percent=rollout.percent)
                tell_model(None, self.share.challenger)

    def _challenger(self, rollout: Rollout) -> Engine:
        """From the copy of this machine, else from the registry. Raises ModelRefused, RegistryUnavailable."""
        try:
            return ChampionCopy(rollout.challenger, rollout.folder, rollout.seal).load(self._cache)
        except ModelRefused:
            return self._models.loaded(rollout.challenger)

    def _tell(self, rollout: Rollout | None, now_us: int) -> None:
        """Where something has changed, and while a roll-out runs every few seconds."""
        told = self._told
        if rollout is not None:
            percent = 0.0 if self.share is None else self.share.rollout.percent
            seen = ProcessSeen(self.process, rollout.rollout_id, percent, self._refused, now_us)
            if told is not None and replace(told, seen_us=now_us) == seen and now_us < told.seen_us + HEARD_SECONDS * 1e6:
                return
        elif told is None or (told.percent == 0 and told.error is None):
            return
        else:
            seen = ProcessSeen(self.process, told.rollout_id, 0.0, None, now_us)
        self._store().tell_rollout_seen(seen)
        self._told = seen

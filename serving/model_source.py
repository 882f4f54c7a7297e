"""The model in force: the champion of the registry, looked up again every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from models.champion_copy import ChampionCopy
from models.engine import Engine
from models.errors import KeepwellError, ModelRefused, NoChampion
from serving.leaving import joined
from serving.logs import LOGGER
from serving.metrics import MODEL_STALE, tell_model

if TYPE_CHECKING:
    from models.registry import Registry

HEAD_START_SECONDS = 1.0
"""Of a process that serves a copy, before it imports MLflow: it listens by then, and shares the interpreter with nobody until it does."""

STOP_SECONDS = 1.0
REFUSED_SECONDS = 60.0
"""As long a version that was refused is not fetched and loaded again, unless somebody asks for it."""


@dataclass(frozen=True)
class _Refused:
    why: str
    until: float


class ModelSource:
    """Keeps the last good model: a newer champion that cannot be loaded stands in `error` and changes nothing."""

    def __init__(self, mlflow_uri: str, cache: Path, every_seconds: float) -> None:
        self._mlflow_uri = mlflow_uri
        self._cache = cache
        self._every_seconds = every_seconds
        self._engine: Engine | None = None
        self._earlier: Engine | None = None
        self._copy: ChampionCopy | None = None
        self._confirmed = False
        self._refused: dict[ChampionCopy, _Refused] = {}
        self._lock = Lock()
        self._looked_up = Event()
        self._stopped = Event()
        self._thread: Thread | None = None
        self.error: str | None = "the champion has not been looked up yet"

    def start(self, wait_seconds: float, looked_up: Callable[[], None] | None = None) -> None:
        """Returns after the first look-up, be it good or bad, and in any case after `wait_seconds`.

        Where a copy is in force it returns at once, and the copy is looked up some seconds later.

        `looked_up` is called after the first look-up, in the thread that makes it.
        """
        self._take_copy()
        head_start = 0.0 if self._engine is None else HEAD_START_SECONDS
        self._thread = Thread(target=self._watch, args=(head_start, looked_up), name="champion", daemon=True)
        self._thread.start()
        if self._engine is None:
            self._looked_up.wait(wait_seconds)

    def _take_copy(self) -> None:
        """The last champion of this machine decides until the registry has answered."""
        try:
            champion = ChampionCopy.noted(self._cache)
            self._engine, self._copy = champion.load(self._cache), champion
        except NoChampion:
            return
        except ModelRefused as error:
            LOGGER.warning("copy of the model refused", why=str(error))
            return
        tell_model(None, self._engine)

    def stop(self) -> None:
        """A registry that does not answer is left to the end of the process."""
        self._stopped.set()
        joined(self._thread, STOP_SECONDS)

    def engine(self) -> Engine:
        """Raises NoChampion where none could be loaded yet."""
        if self._engine is None:
            raise NoChampion(f"no model is in force: {self.error}")
        return self._engine

    @property
    def version(self) -> str | None:
        """None where no model is in force yet."""
        return None if self._engine is None else self._engine.version

    def version_of(self, version: str) -> Engine:
        """The model in force or an earlier one, kept until another is asked for.

        Raises ModelRefused, NoChampion, RegistryUnavailable.
        """
        with self._lock:
            for engine in (self._engine, self._earlier):
                if engine is not None and engine.version == version:
                    return engine
            self._earlier = self.loaded(version)
            return self._earlier

    def loaded(self, version: str) -> Engine:
        """From the copy of this machine, else from the registry; raises ModelRefused, at once for a while, and RegistryUnavailable."""
        from models.registry import Registry  # noqa: PLC0415 - as for the champion

        registry = Registry(self._mlflow_uri)
        return self._load(registry, registry.copy_of(version))

    def challenger(self, before: Engine | None) -> Engine:
        """`before` where that is still the challenger. Raises NoChampion, ModelRefused, RegistryUnavailable."""
        from models.registry import CHALLENGER, Registry  # noqa: PLC0415 - as for the champion

        version = Registry(self._mlflow_uri).version_of(CHALLENGER)
        return before if before is not None and before.version == version else self.loaded(version)

    def refresh(self, *, asked_for: bool = True) -> None:
        """Takes the champion over if it is another than the model in force."""
        with self._lock:
            if asked_for:
                self._refused.clear()
            try:
                self._engine = self._champion()
            except KeepwellError as error:
                if str(error) != self.error:
                    LOGGER.warning("champion not taken over", why=str(error))
                self.error = str(error)
            except Exception:  # noqa: BLE001 - the thread has to outlive a registry that is down, in whatever way it is
                LOGGER.exception("the champion could not be looked up")
                self.error = "the registry did not answer; the log of the service tells why"
            else:
                self.error = None
            finally:
                MODEL_STALE.set(self.error is not None)
                self._looked_up.set()

    def _champion(self) -> Engine:
        from models.registry import CHAMPION, Registry  # noqa: PLC0415 - MLflow takes seconds to import; the process answers meanwhile

        registry = Registry(self._mlflow_uri)
        version = registry.version_of(CHAMPION)
        if self._engine is not None and self._confirmed and self._engine.version == version:
            return self._engine
        champion = registry.copy_of(version)
        engine = self._engine
        if engine is None or champion != self._copy:
            engine = self._load(registry, champion)
            self._note(champion)
            LOGGER.info("model in force", version=version)
            tell_model(self._engine, engine)
        self._copy, self._confirmed = champion, True
        return engine

    def _load(self, registry: Registry, copy: ChampionCopy) -> Engine:
        """Raises ModelRefused, RegistryUnavailable."""
        refused = self._refused.get(copy)
        if refused is not None and monotonic() < refused.until:
            raise ModelRefused(refused.why)
        try:
            return registry.load(copy.version, self._cache)
        except ModelRefused as error:
            self._refused[copy] = _Refused(str(error), monotonic() + REFUSED_SECONDS)
            raise

    def _note(self, champion: ChampionCopy) -> None:
        try:
            champion.note(self._cache)
        except OSError as error:
            LOGGER.warning("copy of the model not noted", why=str(error))

    def _watch(self, head_start_seconds: float, looked_up: Callable[[], None] | None) -> None:
        if self._stopped.wait(head_start_seconds):
            return
        self.refresh(asked_for=False)
        if looked_up is not None:
            looked_up()
        while not self._stopped.wait(self._every_seconds):
            self.refresh(asked_for=False)

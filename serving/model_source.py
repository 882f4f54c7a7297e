"""The model in force: the champion of the registry, looked up again every few seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread

from models.engine import Engine
from models.errors import KeepwellError, NoChampion

LOGGER = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Registry:
    """version: that of the champion, raises NoChampion; load: the champion itself, raises NoChampion or ModelRefused."""

    version: Callable[[], str]
    load: Callable[[], Engine]


def champion_of(mlflow_uri: str) -> Registry:
    """MLflow takes seconds to import; the thread that looks for the model does it, and the process answers meanwhile."""

    def version() -> str:
        from models.registry import champion_version  # noqa: PLC0415 - as above

        return champion_version(mlflow_uri)

    def load() -> Engine:
        from models.registry import load_champion  # noqa: PLC0415 - as above

        return load_champion(mlflow_uri)

    return Registry(version, load)


class ModelSource:
    """Keeps the last good model: a newer champion that cannot be loaded is reported and changes nothing."""

    def __init__(self, registry: Registry, every_seconds: float) -> None:
        self._registry = registry
        self._every_seconds = every_seconds
        self._engine: Engine | None = None
        self._lock = Lock()
        self._stopped = Event()
        self.error: str | None = "the champion has not been looked up yet"

    def start(self) -> None:
        Thread(target=self._watch, name="champion", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def engine(self) -> Engine:
        """Raises NoChampion where none could be loaded yet."""
        if self._engine is None:
            raise NoChampion(f"no model is in force: {self.error}")
        return self._engine

    def refresh(self) -> None:
        """Takes the champion over if it is another; what went wrong stands in `error`."""
        with self._lock:
            try:
                if self._engine is None or self._registry.version() != self._engine.version:
                    self._engine = self._registry.load()
                    LOGGER.info("model version %s is in force", self._engine.version)
            except KeepwellError as error:
                self.error = str(error)
            else:
                self.error = None

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.refresh()
            self._stopped.wait(self._every_seconds)

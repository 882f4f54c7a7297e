"""The model in force: the champion of the registry, looked up again every few seconds."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Lock, Thread

from models.engine import Engine
from models.errors import KeepwellError, NoChampion
from serving.logs import LOGGER
from serving.metrics import MODEL_STALE, tell_model


class ModelSource:
    """Keeps the last good model: a newer champion that cannot be loaded stands in `error` and changes nothing."""

    def __init__(self, mlflow_uri: str, cache: Path, every_seconds: float) -> None:
        self._mlflow_uri = mlflow_uri
        self._cache = cache
        self._every_seconds = every_seconds
        self._engine: Engine | None = None
        self._earlier: Engine | None = None
        self._lock = Lock()
        self._looked_up = Event()
        self._stopped = Event()
        self.error: str | None = "the champion has not been looked up yet"

    def start(self, wait_seconds: float) -> None:
        """Returns after the first look-up, be it good or bad, and in any case after `wait_seconds`."""
        Thread(target=self._watch, name="champion", daemon=True).start()
        self._looked_up.wait(wait_seconds)

    def stop(self) -> None:
        self._stopped.set()

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
        from models.registry import Registry  # noqa: PLC0415 - as for the champion

        with self._lock:
            for engine in (self._engine, self._earlier):
                if engine is not None and engine.version == version:
                    return engine
            self._earlier = Registry(self._mlflow_uri).load(version, self._cache)
            return self._earlier

    def challenger(self, before: Engine | None) -> Engine:
        """`before` where that is still the challenger. Raises NoChampion, ModelRefused, RegistryUnavailable."""
        from models.registry import CHALLENGER, Registry  # noqa: PLC0415 - as for the champion

        registry = Registry(self._mlflow_uri)
        version = registry.version_of(CHALLENGER)
        return before if before is not None and before.version == version else registry.load(version, self._cache)

    def refresh(self) -> None:
        """Takes the champion over if it is another than the model in force."""
        with self._lock:
            try:
                self._engine = self._champion()
            except KeepwellError as error:
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
        if self._engine is not None and self._engine.version == version:
            return self._engine
        engine = registry.load(version, self._cache)
        LOGGER.info("model in force", version=version)
        tell_model(self._engine, engine)
        return engine

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.refresh()
            self._stopped.wait(self._every_seconds)

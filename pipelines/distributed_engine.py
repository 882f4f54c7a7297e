"""The registered engine on the executors: its files are sent as they are, checked and loaded there once for each process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.engine_files import load_engine, seal_of
from pipelines.loading import engine_of, registry

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

    from models.engine import Engine
    from pipelines.workspace import Workspace

_LOADED: dict[str, Engine] = {}
"""By seal and version: the engine that this process has loaded."""


@dataclass(frozen=True)
class SentEngine:
    """`files`: the bytes of each, by name; `seal`: as of `seal_of`."""

    version: str
    seal: str
    files: Broadcast[dict[str, bytes]]

    def load(self) -> Engine:
        """Raises ModelRefused where a file is not what was registered."""
        key = f"{self.version}/{self.seal}"
        if key not in _LOADED:
            with tempfile.TemporaryDirectory(prefix="keepwell-engine-") as folder:
                for name, content in self.files.value.items():
                    (Path(folder) / name).write_bytes(content)
                _LOADED.clear()
                _LOADED[key] = load_engine(Path(folder), self.version)
        return _LOADED[key]


@dataclass(frozen=True)
class EngineHere:
    """The champion in this process, and as it is sent."""

    engine: Engine
    sent: SentEngine


def champion_on(session: SparkSession, workspace: Workspace) -> EngineHere:
    """Raises NoChampion, ModelRefused."""
    engine = engine_of(workspace, None)
    folder = workspace.model_cache / registry(workspace).copy_of(engine.version).folder
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return EngineHere(engine, SentEngine(engine.version, seal_of(folder), session.sparkContext.broadcast(files)))

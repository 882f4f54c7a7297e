"""The registered engine on the executors: its files are sent as they are, checked and loaded there once for each process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.engine_files import load_engine

if TYPE_CHECKING:
    from pyspark import Broadcast

    from models.engine import Engine

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

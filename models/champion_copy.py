"""Which of the local copies of engines was the champion last: what a process starts with while the registry is away."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from models.engine import Engine
from models.engine_files import load_engine, seal_of
from models.errors import ModelRefused, NoChampion

NOTE_FILE = "champion.json"


@dataclass(frozen=True)
class ChampionCopy:
    """`folder` lies in the cache; `seal` is what the registry says of the engine's files."""

    version: str
    folder: str
    seal: str

    @classmethod
    def noted(cls, cache: Path) -> Self:
        """Raises NoChampion where none was noted yet."""
        try:
            return cls(**json.loads((cache / NOTE_FILE).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            raise NoChampion(f"{cache} holds no copy of a champion") from None

    def note(self, cache: Path) -> None:
        """Whole or not at all, whoever else does it at the same time."""
        draft = cache / f"{NOTE_FILE}.{os.getpid()}"
        draft.write_text(json.dumps(asdict(self)), "utf-8")
        draft.replace(cache / NOTE_FILE)

    def load(self, cache: Path) -> Engine:
        """Raises ModelRefused where the files are not what was registered."""
        folder = cache / self.folder
        if not folder.is_dir() or seal_of(folder) != self.seal:
            raise ModelRefused(f'the copy of version "{self.version}" in {folder} is not what was registered')
        return load_engine(folder, self.version)


def move_whole(source: Path, target: Path) -> None:
    """Of several processes that fetch the same version the first one's copy stays."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise

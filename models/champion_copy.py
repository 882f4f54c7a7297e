"""The local copies of engines, and which was the champion last: what a process starts with while the registry is away."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from models.engine import Engine
from models.engine_files import check_files, load_engine, seal_of
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
        """Raises ModelRefused where the files are not what was registered, or do not load."""
        try:
            if self._is_sealed(cache):
                return load_engine(cache / self.folder, self.version)
            why = "is not what was registered"
        except OSError as fault:
            why = f"cannot be read ({fault.strerror})"
        raise ModelRefused(f'the copy of version "{self.version}" {why}; it is fetched anew where the registry answers')

    def check(self, cache: Path) -> None:
        """Raises ModelRefused where a file is not what was registered, whatever it says."""
        if not self._is_sealed(cache):
            raise ModelRefused(f'version "{self.version}" is not what was registered; train again')
        check_files(cache / self.folder)

    def is_whole(self, cache: Path) -> bool:
        try:
            self.check(cache)
        except (ModelRefused, OSError):
            return False
        return True

    def fetch(self, cache: Path, fetched_into: Callable[[Path], Path]) -> None:
        """Where `fetched_into` gives files that are no better than those in the cache, these stay, and ModelRefused is raised."""
        parent = (cache / self.folder).parent
        parent.mkdir(parents=True, exist_ok=True)
        _remove_what_was_left(cache)
        with _scratch(parent) as scratch:
            fresh = fetched_into(scratch)
            replace(self, folder=fresh.name).check(fresh.parent)
            self.put(fresh, cache)

    def put(self, fresh: Path, cache: Path) -> None:
        """Moves a whole copy in, and one that is damaged to where that was; a whole one that others have put there meanwhile stays.

        So a whole copy never moves while somebody reads it.
        """
        place = cache / self.folder
        with _alone_in(place.parent):
            if self.is_whole(cache):
                return
            with suppress(FileNotFoundError):
                place.rename(fresh.with_name("damaged"))
            fresh.rename(place)

    def _is_sealed(self, cache: Path) -> bool:
        folder = cache / self.folder
        return folder.is_dir() and seal_of(folder) == self.seal


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder that is locked until the block ends, or the process does."""
    with ExitStack() as held:
        with _alone_in(parent):
            scratch = Path(held.enter_context(tempfile.TemporaryDirectory(dir=parent)))
            held.enter_context(_alone_in(scratch))
        yield scratch


def _remove_what_was_left(cache: Path) -> None:
    """Folders into which processes fetched that were killed; without locks nobody can tell these, and they stay."""
    for folder in cache.glob(f"*/{tempfile.gettempprefix()}*/"):
        with suppress(FileNotFoundError), _alone_in(folder.parent):
            if not _is_locked(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_locked(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of all processes of this machine, until the block ends. A file system without locks is not locked."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

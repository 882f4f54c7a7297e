"""One run at a time: a lock that ends with its process, and tells who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Self

from models.errors import RunHeld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class Holder:
    pid: int
    host: str
    since: str

    @classmethod
    def of_this_process(cls, now: datetime) -> Self:
        return cls(os.getpid(), socket.gethostname(), now.isoformat(timespec="seconds"))

    @classmethod
    def noted(cls, file: IO[str]) -> Self | None:
        """None where nobody holds the lock, or wrote less than a whole note."""
        file.seek(0)
        try:
            return cls(**json.loads(file.read()))
        except (ValueError, TypeError):
            return None

    @property
    def told(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def only_run(path: Path, *, now: datetime) -> Iterator[Holder | None]:
    """Yields who held the lock before and ended without giving it up, None where that was nobody.

    The operating system gives the lock of a dead process back, so that none is ever stale; it holds on one machine, and on others as far
    as their file system shares locks. Raises RunHeld.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = Holder.noted(file)
            raise RunHeld(f"another run is under way: {'unknown' if holder is None else holder.told}; {path} is its lock") from None
        before = Holder.noted(file)
        _note(file, json.dumps(asdict(Holder.of_this_process(now))))
        try:
            yield before
        finally:
            _note(file, "")


def _note(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()

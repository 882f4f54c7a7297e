"""Whether a service runs on a folder of state: a lock that ends with the processes that hold it."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "service.lock"


@contextmanager
def in_service(state: Path) -> Iterator[None]:
    """Any number of processes at once. Raises InputError where the folder is being restored.

    A folder that is not there is not made, for a store would then be made in it; one that cannot be written to, or whose file system has
    no locks, is not locked either.
    """
    with _held(state, fcntl.LOCK_SH, f"{state} is being restored; start the service when that has ended"):
        yield


@contextmanager
def out_of_service(state: Path) -> Iterator[None]:
    """No service may start meanwhile. Raises InputError where one runs; it sees those of this machine, or of whoever shares the lock."""
    state.mkdir(parents=True, exist_ok=True)
    with _held(state, fcntl.LOCK_EX, f"a service runs on {state}; stop it first, and start it again afterwards"):
        yield


@contextmanager
def _held(state: Path, kind: int, refused: str) -> Iterator[None]:
    with ExitStack() as held:
        try:
            file = held.enter_context((state / LOCK).open("a", encoding="utf-8"))
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refused) from None
        except OSError:
            held.close()
        yield

"""What is dear to make, made once for all processes of a run of the tests."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` was given to fill; nobody may change it. Who asks while another process fills it waits."""
    folder, done = _folder_of_the_run() / name, _folder_of_the_run() / f"{name}.made"
    with (_folder_of_the_run() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder


@cache
def _folder_of_the_run() -> Path:
    """The same for all processes that xdist started together."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = Path(tempfile.gettempdir()) / f"keepwell-{run}" if run else Path(tempfile.mkdtemp(prefix="keepwell-"))
    folder.mkdir(exist_ok=True)
    return folder

"""What is dear to make, made once for all processes of a run of the tests."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = "KEEPWELL_TESTS_FOLDER"
"""Names the folder of a run to the processes that share it."""


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` was given to fill; nobody may change it. Who asks while another process fills it waits."""
    folder, done = folder_of_the_run() / name, folder_of_the_run() / f"{name}.made"
    with (folder_of_the_run() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder


@cache
def folder_of_the_run() -> Path:
    """Whoever finds none makes one, for the processes that it starts too, and removes it in the end."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="keepwell-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])

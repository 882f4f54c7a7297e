"""Spark's own standalone cluster on this machine: a master and workers, each a process that can be killed."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyspark

from tests.patience import wait_until

SPARK = Path(pyspark.__file__).parent
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Cluster:
    master: str
    workers: list[subprocess.Popen[bytes]]

    def kill_a_worker(self) -> None:
        """Without a word; its executor ends when it finds the worker gone."""
        os.killpg(self.workers[0].pid, signal.SIGKILL)
        self.workers[0].wait()


@contextmanager
def cluster(folder: Path, workers: int = 2, memory: str = "1g") -> Iterator[Cluster]:
    """One core each; logs lie in `folder`."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.append(_started(MASTER, folder / "master.log", "--host", HOST, "--port", "0", "--webui-port", "0"))
        master = _said(folder / "master.log", r"Starting Spark master at (spark://\S+)")
        for number in range(workers):
            where = ("--host", HOST, "--webui-port", "0", "--cores", "1", "--memory", memory, "--work-dir", str(folder / f"work-{number}"))
            running.append(_started(WORKER, folder / f"worker-{number}.log", *where, master))
            _said(folder / f"worker-{number}.log", "(Successfully registered) with master")
        yield Cluster(master, running[1:])
    finally:
        for process in reversed(running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()


def _started(what: str, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """In a group of its own, so that what it starts ends with it, and it with this process."""
    environment = os.environ | {"SPARK_HOME": str(SPARK), "SPARK_LOCAL_IP": HOST, "PYSPARK_PYTHON": sys.executable}
    with log.open("wb") as said:
        command = [str(SPARK / "bin" / "spark-class"), what, *arguments]
        return subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
            preexec_fn=ending_with_parent(),  # noqa: PLW1509 - one call of the kernel, which takes no lock
        )


def ending_with_parent() -> Callable[[], None] | None:
    """What a child does first so that Linux tells it to end as soon as the thread that starts it has, in whatever way; None elsewhere."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGTERM)


def _said(log: Path, pattern: str) -> str:
    found: list[str] = []

    def heard() -> bool:
        found[:] = re.findall(pattern, log.read_text("utf-8", errors="replace"))
        return bool(found)

    wait_until(heard)
    return found[0]

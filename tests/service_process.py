"""`keepwell serve` as a process of its own, which can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from pipelines.serve import GRACE_SECONDS
from tests.patience import PATIENCE_SECONDS, PLAIN, wait_until
from tests.serving_world import NOW, world

SERVE = "from pathlib import Path; import sys; from pipelines import serve; from pipelines.workspace import Workspace; \
serve.GRACE_SECONDS = int(sys.argv[4]); serve.serve(Workspace.find(Path(sys.argv[1])), '127.0.0.1', int(sys.argv[2]), int(sys.argv[3]))"


@dataclass(frozen=True)
class Process:
    """`started_s`: from its start to the first answer that it is ready; `cpu_s`: what that took of a processor, all its threads together.

    `output` is where it writes, and `said` what it wrote until then.
    """

    url: str
    group: int
    started_s: float
    cpu_s: float
    output: Path
    said: str
    _started: subprocess.Popen[bytes]

    def exit_code(self) -> int:
        """When it has ended."""
        return self._started.wait(PATIENCE_SECONDS)

    def errors(self) -> list[str]:
        """What it wrote down as such."""
        return [line for line in self.output.read_text().splitlines() if '"level":"error"' in line]

    def kill(self) -> None:
        """With all its children, as when the power fails."""
        os.killpg(self.group, signal.SIGKILL)


@contextmanager
def started(home: Path, workers: int = 1, *, grace_seconds: int = GRACE_SECONDS, **environment: str) -> Iterator[Process]:
    """With the clock stopped at NOW; killed in the end."""
    told = {"KEEPWELL_MLFLOW_URI": world().mlflow_uri, "KEEPWELL_AS_OF": NOW.isoformat(), "OMP_NUM_THREADS": "1"}
    port, output, began = _free_port(), home / f"output-{workers}.txt", time.monotonic()
    with output.open("w") as written:
        command = [sys.executable, "-c", SERVE, str(home), str(port), str(workers), str(grace_seconds)]
        process = subprocess.Popen(command, env=os.environ | told | environment, stdout=written, stderr=written, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: httpx2.get(f"{url}/readyz", timeout=PATIENCE_SECONDS, verify=PLAIN).status_code == 200)
        took, used = time.monotonic() - began, psutil.Process(process.pid).cpu_times()
        wait_until(lambda: output.read_text().count("Application startup complete") >= workers)
        yield Process(url, process.pid, took, used.user + used.system, output, output.read_text(), process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

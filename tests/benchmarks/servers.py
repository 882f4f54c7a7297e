"""The servers that are put under load, each a process of its own, and what a load finds out about them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from models.api_keys import SCOPES, create_key
from models.store import Store
from tests.benchmarks.load_generator import Plan
from tests.benchmarks.service_world import AS_OF, ServiceWorld

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
UNLIMITED = "100000000/minute"


@dataclass(frozen=True)
class Server:
    """`started_s`: from the command to the first answer that it is ready, with what it had used by then."""

    port: int
    pid: int
    headers: Mapping[str, str]
    started_s: float
    started_cpu_s: float = 0.0
    started_mb: float = 0.0

    @property
    def resident_mb(self) -> float:
        """Of the process and its children."""
        return sum(_resident_mb(pid) for pid in _family(self.pid))

    @property
    def cpu_s(self) -> float:
        """Used so far by the process and its children."""
        return sum(_cpu_s(pid) for pid in _family(self.pid))


@dataclass(frozen=True)
class Load:
    """What came of a plan: requests answered with 200 in a second, seconds of latency, the rest of the statuses, CPU of the server."""

    rate: float
    latency_s: np.ndarray
    failed: dict[str, int]
    generator_share: float
    cpu_ms: float

    @property
    def answered(self) -> int:
        """Those that were not asked to warm up."""
        return len(self.latency_s)

    def quantile_ms(self, share: float) -> float:
        return float(np.quantile(self.latency_s, share)) * 1000 if len(self.latency_s) else float("nan")

    def told(self) -> str:
        quantiles = "  ".join(f"p{100 * share:g} {self.quantile_ms(share):7.1f} ms" for share in (0.5, 0.95, 0.99))
        failed = f"  failed {self.failed}" if self.failed else ""
        served = f"CPU {self.cpu_ms:.2f} ms each, generator {100 * self.generator_share:.0f} % of a core"
        return f"{self.rate:8.1f}/s  {quantiles}  {served}{failed}"


def put_load(
    server: Server,
    path: str,
    bodies: Sequence[str],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
    warm: float = 1.0,
    paths: Sequence[str] = (),
    evenly: bool = False,
) -> Load:
    """From a process of its own, `tests.benchmarks.load_generator`; `paths` of the bodies in turn go before `path`."""
    plan = Plan(
        "127.0.0.1",
        server.port,
        path,
        dict(server.headers),
        list(bodies),
        connections,
        seconds,
        rate,
        warm,
        paths=list(paths),
        evenly=evenly,
    )
    command = [sys.executable, "-m", "tests.benchmarks.load_generator"]
    cpu = server.cpu_s
    done = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, cwd=ROOT, check=True)
    used, told = server.cpu_s - cpu, json.loads(done.stdout)
    good, elapsed = told["statuses"].pop("200", 0), told["elapsed_s"]
    all_answered = max(1, round(good * (elapsed + warm) / elapsed))
    return Load(good / elapsed, np.array(told["latencies"]), told["statuses"], told["cpu_s"] / elapsed, 1000 * used / all_answered)


@contextmanager
def keepwell(world: ServiceWorld, *, workers: int = 1, store_url: str | None = None) -> Iterator[Server]:
    """`keepwell serve` with the clock stopped at the end of the log.

    What earlier loads reserved is forgotten: members of a folder that is kept would else have more contacts with every run.
    """
    url = store_url or world.workspace.store_url
    environment = os.environ | {"OMP_NUM_THREADS": "1", "KEEPWELL_STORE_URL": url, "KEEPWELL_RATE_LIMIT": UNLIMITED}
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--config", str(world.workspace.root), "--workers", str(workers)]
    with _running([*command, "--as-of", AS_OF.isoformat()], environment, "readyz", world.workspace.state / "speed-service.log") as server:
        with closing(Store.open(url)) as store:
            with store.engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM touches WHERE state = 'reserved'")
            key = create_key(store, "speed", SCOPES, now=datetime.now(UTC))
        yield replace(server, headers={"Authorization": f"Bearer {key}"})


@contextmanager
def mlflow_models_serve(model: Path, *, workers: int = 1) -> Iterator[Server]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", str(model), "--env-manager", "local"]
    with _running([*command, "--workers", str(workers)], environment, "ping", model.parent / "speed-mlflow.log") as server:
        yield server


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], ready: str, log: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("w") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=dict(environment), cwd=ROOT, stdout=said, stderr=said, start_new_session=True
        )
        try:
            _await(f"http://127.0.0.1:{port}/{ready}", process, said)
            server = Server(port, process.pid, {}, time.perf_counter() - began)
            yield replace(server, started_cpu_s=server.cpu_s, started_mb=server.resident_mb)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _await(url: str, process: subprocess.Popen[bytes], said: IO[str]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - the address is our own
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer; what the server said is in {said.name}")


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except FileNotFoundError:
        return []
    return [pid, *(below for child in children for below in _family(int(child)))]


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

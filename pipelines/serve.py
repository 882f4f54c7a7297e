"""Puts the log into the store and starts the service, which finds its workspace through the environment."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer
from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from models.api_keys import ensure_first_key
from models.declaration import load_community
from models.errors import InputError
from models.groups import check_groups
from models.in_service import in_service
from models.store import Loaded, Store
from pipelines.dates import moment
from pipelines.ingest import canonical_log, log_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.community import Community
    from models.kept_log import KeptLog
    from pipelines.workspace import Workspace

APP, HTTP = "serving.app:create_app", "serving.heads:BoundedHeads"
IDLE_SECONDS = 75
"""Longer than clients and load balancers keep a connection that nobody uses, so that none is hung up on just as it is used again."""
GRACE_SECONDS = 20
"""From the signal to end on, for answers that are under way; less than what supervisors wait before they kill."""
MOST_FILES = 10_000
"""Open at once in each process, connections among them; shells and systemd begin with 1,024."""
SILENT_SECONDS = 60
"""A process that says nothing for so long is replaced; on a busy machine one that starts is silent for more than uvicorn's five."""
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "serving.logs.line_formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"uvicorn": {"level": "INFO"}},
}
"""For the standard error of every process; requests are logged by the application and not by uvicorn, whose lines hold raw paths."""


@dataclass(frozen=True)
class Prepared:
    """What is new in the store; the secret of the key that was made because there was none; what to know of the log."""

    loaded: Loaded
    first_key: str | None
    hint: str | None


def serve(workspace: Workspace, host: str, port: int, workers: int, *, as_of: str | None = None) -> None:
    """Returns when the service is stopped. `as_of` stops its clock there.

    Raises InputError for a log or a time that cannot be used, an address that cannot be listened on, and while a backup is being restored.
    """
    stopped_at = None if as_of is None else moment(as_of, load_community(workspace.declaration)).isoformat()
    workspace.state.mkdir(parents=True, exist_ok=True)
    with in_service(workspace.state), _listener(host, port, several=workers > 1) as listener:
        prepared = prepare(workspace, now=datetime.now(UTC))
        if prepared.first_key is not None:
            typer.echo(f"API key, shown this once: {prepared.first_key}")
        if prepared.hint is not None and as_of is None:
            typer.echo(prepared.hint, err=True)
        os.environ["KEEPWELL_HOME"] = str(workspace.declaration)
        os.environ.setdefault("KEEPWELL_WORKERS", str(workers))
        if stopped_at is not None:
            os.environ["KEEPWELL_AS_OF"] = stopped_at
        _allow_files()
        config = Config(
            APP,
            factory=True,
            http=HTTP,
            host=host,
            port=port,
            workers=workers,
            server_header=False,
            access_log=False,
            log_config=LOGGING,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_worker_healthcheck=SILENT_SECONDS,
        )
        with suppress(KeyboardInterrupt):
            if workers > 1:
                _run_several(config, listener)
            else:
                _run_alone(config, listener)


def _allow_files() -> None:
    """As many as the system lets this user have; workers inherit it."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < MOST_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES), most))


def _run_alone(config: Config, listener: socket.socket) -> None:
    """When it has answered what it had begun uvicorn sends itself the signal that it was stopped by: SIGTERM then ends as SIGINT does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Server(config).run(sockets=[listener])


def _run_several(config: Config, listener: socket.socket) -> None:
    """The folder is named in the environment before any worker imports the client of Prometheus, which reads it then."""
    with TemporaryDirectory(prefix="keepwell-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        Multiprocess(config, sockets=[listener]).run()


def prepare(workspace: Workspace, *, now: datetime) -> Prepared:
    """The declared log in the store, and at least one API key. A log that was loaded before costs the time of reading it."""
    community = load_community(workspace.declaration)
    log = canonical_log(workspace, community, now=now)
    check_groups(log.members, community)
    with closing(Store.open(workspace.store_url)) as store:
        return Prepared(
            store.load_parts(log.parts(), log_fingerprint(workspace.log)), ensure_first_key(store, now=now), _hint(log, community, now)
        )


def _hint(log: KeptLog, community: Community, now: datetime) -> str | None:
    days = (now - log.last).days
    if days <= community.churn.active_days:
        return None
    after = (log.last.astimezone(community.zone) + timedelta(days=1)).date()
    return (
        f"the log ended {days:,} days ago, so today every member counts as gone; "
        f"to score as it was then, start with: keepwell serve --as-of {after}"
    )


def _listener(host: str, port: int, *, several: bool) -> socket.socket:
    """Says that it is TCP, which uvicorn's own for several workers does not: without it asyncio leaves Nagle's delay of 40 ms on.

    The address is tried by a socket that has it alone, before those of `several` workers share it.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)[0]
        listener = _bound(socket.socket, family, address)
        if not several or sys.platform != "linux":
            return listener
        with listener:
            taken = listener.getsockname()
        return _bound(_Shared, family, taken)
    except OSError as error:
        raise InputError(f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --host and --port") from None


class _Shared(socket.socket):
    """Of an address at which each worker has a socket of its own, among which Linux deals out connections.

    From one socket for all of them the worker that wakes first takes whoever waits, and the others have nothing to do. This one is never
    listened on: pickled on the way to a worker, it is opened anew there.
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def __reduce__(self) -> tuple[Callable[..., socket.socket], tuple[object, ...]]:
        return _bound, (_Shared, self.family, self.getsockname())


def _bound(kind: type[socket.socket], family: int, address: tuple[Any, ...]) -> socket.socket:
    """Raises OSError."""
    with ExitStack() as on_failure:
        listener = on_failure.enter_context(kind(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        on_failure.pop_all()
        return listener

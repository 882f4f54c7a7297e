"""`kill -9` of the service under load, again and again, on both databases: what was answered is there, once and whole."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.api_keys import SCOPES, create_key
from models.store import Store
from tests.crm_load import Crm, losses
from tests.databases import postgres_server, sqlite_url
from tests.patience import wait_until
from tests.service_process import Process, started
from tests.serving_world import NOW, world, write_home, write_logs

ROUNDS = 20
LOAD_SECONDS = 1.0
RESTART_SECONDS = 5.0
"""Of CPU: on a machine that is busy with other things the wall's time says more about those."""


@dataclass(frozen=True)
class Survived:
    """`restarts_s` and the processor time of each, without the first start, which loads the log."""

    crm: Crm
    rounds: int
    decisions: int
    events: int
    cut_off: int
    restarts_s: tuple[float, ...]
    restarts_cpu_s: tuple[float, ...]
    lost: tuple[str, ...]

    def told(self) -> str:
        slowest, cpu = (max(seconds, default=float("nan")) for seconds in (self.restarts_s, self.restarts_cpu_s))
        kept = f"{self.decisions:,} answers and {self.events:,} events kept, {self.cut_off} requests cut off"
        return f"{self.rounds} kills: {kept}, slowest restart {slowest:.1f} s ({cpu:.1f} s of CPU), lost or twice: {len(self.lost)}"


def kill_under_load(home: Path, store_url: str, rounds: int, seconds: float) -> Survived:
    """The home holds the declaration and its logs."""
    with closing(Store.open(store_url)) as store:
        crm = Crm(create_key(store, "crm", SCOPES, now=NOW), world().log.members["member_id"].to_list())
    starts: list[Process] = []
    lost: list[str] = []
    for _ in range(rounds):
        decisions, events = len(crm.answers), len(crm.accepted)
        with started(home, KEEPWELL_STORE_URL=store_url, KEEPWELL_RATE_LIMIT="1000000/minute") as process:
            starts.append(process)
            with crm.busy(process.url):
                wait_until(lambda before=decisions: len(crm.answers) > before)
                wait_until(lambda before=events: len(crm.accepted) > before)
                time.sleep(seconds)
                process.kill()
        lost += losses(crm, store_url)
        if crm.unfit:
            lost += [*crm.unfit, *process.errors()]
            crm.unfit.clear()
    return Survived(
        crm,
        rounds,
        len(crm.answers),
        len(crm.accepted),
        crm.statuses[0],
        tuple(start.started_s for start in starts[1:]),
        tuple(start.cpu_s for start in starts[1:]),
        tuple(lost),
    )


@contextmanager
def homes() -> Iterator[dict[str, tuple[Path, str]]]:
    """For each make of database a home of the service and the URL of an empty store."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keepwell-chaos-")))
        postgres = stack.enter_context(postgres_server(durable=True))
        found = {}
        for make, url in (("SQLite", sqlite_url(folder)), ("PostgreSQL", stack.enter_context(postgres.database()))):
            found[make] = (write_home(folder / make), url)
            write_logs(folder / make)
        yield found


def main() -> None:
    failed = False
    with homes() as makes:
        for make, (home, url) in makes.items():
            survived = kill_under_load(home, url, ROUNDS, LOAD_SECONDS)
            print(f"{make:10}  {survived.told()}", *survived.lost[:10], sep="\n  ", flush=True)
            failed |= bool(survived.lost) or max(survived.restarts_cpu_s) > RESTART_SECONDS
    sys.exit(failed)

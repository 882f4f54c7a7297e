"""PostgreSQL stopped and started again under load: refusals that say when to come back, recovery without help, nothing lost."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from serving.settings import Settings
from tests.crm_load import Crm, losses
from tests.databases import Postgres, postgres_server
from tests.patience import wait_until
from tests.serving_world import serving, world, write_home

ROUNDS = 10
SECONDS = 1.0
MODES = ("immediate", "fast")


@dataclass(frozen=True)
class Outages:
    """`recoveries_s`: from the database's start to the first answer that the service is ready."""

    statuses: Counter[int]
    recoveries_s: tuple[float, ...]
    lost: tuple[str, ...]

    def told(self) -> str:
        answers = ", ".join(f"{count:,} with {status}" for status, count in sorted(self.statuses.items()))
        slowest = max(self.recoveries_s, default=float("nan"))
        return (
            f"{len(self.recoveries_s)} outages: answers {answers}; slowest recovery {slowest:.2f} s; lost, twice or unfit: {len(self.lost)}"
        )


def stop_under_load(home: Path, postgres: Postgres, store_url: str, rounds: int, seconds: float) -> Outages:
    """Stops it by turns as a crash and as an administrator does."""
    recoveries: list[float] = []
    with serving(home, world().log, store_url=store_url, store_seconds=Settings.store_seconds) as running:
        crm = Crm(running.key, world().log.members["member_id"].to_list())

        def readiness() -> int:
            return running.client.get("/readyz").status_code

        with crm.busy(str(running.client.base_url)):
            for number in range(rounds):
                before = crm.statuses.copy()
                time.sleep(seconds)
                wait_until(lambda before=before: crm.statuses[200] > before[200])
                postgres.stop(MODES[number % len(MODES)])
                wait_until(lambda: readiness() == 503)
                wait_until(lambda before=before: crm.statuses[503] > before[503])
                postgres.start()
                began = time.monotonic()
                wait_until(lambda: readiness() == 200)
                recoveries.append(time.monotonic() - began)
        return Outages(crm.statuses, tuple(recoveries), (*losses(crm, store_url), *crm.unfit))


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="keepwell-chaos-") as folder,
        postgres_server(durable=True) as postgres,
        postgres.database() as url,
    ):
        outages = stop_under_load(write_home(Path(folder) / "home"), postgres, url, ROUNDS, SECONDS)
    print(outages.told(), *outages.lost[:10], sep="\n  ")
    sys.exit(bool(outages.lost))

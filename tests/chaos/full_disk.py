"""The disk of a SQLite store runs full under load, and is freed: refusals meanwhile, recovery, nothing lost. Mounting it needs root."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from serving.settings import Settings
from tests.chaos.database_stops import Outages
from tests.crm_load import Crm, losses
from tests.patience import wait_until
from tests.serving_world import serving, world, write_home

ROUNDS = 10
SECONDS = 1.0
MEGABYTES = 512
"""More than all rounds write, or the disk would be full without ballast too."""
CHUNK = 4096


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Takes all that is left."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(CHUNK))
        except OSError:
            return


def fill_under_load(disk: Path, elsewhere: Path, rounds: int, seconds: float) -> Outages:
    recoveries: list[float] = []
    ballast = disk / "ballast"
    with serving(write_home(disk / "home"), world().log, model_cache=elsewhere, store_seconds=Settings.store_seconds) as running:
        crm = Crm(running.key, world().log.members["member_id"].to_list())

        def readiness() -> int:
            return running.client.get("/readyz").status_code

        with crm.busy(str(running.client.base_url)):
            for _ in range(rounds):
                before = crm.statuses.copy()
                time.sleep(seconds)
                wait_until(lambda before=before: crm.statuses[200] > before[200])
                fill(ballast)
                wait_until(lambda before=before: crm.statuses[503] > before[503] and readiness() == 503)
                ballast.unlink()
                began = time.monotonic()
                wait_until(lambda: readiness() == 200)
                recoveries.append(time.monotonic() - began)
        with closing(sqlite3.connect(disk / "home/.keepwell/keepwell.db")) as database:
            broken = [row[0] for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        return Outages(crm.statuses, tuple(recoveries), (*losses(crm, running.settings.store_url), *crm.unfit, *broken))


def main() -> None:
    if os.geteuid() != 0:
        print("left out: mounting a small disk needs root")
        return
    with (
        tempfile.TemporaryDirectory(prefix="keepwell-chaos-") as folder,
        tempfile.TemporaryDirectory() as elsewhere,
        small_disk(Path(folder)) as disk,
    ):
        outages = fill_under_load(disk, Path(elsewhere), ROUNDS, SECONDS)
    print(outages.told(), *outages.lost[:10], sep="\n  ")
    sys.exit(bool(outages.lost))

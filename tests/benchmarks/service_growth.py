"""What grows with use: memory over many requests, and latency with a member's history and with the members that are stored (SQLite).

`--requests 200000 --stored 1000000` takes some minutes: the requests at the rate of the machine, and a minute for ten million events.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from models.community import DAY_US
from models.moments import microseconds
from tests.benchmarks.servers import Server, keepwell, put_load
from tests.benchmarks.service_speed import bodies, folder_of
from tests.benchmarks.service_world import AS_OF, ServiceWorld, make_world

HISTORIES = (10, 100, 300, 1_000, 3_000, 10_000)
MEMBERS_OF_A_LENGTH = 20
STORED = (1_000, 10_000, 100_000, 1_000_000)
EVENTS_OF_THE_STORED = 10
CONNECTIONS = 16
SPREAD_DAYS = 360
PARTS = 20
FIRST_RATE = 200.0
"""Requests a second, until the first load has told."""

FILL_MEMBERS = """
WITH RECURSIVE number(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :last)
INSERT INTO members (member_id, joined_us, source) SELECT printf('%s%07d', :prefix, i), :since_us, 'log' FROM number
"""
FILL_EVENTS = """
WITH RECURSIVE number(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :last),
               event(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM event WHERE j + 1 < :events)
INSERT INTO events (event_id, member_id, timestamp_us, type, value, source)
SELECT printf('%s%07d-%05d', :prefix, i, j), printf('%s%07d', :prefix, i),
       CAST(:since_us + (j + 0.5) * :span_us / :events AS INTEGER), 'comment', NULL, 'log' FROM number CROSS JOIN event
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="service_growth", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the community, kept for the next run; by default a new one")
    parser.add_argument("--members", type=int, default=2500)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--requests", type=int, default=20_000, help="over which memory is watched")
    parser.add_argument("--stored", type=int, default=100_000, help="most members to store")
    options = parser.parse_args()
    with folder_of(options.home) as folder:
        world = make_world(folder, options.members)
        with keepwell(world) as server:
            watch_memory(server, world, options.requests)
            by_history(server, world, options.seconds)
            by_stored_members(server, world, options.seconds, [n for n in STORED if n <= options.stored])


def watch_memory(server: Server, world: ServiceWorld, requests: int) -> None:
    """About every twentieth of the requests, over connections that stay open; modes in turn."""
    print(f"  {'requests':>10} {'MB':>8} {'a second':>9} {'p99 ms':>8}\n  {0:10,} {server.resident_mb:8,.1f}", flush=True)
    mixed = [body for pair in zip(bodies(world, "score_only"), bodies(world, "decide"), strict=True) for body in pair]
    answered, rate, resident = 0, FIRST_RATE, {0: server.resident_mb}
    while answered < requests:
        load = put_load(server, "/v1/score", mixed, connections=CONNECTIONS, seconds=max(1.0, requests / PARTS / rate))
        answered, rate = answered + load.answered, max(1.0, load.rate)
        resident[answered] = server.resident_mb
        failed = f"  failed {load.failed}" if load.failed else ""
        print(f"  {answered:10,} {resident[answered]:8,.1f} {rate:9,.0f} {load.quantile_ms(0.99):8.1f}{failed}", flush=True)
    half = min(resident, key=lambda n: abs(n - answered / 2))
    grown, more = resident[answered] - resident[half], answered - half
    print(f"  the last {more:,} requests: {grown:+.1f} MB, {1024 * grown / more:+.2f} kB each", flush=True)


def by_history(server: Server, world: ServiceWorld, seconds: float) -> None:
    for events in HISTORIES:
        prefix = f"of-{events}-events-"
        fill(world, prefix, 0, MEMBERS_OF_A_LENGTH, events)
        asked = [json.dumps({"member_id": f"{prefix}{i:07d}", "mode": "score_only"}) for i in range(MEMBERS_OF_A_LENGTH)]
        _tell(server, f"{events:,} events of the member", asked, seconds)


def by_stored_members(server: Server, world: ServiceWorld, seconds: float, stored: Sequence[int]) -> None:
    """Beside those of the community, each with ten events."""
    _tell(server, "no members more", bodies(world, "decide"), seconds)
    for before, members in zip((0, *stored), stored, strict=False):
        began = time.perf_counter()
        fill(world, "stored-", before, members, EVENTS_OF_THE_STORED)
        print(f"  filled up to {members:,} in {time.perf_counter() - began:.1f} s", flush=True)
        _tell(server, f"{members:,} members more", bodies(world, "decide"), seconds)


def fill(world: ServiceWorld, prefix: str, first: int, last: int, events: int) -> None:
    """Members `prefix` + first .. last - 1 in seven digits, with events spread evenly over the lookback; those that are there stay."""
    given = {"prefix": prefix, "first": first, "last": last, "events": events}
    given |= {"since_us": microseconds(AS_OF) - SPREAD_DAYS * DAY_US, "span_us": SPREAD_DAYS * DAY_US}
    with closing(sqlite3.connect(str(world.workspace.store_file), timeout=60)) as connection, connection:
        if connection.execute("SELECT 1 FROM members WHERE member_id = ?", (f"{prefix}{last - 1:07d}",)).fetchone() is None:
            connection.execute(FILL_MEMBERS, given)
            connection.execute(FILL_EVENTS, given)


def _tell(server: Server, name: str, asked: Sequence[str], seconds: float) -> None:
    load = put_load(server, "/v1/score", asked, connections=1, seconds=seconds)
    print(f"  {name:32} {load.told()}", flush=True)


if __name__ == "__main__":
    main()

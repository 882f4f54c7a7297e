"""What grows with use: memory over many requests, and latency with a member's history and with the members that are stored (SQLite).

`--requests 200000 --stored 1000000` takes some minutes: the requests at the rate of the machine, and a minute for ten million events. The
requests are about tens of thousands of members, each a few times: of a few hundred each would have hundreds of contacts in the end.
"""

from __future__ import annotations

import argparse
import json
import random
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
MANY, EVENTS_OF_THE_MANY = 30_000, 100
CONNECTIONS = 16
SPREAD_DAYS = 360
PARTS = 20
MOST_BODIES = 15_000
"""Of one load: more than it asks for."""
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
            print(f"  ready after {server.started_s:.1f} s, {server.started_cpu_s:.1f} s of CPU, {server.started_mb:,.0f} MB", flush=True)
            watch_memory(server, many_members(world), options.requests)
            by_history(server, world, options.seconds)
            by_stored_members(server, world, options.seconds, [n for n in STORED if n <= options.stored])


def many_members(world: ServiceWorld, members: int = MANY) -> list[str]:
    """Those of the community and so many more, in random order."""
    fill(world, "many-", 0, members, EVENTS_OF_THE_MANY)
    ids = [*world.asked, *(f"many-{number:07d}" for number in range(members))]
    random.Random(1).shuffle(ids)  # noqa: S311 - an order, no secret
    return ids


def watch_memory(server: Server, members: Sequence[str], requests: int) -> None:
    """About every twentieth of the requests, over connections that stay open; modes in turn."""
    print(f"  {'requests':>10} {'MB':>8} {'a second':>9} {'p99 ms':>8}\n  {0:10,} {server.resident_mb:8,.1f}", flush=True)
    mixed = [json.dumps({"member_id": member_id, "mode": mode}) for member_id in members for mode in ("score_only", "decide")]
    answered, rate, resident = 0, FIRST_RATE, {0: server.resident_mb}
    while answered < requests:
        load = put_load(server, "/v1/score", mixed[:MOST_BODIES], connections=CONNECTIONS, seconds=max(1.0, requests / PARTS / rate))
        mixed = mixed[MOST_BODIES:] + mixed[:MOST_BODIES]
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
    with closing(sqlite3.connect(str(world.workspace.store_file), timeout=60)) as connection:
        if connection.execute("SELECT 1 FROM members WHERE member_id = ?", (f"{prefix}{last - 1:07d}",)).fetchone() is None:
            with connection:
                connection.execute(FILL_MEMBERS, given)
                connection.execute(FILL_EVENTS, given)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _tell(server: Server, name: str, asked: Sequence[str], seconds: float) -> None:
    load = put_load(server, "/v1/score", asked, connections=1, seconds=seconds)
    print(f"  {name:32} {load.told()}", flush=True)


if __name__ == "__main__":
    main()

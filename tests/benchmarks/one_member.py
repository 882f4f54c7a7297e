"""How long the features of one member take, as a request of the service asks for them."""

from __future__ import annotations

import statistics
import time

import numpy as np

from models.community import DAY_US
from models.events import NEVER_US, EventArrays
from models.features import compute_features, feature_spec
from models.snapshots import Snapshots
from tests.benchmarks.event_log import BEGIN_US, DAYS, END_US, SHARES, community

CALLS = 1000


def member_of(n_events: int, rng: np.random.Generator) -> EventArrays:
    return EventArrays(
        offsets=np.array([0, n_events]),
        timestamp_us=np.sort(BEGIN_US + rng.integers(0, DAYS * DAY_US, n_events)),
        signal=rng.choice(len(SHARES), n_events, p=list(SHARES.values())).astype(np.uint8),
        value=rng.gamma(2, 30, n_events),
        joined_us=np.array([BEGIN_US]),
        contract_end_us=np.array([NEVER_US]),
    )


def call_ms(events: EventArrays) -> list[float]:
    spec = feature_spec(community())
    snapshots = Snapshots.at(events, END_US)
    compute_features(events, snapshots, spec)
    found = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        compute_features(events, snapshots, spec)
        found.append((time.perf_counter() - begin) * 1000)
    return found


def main() -> None:
    rng = np.random.default_rng(7)
    for n_events in (10, 30, 100, 300, 1000, 3000, 10_000):
        times = call_ms(member_of(n_events, rng))
        bound = "  (required: at most 0.5)" if n_events == 300 else ""
        print(f"  {n_events:6,d} events: median {statistics.median(times):.3f} ms, 99 % under {np.quantile(times, 0.99):.3f} ms{bound}")


if __name__ == "__main__":
    main()
